#include "sdk/builtins/src/suggestion.h"

#include <algorithm>
#include <array>

namespace engine::db::builtins {
namespace {

constexpr size_t kMaxBytes = 64;
constexpr size_t kMaxKnown = 1000;

char lower(char letter) { return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter + ('a' - 'A')) : letter; }

// Letters to be changed, left out, put in or swapped with their neighbour; both of up to kMaxBytes.
size_t distance(std::string_view a, std::string_view b) {
  using Line = std::array<size_t, kMaxBytes + 1>;
  Line before{};
  Line line{};
  Line next{};
  for (size_t j = 0; j <= b.size(); ++j) line[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    next[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const bool same = lower(a[i - 1]) == lower(b[j - 1]);
      next[j] = std::min({line[j] + 1, next[j - 1] + 1, line[j - 1] + (same ? 0 : 1)});
      const bool swapped = i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]);
      if (swapped) next[j] = std::min(next[j], before[j - 2] + 1);
    }
    before = line;
    line = next;
  }
  return line[b.size()];
}

}  // namespace

std::string closest(std::string_view word, std::span<const std::string> known) {
  if (word.size() > kMaxBytes) return {};
  std::string best;
  size_t best_distance = word.size() / 3 + 1;
  for (const std::string& candidate : known.first(std::min(known.size(), kMaxKnown))) {
    if (candidate.size() > kMaxBytes) continue;
    const size_t found = distance(word, candidate);
    if (found < best_distance) {
      best = candidate;
      best_distance = found;
    }
  }
  return best;
}

std::string did_you_mean(std::string_view word, std::span<const std::string> known) {
  const std::string found = closest(word, known);
  return found.empty() ? found : "; did you mean \"" + found + "\"?";
}

}  // namespace engine::db::builtins

#include "sdk/builtins/src/folded_text.h"

#include <algorithm>

namespace engine::db::builtins {
namespace {

// What is left of the line at `at`, without blanks at its end.
std::string_view rest_of_line(std::string_view text, size_t at) {
  std::string_view rest = text.substr(at, text.find('\n', at) - at);
  return rest.substr(0, rest.find_last_not_of(" \t") + 1);
}

std::string_view from(std::string_view yaml, const YAML::Mark& mark) {
  for (int line = 0; line < mark.line && !yaml.empty(); ++line) {
    yaml.remove_prefix(std::min(yaml.find('\n'), yaml.size() - 1) + 1);
  }
  yaml.remove_prefix(std::min(static_cast<size_t>(std::max(mark.column, 0)), yaml.size()));
  return yaml;
}

}  // namespace

std::vector<size_t> dashes_before_folded_lines(std::string_view text, std::string_view yaml, const YAML::Mark& mark) {
  constexpr std::string_view kDashes = "--";
  std::vector<size_t> found;
  std::string_view source = from(yaml, mark);
  if (source.starts_with('|')) return found;
  if (source.starts_with('>')) source.remove_prefix(std::min(source.find('\n'), source.size()));
  // The same dashes are in both, in the same order. What escapes and doubled quotes stand for is never longer than
  // they.
  size_t there = source.find(kDashes);
  for (size_t here = text.find(kDashes); here != std::string_view::npos && there != std::string_view::npos;
       here = text.find(kDashes, here + kDashes.size()), there = source.find(kDashes, there + kDashes.size())) {
    if (rest_of_line(text, here).size() > rest_of_line(source, there).size()) found.push_back(here);
  }
  return found;
}

}  // namespace engine::db::builtins

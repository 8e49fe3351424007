#include "server/postgres/message_text.h"

#include <array>
#include <cstddef>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/base/text.h"

namespace engine::db::postgres {
namespace {

// Those of the languages that PostgreSQL is translated into.
constexpr std::array<std::string_view, 19> kMarks = {"\"", "'", "`", "«", "»",  "„",  "“",  "”",  "‟", "‚",
                                                     "‘",  "’", "‹", "›", "「", "」", "『", "』", "＂"};
constexpr size_t kTellingBytes = 4;

size_t MarkAt(std::string_view text, size_t at) {
  for (const std::string_view mark : kMarks) {
    if (text.substr(at).starts_with(mark)) return mark.size();
  }
  return 0;
}

struct Mark {
  size_t begin;
  size_t end;
};

std::vector<Mark> MarksOf(std::string_view message) {
  std::vector<Mark> marks;
  for (size_t at = 0; at < message.size();) {
    const size_t bytes = MarkAt(message, at);
    if (bytes > 0) marks.push_back({at, at + bytes});
    at += bytes > 0 ? bytes : 1;
  }
  return marks;
}

std::string Cut(std::string_view message, const std::vector<Mark>& marks) {
  return absl::StrCat(ToAbsl(message.substr(0, marks.front().end)), "...", ToAbsl(message.substr(marks.back().begin)));
}

// So that "S"."t" in a statement is found as S.t, which is how messages write it.
std::string Plain(std::string_view text) {
  std::string plain;
  plain.reserve(text.size());
  for (const char c : text) {
    if (c != '"') plain.push_back(absl::ascii_tolower(static_cast<unsigned char>(c)));
  }
  return plain;
}

}  // namespace

std::string WithoutQuoted(std::string_view message) {
  const std::vector<Mark> marks = MarksOf(message);
  return marks.size() < 2 ? std::string(message) : Cut(message, marks);
}

std::string WithoutQuotedUnlessIn(std::string_view message, std::string_view sql) {
  const std::vector<Mark> marks = MarksOf(message);
  if (marks.size() < 2) return std::string(message);
  const std::string known = Plain(sql);
  const std::string_view all = message.substr(marks.front().end, marks.back().begin - marks.front().end);
  if (!all.empty() && known.find(Plain(all)) != std::string::npos) return std::string(message);
  // Marks come in pairs; a value with a mark of its own breaks them, and then everything goes.
  if (marks.size() % 2 != 0) return Cut(message, marks);
  for (size_t i = 0; i < marks.size(); i += 2) {
    const std::string_view quoted = message.substr(marks[i].end, marks[i + 1].begin - marks[i].end);
    if (absl::StripAsciiWhitespace(ToAbsl(quoted)).empty() || known.find(Plain(quoted)) == std::string::npos) {
      return Cut(message, marks);
    }
    if (i + 2 < marks.size() && message[marks[i + 1].end] != ' ') return Cut(message, marks);
  }
  return std::string(message);
}

std::string WithoutValue(std::string_view message, std::string_view value, std::string_view sql) {
  if (value.size() < kTellingBytes) return std::string(message);
  const std::string hidden = Plain(value);
  const std::string known = Plain(sql);
  std::string shown(message);
  if (known.find(hidden) == std::string::npos && hidden.size() >= kTellingBytes) {
    for (std::string lower = absl::AsciiStrToLower(ToAbsl(shown)); lower.find(hidden) != std::string::npos;
         lower = absl::AsciiStrToLower(shown)) {
      shown.replace(lower.find(hidden), hidden.size(), "...");
    }
  }
  const std::vector<Mark> marks = MarksOf(shown);
  for (size_t i = 0; i + 1 < marks.size(); ++i) {
    const std::string quoted = Plain(std::string_view(shown).substr(marks[i].end, marks[i + 1].begin - marks[i].end));
    if (quoted.size() >= kTellingBytes && hidden.find(quoted) != std::string::npos &&
        known.find(quoted) == std::string::npos) {
      return Cut(shown, marks);
    }
  }
  return shown;
}

int ParameterNumberIn(std::string_view text) {
  for (size_t at = text.find('$'); at != std::string_view::npos; at = text.find('$', at + 1)) {
    size_t end = at + 1;
    while (end < text.size() && absl::ascii_isdigit(static_cast<unsigned char>(text[end]))) ++end;
    int number = 0;
    if (absl::SimpleAtoi(ToAbsl(text.substr(at + 1, end - at - 1)), &number)) return number;
  }
  return 0;
}

}  // namespace engine::db::postgres

#include "server/postgres/message_text.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "sdk/common/utf8.h"
#include "server/base/text.h"

namespace engine::db::postgres {
namespace {

// Those of the languages that PostgreSQL is translated into.
constexpr std::array<std::string_view, 19> kMarks = {"\"", "'", "`", "«", "»",  "„",  "“",  "”",  "‟", "‚",
                                                     "‘",  "’", "‹", "›", "「", "」", "『", "』", "＂"};
constexpr int kTellingDigits = 4;

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

bool IsPartOfNumber(char c) {
  return absl::ascii_isdigit(static_cast<unsigned char>(c)) || c == '.' || c == ':' || c == '-';
}

}  // namespace

std::string WithoutQuoted(std::string_view message) {
  const std::vector<Mark> marks = MarksOf(message);
  return marks.size() < 2 ? std::string(message) : Cut(message, marks);
}

std::string WithoutQuotedUnlessIn(std::string_view message, std::string_view sql) {
  const std::vector<Mark> marks = MarksOf(message);
  if (marks.size() < 2) return std::string(message);
  const std::string known = WithoutCaseAndQuotes(sql);
  const std::string_view all = message.substr(marks.front().end, marks.back().begin - marks.front().end);
  if (!all.empty() && known.find(WithoutCaseAndQuotes(all)) != std::string::npos) return std::string(message);
  // Marks come in pairs; a value with a mark of its own breaks them, and then everything goes.
  if (marks.size() % 2 != 0) return Cut(message, marks);
  for (size_t i = 0; i < marks.size(); i += 2) {
    const std::string_view quoted = message.substr(marks[i].end, marks[i + 1].begin - marks[i].end);
    if (absl::StripAsciiWhitespace(ToAbsl(quoted)).empty() ||
        known.find(WithoutCaseAndQuotes(quoted)) == std::string::npos) {
      return Cut(message, marks);
    }
    if (i + 2 < marks.size() && message[marks[i + 1].end] != ' ') return Cut(message, marks);
  }
  return std::string(message);
}

std::string WithoutNumbersUnlessIn(std::string_view message, std::string_view sql) {
  std::string shown;
  for (size_t i = 0; i < message.size();) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(message[i]))) {
      shown += message[i++];
      continue;
    }
    size_t end = i;
    while (end < message.size() && IsPartOfNumber(message[end])) ++end;
    const std::string_view number = message.substr(i, end - i);
    // "varying(1000)", "$1234" and "int4" are no values.
    const char before = i == 0 ? ' ' : message[i - 1];
    const bool is_modifier = before == '(' && i > 1 && message[i - 2] != ' ';
    const auto digits =
        std::count_if(number.begin(), number.end(), [](unsigned char c) { return absl::ascii_isdigit(c); });
    const bool stays = digits < kTellingDigits || is_modifier || before == '$' ||
                       absl::ascii_isalnum(static_cast<unsigned char>(before)) ||
                       sql.find(number) != std::string_view::npos;
    absl::StrAppend(&shown, stays ? ToAbsl(number) : absl::string_view("..."));
    i = end;
  }
  return shown;
}

std::string WithoutCaseAndQuotes(std::string_view text) {
  std::string plain;
  plain.reserve(text.size());
  for (const char c : text) {
    if (c != '"') plain.push_back(absl::ascii_tolower(static_cast<unsigned char>(c)));
  }
  return plain;
}

std::string Clipped(std::string_view raw, size_t limit) {
  const std::string text = common::to_utf8(raw);  // a database in SQL_ASCII has others
  if (text.size() <= limit) return text;
  size_t end = limit;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;  // not within a UTF-8 sequence
  return absl::StrCat(ToAbsl(text.substr(0, end)), "...");
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

#include "server/postgres/message_text.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <vector>

#include "absl/container/flat_hash_map.h"
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

// What stands between each mark and the next.
std::vector<std::string> QuotedIn(std::string_view message) {
  const std::vector<Mark> marks = MarksOf(message);
  std::vector<std::string> quoted;
  for (size_t i = 0; i + 1 < marks.size(); ++i) {
    quoted.push_back(Plain(message.substr(marks[i].end, marks[i + 1].begin - marks[i].end)));
  }
  return quoted;
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

std::string WithoutValues(std::string_view message, absl::Span<const std::string_view> values, std::string_view sql) {
  std::string shown(message);
  std::string lower;
  std::vector<std::string> quoted;
  const auto read = [&] {
    lower = absl::AsciiStrToLower(shown);
    quoted = QuotedIn(shown);
  };
  read();
  // There may be thousands of values, and a megabyte of text.
  std::string known;
  absl::flat_hash_map<std::string, bool> answers;
  const auto is_in_sql = [&](const std::string& text) {
    const auto [answer, asked_first] = answers.try_emplace(text, false);
    if (asked_first) {
      if (known.empty()) known = Plain(sql);
      answer->second = known.find(text) != std::string::npos;
    }
    return answer->second;
  };
  for (const std::string_view value : values) {
    if (value.size() < kTellingBytes) continue;
    const std::string hidden = Plain(value);
    if (hidden.size() < kTellingBytes) continue;  // and so it holds no quoted text that tells anything
    while (lower.find(hidden) != std::string::npos && !is_in_sql(hidden)) {
      shown.replace(lower.find(hidden), hidden.size(), "...");
      read();
    }
    const bool holds_quoted = std::any_of(quoted.begin(), quoted.end(), [&](const std::string& text) {
      return text.size() >= kTellingBytes && hidden.find(text) != std::string::npos && !is_in_sql(text);
    });
    if (holds_quoted) {
      shown = Cut(shown, MarksOf(shown));
      read();
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

#include "sdk/sql/placeholders.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace engine::db::sql {
namespace {

// Whether a number or key word beside `c` would run into it: a?b must not become a$1b, which is one identifier.
bool RunsInto(char c) {
  return absl::ascii_isalnum(c) || c == '_' || c == '$' || c == '\'' || c == '"' ||
         (static_cast<uint8_t>(c) & 0x80) != 0;
}

std::string_view TextOf(std::string_view sql, const Token& token) {
  return sql.substr(token.begin, token.end - token.begin);
}

// Whether the placeholder tokens[i] stands where one of jsonb's operators would: beside "|", "&" or "@", or before an
// operand, which no placeholder is followed by.
bool LooksLikeOperator(std::string_view sql, absl::Span<const Token> tokens, size_t i) {
  if (i > 0 && tokens[i - 1].end == tokens[i].begin && TextOf(sql, tokens[i - 1]) == "@") return true;
  if (i + 1 == tokens.size()) return false;
  const Token& next = tokens[i + 1];
  const std::string_view text = TextOf(sql, next);
  if (next.begin == tokens[i].end && (text == "|" || text == "&")) return true;
  return next.kind == TokenKind::kLiteral || text == "?" || IsWord(text, "array");
}

}  // namespace

Placeholders::Placeholders(std::string_view sql, absl::Span<const Token> tokens) {
  const auto is_question_mark = [&](size_t i) { return i < tokens.size() && sql[tokens[i].begin] == '?'; };
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (!is_question_mark(i)) continue;
    if (is_question_mark(i + 1) && tokens[i + 1].begin == tokens[i].begin + 1) {
      replacements_.push_back({tokens[i].begin, false});
      ++i;
      continue;
    }
    replacements_.push_back({tokens[i].begin, true});
    ++count_;
    may_mean_an_operator_ |= LooksLikeOperator(sql, tokens, i);
  }
  replacements_.shrink_to_fit();
}

template <typename Sink>
void Placeholders::ForEachPiece(std::string_view sql, absl::Span<const std::string_view> expressions,
                                Sink&& sink) const {
  uint32_t copied = 0;
  size_t slot = 0;
  int number = 0;
  for (const Replacement& replacement : replacements_) {
    if (replacement.begin > copied) sink(copied, replacement.begin, sql.substr(copied, replacement.begin - copied));
    copied = replacement.begin + replacement.length();
    if (!replacement.placeholder) {
      sink(replacement.begin, copied, "?");
      continue;
    }
    const std::string_view spliced = slot < expressions.size() ? expressions[slot] : std::string_view();
    std::string text;
    if (spliced.starts_with("::")) {  // in brackets, for what may follow binds closer: ?[1]
      text = absl::StrCat("($", ++number, std::string(spliced), ")");
    } else {
      text = spliced.empty() ? absl::StrCat("$", ++number) : std::string(spliced);
    }
    ++slot;
    const char before = replacement.begin > 0 ? sql[replacement.begin - 1] : ' ';
    // PostgreSQL takes 6.$1 for two tokens, but no 6.CURRENT_DATE.
    if (RunsInto(before) || (before == '.' && !spliced.empty())) text.insert(0, 1, ' ');
    if (copied < sql.size() && RunsInto(sql[copied])) text.push_back(' ');
    sink(replacement.begin, copied, text);
  }
  if (copied < sql.size()) sink(copied, static_cast<uint32_t>(sql.size()), sql.substr(copied));
}

std::string Placeholders::Render(std::string_view sql, absl::Span<const std::string_view> expressions) const {
  std::string rendered;
  rendered.reserve(sql.size() + replacements_.size() * 4);
  ForEachPiece(sql, expressions, [&rendered](uint32_t, uint32_t, std::string_view text) { rendered.append(text); });
  return rendered;
}

uint32_t Placeholders::CallerPosition(std::string_view sql, absl::Span<const std::string_view> expressions,
                                      uint32_t position) const {
  if (position == 0) return 0;
  uint32_t rendered = 0;  // characters of the rendered text before the piece
  uint32_t caller = 0;    // characters of the caller's text before the piece
  uint32_t found = 0;
  ForEachPiece(sql, expressions, [&](uint32_t begin, uint32_t end, std::string_view text) {
    const std::string_view original = sql.substr(begin, end - begin);
    const uint32_t length = CountCharacters(text);
    if (found == 0 && position <= rendered + length) {
      found = original == text ? caller + (position - rendered) : caller + 1;
    }
    rendered += length;
    caller += CountCharacters(original);
  });
  return found != 0 ? found : caller + (position - rendered);  // PostgreSQL points past the end for "at end of input"
}

}  // namespace engine::db::sql

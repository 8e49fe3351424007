#include "server/sql/scanner.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>
#include <pg_query.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "server/base/error.h"

namespace engine::db::sql {
namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

// About 100 ms.
constexpr uint64_t kMaxRepeatedWork = uint64_t{1} << 24;

bool IsWordByte(char c) {
  return absl::ascii_isalnum(c) || c == '_' || c == '$' || (static_cast<uint8_t>(c) & 0x80) != 0;
}

bool IsOperatorByte(char c) { return std::string_view("~!@#^&|`?+-*/%<>=").find(c) != std::string_view::npos; }

// Told from the text rather than from libpg_query's token numbers, which change from version to version.
TokenKind KindOf(std::string_view text) {
  const char first = text[0];
  if (first == '$' && text.size() > 1 && absl::ascii_isdigit(text[1])) return TokenKind::kParameter;
  if (first == '\'' || first == '$' || absl::ascii_isdigit(first)) return TokenKind::kLiteral;
  if (first == '.' && text.size() > 1 && absl::ascii_isdigit(text[1])) return TokenKind::kLiteral;
  if (IsWordByte(first) || first == '"') {
    // E'', B'', X'', N'' and U&'' (whose reported end is wrong, hence no look at it).
    const size_t quote = text.find_first_of("'\"");
    return first != '"' && quote != std::string_view::npos && text[quote] == '\'' ? TokenKind::kLiteral
                                                                                  : TokenKind::kWord;
  }
  return IsOperatorByte(first) ? TokenKind::kOperator : TokenKind::kPunctuation;
}

bool IsComment(std::string_view text) { return text.starts_with("--") || text.starts_with("/*"); }

// pg_query.ScanToken: start = 1, end = 2 (int32). The rest is not needed.
bool ReadToken(CodedInputStream& in, uint32_t& begin, uint32_t& end) {
  uint32_t length = 0;
  if (!in.ReadVarint32(&length)) return false;
  const auto limit = in.PushLimit(static_cast<int>(length));
  while (const uint32_t tag = in.ReadTag()) {
    switch (WireFormatLite::GetTagFieldNumber(tag)) {
      case 1:
        if (!in.ReadVarint32(&begin)) return false;
        break;
      case 2:
        if (!in.ReadVarint32(&end)) return false;
        break;
      default:
        if (!WireFormatLite::SkipField(&in, tag)) return false;
    }
  }
  in.PopLimit(limit);
  return true;
}

// pg_query.ScanResult: tokens = 2. libpg_query hands its result out as a serialized message.
std::optional<std::vector<Token>> ReadTokens(std::string_view sql, const PgQueryProtobuf& result) {
  std::vector<Token> tokens;
  CodedInputStream in(reinterpret_cast<const uint8_t*>(result.data), static_cast<int>(result.len));
  while (const uint32_t tag = in.ReadTag()) {
    if (WireFormatLite::GetTagFieldNumber(tag) != 2) {
      if (!WireFormatLite::SkipField(&in, tag)) return std::nullopt;
      continue;
    }
    uint32_t begin = 0;
    uint32_t end = 0;
    if (!ReadToken(in, begin, end) || begin >= sql.size() || end > sql.size()) return std::nullopt;
    const std::string_view text = sql.substr(begin, end > begin ? end - begin : std::string_view::npos);
    if (!IsComment(text)) tokens.push_back({begin, end, KindOf(text)});
  }
  return tokens;
}

// PostgreSQL's message without `at or near "…"`, which quotes the statement.
std::string_view WithoutQuotation(std::string_view message) { return message.substr(0, message.find(" at or near ")); }

// libpg_query does not hand PostgreSQL's SQLSTATE out. These are the scanner's faults that are no syntax errors to it.
std::string_view SqlStateOf(std::string_view message) {
  if (message == "invalid Unicode escape") return "22025";
  if (message.starts_with("invalid byte sequence for encoding")) return "22021";
  return "42601";
}

absl::Status ScanError(const PgQueryError& error) {
  v1::DatabaseError detail;
  detail.set_kind(v1::ERROR_KIND_EXECUTION);
  detail.set_phase(v1::PHASE_VALIDATING);
  detail.set_outcome(v1::OUTCOME_NOT_EXECUTED);
  detail.set_sqlstate(std::string(SqlStateOf(error.message)));
  detail.set_reason("SYNTAX_ERROR");
  detail.set_message(std::string(WithoutQuotation(error.message)));
  detail.set_position(static_cast<uint32_t>(std::max(error.cursorpos, 0)));
  return MakeError(absl::StatusCode::kInvalidArgument, std::move(detail));
}

// What PostgreSQL's scanner does more than once with the same characters, about. It reads the rest of a run of operator
// characters again for each "/*" in it, and a run of "+" again for each of them: 100 KB of either take it from seven
// seconds to over a minute.
uint64_t RepeatedWork(std::string_view sql) {
  uint64_t work = 0;
  for (size_t i = 0; i < sql.size();) {
    uint64_t length = 0;
    uint64_t comments = 0;
    uint64_t signs = 0;  // those of the run of "+" and "-" that ends here; "--" begins a comment
    for (; i < sql.size() && IsOperatorByte(sql[i]); ++i, ++length) {
      const char before = length > 0 ? sql[i - 1] : ' ';
      comments += before == '/' && sql[i] == '*';
      signs = sql[i] == '+' || (sql[i] == '-' && before != '-') ? signs + 1 : 0;
      work += signs;
    }
    work += comments * length;
    if (length == 0) ++i;
  }
  return work;
}

absl::StatusOr<std::vector<Token>> ScanAsIs(const std::string& sql) {
  // To PostgreSQL "=?-" is one operator, and "?||?||…" soon one that is too long. A bracket in its place is always a
  // token of its own.
  std::string apart = sql;
  std::replace(apart.begin(), apart.end(), '?', ')');
  const PgQueryScanResult result = pg_query_scan(apart.c_str());
  const absl::Cleanup free_result = [&result] { pg_query_free_scan_result(result); };
  if (result.error != nullptr) return ScanError(*result.error);
  std::optional<std::vector<Token>> tokens = ReadTokens(sql, result.pbuf);
  if (!tokens)
    return MakeError(absl::StatusCode::kInternal, v1::ERROR_KIND_EXECUTION, "SCANNER",
                     "the SQL scanner's result is malformed");
  return *std::move(tokens);
}

// One word that begins with a digit, rewritten in place if it is a number that libpg_query may not know.
void RewriteNumber(char* word, size_t length) {
  const bool radix = length > 2 && word[0] == '0' && std::string_view("xXoObB").find(word[1]) != std::string_view::npos;
  if (radix) {
    std::fill_n(word, length, '0');
    return;
  }
  for (size_t i = 1; i + 1 < length; ++i) {
    if (word[i] == '_' && absl::ascii_isdigit(word[i - 1]) && absl::ascii_isdigit(word[i + 1])) word[i] = '0';
  }
}

}  // namespace

absl::StatusOr<std::vector<Token>> Scan(const std::string& sql) {
  if (RepeatedWork(sql) > kMaxRepeatedWork) {
    return InvalidRequest(
        "sql", "STATEMENT_TOO_COMPLEX",
        "the statement has thousands of operator characters in a row; if they are data, send them as a parameter");
  }
  absl::StatusOr<std::vector<Token>> tokens = ScanAsIs(sql);
  if (tokens.ok()) return tokens;
  const std::string older = WithoutNewNumberNotation(sql);
  if (older == sql) return tokens;
  absl::StatusOr<std::vector<Token>> second = ScanAsIs(older);
  return second.ok() ? std::move(second) : std::move(tokens);
}

std::string WithoutNewNumberNotation(std::string sql) {
  // Strings and comments are rewritten as well, which does no harm: digits for digits, and only the shape of the result
  // is used.
  for (size_t i = 0; i < sql.size();) {
    size_t end = i;
    while (end < sql.size() && IsWordByte(sql[end])) ++end;
    // The number ends before a "$", which may close a dollar quote.
    size_t number = i;
    while (number < end && (absl::ascii_isalnum(sql[number]) || sql[number] == '_')) ++number;
    if (number > i && absl::ascii_isdigit(sql[i])) RewriteNumber(&sql[i], number - i);
    i = std::max(end, i + 1);
  }
  return sql;
}

uint32_t CountCharacters(std::string_view utf8) {
  return static_cast<uint32_t>(
      std::count_if(utf8.begin(), utf8.end(), [](char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; }));
}

}  // namespace engine::db::sql

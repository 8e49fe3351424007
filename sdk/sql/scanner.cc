#include "sdk/sql/scanner.h"

#include <pg_query.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "engine_db/reasons.h"

namespace engine::db::sql {
namespace {

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

// Reads protobuf's wire format, in which libpg_query hands its result out.
class WireReader {
 public:
  explicit WireReader(std::string_view bytes) : rest_(bytes) {}

  // Calls take(field, *this) for each field until the end; `take` reads the field's content or returns false, whereupon
  // it is passed over. False when the bytes are malformed.
  template <typename Take>
  bool ForEachField(Take&& take) {
    while (!rest_.empty() && !malformed_) {
      const uint64_t tag = Varint();
      if (!take(tag >> 3, *this)) Skip(tag & 7);
    }
    return !malformed_;
  }

  uint64_t Varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<uint8_t>(Take(1).at(0));
      value |= uint64_t{byte & 0x7FU} << shift;
      if ((byte & 0x80) == 0) return value;
    }
    malformed_ = true;
    return 0;
  }
  std::string_view Bytes() { return Take(Varint()); }

 private:
  void Skip(uint64_t wire_type) {
    switch (wire_type) {
      case 0:
        Varint();
        break;
      case 1:
        Take(8);
        break;
      case 2:
        Bytes();
        break;
      case 5:
        Take(4);
        break;
      default:
        malformed_ = true;
    }
  }

  // A NUL where there is not as much.
  std::string_view Take(uint64_t bytes) {
    if (bytes > rest_.size()) {
      malformed_ = true;
      static constexpr char kNul = '\0';
      return {&kNul, 1};
    }
    const std::string_view taken = rest_.substr(0, bytes);
    rest_.remove_prefix(bytes);
    return taken;
  }

  std::string_view rest_;
  bool malformed_ = false;
};

// pg_query.ScanResult: tokens = 2; pg_query.ScanToken: start = 1, end = 2 (int32). The rest is not needed.
std::optional<std::vector<Token>> ReadTokens(std::string_view sql, const PgQueryProtobuf& result) {
  std::vector<Token> tokens;
  bool within = true;  // the text
  const bool is_message = WireReader({result.data, result.len}).ForEachField([&](uint64_t field, WireReader& in) {
    if (field != 2) return false;
    uint32_t begin = 0;
    uint32_t end = 0;
    within &= WireReader(in.Bytes()).ForEachField([&](uint64_t part, WireReader& token) {
      if (part != 1 && part != 2) return false;
      (part == 1 ? begin : end) = static_cast<uint32_t>(token.Varint());
      return true;
    });
    within &= begin < sql.size() && end <= sql.size();
    if (!within) return true;
    const std::string_view text = sql.substr(begin, end > begin ? end - begin : std::string_view::npos);
    if (!IsComment(text)) tokens.push_back({begin, end, KindOf(text)});
    return true;
  });
  if (!is_message || !within) return std::nullopt;
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

Refusal ScanError(const PgQueryError& error) {
  return {.reason = reasons::kSyntaxError,
          .message = std::string(WithoutQuotation(error.message)),
          .field = {},
          .sqlstate = SqlStateOf(error.message),
          .position = static_cast<uint32_t>(std::max(error.cursorpos, 0))};
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

OrRefusal<std::vector<Token>> ScanAsIs(const std::string& sql) {
  // To PostgreSQL "=?-" is one operator, and "?||?||…" soon one that is too long. A bracket in its place is always a
  // token of its own.
  std::string apart = sql;
  std::replace(apart.begin(), apart.end(), '?', ')');
  const PgQueryScanResult result = pg_query_scan(apart.c_str());
  const absl::Cleanup free_result = [&result] { pg_query_free_scan_result(result); };
  if (result.error != nullptr) return ScanError(*result.error);
  std::optional<std::vector<Token>> tokens = ReadTokens(sql, result.pbuf);
  if (!tokens) {
    return Refusal{.reason = reasons::kScanner,
                   .message = "the SQL scanner's result is malformed",
                   .field = {},
                   .sqlstate = "XX000",
                   .is_ours = true};
  }
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

OrRefusal<std::vector<Token>> Scan(const std::string& sql) {
  if (RepeatedWork(sql) > kMaxRepeatedWork) {
    return Refusal{
        .reason = reasons::kStatementTooComplex,
        .message =
            "the statement has thousands of operator characters in a row; if they are data, send them as a parameter"};
  }
  OrRefusal<std::vector<Token>> tokens = ScanAsIs(sql);
  if (tokens.ok()) return tokens;
  const std::string older = WithoutNewNumberNotation(sql);
  if (older == sql) return tokens;
  OrRefusal<std::vector<Token>> second = ScanAsIs(older);
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

bool IsWord(std::string_view text, std::string_view word) {
  const auto lower = [](char c) { return absl::ascii_tolower(static_cast<unsigned char>(c)); };
  return std::ranges::equal(text, word, {}, lower, lower);
}

uint32_t CountCharacters(std::string_view utf8) {
  return static_cast<uint32_t>(
      std::count_if(utf8.begin(), utf8.end(), [](char c) { return (static_cast<uint8_t>(c) & 0xC0) != 0x80; }));
}

}  // namespace engine::db::sql

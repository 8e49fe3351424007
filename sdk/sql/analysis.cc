#include "sdk/sql/analysis.h"

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <iterator>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "engine_db/reasons.h"
#include "sdk/common/limits.h"
#include "sdk/sql/scanner.h"
#include "sdk/sql/syntax.h"

namespace engine::db::sql {
namespace {

// The tokens of a text, read as words.
class Words {
 public:
  Words(std::string_view sql, absl::Span<const Token> tokens) : sql_(sql), tokens_(tokens) {}

  bool Is(size_t i, std::string_view word) const {
    return i < tokens_.size() && tokens_[i].kind == TokenKind::kWord && IsWord(Text(i), word);
  }
  bool IsAny(size_t i, std::initializer_list<std::string_view> words) const {
    return std::any_of(words.begin(), words.end(), [this, i](std::string_view word) { return Is(i, word); });
  }
  std::string_view Text(size_t i) const {
    const Token& token = tokens_[i];
    return sql_.substr(token.begin, token.end > token.begin ? token.end - token.begin : 1);
  }
  size_t size() const { return tokens_.size(); }

 private:
  std::string_view sql_;
  absl::Span<const Token> tokens_;
};

Refusal Refuse(std::string_view reason, std::string message) {
  return {.reason = reason, .message = std::move(message)};
}

bool IsRollbackTo(const Words& words, size_t first) {
  const bool noise = words.IsAny(first + 1, {"work", "transaction"});
  return words.Is(first, "rollback") && words.Is(first + (noise ? 2 : 1), "to");
}

// A plain string or a quoted name without its quotes.
std::string_view Unquoted(std::string_view token) {
  const bool quoted = token.size() >= 2 && token.front() == token.back() && (token[0] == '\'' || token[0] == '"');
  return quoted ? token.substr(1, token.size() - 2) : token;
}

// Commands that the gateway has methods for, or can't carry. `first` is the first word.
std::optional<Refusal> CheckCommand(const Words& words, size_t first) {
  if (words.Is(first, "copy")) {
    return Refuse(reasons::kCopyNotSupported,
                  "COPY can't run as a statement of the gateway: read with ExecuteStream, and write with ExecuteBatch");
  }
  const bool prepared =
      words.Is(first + 1, "prepared") || (words.Is(first, "prepare") && words.Is(first + 1, "transaction"));
  if (words.IsAny(first, {"commit", "rollback", "prepare"}) && prepared) {
    return Refuse(reasons::kTransactionControl, "two-phase commit is not supported: use Begin, Commit and Rollback");
  }
  if (words.IsAny(first, {"begin", "start"})) {
    return Refuse(reasons::kTransactionControl,
                  absl::StrCat(words.Is(first, "begin") ? "BEGIN" : "START TRANSACTION",
                               " can't run as a statement: call Begin, or set `begin` on the first statement"));
  }
  if (words.IsAny(first, {"commit", "end"})) {
    return Refuse(reasons::kTransactionControl,
                  "COMMIT can't run as a statement: call Commit, or set `commit` on the last statement");
  }
  if (words.IsAny(first, {"rollback", "abort"}) && !IsRollbackTo(words, first)) {
    return Refuse(reasons::kTransactionControl, "ROLLBACK can't run as a statement: call Rollback");
  }
  return std::nullopt;
}

// A value as it is written, without quotes and whatever PostgreSQL passes over in the names of encodings.
std::string PlainValue(std::string_view token) {
  std::string plain;
  for (const char c : token) {
    if (absl::ascii_isalnum(static_cast<unsigned char>(c))) plain += absl::ascii_tolower(static_cast<unsigned char>(c));
  }
  return plain;
}

// That a setting stays as the gateway's own reading of the text has it. What escapes this (a function's body, a name
// that is a parameter) ends with the transaction, or with the backend's reset.
std::optional<Refusal> CheckSetting(std::string_view name, std::string_view value) {
  const std::string wanted = PlainValue(value);
  const auto is_any_of = [&wanted](std::initializer_list<std::string_view> words) {
    return std::find(words.begin(), words.end(), wanted) != words.end();
  };
  if (IsWord(name, "standard_conforming_strings") && !is_any_of({"on", "true", "t", "yes", "y", "1", "default"})) {
    return Refuse(reasons::kSettingNotSupported,
                  "standard_conforming_strings stays on: a session that reads strings in another way would find other "
                  "placeholders than the gateway; write strings with escapes as E'...'");
  }
  if (IsWord(name, "client_encoding") && !is_any_of({"utf8", "unicode", "default"})) {
    return Refuse(reasons::kSettingNotSupported,
                  "client_encoding stays UTF8, which is what statements, values and results are in; convert with "
                  "convert_to() and convert_from()");
  }
  return std::nullopt;
}

// SET and set_config() of settings by which PostgreSQL reads a text. (backslash_quote and escape_string_warning only
// make it refuse or warn.)
std::optional<Refusal> CheckSettings(const Words& words, size_t first) {
  if (words.Is(first, "set")) {
    const size_t name = words.IsAny(first + 1, {"session", "local"}) ? first + 2 : first + 1;
    if (words.Is(name, "names")) {
      return CheckSetting("client_encoding", name + 1 < words.size() ? words.Text(name + 1) : "default");
    }
    if (name + 2 < words.size()) return CheckSetting(Unquoted(words.Text(name)), words.Text(name + 2));
    return std::nullopt;
  }
  for (size_t i = first; i + 4 < words.size(); ++i) {
    if (!words.Is(i, "set_config") || words.Text(i + 1) != "(" || words.Text(i + 3) != ",") continue;
    if (auto refused = CheckSetting(Unquoted(words.Text(i + 2)), words.Text(i + 4))) return refused;
  }
  return std::nullopt;
}

// A parameter where PostgreSQL would not look for any: it would call the statement's parameter one that is not there,
// or one too many, depending on what was prepared before.
Refusal RefuseParameters(std::string_view sql, absl::Span<const Token> tokens, std::string_view command) {
  const auto is_mark = [&](size_t i) {
    return i < tokens.size() && tokens[i].kind == TokenKind::kOperator && sql[tokens[i].begin] == '?';
  };
  size_t found = 0;
  while (found + 1 < tokens.size() && tokens[found].kind != TokenKind::kParameter) {
    if (is_mark(found) && !(is_mark(found + 1) && tokens[found + 1].begin == tokens[found].begin + 1)) break;
    found += is_mark(found) ? 2 : 1;  // "??" is an operator
  }
  const std::string_view text = sql.substr(tokens[found].begin, tokens[found].end - tokens[found].begin);
  const uint32_t at = CountCharacters(sql.substr(0, tokens[found].begin)) + 1;
  return {.reason = reasons::kParametersNotSupported,
          .message = absl::StrCat("this ", std::string(command), " takes no parameters, but has a ", std::string(text),
                                  " at character ", at),
          .field = "parameters[0]",
          .sqlstate = "42P18",
          .hint =
              "PostgreSQL takes parameters in SELECT, VALUES, INSERT, UPDATE, DELETE, MERGE and CALL, and in EXPLAIN, "
              "DECLARE CURSOR and CREATE TABLE AS of these: write the value into the text of others"};
}

// Whether a token follows a semicolon; semicolons in brackets (CREATE RULE) and in BEGIN ATOMIC bodies divide nothing.
// For text that the parser does not know.
bool HoldsSeveralStatements(const Words& words) {
  int depth = 0;
  bool ended = false;
  for (size_t i = 0; i < words.size(); ++i) {
    if (words.Is(i, "begin") && words.Is(i + 1, "atomic")) return false;
    const std::string_view text = words.Text(i);
    if (text == ";") {
      ended |= depth == 0 && i > 0;
    } else if (ended) {
      return true;
    } else if (text == "(") {
      ++depth;
    } else if (text == ")") {
      --depth;
    }
  }
  return false;
}

// The highest n of $n; more than limits::kMaxParameters when it is out of range.
int HighestParameter(const Words& words, absl::Span<const Token> tokens) {
  int highest = 0;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i].kind != TokenKind::kParameter) continue;
    const std::string_view digits = words.Text(i).substr(1);
    int number = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error != std::errc()) number = limits::kMaxParameters + 1;
    highest = std::max(highest, number);
  }
  return highest;
}

std::optional<Syntax> ParseAnyNotation(const std::string& sql) {
  std::optional<Syntax> syntax = Parse(sql);
  if (!syntax) {
    if (const std::string older = WithoutNewNumberNotation(sql); older != sql) syntax = Parse(older);
  }
  return syntax;
}

std::string_view Summary(const Words& words, size_t first, const std::optional<Syntax>& syntax) {
  static constexpr std::pair<std::string_view, std::string_view> kOfTypes[] = {{"SelectStmt", "SELECT"},
                                                                               {"InsertStmt", "INSERT"},
                                                                               {"UpdateStmt", "UPDATE"},
                                                                               {"DeleteStmt", "DELETE"},
                                                                               {"MergeStmt", "MERGE"}};
  if (syntax) {
    for (const auto& [type, word] : kOfTypes) {
      if (syntax->type == type) return word;
    }
  }
  static constexpr std::string_view kCommands[] = {
      "SELECT",  "INSERT", "UPDATE",     "DELETE",   "MERGE",    "WITH",     "VALUES",     "TABLE",     "CREATE",
      "ALTER",   "DROP",   "SHOW",       "EXPLAIN",  "SET",      "RESET",    "CALL",       "DO",        "DECLARE",
      "FETCH",   "MOVE",   "CLOSE",      "LISTEN",   "NOTIFY",   "LOCK",     "UNLISTEN",   "PREPARE",   "EXECUTE",
      "ANALYZE", "VACUUM", "DEALLOCATE", "REFRESH",  "GRANT",    "REVOKE",   "COMMENT",    "CLUSTER",   "REINDEX",
      "DISCARD", "LOAD",   "IMPORT",     "REASSIGN", "SECURITY", "TRUNCATE", "CHECKPOINT", "SAVEPOINT", "RELEASE"};
  for (const std::string_view command : kCommands) {
    if (words.Is(first, command)) return command;
  }
  if (IsRollbackTo(words, first)) return "ROLLBACK TO";
  return "OTHER";
}

// PREPARE and the bodies of SQL functions have parameters of their own.
bool OwnsItsParameters(const Words& words, size_t first) {
  if (words.Is(first, "prepare")) return true;
  const size_t what = words.Is(first + 1, "or") ? first + 3 : first + 1;  // CREATE OR REPLACE
  return words.Is(first, "create") && words.IsAny(what, {"function", "procedure"});
}

constexpr std::string_view kCommittingWords[] = {"commit", "rollback", "call", "execute", "\\"};

// A DO block commits by COMMIT or by what it runs; its text is looked at without a parser for its language.
bool MayCommitItself(const Words& words, size_t first, std::string_view sql) {
  if (words.IsAny(first, {"call", "vacuum", "reindex", "cluster"})) return true;
  if (words.Is(first, "refresh")) return false;  // all in one transaction, CONCURRENTLY too
  if (words.Is(first, "do")) {
    const std::string lower = absl::AsciiStrToLower(std::string(sql));
    return std::any_of(std::begin(kCommittingWords), std::end(kCommittingWords),
                       [&lower](std::string_view word) { return lower.find(word) != std::string::npos; });
  }
  for (size_t i = first; i < words.size(); ++i) {
    if (words.Is(i, "concurrently")) return true;
  }
  return false;
}

}  // namespace

OrRefusal<TextFacts> AnalyzeText(const std::string& sql) {
  if (sql.size() > limits::kMaxStatementBytes) {
    return Refuse(reasons::kStatementTooLarge, absl::StrCat("the statement has ", sql.size(), " bytes; at most ",
                                                            limits::kMaxStatementBytes, " are allowed"));
  }
  if (sql.find('\0') != std::string::npos) {
    return Refuse(reasons::kNulByte, "the statement has a NUL byte, which PostgreSQL's text can't hold");
  }
  const OrRefusal<std::vector<Token>> scanned = Scan(sql);
  if (!scanned.ok()) return scanned.refusal();
  const std::vector<Token>& tokens = *scanned;
  const Words words(sql, tokens);

  size_t first = 0;
  while (first < words.size() && words.Text(first) == ";") ++first;
  if (first == words.size()) {
    return Refuse(reasons::kEmptyStatement,
                  sql.empty() ? "the statement is empty" : "the statement holds nothing but blanks and comments");
  }

  TextFacts facts;
  facts.placeholders = Placeholders(sql, tokens);
  const int highest = HighestParameter(words, tokens);
  facts.numbered = std::any_of(tokens.begin(), tokens.end(),
                               [](const Token& token) { return token.kind == TokenKind::kParameter; });  // $0 too
  const bool owns_parameters = OwnsItsParameters(words, first);
  if (facts.placeholders.count() > 0 && facts.numbered && !owns_parameters) {
    return Refuse(reasons::kMixedPlaceholders,
                  absl::StrCat("the statement has both ? and $", highest,
                               "; use one of them (a ? that is an operator is written \?\?)"));
  }
  facts.parameter_count = facts.placeholders.count() > 0 ? facts.placeholders.count() : (owns_parameters ? 0 : highest);
  if (facts.parameter_count > limits::kMaxParameters) {
    return Refuse(reasons::kTooManyParameters,
                  absl::StrCat("the statement has more than ", limits::kMaxParameters, " parameters"));
  }

  const std::string bound = facts.placeholders.empty() ? sql : facts.placeholders.Render(sql);
  const std::optional<Syntax> syntax = MayBeParsed(sql, tokens) ? ParseAnyNotation(bound) : std::nullopt;
  if (syntax ? syntax->statements > 1 : HoldsSeveralStatements(words)) {
    return Refuse(reasons::kMultipleStatements,
                  "the text holds several statements: send one a call, or all of them with ExecuteBatch (`atomic` for "
                  "all or nothing)");
  }
  if (auto refused = CheckCommand(words, first)) return *std::move(refused);
  if (auto refused = CheckSettings(words, first)) return *std::move(refused);
  facts.summary = Summary(words, first, syntax);
  if (syntax) {
    if (facts.parameter_count > 0 && !syntax->takes_parameters) return RefuseParameters(sql, tokens, facts.summary);
    facts.parsed = true;
    facts.statement_class = syntax->read_only ? StatementClass::kRead : StatementClass::kWrite;
    facts.changes_session = syntax->changes_session;
    facts.outlasts_reset = syntax->outlasts_reset;
    facts.reads_sequences = syntax->reads_sequences;
    facts.calls_unknown_code = syntax->calls_unknown_code;
    facts.makes_tables = syntax->makes_tables;
    facts.untyped_parameters = syntax->untyped_parameters;
  }
  facts.may_commit_itself = MayCommitItself(words, first, sql);
  facts.sets_constraints = words.Is(first, "set") && words.Is(first + 1, "constraints");
  return facts;
}

std::optional<Refusal> CheckParameterCount(std::string_view sql, const TextFacts& facts, int given) {
  if (given > limits::kMaxParameters) {
    return Refusal{
        .reason = reasons::kTooManyParameters,
        .message = absl::StrCat(given, " parameters were given; PostgreSQL takes at most ", limits::kMaxParameters),
        .field = "parameters"};
  }
  const int wanted = facts.parameter_count;
  if (given == wanted) return std::nullopt;
  std::string message =
      facts.numbered ? absl::StrCat("the statement has parameters up to $", wanted, " but ", given,
                                    given == 1 ? " parameter was" : " parameters were", " given")
                     : absl::StrCat("the statement has ", wanted, wanted == 1 ? " placeholder" : " placeholders",
                                    " (?) but ", given, given == 1 ? " parameter was" : " parameters were", " given");
  if (facts.placeholders.may_mean_an_operator()) {
    absl::StrAppend(
        &message, "; a ? that is an operator, as jsonb's ?, ?|, ?& and @?, is written with two: ??, ??|, ??& and @??");
  } else if (given > wanted && facts.placeholders.has_literals()) {
    absl::StrAppend(&message, "; ?? is the operator ?, not a placeholder");
  } else if (given > wanted && !facts.numbered && std::count(sql.begin(), sql.end(), '?') > wanted) {
    absl::StrAppend(&message, "; a ? in a string, a name or a comment is not a placeholder");
  }
  return Refusal{.reason = reasons::kParameterCount, .message = std::move(message), .field = "parameters"};
}

std::optional<Refusal> CheckExpression(const TextFacts& facts, int index) {
  if (!facts.numbered) return std::nullopt;
  return Refusal{
      .reason = reasons::kExpressionWithNumberedParameters,
      .message = "an expression takes the place of a ?; in a statement with $1, $2… write the expression into the text",
      .field = absl::StrCat("parameters[", index, "]")};
}

}  // namespace engine::db::sql

#include "server/sql/statement.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/hash/hash.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/error.h"
#include "server/base/text.h"
#include "server/sql/syntax.h"
#include "server/sql/type_names.h"

namespace engine::db::sql {
namespace {

std::shared_ptr<const BoundText> MakeText(std::string sql, std::vector<uint32_t> types, size_t parameter_count) {
  const size_t hash = absl::HashOf(sql, types);
  return std::make_shared<const BoundText>(BoundText{std::move(sql), std::move(types), parameter_count, hash});
}

// The tokens of a text, read as words.
class Words {
 public:
  Words(std::string_view sql, absl::Span<const Token> tokens) : sql_(sql), tokens_(tokens) {}

  bool Is(size_t i, std::string_view word) const {
    return i < tokens_.size() && tokens_[i].kind == TokenKind::kWord &&
           absl::EqualsIgnoreCase(ToAbsl(Text(i)), ToAbsl(word));
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

absl::Status Refuse(std::string_view reason, std::string_view message) {
  return InvalidRequest("sql", reason, message);
}

// A plain string or a quoted name without its quotes.
std::string_view Unquoted(std::string_view token) {
  const bool quoted = token.size() >= 2 && token.front() == token.back() && (token[0] == '\'' || token[0] == '"');
  return quoted ? token.substr(1, token.size() - 2) : token;
}

// Commands that the gateway has methods for, or can't carry. `first` is the first word.
absl::Status CheckCommand(const Words& words, size_t first) {
  if (words.Is(first, "copy")) {
    return Refuse("COPY_NOT_SUPPORTED",
                  "COPY can't run as a statement of the gateway: read with ExecuteStream, and write with ExecuteBatch");
  }
  const bool prepared =
      words.Is(first + 1, "prepared") || (words.Is(first, "prepare") && words.Is(first + 1, "transaction"));
  if (words.IsAny(first, {"commit", "rollback", "prepare"}) && prepared) {
    return Refuse("TRANSACTION_CONTROL", "two-phase commit is not supported: use Begin, Commit and Rollback");
  }
  const bool noise = words.IsAny(first + 1, {"work", "transaction"});
  if (words.Is(first, "rollback") && words.Is(first + (noise ? 2 : 1), "to")) {
    return Refuse("TRANSACTION_CONTROL", "ROLLBACK TO can't run as a statement: call RollbackToSavepoint");
  }
  if (words.Is(first, "savepoint")) {
    return Refuse("TRANSACTION_CONTROL",
                  "SAVEPOINT can't run as a statement: call Savepoint, and RollbackToSavepoint to return to it");
  }
  if (words.Is(first, "release")) {
    return Refuse("TRANSACTION_CONTROL", "RELEASE can't run as a statement: call ReleaseSavepoint");
  }
  if (words.IsAny(first, {"begin", "start"})) {
    return Refuse("TRANSACTION_CONTROL",
                  absl::StrCat(words.Is(first, "begin") ? "BEGIN" : "START TRANSACTION",
                               " can't run as a statement: call Begin, or set `begin` on the first statement"));
  }
  if (words.IsAny(first, {"commit", "end"})) {
    return Refuse("TRANSACTION_CONTROL",
                  "COMMIT can't run as a statement: call Commit, or set `commit` on the last statement");
  }
  if (words.IsAny(first, {"rollback", "abort"})) {
    return Refuse("TRANSACTION_CONTROL", "ROLLBACK can't run as a statement: call Rollback");
  }
  return absl::OkStatus();
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
absl::Status CheckSetting(std::string_view name, std::string_view value) {
  const std::string wanted = PlainValue(value);
  const auto is_any_of = [&wanted](std::initializer_list<std::string_view> words) {
    return std::find(words.begin(), words.end(), wanted) != words.end();
  };
  if (absl::EqualsIgnoreCase(ToAbsl(name), "standard_conforming_strings") &&
      !is_any_of({"on", "true", "t", "yes", "y", "1", "default"})) {
    return Refuse("SETTING_NOT_SUPPORTED",
                  "standard_conforming_strings stays on: a session that reads strings in another way would find other "
                  "placeholders than the gateway; write strings with escapes as E'...'");
  }
  if (absl::EqualsIgnoreCase(ToAbsl(name), "client_encoding") && !is_any_of({"utf8", "unicode", "default"})) {
    return Refuse("SETTING_NOT_SUPPORTED",
                  "client_encoding stays UTF8, which is what statements, values and results are in; convert with "
                  "convert_to() and convert_from()");
  }
  return absl::OkStatus();
}

// SET and set_config() of settings by which PostgreSQL reads a text. (backslash_quote and escape_string_warning only
// make it refuse or warn.)
absl::Status CheckSettings(const Words& words, size_t first) {
  if (words.Is(first, "set")) {
    const size_t name = words.IsAny(first + 1, {"session", "local"}) ? first + 2 : first + 1;
    if (words.Is(name, "names")) {
      return CheckSetting("client_encoding", name + 1 < words.size() ? words.Text(name + 1) : "default");
    }
    if (name + 2 < words.size()) return CheckSetting(Unquoted(words.Text(name)), words.Text(name + 2));
    return absl::OkStatus();
  }
  for (size_t i = first; i + 4 < words.size(); ++i) {
    if (!words.Is(i, "set_config") || words.Text(i + 1) != "(" || words.Text(i + 3) != ",") continue;
    if (absl::Status refused = CheckSetting(Unquoted(words.Text(i + 2)), words.Text(i + 4)); !refused.ok()) {
      return refused;
    }
  }
  return absl::OkStatus();
}

// A parameter where PostgreSQL would not look for any: it would call the statement's parameter one that is not there,
// or one too many, depending on what was prepared before.
absl::Status RefuseParameters(std::string_view sql, absl::Span<const Token> tokens, std::string_view command) {
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
  v1::DatabaseError detail;
  detail.set_kind(v1::ERROR_KIND_EXECUTION);
  detail.set_phase(v1::PHASE_VALIDATING);
  detail.set_outcome(v1::OUTCOME_NOT_EXECUTED);
  detail.set_sqlstate("42P18");
  detail.set_reason("PARAMETERS_NOT_SUPPORTED");
  detail.set_field("parameters[0]");
  detail.set_message(
      absl::StrCat("this ", ToAbsl(command), " takes no parameters, but has a ", ToAbsl(text), " at character ", at));
  detail.set_hint(
      "PostgreSQL takes parameters in SELECT, VALUES, INSERT, UPDATE, DELETE, MERGE and CALL, and in EXPLAIN, DECLARE "
      "CURSOR and CREATE TABLE AS of these: write the value into the text of others");
  return MakeError(absl::StatusCode::kInvalidArgument, std::move(detail));
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

// The highest n of $n; more than kMaxParameters when it is out of range.
int HighestParameter(const Words& words, absl::Span<const Token> tokens) {
  int highest = 0;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i].kind != TokenKind::kParameter) continue;
    const std::string_view digits = words.Text(i).substr(1);
    int number = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error != std::errc()) number = kMaxParameters + 1;
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
      "SELECT",  "INSERT", "UPDATE",     "DELETE",   "MERGE",    "WITH",     "VALUES",    "TABLE",   "CREATE",
      "ALTER",   "DROP",   "SHOW",       "EXPLAIN",  "SET",      "RESET",    "CALL",      "DO",      "DECLARE",
      "FETCH",   "MOVE",   "CLOSE",      "LISTEN",   "NOTIFY",   "LOCK",     "UNLISTEN",  "PREPARE", "EXECUTE",
      "ANALYZE", "VACUUM", "DEALLOCATE", "REFRESH",  "GRANT",    "REVOKE",   "COMMENT",   "CLUSTER", "REINDEX",
      "DISCARD", "LOAD",   "IMPORT",     "REASSIGN", "SECURITY", "TRUNCATE", "CHECKPOINT"};
  for (const std::string_view command : kCommands) {
    if (words.Is(first, command)) return command;
  }
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
    const std::string lower = absl::AsciiStrToLower(ToAbsl(sql));
    return std::any_of(std::begin(kCommittingWords), std::end(kCommittingWords),
                       [&lower](std::string_view word) { return lower.find(word) != std::string::npos; });
  }
  for (size_t i = first; i < words.size(); ++i) {
    if (words.Is(i, "concurrently")) return true;
  }
  return false;
}

}  // namespace

Statement::Statement(std::string sql, Facts facts)
    : caller_sql_(std::move(sql)),
      facts_(std::move(facts)),
      text_(MakeText(facts_.placeholders.empty() ? caller_sql_ : facts_.placeholders.Render(caller_sql_),
                     facts_.untyped_types, static_cast<size_t>(facts_.parameter_count))) {}

const std::string& Statement::fingerprint() const {
  std::call_once(fingerprint_once_, [this] {
    if (!parsed()) return;
    fingerprint_ = Fingerprint(bound_sql());
    if (fingerprint_.empty()) fingerprint_ = Fingerprint(WithoutNewNumberNotation(bound_sql()));
  });
  return fingerprint_;
}

uint32_t Statement::PositionInCallerText(uint32_t position_in_bound_sql) const {
  return facts_.placeholders.CallerPosition(caller_sql_, {}, position_in_bound_sql);
}

std::shared_ptr<const BoundText> Statement::TextFor(absl::Span<const uint32_t> parameter_types,
                                                    absl::Span<const std::string_view> expressions) const {
  const bool typed =
      std::any_of(parameter_types.begin(), parameter_types.end(), [](uint32_t type) { return type != 0; });
  const bool spliced =
      std::any_of(expressions.begin(), expressions.end(), [](std::string_view e) { return !e.empty(); });
  const size_t parameter_count = parameter_types.size();
  if (!typed) parameter_types = {};
  if (!spliced && parameter_types == absl::MakeConstSpan(text_->parameter_types)) return text_;
  const std::string rendered = spliced ? facts_.placeholders.Render(caller_sql_, expressions) : std::string();
  const std::string& sql = spliced ? rendered : text_->sql;

  const absl::MutexLock lock(&mutex_);
  for (const auto& variant : variants_) {
    if (absl::MakeConstSpan(variant->parameter_types) == parameter_types && variant->sql == sql) return variant;
  }
  std::shared_ptr<const BoundText> made =
      MakeText(sql, {parameter_types.begin(), parameter_types.end()}, parameter_count);
  if (variants_.size() < kMaxVariants) {
    variants_.push_back(made);
  } else {
    variants_[next_variant_++ % kMaxVariants] = made;
  }
  return made;
}

bool Statement::takes_snapshot() const {
  static constexpr std::string_view kWithout[] = {"SET",      "RESET",      "SHOW",      "LOCK",    "LISTEN",  "NOTIFY",
                                                  "UNLISTEN", "CHECKPOINT", "SAVEPOINT", "RELEASE", "ROLLBACK"};
  return std::find(std::begin(kWithout), std::end(kWithout), facts_.summary) == std::end(kWithout);
}

bool Statement::is_neutral() const {
  return !takes_snapshot() && facts_.summary != "NOTIFY" && !facts_.sets_constraints;
}

size_t Statement::memory() const {
  const size_t variant =
      sizeof(BoundText) + text_->sql.size() + sizeof(uint32_t) * static_cast<size_t>(parameter_count());
  return sizeof(Statement) + caller_sql_.size() + facts_.placeholders.memory() +
         facts_.untyped_types.size() * sizeof(uint32_t) + (1 + kMaxVariants) * variant;
}

absl::StatusOr<std::shared_ptr<const Statement>> Analyze(std::string_view sql) {
  if (sql.size() > kMaxStatementBytes) {
    return Refuse("STATEMENT_TOO_LARGE", absl::StrCat("the statement has ", sql.size(), " bytes; at most ",
                                                      kMaxStatementBytes, " are allowed"));
  }
  if (sql.find('\0') != std::string_view::npos) {
    return Refuse("NUL_BYTE", "the statement has a NUL byte, which PostgreSQL's text can't hold");
  }
  std::string text(sql);
  absl::StatusOr<std::vector<Token>> scanned = Scan(text);
  if (!scanned.ok()) return scanned.status();
  const std::vector<Token>& tokens = *scanned;
  const Words words(text, tokens);

  size_t first = 0;
  while (first < words.size() && words.Text(first) == ";") ++first;
  if (first == words.size()) {
    return Refuse("EMPTY_STATEMENT",
                  sql.empty() ? "the statement is empty" : "the statement holds nothing but blanks and comments");
  }

  Statement::Facts facts;
  facts.placeholders = Placeholders(text, tokens);
  const int highest = HighestParameter(words, tokens);
  facts.numbered = std::any_of(tokens.begin(), tokens.end(),
                               [](const Token& token) { return token.kind == TokenKind::kParameter; });  // $0 too
  const bool owns_parameters = OwnsItsParameters(words, first);
  if (facts.placeholders.count() > 0 && facts.numbered && !owns_parameters) {
    return Refuse("MIXED_PLACEHOLDERS", absl::StrCat("the statement has both ? and $", highest,
                                                     "; use one of them (a ? that is an operator is written \?\?)"));
  }
  facts.parameter_count = facts.placeholders.count() > 0 ? facts.placeholders.count() : (owns_parameters ? 0 : highest);
  if (facts.parameter_count > kMaxParameters) {
    return Refuse("TOO_MANY_PARAMETERS", absl::StrCat("the statement has more than ", kMaxParameters, " parameters"));
  }

  const std::string bound = facts.placeholders.empty() ? text : facts.placeholders.Render(text);
  const std::optional<Syntax> syntax = MayBeParsed(text, tokens) ? ParseAnyNotation(bound) : std::nullopt;
  if (syntax ? syntax->statements > 1 : HoldsSeveralStatements(words)) {
    return Refuse("MULTIPLE_STATEMENTS",
                  "the text holds several statements: send one a call, or all of them with ExecuteBatch (`atomic` for "
                  "all or nothing)");
  }
  if (absl::Status refused = CheckCommand(words, first); !refused.ok()) return refused;
  if (absl::Status refused = CheckSettings(words, first); !refused.ok()) return refused;
  facts.summary = Summary(words, first, syntax);
  if (syntax) {
    if (facts.parameter_count > 0 && !syntax->takes_parameters) return RefuseParameters(text, tokens, facts.summary);
    facts.parsed = true;
    facts.statement_class = syntax->read_only ? StatementClass::kRead : StatementClass::kWrite;
    facts.changes_session = syntax->changes_session;
    facts.outlasts_reset = syntax->outlasts_reset;
    facts.reads_sequences = syntax->reads_sequences;
    facts.calls_unknown_code = syntax->calls_unknown_code;
    if (!syntax->untyped_parameters.empty()) {
      facts.untyped_types.resize(static_cast<size_t>(facts.parameter_count));
      for (const int number : syntax->untyped_parameters) {
        if (number < 1 || number > facts.parameter_count) continue;
        facts.untyped_types[static_cast<size_t>(number - 1)] = kTextOid;
      }
    }
  }
  facts.may_commit_itself = MayCommitItself(words, first, text);
  facts.sets_constraints = words.Is(first, "set") && words.Is(first + 1, "constraints");
  return std::make_shared<const Statement>(std::move(text), std::move(facts));
}

}  // namespace engine::db::sql

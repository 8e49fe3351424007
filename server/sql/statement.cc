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

namespace engine::db::sql {
namespace {

std::shared_ptr<const BoundText> MakeText(std::string sql, std::vector<uint32_t> types) {
  const size_t hash = absl::HashOf(sql, types);
  return std::make_shared<const BoundText>(BoundText{std::move(sql), std::move(types), hash});
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

bool IsRollbackTo(const Words& words, size_t first) {
  const bool noise = words.IsAny(first + 1, {"work", "transaction"});
  return words.Is(first, "rollback") && words.Is(first + (noise ? 2 : 1), "to");
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
  if (words.IsAny(first, {"begin", "start"})) {
    return Refuse("TRANSACTION_CONTROL",
                  absl::StrCat(words.Is(first, "begin") ? "BEGIN" : "START TRANSACTION",
                               " can't run as a statement: call Begin, or set `begin` on the first statement"));
  }
  if (words.IsAny(first, {"commit", "end"})) {
    return Refuse("TRANSACTION_CONTROL",
                  "COMMIT can't run as a statement: call Commit, or set `commit` on the last statement");
  }
  if (words.IsAny(first, {"rollback", "abort"}) && !IsRollbackTo(words, first)) {
    return Refuse("TRANSACTION_CONTROL", "ROLLBACK can't run as a statement: call Rollback");
  }
  return absl::OkStatus();
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
      text_(MakeText(facts_.placeholders.empty() ? caller_sql_ : facts_.placeholders.Render(caller_sql_), {})) {}

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
  if (!typed && !spliced) return text_;
  if (!typed) parameter_types = {};
  const std::string rendered = spliced ? facts_.placeholders.Render(caller_sql_, expressions) : std::string();
  const std::string& sql = spliced ? rendered : text_->sql;

  const absl::MutexLock lock(&mutex_);
  for (const auto& variant : variants_) {
    if (absl::MakeConstSpan(variant->parameter_types) == parameter_types && variant->sql == sql) return variant;
  }
  std::shared_ptr<const BoundText> made = MakeText(sql, {parameter_types.begin(), parameter_types.end()});
  if (variants_.size() < kMaxVariants) {
    variants_.push_back(made);
  } else {
    variants_[next_variant_++ % kMaxVariants] = made;
  }
  return made;
}

bool Statement::takes_snapshot() const {
  static constexpr std::string_view kWithout[] = {"SET",       "RESET",   "SHOW",       "LOCK",
                                                  "LISTEN",    "NOTIFY",  "UNLISTEN",   "CHECKPOINT",
                                                  "SAVEPOINT", "RELEASE", "ROLLBACK TO"};
  return std::find(std::begin(kWithout), std::end(kWithout), facts_.summary) == std::end(kWithout);
}

bool Statement::is_neutral() const {
  return !takes_snapshot() && facts_.summary != "NOTIFY" && !facts_.sets_constraints;
}

size_t Statement::memory() const {
  const size_t variant =
      sizeof(BoundText) + text_->sql.size() + sizeof(uint32_t) * static_cast<size_t>(parameter_count());
  return sizeof(Statement) + caller_sql_.size() + facts_.placeholders.memory() + (1 + kMaxVariants) * variant;
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
  if (syntax) {
    facts.parsed = true;
    facts.statement_class = syntax->read_only ? StatementClass::kRead : StatementClass::kWrite;
    facts.changes_session = syntax->changes_session;
    facts.outlasts_reset = syntax->outlasts_reset;
    facts.reads_sequences = syntax->reads_sequences;
    facts.calls_unknown_code = syntax->calls_unknown_code;
    facts.makes_tables = syntax->makes_tables;
  }
  facts.may_commit_itself = MayCommitItself(words, first, text);
  facts.sets_constraints = words.Is(first, "set") && words.Is(first + 1, "constraints");
  facts.summary = Summary(words, first, syntax);
  return std::make_shared<const Statement>(std::move(text), std::move(facts));
}

}  // namespace engine::db::sql

// What the gateway knows of a statement from its text alone.
#ifndef ENGINE_DB_SERVER_SQL_STATEMENT_H_
#define ENGINE_DB_SERVER_SQL_STATEMENT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "sdk/sql/analysis.h"
#include "sdk/sql/placeholders.h"

namespace engine::db::sql {

// A text as it is prepared on a backend: with the types, the key of a backend's prepared statements. Immutable and
// shared.
struct BoundText {
  std::string sql;                        // with $1, $2…
  std::vector<uint32_t> parameter_types;  // pg_type OIDs, 0: PostgreSQL infers it. Empty: PostgreSQL infers them all.
  size_t parameter_count = 0;
  size_t hash = 0;  // of text and types

  friend bool operator==(const BoundText& a, const BoundText& b) {
    return a.hash == b.hash && a.sql == b.sql && a.parameter_types == b.parameter_types;
  }
};

// The result of analysing one distinct text. Its users see it as immutable and share it; any thread may call it.
class Statement {
 public:
  Statement(std::string sql, TextFacts facts);
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  // The text as the caller wrote it, and as PostgreSQL gets it: $1, $2… for "?", "?" for "??".
  const std::string& caller_sql() const { return caller_sql_; }
  const std::string& bound_sql() const { return text_->sql; }
  // How many parameters it takes.
  int parameter_count() const { return facts_.parameter_count; }
  // The type of parameter `index` for a text or NULL that names none: text where PostgreSQL would not infer any, though
  // it takes a quoted literal there, else 0, which leaves it to PostgreSQL.
  uint32_t TypeOfUntyped(size_t index) const { return index < untyped_types_.size() ? untyped_types_[index] : 0; }
  // Whether the caller wrote $1, $2… rather than "?".
  bool numbered() const { return facts_.numbered; }
  const Placeholders& placeholders() const { return facts_.placeholders; }
  // All that the text says by itself.
  const TextFacts& facts() const { return facts_; }

  StatementClass statement_class() const { return facts_.statement_class; }
  // Whether it may leave something in the backend's session that the next user would find: SET, LISTEN, PREPARE,
  // temporary tables, session advisory locks, cursors WITH HOLD, and functions that are not known (they may do any of
  // these). SET LOCAL too, unless its setting is known to change the meaning of no text: what is prepared under it
  // would keep that meaning. Never for a kRead.
  bool changes_session() const { return facts_.changes_session; }
  // Whether it may commit part of its work and fail afterwards, where it runs by itself: CALL, a DO block with COMMIT
  // in it, VACUUM, REINDEX, CLUSTER, and the commands that say CONCURRENTLY. Then an error tells nothing of what
  // remains, unless the command was refused before it began.
  bool may_commit_itself() const { return facts_.may_commit_itself; }
  // Whether something of it survives even DISCARD ALL: LOAD, dblink's connections, DO in a language with variables of
  // its own.
  bool outlasts_reset() const { return facts_.outlasts_reset; }
  // Whether it may prepare statements of its own by name, or drop the gateway's: PREPARE, DEALLOCATE, DISCARD, and
  // commands that run code of which only the database knows. Functions that a query calls may, too, which
  // calls_unknown_code() tells.
  bool touches_prepared() const;
  // Whether it reads the last values of the session's sequences (currval(), lastval()), or runs code that may.
  bool reads_sequences() const { return facts_.reads_sequences; }
  // Whether it may change a setting of the session or the transaction: SET, SET LOCAL, and what changes_session().
  bool may_change_settings() const { return facts_.summary == "SET" || facts_.changes_session; }
  // Whether it calls functions that are not PostgreSQL's own, or runs code that may: DO, CALL, EXECUTE.
  bool calls_unknown_code() const { return facts_.calls_unknown_code; }
  // Whether PostgreSQL takes a snapshot for it: a transaction's first decides what REPEATABLE READ sees, and after it
  // SET TRANSACTION is refused. (pquery.c, PlannedStmtRequiresSnapshot.)
  bool takes_snapshot() const;
  // Whether it writes nothing, acts nowhere else, and calls nothing that might: SET, SHOW, LOCK, LISTEN and the like.
  bool is_neutral() const;
  // Whether it may change, for every session, what names mean: CREATE, ALTER, DROP, IMPORT FOREIGN SCHEMA and SELECT
  // INTO. A statement that was prepared earlier keeps its parameter types.
  bool changes_schema() const {
    return facts_.summary == "CREATE" || facts_.summary == "ALTER" || facts_.summary == "DROP" ||
           facts_.summary == "IMPORT" || facts_.makes_tables;
  }
  // Whether it may change, for this session, what an already prepared text means: what
  // changes_schema(), and what changes_session(), which includes SET LOCAL of a setting that names or literals depend
  // on (search_path, role, TimeZone).
  bool changes_meanings() const { return changes_schema() || changes_session(); }
  // Whether it needs an open transaction, which it does not end: SAVEPOINT, RELEASE and ROLLBACK TO.
  bool is_about_savepoint() const {
    return facts_.summary == "SAVEPOINT" || facts_.summary == "RELEASE" || facts_.summary == "ROLLBACK TO";
  }
  // Whether the parser knows the text. If not, it is sent all the same.
  bool parsed() const { return facts_.parsed; }

  // libpg_query's fingerprint in hex, the same for texts that differ in literals only; "" if the parser does not know
  // the text. Computed at the first call.
  const std::string& fingerprint() const;
  // The command for logs and metrics, one of a few dozen: "SELECT", "CREATE", "OTHER". Nothing of the caller's.
  std::string_view summary() const { return facts_.summary; }

  // Position in the caller's text of a character of bound_sql(); both count characters from 1, as PostgreSQL's error
  // positions are. 0 stays 0. For a statement with expressions use BoundStatement::PositionInCallerText.
  uint32_t PositionInCallerText(uint32_t position_in_bound_sql) const;

  // The text for texts and NULLs without types, and no expressions: the usual case.
  const std::shared_ptr<const BoundText>& text() const { return text_; }
  // The text for parameters of these types, and with these expressions in the place of some placeholders (as
  // Placeholders::Render takes them). The last few are kept.
  std::shared_ptr<const BoundText> TextFor(absl::Span<const uint32_t> parameter_types,
                                           absl::Span<const std::string_view> expressions) const;

  // Bytes that it takes at most, about. Never changes.
  size_t memory() const;

 private:
  static constexpr size_t kMaxVariants = 4;

  const std::string caller_sql_;
  const TextFacts facts_;
  const std::vector<uint32_t> untyped_types_;
  const std::shared_ptr<const BoundText> text_;
  mutable std::once_flag fingerprint_once_;
  mutable std::string fingerprint_;
  mutable absl::Mutex mutex_;
  mutable std::vector<std::shared_ptr<const BoundText>> variants_ ABSL_GUARDED_BY(mutex_);
  mutable size_t next_variant_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Reads one text. Refuses, with the field "sql", what can't run as a statement of the gateway: EMPTY_STATEMENT,
// STATEMENT_TOO_LARGE, NUL_BYTE, MULTIPLE_STATEMENTS, TRANSACTION_CONTROL, COPY_NOT_SUPPORTED, SETTING_NOT_SUPPORTED,
// MIXED_PLACEHOLDERS, TOO_MANY_PARAMETERS; and what PostgreSQL's scanner refuses, with its SQLSTATE (see Scan). Takes
// from a few microseconds to some 100 ms for the largest text; StatementCache saves the repetition. Any thread may call
// it.
absl::StatusOr<std::shared_ptr<const Statement>> Analyze(std::string_view sql);

}  // namespace engine::db::sql

#endif  // ENGINE_DB_SERVER_SQL_STATEMENT_H_

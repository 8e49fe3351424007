// What a statement's text says by itself, read by PostgreSQL's own scanner and parser.
#ifndef ENGINE_DB_SDK_SQL_ANALYSIS_H_
#define ENGINE_DB_SDK_SQL_ANALYSIS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sdk/sql/placeholders.h"
#include "sdk/sql/refusal.h"

namespace engine::db::sql {

// What running a statement may do, as far as its text tells. (What a view, a trigger, an operator or a cast of the
// user's own does, no text tells.)
enum class StatementClass : uint8_t {
  // Only looks, waits for no row lock, and may be repeated: SELECT, VALUES, TABLE, SHOW and EXPLAIN that lock and store
  // nothing,
  // and call only functions of PostgreSQL's own that are known to be harmless.
  kRead,
  // Everything else, text that the parser does not know included.
  kWrite,
};

// Facts about one text. sql::Statement (server/sql/statement.h) says what each means for those who run it.
struct TextFacts {
  Placeholders placeholders;
  int parameter_count = 0;
  std::vector<int> untyped_parameters;  // see UntypedParameters()
  bool numbered = false;                // the text has $1, $2… rather than "?"
  StatementClass statement_class = StatementClass::kWrite;
  bool changes_session = true;
  bool may_commit_itself = false;
  bool outlasts_reset = false;
  bool reads_sequences = true;
  bool calls_unknown_code = true;
  bool sets_constraints = false;  // which fires deferred triggers
  bool makes_tables = false;
  bool parsed = false;       // the parser knows the text
  std::string_view summary;  // the command, one of a few dozen: "SELECT", "OTHER"; lives for ever
};

// Reads one text. Refuses, with the field "sql", what can't run as a statement of the gateway: EMPTY_STATEMENT,
// STATEMENT_TOO_LARGE, STATEMENT_TOO_COMPLEX, NUL_BYTE, MULTIPLE_STATEMENTS, TRANSACTION_CONTROL, COPY_NOT_SUPPORTED,
// SETTING_NOT_SUPPORTED, MIXED_PLACEHOLDERS, TOO_MANY_PARAMETERS, PARAMETERS_NOT_SUPPORTED; and what PostgreSQL's
// scanner refuses, with its SQLSTATE (see Scan). Takes from a few microseconds to some 100 ms for the largest text. Any
// thread may call it.
[[nodiscard]] OrRefusal<TextFacts> AnalyzeText(const std::string& sql);

// Refuses another number of parameters than `sql` takes: PARAMETER_COUNT, TOO_MANY_PARAMETERS.
[[nodiscard]] std::optional<Refusal> CheckParameterCount(std::string_view sql, const TextFacts& facts, int given);

// Refuses an expression in the place of parameter `index`, from 0, of a statement with $1, $2…
[[nodiscard]] std::optional<Refusal> CheckExpression(const TextFacts& facts, int index);

}  // namespace engine::db::sql

#endif  // ENGINE_DB_SDK_SQL_ANALYSIS_H_

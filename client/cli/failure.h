// What went wrong, for people (on stderr) and for scripts (the exit code).
#ifndef ENGINE_DB_CLIENT_CLI_FAILURE_H_
#define ENGINE_DB_CLIENT_CLI_FAILURE_H_

#include <ostream>
#include <string>
#include <string_view>

#include "engine_db/error.h"

namespace engine::db::cli {

// Documented in --help.
enum ExitCode : int {
  kSuccess = 0,
  kExecutionFailed = 1,
  kWrongUsage = 2,
  kNoConnection = 3,
  kTimedOut = 4,
  kTransactionFailed = 5,
  kOutcomeUnknown = 6,
  kInterrupted = 130,
};

// Which one an error means. An unknown outcome goes before all else: whoever repeats the call must look first.
[[nodiscard]] ExitCode exit_code_of(const DatabaseError& error);

// Message, SQLSTATE, hint, the line of `sql` that is wrong with a caret below, and what is known about a write's
// effects.
void print_error(const DatabaseError& error, std::string_view sql, std::ostream& err);

}  // namespace engine::db::cli

#endif  // ENGINE_DB_CLIENT_CLI_FAILURE_H_

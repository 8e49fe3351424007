// The commands `query` and `exec`: one statement, committed by itself.
#ifndef ENGINE_DB_CLIENT_CLI_STATEMENT_H_
#define ENGINE_DB_CLIENT_CLI_STATEMENT_H_

#include <string>

#include "client/cli/context.h"
#include "engine_db/value.h"

namespace engine::db::cli {

struct StatementArguments {
  std::string sql;
  Parameters parameters;
  // Whether to say how many rows were affected (exec) rather than only to show rows (query).
  bool say_affected = false;
  // CallOptions::exactly_once. What it returns is not read as a stream then.
  bool exactly_once = false;
};

// Writes rows as they come. Returns the exit code; throws what is not an error of the statement.
int run_statement(const StatementArguments& arguments, const Context& context);

}  // namespace engine::db::cli

#endif  // ENGINE_DB_CLIENT_CLI_STATEMENT_H_

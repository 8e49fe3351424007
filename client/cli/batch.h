// The command `batch`: many statements, or one with many parameters.
#ifndef ENGINE_DB_CLIENT_CLI_BATCH_H_
#define ENGINE_DB_CLIENT_CLI_BATCH_H_

#include "client/cli/context.h"
#include "client/cli/statement_reader.h"

namespace engine::db::cli {

struct BatchArguments {
  // All in one transaction, or each committed by itself.
  bool atomic = true;
  // CallOptions::exactly_once; needs `atomic`. Past one call's size, it is a transaction like any other, which always
  // knows as much.
  bool exactly_once = false;
};

// Runs all that `reader` has, many in a round trip, in bounded memory. Returns the exit code.
int run_batch(RunReader& reader, const BatchArguments& arguments, const Context& context);

}  // namespace engine::db::cli

#endif  // ENGINE_DB_CLIENT_CLI_BATCH_H_

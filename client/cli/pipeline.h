// The command `run`: the database steps of a pipeline file.
#ifndef ENGINE_DB_CLIENT_CLI_PIPELINE_H_
#define ENGINE_DB_CLIENT_CLI_PIPELINE_H_

#include <string>

#include "client/cli/context.h"

namespace engine::db::cli {

struct PipelineArguments {
  // "-" for the standard input.
  std::string file;
  // What other steps gave, as {"step": output}: a file of JSON, "-" for the standard input. Empty: nothing.
  std::string input;
  // Only looks whether the file is right, and whether the input, if there is one, has what it needs.
  bool check = false;
  // Only shows what would be sent.
  bool dry_run = false;
};

// Returns the exit code. Throws UsageError, and builtins::PipelineError with every fault of the file.
int run_pipeline(const PipelineArguments& arguments, const Context& context);

}  // namespace engine::db::cli

#endif  // ENGINE_DB_CLIENT_CLI_PIPELINE_H_

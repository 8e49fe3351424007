// What `run` shows of a pipeline.
#ifndef ENGINE_DB_CLIENT_CLI_PIPELINE_OUTPUT_H_
#define ENGINE_DB_CLIENT_CLI_PIPELINE_OUTPUT_H_

#include <chrono>

#include "client/cli/context.h"
#include "engine_db/builtins/operation.h"
#include "engine_db/builtins/pipeline.h"

namespace engine::db::cli {

// A database step that has run.
void write_step(const builtins::Step& step, const builtins::StepOutput& output, std::chrono::microseconds took,
                const Context& context);

// A step that is not the database's, which does not run here.
void write_skipped(const builtins::Step& step, bool in_input, const Context& context);

// What a database step would send: the SQL with $1, $2…, and where each value comes from, never the value itself.
void write_dry_run(const builtins::Step& step, const Context& context);

}  // namespace engine::db::cli

#endif  // ENGINE_DB_CLIENT_CLI_PIPELINE_OUTPUT_H_

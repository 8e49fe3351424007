// What only shows when all steps are known: how they refer to each other, and where transactions begin.
#ifndef ENGINE_DB_BUILTINS_SRC_PIPELINE_CHECK_H_
#define ENGINE_DB_BUILTINS_SRC_PIPELINE_CHECK_H_

#include <vector>

#include "engine_db/builtins/pipeline.h"

namespace engine::db::builtins {

// No two steps have one name.
void check_names(const Pipeline& pipeline, std::vector<PipelineFault>& faults);

// A parameter's path into a step of the file leads to an earlier one, and to something that it gives. (Other names are
// the input's.)
void check_paths(const Pipeline& pipeline, std::vector<PipelineFault>& faults);

// Fills in begins_transaction and in_transaction: a commitSql or rollbackSql ends a transaction that began with its
// server's last dbConnection before it, or, without one, with the first executeSql since the last transaction's end.
// All other steps commit by themselves.
void plan_transactions(Pipeline& pipeline, std::vector<PipelineFault>& faults);

}  // namespace engine::db::builtins

#endif  // ENGINE_DB_BUILTINS_SRC_PIPELINE_CHECK_H_

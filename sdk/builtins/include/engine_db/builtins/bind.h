// Fills steps' parameters with what earlier steps gave.
#ifndef ENGINE_DB_BUILTINS_BIND_H_
#define ENGINE_DB_BUILTINS_BIND_H_

#include "engine_db/builtins/json.h"
#include "engine_db/builtins/pipeline.h"
#include "engine_db/value.h"

namespace engine::db::builtins {

// One value a parameter. `outputs` has a member for each step. Throws DatabaseRequestError that names `place`, the
// parameter and its path when that leads nowhere.
[[nodiscard]] Parameters bind_parameters(const DatabaseStep& step, const Json& outputs, const Place& place);

// For those who know beforehand what all steps gave that are not the database's: throws PipelineError, with every
// fault, when a parameter's path leads nowhere in it. Paths into database steps are left out.
void check_input(const Pipeline& pipeline, const Json& outputs);

}  // namespace engine::db::builtins

#endif  // ENGINE_DB_BUILTINS_BIND_H_

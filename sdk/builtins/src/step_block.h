// A database step's block.
#ifndef ENGINE_DB_BUILTINS_SRC_STEP_BLOCK_H_
#define ENGINE_DB_BUILTINS_SRC_STEP_BLOCK_H_

#include <yaml-cpp/yaml.h>

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine_db/builtins/pipeline.h"

namespace engine::db::builtins {

// What the file's `operations` say of an operation: what its steps need not repeat.
struct OperationDefaults {
  std::string type;
  std::string server;
};
using DefaultsByOperation = std::map<std::string, OperationDefaults, std::less<>>;

// Reads one entry of the list of steps of the text `yaml`; what is wrong is appended. References from step to step and
// to servers are not looked at.
[[nodiscard]] Step read_step(const YAML::Node& node, size_t index, std::string_view yaml, const LoadOptions& options,
                             const DefaultsByOperation& defaults, std::vector<PipelineFault>& faults);

}  // namespace engine::db::builtins

#endif  // ENGINE_DB_BUILTINS_SRC_STEP_BLOCK_H_

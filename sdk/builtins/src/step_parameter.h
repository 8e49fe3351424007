// An entry of a step's `parameters`.
#ifndef ENGINE_DB_BUILTINS_SRC_STEP_PARAMETER_H_
#define ENGINE_DB_BUILTINS_SRC_STEP_PARAMETER_H_

#include <yaml-cpp/yaml.h>

#include <optional>
#include <string>

#include "engine_db/builtins/pipeline.h"
#include "sdk/builtins/src/yaml_block.h"

namespace engine::db::builtins {

// Reads one; nothing when it has a fault, which `block` gets for `field`.
[[nodiscard]] std::optional<StepParameter> read_parameter(const YAML::Node& node, const std::string& field,
                                                          const Environment& environment, YamlBlock& block);

}  // namespace engine::db::builtins

#endif  // ENGINE_DB_BUILTINS_SRC_STEP_PARAMETER_H_

// The `databaseServer` block.
#ifndef ENGINE_DB_BUILTINS_SRC_SERVER_BLOCK_H_
#define ENGINE_DB_BUILTINS_SRC_SERVER_BLOCK_H_

#include <yaml-cpp/yaml.h>

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "engine_db/builtins/pipeline.h"

namespace engine::db::builtins {

// Whether a map looks like a server's block, of whatever protocol.
[[nodiscard]] bool is_server_block(const YAML::Node& node);

// Its protocol; empty when it says none.
[[nodiscard]] std::string protocol_of(const YAML::Node& node);

// Reads the block `name`, whose name stands in `line`. Nothing when it has faults, which are appended.
[[nodiscard]] std::optional<DatabaseServer> read_server(const std::string& name, const YAML::Node& node, size_t line,
                                                        const LoadOptions& options, std::vector<PipelineFault>& faults);

}  // namespace engine::db::builtins

#endif  // ENGINE_DB_BUILTINS_SRC_SERVER_BLOCK_H_

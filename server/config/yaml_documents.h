// Checks that a YAML text holds one document.
#ifndef ENGINE_DB_SERVER_CONFIG_YAML_DOCUMENTS_H_
#define ENGINE_DB_SERVER_CONFIG_YAML_DOCUMENTS_H_

#include <cstddef>
#include <optional>
#include <string>

namespace engine::db::config {

// The line, from 1, on which a second document begins; nothing if there is only one, apart from empty ones around it.
// Throws YAML::ParserException.
[[nodiscard]] std::optional<size_t> LineOfSecondDocument(const std::string& text);

}  // namespace engine::db::config

#endif  // ENGINE_DB_SERVER_CONFIG_YAML_DOCUMENTS_H_

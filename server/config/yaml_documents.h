// Whether a YAML text holds more than it may.
#ifndef ENGINE_DB_SERVER_CONFIG_YAML_DOCUMENTS_H_
#define ENGINE_DB_SERVER_CONFIG_YAML_DOCUMENTS_H_

#include <cstddef>
#include <optional>
#include <string>

namespace engine::db::config {

// The line, from 1, on which something begins that is not of the first document; nothing for one document, whatever
// empty ones stand around it. Throws YAML::ParserException.
[[nodiscard]] std::optional<size_t> LineOfSecondDocument(const std::string& text);

}  // namespace engine::db::config

#endif  // ENGINE_DB_SERVER_CONFIG_YAML_DOCUMENTS_H_

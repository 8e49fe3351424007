// ${ENV:NAME} and ${FILE:PATH} in the values of a configuration file.
#ifndef ENGINE_DB_SERVER_CONFIG_REFERENCE_H_
#define ENGINE_DB_SERVER_CONFIG_REFERENCE_H_

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace engine::db::config {

// The value of an environment variable; nothing when it is not set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;
[[nodiscard]] std::optional<std::string> ProcessEnvironment(const std::string& name);

// `text` with every reference replaced by the variable's value or the file's content (see ReadSecretFile). What comes
// in is not looked through again. Fails on a variable that is not set, a file that can't be read, and a "${" that
// begins neither form; the message names the variable or the file where that is plainly a name, and never a value.
[[nodiscard]] absl::StatusOr<std::string> ResolveReferences(std::string_view text, const Environment& environment);

// PATH when the whole of `text` is one ${FILE:PATH}.
[[nodiscard]] std::optional<std::string> WholeFileReference(std::string_view text);

// The content of a small file (at most 64 KiB) without the line end that editors add. The error names the file (as
// ResolveReferences does) and the reason.
[[nodiscard]] absl::StatusOr<std::string> ReadSecretFile(const std::string& path);

}  // namespace engine::db::config

#endif  // ENGINE_DB_SERVER_CONFIG_REFERENCE_H_

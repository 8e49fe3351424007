// ${ENV:NAME} and ${FILE:PATH} in the values of a pipeline file.
#ifndef ENGINE_DB_BUILTINS_REFERENCE_H_
#define ENGINE_DB_BUILTINS_REFERENCE_H_

#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace engine::db::builtins {

// The value of an environment variable; nothing when it is not set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;
[[nodiscard]] std::optional<std::string> process_environment(const std::string& name);

// The message names the variable or the file where that is plainly a name, and never a value.
class ReferenceError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Whether there is a "${" in it.
[[nodiscard]] bool has_reference(std::string_view text);

// `text` with every reference replaced by the variable's value, or by the file's content: at most 64 KiB, without the
// line end that editors add. What comes in is not looked through again. Throws ReferenceError: a variable that is not
// set, a file that can't be read, a "${" that begins neither form.
[[nodiscard]] std::string resolve_references(std::string_view text, const Environment& environment);

}  // namespace engine::db::builtins

#endif  // ENGINE_DB_BUILTINS_REFERENCE_H_

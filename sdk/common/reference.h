// ${ENV:NAME} and ${FILE:PATH} in the values of a configuration file or a pipeline file.
#ifndef ENGINE_DB_SDK_COMMON_REFERENCE_H_
#define ENGINE_DB_SDK_COMMON_REFERENCE_H_

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace engine::db::common {

// The value of an environment variable; nothing when it is not set.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;
[[nodiscard]] std::optional<std::string> process_environment(const std::string& name);

// A text, and every fault that was found on the way to it: the text is complete when there is none. A fault names the
// variable or the file where that is plainly a name, and never a value.
struct Resolved {
  std::string text;
  std::vector<std::string> faults;
};

// Whether there is a "${" in it.
[[nodiscard]] bool has_reference(std::string_view text);

// `text` with every reference replaced by the variable's value or the file's content (see read_secret_file). What comes
// in is not looked through again. Faults are a variable that is not set, a file that can't be read, and a "${" that
// begins neither form.
[[nodiscard]] Resolved resolve_references(std::string_view text, const Environment& environment);

// PATH when the whole of `text` is one ${FILE:PATH}.
[[nodiscard]] std::optional<std::string> whole_file_reference(std::string_view text);

// The content of a small file (at most 64 KiB) without the line end that editors add.
[[nodiscard]] Resolved read_secret_file(const std::string& path);

}  // namespace engine::db::common

#endif  // ENGINE_DB_SDK_COMMON_REFERENCE_H_

// A YAML text as nodes, within bounds.
#ifndef ENGINE_DB_BUILTINS_SRC_YAML_DOCUMENT_H_
#define ENGINE_DB_BUILTINS_SRC_YAML_DOCUMENT_H_

#include <yaml-cpp/yaml.h>

#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace engine::db::builtins {

// How deeply lists and maps may be nested, those that an alias stands for included.
inline constexpr size_t kMaxYamlDepth = 100;
// What aliases may repeat, all together, in bytes: of texts, and 16 for each value.
inline constexpr size_t kMaxAliasedBytes = size_t{4} << 20;

// A text is no YAML, or beyond a bound. The message quotes nothing of it, which may be a password.
class YamlError : public std::runtime_error {
 public:
  YamlError(size_t line, const std::string& message) : std::runtime_error(message), line_(line) {}
  [[nodiscard]] size_t line() const { return line_; }  // from 1; 0 where there is none

 private:
  size_t line_;
};

// Every CR and CRLF of `yaml` as LF: they are line breaks to YAML, but yaml-cpp takes a CR alone for a letter.
[[nodiscard]] std::string with_plain_line_breaks(std::string_view yaml);

// The documents of `yaml`, whose line breaks are plain. An alias is the very node that its anchor names; nothing is
// nested deeper, and all that there is to see is no more, than the bounds above, so that reading it recursively is
// safe. Throws YamlError.
[[nodiscard]] std::vector<YAML::Node> read_yaml(const std::string& yaml);

}  // namespace engine::db::builtins

#endif  // ENGINE_DB_BUILTINS_SRC_YAML_DOCUMENT_H_

// What YAML makes of a query that is written over several lines.
#ifndef ENGINE_DB_BUILTINS_SRC_FOLDED_TEXT_H_
#define ENGINE_DB_BUILTINS_SRC_FOLDED_TEXT_H_

#include <yaml-cpp/yaml.h>

#include <cstddef>
#include <string_view>
#include <vector>

namespace engine::db::builtins {

// Where in `text` there is a "--" with something behind it, on the same line of `text`, that the file has in a later
// line: YAML makes a blank of a line break unless the value begins with "|". `mark` is where in `yaml` the value
// begins.
[[nodiscard]] std::vector<size_t> dashes_before_folded_lines(std::string_view text, std::string_view yaml,
                                                             const YAML::Mark& mark);

}  // namespace engine::db::builtins

#endif  // ENGINE_DB_BUILTINS_SRC_FOLDED_TEXT_H_

// Constants and expressions as a pipeline file writes them.
#ifndef ENGINE_DB_BUILTINS_SRC_CONSTANT_H_
#define ENGINE_DB_BUILTINS_SRC_CONSTANT_H_

#include <yaml-cpp/yaml.h>

#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "engine_db/builtins/json.h"
#include "engine_db/value.h"

namespace engine::db::builtins {

// A value can't be taken as it is written.
class ConstantError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Whether the value is a text: quoted, or written like nothing else (YAML 1.2's core schema: so yes, no, on and off are
// texts).
[[nodiscard]] bool is_text(const YAML::Node& node);

// The node as a value. Numbers keep their digits: 1.10, 007 and 12345678901234567890 arrive as they are written. Throws
// ConstantError: a tag other than YAML's own, a key that is there twice or is "<<", nested deeper than kMaxJsonDepth.
[[nodiscard]] Json to_constant(const YAML::Node& node);

// The closed list: "currentdatetime()" and its kin in any case, SQL's own words in any case but DEFAULT in capitals
// only. Nothing for any other text.
[[nodiscard]] std::optional<Expression> to_expression(std::string_view text);

// Whether a text that is not an expression is a mistake for one: written like a call of a function, "now()", or like
// one of the list but for blanks, arguments or missing brackets: "currentdatetime(1)", " CURRENT_DATE", "currentdatetime".
[[nodiscard]] bool resembles_expression(std::string_view text);
// The text without the blanks around it.
[[nodiscard]] std::string_view without_blanks(std::string_view text);

// The names of the list, for messages.
[[nodiscard]] std::string expression_names();
// What is meant by a name that is not in the list: "; did you mean …?", or nothing.
[[nodiscard]] std::string suggest_expression(std::string_view text);

}  // namespace engine::db::builtins

#endif  // ENGINE_DB_BUILTINS_SRC_CONSTANT_H_

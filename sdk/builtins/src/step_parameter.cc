#include "sdk/builtins/src/step_parameter.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "engine_db/builtins/values.h"
#include "sdk/builtins/src/constant.h"

namespace engine::db::builtins {
namespace {

// A parameter can't be taken as it is written; the message says what to write.
class ParameterError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

constexpr char kLiterally[] = "; a text that is to be taken literally is written {value: \"…\"}";

JsonPath to_path(const std::string& text) {
  JsonPath path = JsonPath::parse(text);
  if (path.first_name() == nullptr) throw ParameterError("begins with the name of a step: $.step-name.field");
  return path;
}

Expression require_expression(const std::string& text) {
  if (const auto expression = to_expression(text)) return *expression;
  throw ParameterError("is not an expression" + suggest_expression(text) + " (known: " + expression_names() + ")");
}

// A text that would be a path but for the blanks around it, or for the "@" that RFC 9535 has in filters.
bool resembles_path(std::string_view text) {
  const std::string_view trimmed = without_blanks(text);
  const bool rooted = trimmed.starts_with('$') || trimmed.starts_with('@');
  return rooted && trimmed.size() > 1 && (trimmed[1] == '.' || trimmed[1] == '[');
}

bool is_special(const std::string& text) {
  return text.starts_with('$') || has_reference(text) || to_expression(text) || resembles_expression(text) ||
         resembles_path(text);
}

// A list is a constant. What would be a path or an expression in it would be taken for a text.
void refuse_specials(const YAML::Node& node) {
  if (node.IsScalar() && is_special(node.Scalar())) {
    throw ParameterError(
        "has something other than a constant in a list; a list that comes from a step is a path with [*]: "
        "\"$.step-name.items[*].id\"");
  }
  if (!node.IsSequence()) return;
  for (const YAML::Node& element : node) refuse_specials(element);
}

Json checked(Json constant, bool as_json) {
  (void)to_parameter(constant, as_json);
  return constant;
}

StepParameter from_text(const std::string& text, const Environment& environment) {
  StepParameter parameter;
  if (text.starts_with("$") && !text.starts_with("${")) {
    if (text.size() > 1 && text[1] != '.' && text[1] != '[') {
      throw ParameterError(std::string("begins with \"$\" but is not a path ($.step-name.field)") + kLiterally);
    }
    parameter.source = to_path(text);
  } else if (has_reference(text)) {
    parameter.source = Json(resolve_references(text, environment));
  } else if (const auto expression = to_expression(text)) {
    parameter.source = *expression;
  } else if (resembles_path(text)) {
    throw ParameterError(std::string("is not a path: one begins with \"$.\", without blanks around it") + kLiterally);
  } else if (resembles_expression(text)) {
    throw ParameterError("is not an expression" + suggest_expression(text) + " (known: " + expression_names() + ")" +
                         kLiterally);
  } else {
    parameter.source = Json(text);
  }
  return parameter;
}

// {path: …}, {value: …} or {expression: …}; with `as: json`.
std::optional<StepParameter> from_map(const YAML::Node& node, const std::string& field, YamlBlock& block) {
  StepParameter parameter;
  size_t sources = 0;
  bool right = true;
  YAML::Node value;
  const auto text_of = [&](const YAML::Node& entry, const std::string& where, auto use) {
    ++sources;
    const auto text = block.text(entry, where);
    if (!text) return static_cast<void>(right = false);
    try {
      use(*text);
    } catch (const std::runtime_error& error) {
      right = false;
      block.fail(entry, where, error.what());
    }
  };
  const Handlers handlers = {
      {"path",
       [&](const YAML::Node& entry, const std::string& where) {
         text_of(entry, where, [&](const std::string& text) { parameter.source = to_path(text); });
       }},
      {"expression",
       [&](const YAML::Node& entry, const std::string& where) {
         text_of(entry, where, [&](const std::string& text) { parameter.source = require_expression(text); });
       }},
      {"value",
       [&](const YAML::Node& entry, const std::string& /*where*/) {
         ++sources;
         value.reset(entry);
       }},
      {"as",
       [&](const YAML::Node& entry, const std::string& where) {
         parameter.as_json = block.text(entry, where) == "json";
         if (!parameter.as_json) block.fail(entry, where, "must be \"json\"");
       }},
  };
  block.read_map(node, field, handlers, "value");
  if (sources != 1) {
    block.fail(node, field, "must have one of path, value and expression");
    return std::nullopt;
  }
  if (std::holds_alternative<Expression>(parameter.source) && parameter.as_json) {
    block.fail(node, field, "an expression can't be taken as JSON");
    return std::nullopt;
  }
  if (!right) return std::nullopt;
  if (value.IsDefined() && !value.IsNull()) parameter.source = checked(to_constant(value), parameter.as_json);
  return parameter;
}

}  // namespace

std::optional<StepParameter> read_parameter(const YAML::Node& node, const std::string& field,
                                            const Environment& environment, YamlBlock& block) {
  try {
    std::optional<StepParameter> parameter;
    if (node.IsMap()) {
      parameter = from_map(node, field, block);
    } else if (is_text(node)) {
      parameter = from_text(node.Scalar(), environment);
    } else {
      refuse_specials(node);
      parameter = StepParameter{.source = checked(to_constant(node), false)};
    }
    if (parameter) parameter->line = line_of(node);
    return parameter;
  } catch (const std::exception& error) {
    block.fail(node, field, error.what());
    return std::nullopt;
  }
}

}  // namespace engine::db::builtins

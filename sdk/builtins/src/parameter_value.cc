// JSON to SQL.
#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "engine_db/builtins/values.h"

namespace engine::db::builtins {
namespace {

void add_quoted(std::string& out, std::string_view text) {
  out += '"';
  for (const char letter : text) {
    if (letter == '"' || letter == '\\') out += '\\';
    out += letter;
  }
  out += '"';
}

void add_array(std::string& out, const Json::List& list) {
  const auto is_list = [](const Json& element) { return element.list() != nullptr; };
  if (std::ranges::any_of(list, is_list) && !std::ranges::all_of(list, is_list)) {
    throw std::invalid_argument(
        "a list that mixes lists with something else can't be an SQL array (as JSON it is written {path: …, as: "
        "json})");
  }
  out += '{';
  for (size_t i = 0; i < list.size(); ++i) {
    if (i != 0) out += ',';
    if (list[i].is_null()) {
      out += "NULL";
    } else if (const Json::List* inner = list[i].list()) {
      add_array(out, *inner);
    } else if (const std::string* text = list[i].text()) {
      add_quoted(out, *text);
    } else if (list[i].object() != nullptr) {
      add_quoted(out, list[i].dump());
    } else {
      out += list[i].dump();
    }
  }
  out += '}';
}

struct ToValue {
  Value operator()(std::nullptr_t) const { return nullptr; }
  Value operator()(bool truth) const { return truth; }
  // Numbers go without a type, so that their place decides, as about a quoted literal: JSON's know none.
  Value operator()(int64_t number) const { return std::to_string(number); }
  Value operator()(const Json::Number& number) const { return number.text; }
  Value operator()(const std::string& text) const { return text; }
  Value operator()(const Json::List& list) const {
    // An empty array is an empty object to json, which nobody would notice. Behind a form feed, white space to an array
    // and nothing that JSON allows, it is refused there.
    std::string array = list.empty() ? "\f" : "";
    add_array(array, list);
    return array;
  }
  Value operator()(const Json::Object& object) const { return Json(object).dump(); }
};

}  // namespace

Value to_parameter(const Json& value, bool as_json) {
  if (as_json && !value.is_null()) return value.dump();
  return std::visit(ToValue{}, value.content());
}

}  // namespace engine::db::builtins

#include "sdk/builtins/src/yaml_block.h"

#include <algorithm>
#include <set>

#include "sdk/builtins/src/suggestion.h"

namespace engine::db::builtins {
namespace {

constexpr char kHidden[] = "?";

bool is_name(std::string_view key) {
  constexpr size_t kMaxBytes = 63;
  return !key.empty() && key.size() <= kMaxBytes && std::ranges::all_of(key, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.';
  });
}

// In {password: its,secret} the "secret" is a key, without a value.
bool may_be_piece_of_value(const YAML::Node& map, const YAML::Node& value) {
  return map.Style() == YAML::EmitterStyle::Flow && value.IsNull();
}

}  // namespace

size_t line_of(const YAML::Node& node) {
  const YAML::Mark mark = node.Mark();
  return mark.is_null() ? 0 : static_cast<size_t>(mark.line) + 1;
}

std::string join(const std::string& field, const std::string& key) {
  const std::string shown = is_name(key) ? key : kHidden;
  return field.empty() ? shown : field + "." + shown;
}

std::string key_of(const YAML::Node& key) { return key.IsScalar() ? key.Scalar() : kHidden; }

bool is_merge_key(const YAML::Node& key) { return key.IsScalar() && key.Scalar() == "<<" && key.Tag() != "!"; }

void YamlBlock::fail(size_t line, std::string field, std::string message) {
  faults_.push_back({{file_, line, step_, std::move(field)}, std::move(message)});
}

void YamlBlock::fail(const YAML::Node& at, std::string field, std::string message) {
  fail(line(at), std::move(field), std::move(message));
}

void YamlBlock::read_entry(const YAML::Node& key, const YAML::Node& value, const std::function<void()>& read) {
  struct Outer {
    YamlBlock& block;
    const YAML::Node* value;
    size_t line;
    ~Outer() {
      block.value_ = value;
      block.key_line_ = line;
    }
  } const outer{*this, std::exchange(value_, &value), std::exchange(key_line_, line_of(key))};
  read();
}

size_t YamlBlock::line(const YAML::Node& node) const {
  return value_ != nullptr && node.is(*value_) ? key_line_ : line_of(node);
}

void YamlBlock::read_map(const YAML::Node& node, const std::string& field, const Handlers& handlers,
                         std::string_view nullable) {
  if (!node.IsMap()) return fail(node, field, "must be a map of names to values");
  std::set<std::string> seen;
  for (const auto& entry : node) {
    const std::string key = key_of(entry.first);
    const auto handler = handlers.find(key);
    if (is_merge_key(entry.first)) {
      fail(entry.first, field.empty() ? key : field + "." + key, kNoMergeKeys);
    } else if (handler == handlers.end()) {
      std::vector<std::string> known;
      std::string list;
      for (const auto& [name, unused] : handlers) {
        list += (list.empty() ? "" : ", ") + name;
        known.push_back(name);
      }
      if (is_name(key) && !may_be_piece_of_value(node, entry.second)) {
        fail(entry.first, join(field, key), "is unknown" + did_you_mean(key, known) + " (known here: " + list + ")");
      } else {
        fail(entry.first, join(field, kHidden),
             "is unknown (not shown, since it may be a piece of a value; known here: " + list + ")");
      }
    } else if (!seen.insert(key).second) {
      fail(entry.first, join(field, key), "is given twice");
    } else if (entry.second.IsNull() && key != nullable) {
      fail(entry.first, join(field, key), kNoValue);
    } else {
      read_entry(entry.first, entry.second, [&] { handler->second(entry.second, join(field, key)); });
    }
  }
}

std::optional<std::string> YamlBlock::text(const YAML::Node& node, const std::string& field) {
  if (node.IsScalar()) return node.Scalar();
  fail(node, field, node.IsNull() ? kNoValue : "must be a single value");
  return std::nullopt;
}

std::optional<std::string> YamlBlock::resolved_text(const YAML::Node& node, const std::string& field,
                                                    const Environment& environment) {
  const auto found = text(node, field);
  if (!found) return std::nullopt;
  try {
    return resolve_references(*found, environment);
  } catch (const ReferenceError& error) {
    fail(node, field, error.what());
    return std::nullopt;
  }
}

}  // namespace engine::db::builtins

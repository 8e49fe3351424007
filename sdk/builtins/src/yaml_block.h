// Reads a block of a YAML file, and collects what is wrong with it.
#ifndef ENGINE_DB_BUILTINS_SRC_YAML_BLOCK_H_
#define ENGINE_DB_BUILTINS_SRC_YAML_BLOCK_H_

#include <yaml-cpp/yaml.h>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine_db/builtins/pipeline.h"
#include "engine_db/builtins/reference.h"

namespace engine::db::builtins {

// What to do with the value of each key of a map; gets the value and its path within the block.
using Handlers = std::map<std::string, std::function<void(const YAML::Node& value, const std::string& field)>>;

inline constexpr char kNoValue[] = "has no value (is what belongs to it not indented?)";

// From 1; 0 when the node is not in the file.
[[nodiscard]] size_t line_of(const YAML::Node& node);

// "a.b", or "b" when `field` is empty. A key that is not plainly one (up to 63 letters, digits, "-", "_" and ".") is
// "?": it may be a piece of a value, as a quote that is not closed makes one.
[[nodiscard]] std::string join(const std::string& field, const std::string& key);

// The key of a map's entry; "?" for one that is no single value.
[[nodiscard]] std::string key_of(const YAML::Node& key);

// YAML 1.1's "<<", not in quotes, which yaml-cpp takes for a key like any other.
[[nodiscard]] bool is_merge_key(const YAML::Node& key);
inline constexpr char kNoMergeKeys[] =
    "is a merge key, which is not supported: write its keys out (an alias may stand for a whole value: server: *name)";

// A block, whose faults bear the name of its step.
class YamlBlock {
 public:
  // `faults` must outlive it. `step` is empty outside the steps.
  YamlBlock(std::string file, std::string step, std::vector<PipelineFault>& faults)
      : file_(std::move(file)), step_(std::move(step)), faults_(faults) {}

  void fail(size_t line, std::string field, std::string message);
  void fail(const YAML::Node& at, std::string field, std::string message);

  // Reads a map's entry: while `read` runs, what is said of the value as a whole is said of the key's line (a list or
  // map below its key begins in another).
  void read_entry(const YAML::Node& key, const YAML::Node& value, const std::function<void()>& read);
  // Where what is said of the node is said.
  [[nodiscard]] size_t line(const YAML::Node& node) const;

  // Calls the handler of each key. A key that has none, is given twice or has no value is a fault, and so is anything
  // but a map. Only the key `nullable` may have no value.
  void read_map(const YAML::Node& node, const std::string& field, const Handlers& handlers,
                std::string_view nullable = {});

  // A single value as it stands, or a fault.
  std::optional<std::string> text(const YAML::Node& node, const std::string& field);
  // The same with its references resolved.
  std::optional<std::string> resolved_text(const YAML::Node& node, const std::string& field,
                                           const Environment& environment);

 private:
  std::string file_;
  std::string step_;
  std::vector<PipelineFault>& faults_;
  const YAML::Node* value_ = nullptr;  // of the entry that is being read
  size_t key_line_ = 0;
};

}  // namespace engine::db::builtins

#endif  // ENGINE_DB_BUILTINS_SRC_YAML_BLOCK_H_

#include "sdk/builtins/src/step_block.h"

#include <algorithm>
#include <utility>

#include "engine_db/builtins/operation.h"
#include "sdk/builtins/src/folded_text.h"
#include "sdk/builtins/src/step_parameter.h"
#include "sdk/builtins/src/suggestion.h"
#include "sdk/builtins/src/yaml_block.h"

namespace engine::db::builtins {
namespace {

constexpr size_t kMaxNameBytes = 128;
constexpr size_t kMaxParameters = 65'535;  // of PostgreSQL's protocol
constexpr size_t kMaxResponseFields = 1000;

std::vector<std::string> operation_names() {
  std::vector<std::string> names;
  for (const Operation* operation : operations()) names.emplace_back(operation->name());
  return names;
}

std::string list_of(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
  return list;
}

std::string scalar_of(const YAML::Node& node, const char* key) {
  const YAML::Node value = node[key];
  return value.IsDefined() && value.IsScalar() ? value.Scalar() : std::string();
}

class StepReader {
 public:
  StepReader(const YAML::Node& node, std::string_view yaml, const LoadOptions& options, const std::string& name,
             std::vector<PipelineFault>& faults)
      : node_(node), yaml_(yaml), options_(options), block_(options.file, name, faults) {}

  DatabaseStep read(const OperationDefaults& defaults) {
    const auto ignored = [this](const YAML::Node& value, const std::string& field) { (void)block_.text(value, field); };
    block_.read_map(
        node_, "",
        {
            {"name", ignored},
            {"type", ignored},
            {"operation", [this](const YAML::Node& value, const std::string& field) { read_operation(value, field); }},
            {"server", [this](const YAML::Node& value,
                              const std::string& field) { step_.server = block_.text(value, field).value_or(""); }},
            {"description",
             [this](const YAML::Node& value, const std::string& field) {
               step_.description = block_.text(value, field).value_or("");
             }},
            {"query", [this](const YAML::Node& value, const std::string& field) { read_query(value, field); }},
            {"parameters",
             [this](const YAML::Node& value, const std::string& field) { read_parameters(value, field); }},
            {"response", [this](const YAML::Node& value, const std::string& field) { read_response(value, field); }},
        });
    if (!node_["operation"].IsDefined()) {
      fail("operation", "is required: one of " + list_of(operation_names()));
    }
    if (!node_["server"].IsDefined()) step_.server = defaults.server;
    if (step_.server.empty() && !is_null("server")) {
      fail("server", "is required: the name of a server block");
    }
    if (step_.operation != nullptr) check_what_belongs();
    return std::move(step_);
  }

 private:
  void fail(std::string field, std::string message) { block_.fail(node_, std::move(field), std::move(message)); }

  [[nodiscard]] bool is_null(const char* key) const { return node_[key].IsDefined() && node_[key].IsNull(); }

  void read_operation(const YAML::Node& node, const std::string& field) {
    const auto name = block_.text(node, field);
    if (!name) return;
    step_.operation = find_operation(*name);
    if (step_.operation != nullptr) return;
    const std::vector<std::string> known = operation_names();
    block_.fail(node, field,
                "\"" + *name + "\" is unknown" + did_you_mean(*name, known) + " (known: " + list_of(known) + ")");
  }

  void read_query(const YAML::Node& node, const std::string& field) {
    const auto text = block_.text(node, field);
    if (!text) return;
    step_.query_line = block_.line(node);
    step_.query = *text;
    step_.dashes_before_folded_lines = dashes_before_folded_lines(*text, yaml_, node.Mark());
    if (text->find_first_not_of(" \t\r\n") == std::string::npos) return block_.fail(node, field, "is empty");
    if (text->find("${ENV:") != std::string::npos || text->find("${FILE:") != std::string::npos) {
      block_.fail(node, field,
                  "has a ${…}; nothing is ever written into a query: put a ? there, and the ${…} into parameters");
    }
  }

  void read_parameters(const YAML::Node& node, const std::string& field) {
    if (!node.IsSequence()) {
      return block_.fail(node, field, "must be a list with an entry for each ? of the query, or []");
    }
    if (node.size() > kMaxParameters) {
      return block_.fail(node, field, "has more than " + std::to_string(kMaxParameters) + " entries");
    }
    size_t index = 0;
    for (const YAML::Node& entry : node) {
      auto parameter = read_parameter(entry, field + "[" + std::to_string(index++) + "]", options_.environment, block_);
      if (parameter) step_.parameters.push_back(*std::move(parameter));
    }
    complete_ = step_.parameters.size() == node.size();
  }

  void read_response(const YAML::Node& node, const std::string& field) {
    if (!node.IsMap()) {
      return block_.fail(node, field, "must be a map of names to paths: loyaltyScore: \"$.rows[0].loyaltyScore\"");
    }
    if (node.size() > kMaxResponseFields) {
      return block_.fail(node, field, "has more than " + std::to_string(kMaxResponseFields) + " names");
    }
    for (const auto& entry : node) {
      const std::string name = key_of(entry.first);
      const std::string below = join(field, name);
      if (!entry.first.IsScalar() || name.empty()) {
        block_.fail(entry.first, field, "has a name that is not text");
      } else if (std::ranges::find(step_.response, name, &ResponseField::name) != step_.response.end()) {
        block_.fail(entry.first, below, "is given twice");
      } else if (!entry.second.IsScalar()) {
        block_.fail(entry.second.IsNull() ? entry.first : entry.second, below,
                    "must be a path into {rows, rowcount, columns}");
      } else {
        read_response_field(name, entry.second, below);
      }
    }
  }

  void read_response_field(const std::string& name, const YAML::Node& node, const std::string& field) {
    try {
      JsonPath path = JsonPath::parse(node.Scalar());
      check_response_path(path);
      step_.response.push_back({name, std::move(path), line_of(node)});
    } catch (const PathError& error) {
      block_.fail(node, field, error.what());
    }
  }

  // What no result can have.
  static void check_response_path(const JsonPath& path) {
    const std::vector<std::string> known = {"rows", "rowcount", "columns"};
    const auto& segments = path.segments();
    if (segments.empty()) return;
    const std::string* first = path.first_name();
    if (first == nullptr || std::ranges::find(known, *first) == known.end()) {
      throw PathError("begins with $.rows, $.rowcount or $.columns" +
                      (first == nullptr ? std::string() : did_you_mean(*first, known)));
    }
    if (segments.size() == 1) return;
    if (*first == "rowcount") throw PathError("$.rowcount is a number, with nothing below it");
    if (std::holds_alternative<JsonPath::Name>(segments[1])) {
      throw PathError("$." + *first + " is a list: $." + *first + "[0] is its first element, $." + *first +
                      "[*] are all");
    }
    if (*first == "rows" && segments.size() > 2 && std::holds_alternative<JsonPath::Index>(segments[2])) {
      throw PathError("a row has no indexes: name the column, $.rows[0].column");
    }
  }

  // What an operation must have, and what it can't have.
  void check_what_belongs() {
    if (step_.operation->has_query()) {
      if (!node_["query"].IsDefined()) fail("query", "is required");
      if (!node_["parameters"].IsDefined()) {
        fail("parameters", "is required: a list with an entry for each ? of the query, or []");
      }
      if (complete_ && options_.check_query && !step_.query.empty()) {
        std::string problem = options_.check_query(step_);
        if (!problem.empty()) block_.fail(step_.query_line, "query", std::move(problem));
      }
      if (complete_ && options_.only_reads) step_.only_reads = options_.only_reads(step_);
      return;
    }
    for (const char* field : {"query", "parameters", "response"}) {
      const YAML::Node value = node_[field];
      const bool harmless = value.IsDefined() && (value.IsSequence() || value.IsMap()) && value.size() == 0;
      if (value.IsDefined() && !harmless) {
        block_.fail(value, field, "is not for " + std::string(step_.operation->name()));
      }
    }
  }

  const YAML::Node node_;
  const std::string_view yaml_;
  const LoadOptions& options_;
  YamlBlock block_;
  DatabaseStep step_;
  bool complete_ = false;  // every parameter could be read
};

// Whether a step that says another type, or none, means the database nevertheless: nobody else would run it.
bool means_database(const YAML::Node& node) {
  const std::string operation = scalar_of(node, "operation");
  if (find_operation(operation) != nullptr) return true;
  const std::vector<std::string> database = {"database"};
  const std::string type = scalar_of(node, "type");
  if (type.empty()) return !closest(operation, operation_names()).empty() || node["query"].IsDefined();
  return !closest(type, database).empty();
}

bool has_merge_key(const YAML::Node& map) {
  return std::any_of(map.begin(), map.end(), [](const auto& entry) { return is_merge_key(entry.first); });
}

}  // namespace

Step read_step(const YAML::Node& node, size_t index, std::string_view yaml, const LoadOptions& options,
               const DefaultsByOperation& defaults, std::vector<PipelineFault>& faults) {
  Step step;
  step.line = line_of(node);
  const std::string position = "steps[" + std::to_string(index) + "]";
  YamlBlock outside(options.file, "", faults);
  if (!node.IsMap()) {
    outside.fail(node, position, "must be a map that begins \"- name: …\"");
    return step;
  }
  step.name = scalar_of(node, "name");
  const auto found = defaults.find(scalar_of(node, "operation"));
  const OperationDefaults from_operation = found == defaults.end() ? OperationDefaults() : found->second;
  const YAML::Node type = node["type"];
  step.type = type.IsDefined() ? scalar_of(node, "type") : from_operation.type;
  YamlBlock block(options.file, step.name, faults);
  const auto field = [&](const char* key) { return step.name.empty() ? position + "." + key : std::string(key); };
  if (step.name.size() > kMaxNameBytes) {
    block.fail(node, field("name"), "has more than " + std::to_string(kMaxNameBytes) + " bytes");
  }
  const bool ours = step.type == "database" || means_database(node);
  if (step.type.empty() && !ours && has_merge_key(node)) {
    block.fail(node, field("<<"), kNoMergeKeys);
  } else if (step.type.empty() && !(ours && type.IsDefined())) {  // one that is no text is told below
    block.fail(type.IsDefined() ? type : node, field("type"), "is required: database, or another plugin's");
  } else if (!step.type.empty() && step.type != "database" && ours) {
    block.fail(type.IsDefined() ? type : node, field("type"), "must be \"database\", not \"" + step.type + "\"");
  }
  if (!ours) return step;
  if (step.name.empty()) outside.fail(node, position + ".name", "is required");
  step.database = StepReader(node, yaml, options, step.name, faults).read(from_operation);
  return step;
}

}  // namespace engine::db::builtins

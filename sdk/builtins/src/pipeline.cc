#include "engine_db/builtins/pipeline.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <utility>

#include "engine_db/builtins/operation.h"
#include "engine_db/reasons.h"
#include "sdk/builtins/src/pipeline_check.h"
#include "sdk/builtins/src/server_block.h"
#include "sdk/builtins/src/step_block.h"
#include "sdk/builtins/src/suggestion.h"
#include "sdk/builtins/src/yaml_block.h"
#include "sdk/builtins/src/yaml_document.h"

namespace engine::db::builtins {
namespace {

constexpr size_t kMaxServers = 100;

std::string all_faults(const std::vector<PipelineFault>& faults) {
  constexpr size_t kShown = 50;
  std::string message;
  for (size_t i = 0; i < std::min(faults.size(), kShown); ++i) {
    message += (i == 0 ? "" : "\n") + faults[i].place.to_string() + ": " + faults[i].message;
  }
  if (faults.size() > kShown) message += "\nand " + std::to_string(faults.size() - kShown) + " more";
  return message;
}

ErrorInfo error_info(const std::vector<PipelineFault>& faults) {
  ErrorInfo info;
  info.kind = ErrorKind::kInvalidRequest;
  info.outcome = Outcome::kNotExecuted;
  info.phase = Phase::kValidating;
  info.reason = reasons::kInvalidPipeline;
  info.field = faults.front().place.field;
  info.message = all_faults(faults);
  return info;
}

class Loader {
 public:
  explicit Loader(const LoadOptions& options) : options_(options), block_(options.file, "", faults_) {
    pipeline_.file = options.file;
  }

  Pipeline load(std::string_view yaml) {
    if (yaml.size() > kMaxPipelineBytes) {
      block_.fail(0, "", "has more than " + std::to_string(kMaxPipelineBytes) + " bytes");
    } else {
      yaml_ = with_plain_line_breaks(yaml);
      read();
    }
    if (faults_.empty()) return std::move(pipeline_);
    std::ranges::stable_sort(faults_, {}, [](const PipelineFault& fault) { return fault.place.line; });
    throw PipelineError(std::move(faults_));
  }

 private:
  // What is known about a server that the file defines.
  struct ServerEntry {
    std::string protocol;
    size_t line = 0;
  };

  void read() {
    std::vector<YAML::Node> documents;
    try {
      documents = read_yaml(yaml_);
    } catch (const YamlError& error) {
      return block_.fail(error.line(), "", error.what());
    }
    for (const YAML::Node& document : documents) {
      if (document.IsSequence()) {
        take_steps(document, "");
      } else if (document.IsMap()) {
        read_sections(document, "");
      } else if (!document.IsNull()) {
        block_.fail(document, "", "must be a list of steps, or a map with steps in it");
      }
    }
    if (!steps_) {
      if (faults_.empty()) block_.fail(0, "", "has no steps: they are a list, as the whole file or below \"steps:\"");
      return;
    }
    read_steps();
    check_servers();
    check_names(pipeline_, faults_);
    check_paths(pipeline_, faults_);
    plan_transactions(pipeline_, faults_);
  }

  // A map that holds the steps, the servers, or both: a document, or what is below "pipeline:".
  void read_sections(const YAML::Node& map, const std::string& where) {
    std::set<std::string> seen;
    for (const auto& entry : map) {
      const std::string key = key_of(entry.first);
      const std::string field = join(where, key);
      if (is_merge_key(entry.first)) {
        block_.fail(entry.first, where.empty() ? key : where + "." + key, kNoMergeKeys);
      } else if (!seen.insert(key).second) {
        block_.fail(entry.first, field, "is given twice");
      } else if (!entry.second.IsNull()) {
        block_.read_entry(entry.first, entry.second, [&] { read_section(key, field, entry.second); });
      } else if (is_section(key)) {
        block_.fail(entry.first, field, kNoValue);
      }
    }
  }

  void read_section(const std::string& key, const std::string& field, const YAML::Node& value) {
    if (key == "steps") return take_steps(value, field);
    if (key == "operations") return value.IsMap() ? read_operations(value, field) : take_steps(value, field);
    if (key == "servers") return read_servers(value, field);
    if (key == "pipeline") {
      if (value.IsScalar()) return;  // its name
      return value.IsMap() ? read_sections(value, field) : take_steps(value, field);
    }
    if (key == "pipelines") return block_.fail(value, field, "can't be run together: a file holds one pipeline");
    if (is_server_block(value)) return read_server_block(key, field, value);
    // Other plugins have sections of their own, which are not looked into; but one that was meant for us is.
    if (std::ranges::find(inner_keys_, key) != inner_keys_.end()) {
      return block_.fail(value, field, "belongs into a step or a server's block (is it not indented?)");
    }
    const std::string meant = closest(key, sections_);
    if (!meant.empty()) block_.fail(value, field, "is unknown; did you mean \"" + meant + "\"?");
  }

  bool is_section(const std::string& key) const { return std::ranges::find(sections_, key) != sections_.end(); }

  void take_steps(const YAML::Node& node, const std::string& field) {
    if (!node.IsSequence()) {
      return block_.fail(node, field, "must be a list of steps, each beginning \"- name: …\"");
    }
    if (steps_) return block_.fail(node, field, "is a second list of steps: a file holds one pipeline");
    if (node.size() > kMaxSteps) {
      return block_.fail(node, field, "has more than " + std::to_string(kMaxSteps) + " steps");
    }
    steps_ = node;
  }

  void read_operations(const YAML::Node& map, const std::string& field) {
    for (const auto& entry : map) {
      const std::string name = key_of(entry.first);
      const std::string below = join(field, name);
      OperationDefaults defaults;
      if (is_merge_key(entry.first)) {
        block_.fail(entry.first, field + "." + name, kNoMergeKeys);
        continue;
      }
      if (!entry.second.IsMap()) {
        block_.fail(entry.first, below, entry.second.IsNull() ? kNoValue : "must be a map with type and server");
        continue;
      }
      const YAML::Node type = entry.second["type"];
      if (type.IsDefined() && type.IsScalar()) defaults.type = type.Scalar();
      const bool ours = find_operation(name) != nullptr;
      if (defaults.type == "database" && !ours) {
        std::vector<std::string> known;
        for (const Operation* operation : operations()) known.emplace_back(operation->name());
        block_.fail(entry.first, below, "is not an operation of a database" + did_you_mean(name, known));
        continue;
      }
      if (ours) {
        const auto ignored = [this](const YAML::Node& value, const std::string& at) { (void)block_.text(value, at); };
        block_.read_map(entry.second, below,
                        {{"type",
                          [this](const YAML::Node& value, const std::string& at) {
                            if (block_.text(value, at).value_or("") != "database") {
                              block_.fail(value, at, "must be \"database\"");
                            }
                          }},
                         {"description", ignored},
                         {"server", [this, &defaults](const YAML::Node& value, const std::string& at) {
                            defaults.server = block_.text(value, at).value_or("");
                          }}});
      }
      defaults_[name] = std::move(defaults);
    }
  }

  void read_servers(const YAML::Node& map, const std::string& field) {
    if (!map.IsMap()) return block_.fail(map, field, "must be a map of names to servers");
    for (const auto& entry : map) {
      const std::string name = key_of(entry.first);
      if (is_merge_key(entry.first)) {
        block_.fail(entry.first, field + "." + name, kNoMergeKeys);
      } else if (!entry.second.IsMap()) {
        block_.fail(entry.first, join(field, name),
                    entry.second.IsNull() ? kNoValue : "must be a map with protocol, driver and url");
      } else {
        block_.read_entry(entry.first, entry.second, [&] { read_server_block(name, join(field, name), entry.second); });
      }
    }
  }

  void read_server_block(const std::string& name, const std::string& field, const YAML::Node& node) {
    const std::string protocol = protocol_of(node);
    const auto [entry, is_new] = servers_.insert({name, {protocol, block_.line(node)}});
    if (!is_new) return block_.fail(node, field, "is given twice (line " + std::to_string(entry->second.line) + ")");
    if (servers_.size() > kMaxServers) {
      return block_.fail(node, field, "is one of more than " + std::to_string(kMaxServers) + " servers");
    }
    if (!protocol.empty() && !is_database(protocol)) return;  // another plugin's
    if (auto server = read_server(name, node, block_.line(node), options_, faults_))
      pipeline_.servers.push_back(*std::move(server));
  }

  // Whether this is said, or was meant: nobody else would read it.
  static bool is_database(const std::string& protocol) {
    const std::vector<std::string> database = {"database"};
    return !closest(protocol, database).empty();
  }

  void read_steps() {
    size_t index = 0;
    for (const YAML::Node& node : *steps_) {
      pipeline_.steps.push_back(read_step(node, index++, yaml_, options_, defaults_, faults_));
    }
  }

  void check_servers() {
    std::vector<std::string> known;
    for (const auto& [name, entry] : servers_) known.push_back(name);
    for (const Step& step : pipeline_.steps) {
      if (!step.database || step.database->server.empty()) continue;
      const std::string& name = step.database->server;
      const auto entry = servers_.find(name);
      if (entry != servers_.end() && (entry->second.protocol.empty() || is_database(entry->second.protocol))) continue;
      std::string message;
      if (entry != servers_.end()) {
        message = "\"" + name + "\" is a server of another protocol (" + entry->second.protocol + ")";
      } else if (!servers_.empty()) {
        message = "\"" + name + "\" is not defined" + did_you_mean(name, known);
      } else if (options_.servers_from_elsewhere) {
        if (std::ranges::find(pipeline_.servers, name, &DatabaseServer::name) == pipeline_.servers.end()) {
          pipeline_.servers.push_back({name, std::nullopt});
        }
        continue;
      } else {
        message = "\"" + name + "\" is not defined: the file has no server block";
      }
      faults_.push_back({{options_.file, step.line, step.name, "server"}, std::move(message)});
    }
  }

  const std::vector<std::string> inner_keys_ = {"type",     "operation", "server", "query", "parameters",
                                                "response", "protocol",  "driver", "url",   "securitySchemes"};
  const std::vector<std::string> sections_ = {"steps", "pipeline", "operations", "servers"};

  const LoadOptions& options_;
  std::string yaml_;
  std::vector<PipelineFault> faults_;
  YamlBlock block_;
  Pipeline pipeline_;
  std::optional<YAML::Node> steps_;
  DefaultsByOperation defaults_;
  std::map<std::string, ServerEntry> servers_;
};

}  // namespace

std::string Place::to_string() const {
  std::string text = file;
  if (line != 0) text += ":" + std::to_string(line);
  if (!step.empty()) text += ": step \"" + step + "\"";
  if (!field.empty()) text += ": " + field;
  return text;
}

PipelineError::PipelineError(std::vector<PipelineFault> faults)
    : DatabaseRequestError(error_info(faults)), faults_(std::move(faults)) {}

Pipeline load_pipeline(std::string_view yaml, const LoadOptions& options) { return Loader(options).load(yaml); }

Pipeline load_pipeline_file(const std::filesystem::path& path, LoadOptions options) {
  options.file = path.string();
  std::ifstream file(path, std::ios::binary);
  std::string yaml(kMaxPipelineBytes + 1, '\0');  // one more shows that there is more
  file.read(yaml.data(), static_cast<std::streamsize>(yaml.size()));
  yaml.resize(static_cast<size_t>(file.gcount()));
  if (!file.is_open() || file.bad() || (yaml.empty() && !file.eof())) {
    throw PipelineError({{{options.file}, "cannot be read"}});
  }
  return load_pipeline(yaml, options);
}

}  // namespace engine::db::builtins

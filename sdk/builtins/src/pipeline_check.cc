#include "sdk/builtins/src/pipeline_check.h"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "engine_db/builtins/operation.h"
#include "sdk/builtins/src/suggestion.h"

namespace engine::db::builtins {
namespace {

// What a path's second part can be: the names of a step's output.
std::vector<std::string> output_names(const DatabaseStep& step) {
  if (step.response.empty()) return {"rows", "rowcount", "columns"};
  std::vector<std::string> names;
  for (const ResponseField& field : step.response) names.push_back(field.name);
  return names;
}

// What is wrong with a path of step `own` into step `other`; empty for nothing.
std::string problem_of(const JsonPath& path, size_t own, const Step& step, size_t other) {
  if (other == own) return "is the output of this very step";
  if (other > own) return "is the output of a step that runs later (line " + std::to_string(step.line) + ")";
  if (!step.database || step.database->operation == nullptr) return {};
  if (!step.database->operation->has_query()) {
    return "is the output of " + std::string(step.database->operation->name()) + ", which has none";
  }
  if (path.segments().size() < 2) return {};
  const auto* name = std::get_if<JsonPath::Name>(&path.segments()[1]);
  if (name == nullptr) return {};
  const std::vector<std::string> known = output_names(*step.database);
  std::string list;
  for (const std::string& known_name : known) {
    if (known_name == name->name) return {};
    list += (list.empty() ? "" : ", ") + known_name;
  }
  return "is not in the response of step \"" + step.name + "\"" + did_you_mean(name->name, known) + " (it has " + list +
         ")";
}

// One server's transaction while the steps are walked through.
struct Stretch {
  std::optional<size_t> begin;  // the step that would begin it
  std::string ended_by;         // the step that ended the one before
};

}  // namespace

void check_names(const Pipeline& pipeline, std::vector<PipelineFault>& faults) {
  std::map<std::string_view, size_t> lines;
  for (const Step& step : pipeline.steps) {
    if (step.name.empty()) continue;
    const auto [first, is_new] = lines.insert({step.name, step.line});
    if (is_new) continue;
    faults.push_back({{pipeline.file, step.line, step.name, "name"},
                      "is another step's name already (line " + std::to_string(first->second) + ")"});
  }
}

void check_paths(const Pipeline& pipeline, std::vector<PipelineFault>& faults) {
  std::map<std::string_view, size_t> positions;
  for (size_t i = 0; i < pipeline.steps.size(); ++i) positions.insert({pipeline.steps[i].name, i});
  for (size_t i = 0; i < pipeline.steps.size(); ++i) {
    const Step& step = pipeline.steps[i];
    if (!step.database) continue;
    for (size_t p = 0; p < step.database->parameters.size(); ++p) {
      const StepParameter& parameter = step.database->parameters[p];
      const auto* path = std::get_if<JsonPath>(&parameter.source);
      const auto other = path == nullptr ? positions.end() : positions.find(*path->first_name());
      if (other == positions.end()) continue;
      const std::string problem = problem_of(*path, i, pipeline.steps[other->second], other->second);
      if (problem.empty()) continue;
      faults.push_back({{pipeline.file, parameter.line, step.name, "parameters[" + std::to_string(p) + "]"},
                        path->text() + " " + problem});
    }
  }
}

void plan_transactions(Pipeline& pipeline, std::vector<PipelineFault>& faults) {
  std::map<std::string_view, Stretch> stretches;
  for (size_t i = 0; i < pipeline.steps.size(); ++i) {
    const Step& step = pipeline.steps[i];
    if (!step.database || step.database->operation == nullptr) continue;
    Stretch& stretch = stretches[step.database->server];
    if (!step.database->operation->ends_transaction()) {
      if (!stretch.begin || !step.database->operation->has_query()) stretch.begin = i;
      continue;
    }
    if (!stretch.begin) {
      const std::string since =
          stretch.ended_by.empty() ? "before it" : "since step \"" + stretch.ended_by + "\" ended the transaction";
      faults.push_back({{pipeline.file, step.line, step.name, "operation"},
                        std::string(step.database->operation->name()) + " has no transaction to end: no step of \"" +
                            step.database->server + "\" runs " + since +
                            " (a step that fails rolls its transaction back by itself)"});
      continue;
    }
    pipeline.steps[*stretch.begin].database->begins_transaction = true;
    for (size_t inside = *stretch.begin; inside <= i; ++inside) {
      std::optional<DatabaseStep>& other = pipeline.steps[inside].database;
      if (other && other->server == step.database->server) other->in_transaction = true;
    }
    stretch = {std::nullopt, step.name};
  }
}

}  // namespace engine::db::builtins

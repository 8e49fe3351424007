#include "engine_db/builtins/bind.h"

#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine_db/builtins/values.h"
#include "engine_db/reasons.h"
#include "sdk/builtins/src/failure.h"
#include "sdk/builtins/src/suggestion.h"

namespace engine::db::builtins {
namespace {

Value select(const JsonPath& path, bool as_json, const Json& outputs) {
  const std::string& step = *path.first_name();
  const Json::Object& by_step = *outputs.object();
  if (by_step.find(step) == nullptr) {
    throw PathError("no step \"" + step + "\" has run before and none is in the input" +
                    did_you_mean(step, by_step.names));
  }
  return to_parameter(path.select(outputs), as_json);
}

}  // namespace

Parameters bind_parameters(const DatabaseStep& step, const Json& outputs, const Place& place) {
  Parameters parameters;
  parameters.reserve(step.parameters.size());
  for (const StepParameter& parameter : step.parameters) {
    if (const auto* path = std::get_if<JsonPath>(&parameter.source)) {
      try {
        parameters.push_back(select(*path, parameter.as_json, outputs));
      } catch (const std::exception& error) {
        Place at = place;
        at.line = parameter.line;
        at.field = "parameters[" + std::to_string(parameters.size()) + "]";
        throw_request_error(at, reasons::kParameterPath, path->text() + ": " + error.what());
      }
    } else if (const auto* expression = std::get_if<Expression>(&parameter.source)) {
      parameters.emplace_back(*expression);
    } else {
      parameters.push_back(to_parameter(std::get<Json>(parameter.source), parameter.as_json));
    }
  }
  return parameters;
}

void check_input(const Pipeline& pipeline, const Json& outputs) {
  std::set<std::string_view> databases;
  for (const Step& step : pipeline.steps) {
    if (step.database) databases.insert(step.name);
  }
  std::vector<PipelineFault> faults;
  for (const Step& step : pipeline.steps) {
    if (!step.database) continue;
    for (size_t i = 0; i < step.database->parameters.size(); ++i) {
      const StepParameter& parameter = step.database->parameters[i];
      const auto* path = std::get_if<JsonPath>(&parameter.source);
      if (path == nullptr || databases.contains(*path->first_name())) continue;
      try {
        (void)select(*path, parameter.as_json, outputs);
      } catch (const std::exception& error) {
        faults.push_back({{pipeline.file, parameter.line, step.name, "parameters[" + std::to_string(i) + "]"},
                          path->text() + ": " + error.what()});
      }
    }
  }
  if (!faults.empty()) throw PipelineError(std::move(faults));
}

}  // namespace engine::db::builtins

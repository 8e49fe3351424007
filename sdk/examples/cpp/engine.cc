#include "engine.h"

#include <stdexcept>

namespace example {

builtins::Json Engine::run(const builtins::Pipeline& pipeline) const {
  builtins::PipelineRun run(pipeline, make_connector_);
  for (const builtins::Step& step : pipeline.steps) {
    if (step.database) {
      run.run(step);
      continue;
    }
    const auto plugin = plugins_.find(step.type);
    if (plugin == plugins_.end()) throw std::runtime_error("nobody runs steps of the type " + step.type);
    run.set_output(step.name, plugin->second(step.name, run.outputs()));
  }
  return run.outputs();
}

}  // namespace example

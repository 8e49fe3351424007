// A pipeline engine in small. It runs the steps of a file in their order: those of other plugins by a function, those
// of the database by the builtins, over whatever connector it is given.
#ifndef EXAMPLE_ENGINE_H_
#define EXAMPLE_ENGINE_H_

#include <engine_db/builtins/json.h>
#include <engine_db/builtins/pipeline.h>
#include <engine_db/builtins/pipeline_run.h>

#include <functional>
#include <map>
#include <string>

namespace example {

namespace builtins = engine::db::builtins;

class Engine {
 public:
  // What a step of another type gives; it gets the step's name and the outputs so far.
  using Plugin = std::function<builtins::Json(const std::string& step, const builtins::Json& outputs)>;

  // The engine never learns what kind of connector it holds: in production a PostgresSyncConnector, in tests one that
  // only pretends.
  explicit Engine(builtins::ConnectorFactory make_connector) : make_connector_(std::move(make_connector)) {}

  void add_plugin(const std::string& type, Plugin plugin) { plugins_[type] = std::move(plugin); }

  // Returns what each step gave. Throws engine::db::DatabaseError for a database step that failed, which is rolled back
  // by then, and std::runtime_error for a step that nobody can run.
  [[nodiscard]] builtins::Json run(const builtins::Pipeline& pipeline) const;

 private:
  builtins::ConnectorFactory make_connector_;
  std::map<std::string, Plugin> plugins_;
};

}  // namespace example

#endif  // EXAMPLE_ENGINE_H_

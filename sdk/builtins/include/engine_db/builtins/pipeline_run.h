// Runs the database steps of a pipeline.
#ifndef ENGINE_DB_BUILTINS_PIPELINE_RUN_H_
#define ENGINE_DB_BUILTINS_PIPELINE_RUN_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine_db/builtins/json.h"
#include "engine_db/builtins/operation.h"
#include "engine_db/builtins/pipeline.h"
#include "engine_db/connector.h"
#include "engine_db/options.h"

namespace engine::db::builtins {

// Makes the connector for a server; called once a server, at its first step.
using ConnectorFactory = std::function<std::unique_ptr<DatabaseConnector>(const DatabaseServer& server)>;

// One run of a pipeline: the outputs so far, and a connector for each server. The engine runs its own steps and hands
// what they gave to set_output(); it calls run() for each database step, in the pipeline's order:
//
//   PipelineRun run(pipeline, [&](const DatabaseServer& server) { return … ; });
//   for (const Step& step : pipeline.steps) {
//     if (step.database) run.run(step); else run.set_output(step.name, engine_runs(step, run.outputs()));
//   }
//
// A step that fails rolls back the open transactions of all servers, and so does destroying a run before its end. One
// thread at a time.
class PipelineRun {
 public:
  // `pipeline` must outlive it.
  PipelineRun(const Pipeline& pipeline, ConnectorFactory make_connector);
  // Rolls back, and closes.
  ~PipelineRun();
  PipelineRun(const PipelineRun&) = delete;
  PipelineRun& operator=(const PipelineRun&) = delete;

  // What a step of another kind gave, or one that is not in the file.
  void set_output(std::string step, Json output);
  // An object with a member for each step that has an output.
  [[nodiscard]] const Json& outputs() const { return outputs_; }

  // Runs a database step; its response is an output from then on. Throws a DatabaseError of the kind that the step
  // failed with; its message begins with file, line, step and field.
  StepOutput run(const Step& step, const CallOptions& call = {});

  // Rolls back what is open, as a failure does.
  void abandon() noexcept;

  // Which steps a failure or a rollbackSql rolled back, in their order, and which remain because they had been
  // committed.
  [[nodiscard]] const std::vector<std::string>& rolled_back() const { return rolled_back_; }
  [[nodiscard]] const std::vector<std::string>& committed() const { return committed_; }

 private:
  struct Connection {
    std::unique_ptr<DatabaseConnector> connector;
    bool in_transaction = false;
    std::vector<std::string> uncommitted;  // steps of the transaction
  };

  Connection& connect(const Step& step, const Place& place);
  StepOutput run_on(Connection& connection, const Step& step, const Place& place, const CallOptions& call);

  const Pipeline& pipeline_;
  ConnectorFactory make_connector_;
  std::map<std::string, Connection, std::less<>> connections_;
  Json outputs_ = Json::Object();
  std::vector<std::string> rolled_back_;
  std::vector<std::string> committed_;
};

}  // namespace engine::db::builtins

#endif  // ENGINE_DB_BUILTINS_PIPELINE_RUN_H_

// What everything on the loops has in common.
#ifndef ENGINE_DB_SERVER_CALL_CONTEXT_H_
#define ENGINE_DB_SERVER_CALL_CONTEXT_H_

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/call/handle.h"
#include "server/config/settings.h"
#include "server/loop/blocking_executor.h"
#include "server/loop/event_loop.h"
#include "server/observe/metrics.h"
#include "server/postgres/backend.h"
#include "server/postgres/commit_fate.h"
#include "server/postgres/connect_parameters.h"
#include "server/postgres/pipeline_backend.h"
#include "server/postgres/server_probe.h"

namespace engine::db::call {

// How servers are reached: PostgreSQL's, but in tests. What asks blocks: for a BlockingExecutor.
struct Servers {
  std::function<std::unique_ptr<postgres::BackendFactory>(loop::EventLoop&, loop::BlockingExecutor&,
                                                          const config::TargetSettings&)>
      make_backends = [](loop::EventLoop& loop, loop::BlockingExecutor& executor,
                         const config::TargetSettings& settings) -> std::unique_ptr<postgres::BackendFactory> {
    return std::make_unique<postgres::PipelineBackendFactory>(loop, executor, settings);
  };
  std::function<absl::StatusOr<postgres::ServerInfo>(const postgres::ConnectParameters&, absl::Duration timeout)>
      probe = &postgres::ProbeServer;
  std::function<absl::StatusOr<std::vector<postgres::CommitFate>>(
      const postgres::ConnectParameters&, const std::vector<postgres::CommitQuestion>&, absl::Duration timeout)>
      ask_commit_fates = &postgres::AskCommitFates;
};

// Outlives the shards. Any thread.
struct Context {
  const config::GatewaySettings& settings;
  observe::Metrics& metrics;
  const HandleMaker& handles;
  loop::BlockingExecutor& executor;               // names and passwords
  loop::BlockingExecutor& server_query_executor;  // questions to servers, which may not answer
  const Servers servers = {};
  // For draining, which waits until both are 0.
  std::atomic<size_t> calls{0};
  std::atomic<size_t> transactions{0};
};

}  // namespace engine::db::call

#endif  // ENGINE_DB_SERVER_CALL_CONTEXT_H_

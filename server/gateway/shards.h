// The event loops, and the way to them: each target lives on one, and so do the calls to it.
#ifndef ENGINE_DB_SERVER_GATEWAY_SHARDS_H_
#define ENGINE_DB_SERVER_GATEWAY_SHARDS_H_

#include <atomic>
#include <cstddef>
#include <memory>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "server/call/call_plan.h"
#include "server/call/context.h"
#include "server/call/ids.h"
#include "server/call/shard.h"
#include "server/gateway/connections.h"
#include "server/loop/clock.h"
#include "server/loop/loop_thread.h"

namespace engine::db::gateway {

// Names a call that runs, to cancel or resume it. One that has ended is no error.
struct CallRef {
  size_t shard = 0;
  call::CallId id = 0;  // 0: a call that can't be cancelled
};

// Any thread.
class Shards {
 public:
  // All must outlive the shards.
  Shards(call::Context& context, const Connections& connections, const loop::Clock& clock, size_t count);
  // Breaks off whatever runs.
  ~Shards();
  Shards(const Shards&) = delete;
  Shards& operator=(const Shards&) = delete;

  // Moves the plan to its connection's loop, where `prepare` completes it, and starts it there. Where that fails, or
  // the connection has been closed meanwhile, the plan's `finish` tells so.
  using Prepare = absl::AnyInvocable<absl::Status(call::Target& target, call::CallPlan& plan)>;
  CallRef Submit(const Connection& connection, call::CallPlan plan, Prepare prepare);
  // For calls that need nothing more.
  CallRef Submit(const Connection& connection, call::CallPlan plan);
  void Cancel(CallRef call);
  void ResumeStream(CallRef call);

  // Runs `visit` on the loop of the connection's target, which is null if the connection has been closed meanwhile.
  void OnTarget(const Connection& connection, absl::AnyInvocable<void(call::Target*)> visit);
  // Runs `visit` on the loop of one shard; on the loops of all of them, one at a time, and then `done` once.
  void OnShard(size_t index, absl::AnyInvocable<void(call::Shard&)> visit);
  void OnEveryShard(absl::AnyInvocable<void(call::Shard&)> visit, absl::AnyInvocable<void()> done);
  // The same one after the other, and waits for them.
  void OnEveryShardAndWait(absl::FunctionRef<void(call::Shard&)> visit);

 private:
  const Connections& connections_;
  std::vector<std::unique_ptr<loop::LoopThread>> loops_;
  std::vector<std::unique_ptr<call::Shard>> shards_;  // one on each
  std::atomic<call::CallId> next_call_{1};
};

}  // namespace engine::db::gateway

#endif  // ENGINE_DB_SERVER_GATEWAY_SHARDS_H_

// One event loop and the targets that live on it.
#ifndef ENGINE_DB_SERVER_CALL_SHARD_H_
#define ENGINE_DB_SERVER_CALL_SHARD_H_

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/random/random.h"
#include "server/call/handle.h"
#include "server/call/statement_call.h"
#include "server/call/target.h"
#include "server/config/settings.h"
#include "server/loop/blocking_executor.h"
#include "server/loop/event_loop.h"
#include "server/loop/loop_thread.h"
#include "server/observe/metrics.h"

namespace engine::db::call {

// What all shards have in common. Outlives them.
struct Shared {
  const config::GatewaySettings& settings;
  observe::Metrics& metrics;
  const HandleMaker& handles;
  const loop::Clock& clock;
  loop::BlockingExecutor& executor;   // names and passwords
  loop::BlockingExecutor& questions;  // to servers, which may not answer
  std::atomic<size_t> calls{0};
  std::atomic<size_t> transactions{0};
};

// loop() may be used from any thread, everything else on the loop only.
class Shard {
 public:
  Shard(size_t index, Shared& shared);
  // Clear() must have been called.
  ~Shard();
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  [[nodiscard]] loop::EventLoop& loop() { return thread_.loop(); }
  [[nodiscard]] Shared& shared() { return shared_; }
  [[nodiscard]] absl::BitGen& random() { return random_; }

  [[nodiscard]] Target& OpenTarget(TargetId id, const config::TargetSettings& settings);
  // Null if there is none.
  [[nodiscard]] Target* FindTarget(TargetId id);
  void CloseTarget(TargetId id);

  void StartCall(CallId id, Target& target, Work work);
  // Null when it has ended.
  [[nodiscard]] StatementCall* FindCall(CallId id);
  // From the call: it has ended. It is destroyed at the end of the round, since it may be further up on the stack.
  void EndCall(StatementCall& call);
  // Stops the calls of a connection, and rolls its transactions back; says how many those were.
  size_t CloseConnection(TargetId target, const std::string& connection_id);
  // Rolls back the transactions that a session began.
  void EndSession(SessionId session);
  // Stops every call and rolls back every transaction.
  void StopAll();
  // Answers whoever waits for something else than a call of his.
  void GiveUpQuestions();
  // Gives everything up, at once.
  void Clear();
  // Destroys targets that have closed, once nothing on the stack uses them.
  void CollectTargets();

  void ForEachTarget(absl::FunctionRef<void(Target&)> visit);
  // In the order of their calling.
  void ForEachCall(absl::FunctionRef<void(const StatementCall&)> visit) const;

 private:
  Shared& shared_;
  loop::LoopThread thread_;  // outlives what runs on it
  absl::BitGen random_;
  absl::btree_map<TargetId, std::unique_ptr<Target>> targets_;
  absl::flat_hash_map<CallId, std::unique_ptr<StatementCall>> calls_;
  std::vector<std::unique_ptr<StatementCall>> ended_;
  bool collecting_ = false;
};

}  // namespace engine::db::call

#endif  // ENGINE_DB_SERVER_CALL_SHARD_H_

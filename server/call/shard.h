// One event loop and the targets that live on it.
#ifndef ENGINE_DB_SERVER_CALL_SHARD_H_
#define ENGINE_DB_SERVER_CALL_SHARD_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/random/random.h"
#include "server/call/call.h"
#include "server/call/context.h"
#include "server/call/target.h"
#include "server/config/target.h"
#include "server/loop/event_loop.h"

namespace engine::db::call {

// loop() may be used from any thread, everything else on the loop only.
class Shard {
 public:
  Shard(loop::EventLoop& loop, Context& context) : loop_(loop), context_(context) {}
  // Clear() must have been called, and its loop must have ended.
  ~Shard() = default;
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  [[nodiscard]] loop::EventLoop& loop() { return loop_; }
  [[nodiscard]] Context& context() { return context_; }
  [[nodiscard]] absl::BitGen& random() { return random_; }

  [[nodiscard]] Target& OpenTarget(TargetId id, const config::TargetSettings& settings);
  // Null if there is none.
  [[nodiscard]] Target* FindTarget(TargetId id);
  void CloseTarget(TargetId id);

  void StartCall(CallId id, Target& target, CallPlan plan);
  // Null when it has ended.
  [[nodiscard]] Call* FindCall(CallId id);
  // From the call: it has ended. It is destroyed at the end of the round.
  void EndCall(Call& call);
  // Stops the calls of a connection, and rolls its transactions back; says how many those were.
  size_t CloseConnection(TargetId target, const std::string& connection_id);
  // Rolls back the transactions that a session began.
  void EndSession(SessionId session);
  // Stops every call and rolls back every transaction.
  void StopAll();
  // Answers whoever waits for something else than a call.
  void GiveUpQuestions();
  // Gives everything up, at once.
  void Clear();
  // Destroys targets that have closed, once nothing on the stack uses them.
  void CollectTargets();

  void ForEachTarget(absl::FunctionRef<void(Target&)> visit);
  // In the order of their calling.
  void ForEachCall(absl::FunctionRef<void(const Call&)> visit) const;

 private:
  loop::EventLoop& loop_;
  Context& context_;
  absl::BitGen random_;
  absl::btree_map<TargetId, std::unique_ptr<Target>> targets_;
  absl::flat_hash_map<CallId, std::unique_ptr<Call>> calls_;
  bool collecting_ = false;
};

}  // namespace engine::db::call

#endif  // ENGINE_DB_SERVER_CALL_SHARD_H_

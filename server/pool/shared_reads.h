// Reads of several callers in one backend's pipeline: each proven read-only and outside a transaction, so that none
// waits for a lock and each can be sent again elsewhere. A server-side guard (default_transaction_read_only) makes sure
// of that proof. Reads behind one that takes long are moved to other backends.
#ifndef ENGINE_DB_SERVER_POOL_SHARED_READS_H_
#define ENGINE_DB_SERVER_POOL_SHARED_READS_H_

#include <cstddef>
#include <deque>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "server/config/settings.h"
#include "server/loop/event_loop.h"
#include "server/observe/metrics.h"
#include "server/pool/cleaner.h"
#include "server/pool/opener.h"
#include "server/pool/shared_read.h"
#include "server/pool/slots.h"

namespace engine::db::pool {

// Loop thread only.
class SharedReads {
 public:
  // `changed`: reads have come back to the queue, or a backend was closed.
  SharedReads(loop::EventLoop& loop, const config::SharedReads& settings, observe::PoolMetrics& metrics, Slots& slots,
              Cleaner& cleaner, Opener& opener, absl::AnyInvocable<void()> changed);

  // How many wait.
  [[nodiscard]] size_t waiting() const { return queue_.size(); }
  // Puts a read in line, for Start().
  void Add(SharedRead& read);
  // Starts as many as can run now. Idle backends are left to `others`, who need one for themselves.
  void Start(bool others_wait);
  // As many backends that run reads stop taking more as `count` calls wait for a backend of their own, less what is
  // coming anyhow; the emptiest first.
  void MakeRoom(size_t count);
  // Takes out those in line for whom `matches`.
  [[nodiscard]] std::vector<SharedRead*> RemoveIf(absl::FunctionRef<bool(SharedRead&)> matches);
  // As Pool::AbandonRead() and Pool::ReadEnded().
  void Abandon(SharedRead& read);
  void Ended(SharedRead& read);
  // Looks after slow reads no more.
  void Stop() { slow_timer_.Cancel(); }

 private:
  [[nodiscard]] Slot* FindSlot(bool others_wait);
  [[nodiscard]] size_t ReadsTogether() const;
  void Run(Slot& slot, SharedRead& read);

  // Reads behind slow ones.
  void WatchSoon();
  void Watch();
  [[nodiscard]] bool HasRoomBeside(const Slot& slow, absl::Time now) const;
  void MoveReads(Slot& slot);
  void StopAbandoned(Slot& slot, absl::Time now);
  void CloseUnlessStopped(Slot& slot);

  loop::EventLoop& loop_;
  const config::SharedReads settings_;
  observe::PoolMetrics& metrics_;
  Slots& slots_;
  Cleaner& cleaner_;
  Opener& opener_;
  absl::AnyInvocable<void()> changed_;
  std::deque<SharedRead*> queue_;
  absl::Duration read_time_ = absl::ZeroDuration();  // on the server, a running mean
  loop::Timer slow_timer_;
};

}  // namespace engine::db::pool

#endif  // ENGINE_DB_SERVER_POOL_SHARED_READS_H_

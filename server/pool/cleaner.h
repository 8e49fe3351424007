// What the pool does to a backend's session: back to a clean state after each use, and ready for the next one.
#ifndef ENGINE_DB_SERVER_POOL_CLEANER_H_
#define ENGINE_DB_SERVER_POOL_CLEANER_H_

#include "absl/functional/any_invocable.h"
#include "server/observe/metrics.h"
#include "server/pool/slots.h"
#include "server/postgres/backend.h"

namespace engine::db::pool {

// Loop thread only.
class Cleaner {
 public:
  // `changed`: a backend has become idle, or was closed.
  Cleaner(Slots& slots, observe::PoolMetrics& metrics, absl::AnyInvocable<void()> changed);

  // Takes a leased backend back, in whatever state it is: it becomes idle, or is closed.
  void Begin(Slot& slot);
  // Nothing is in flight any more on one that is being cleaned.
  void Continue(Slot& slot);
  // Nothing is in flight any more on one that ran reads, which are known to leave the session as it was.
  void AfterReads(Slot& slot);

  // What is prepared on every backend but one may be out of date.
  void ForgetPlansBut(const Slot* one);

  // These stand in the pipeline ahead of what is sent next.
  // Makes the server refuse whatever writes, or no more.
  void SetGuard(Slot& slot, bool on);
  // What currval() and lastval() return. `sync`: it succeeds or fails by itself.
  void ForgetSequences(Slot& slot, bool sync);

 private:
  void Reset(Slot& slot);

  Slots& slots_;
  observe::PoolMetrics& metrics_;
  absl::AnyInvocable<void()> changed_;
};

}  // namespace engine::db::pool

#endif  // ENGINE_DB_SERVER_POOL_CLEANER_H_

// The backends of one target: who gets which, who waits, and in what state a backend comes back.
//
// A backend is either leased, to one transaction or statement that has it to itself, or shared: reads of several
// callers stand in its pipeline, each proven read-only and outside a transaction, so that none waits for a lock and
// each can be sent again elsewhere. A server-side guard (default_transaction_read_only) makes sure of that proof. Reads
// behind one that takes long are moved to other backends.
#ifndef ENGINE_DB_SERVER_POOL_POOL_H_
#define ENGINE_DB_SERVER_POOL_POOL_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/random/random.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/config/settings.h"
#include "server/config/target.h"
#include "server/loop/blocking_executor.h"
#include "server/loop/event_loop.h"
#include "server/loop/weak_self.h"
#include "server/observe/metrics.h"
#include "server/pool/lease.h"
#include "server/pool/wait_queue.h"
#include "server/postgres/backend.h"
#include "server/postgres/results.h"

namespace engine::db::pool {

struct Slot;

// A read that may share a pipeline. Belongs to whoever runs it, and stays where it is until its receiver's OnEnd, or
// AbandonRead(). The receiver tells the pool by ReadEnded(), first thing in OnEnd.
struct SharedRead {
  std::shared_ptr<const sql::BoundText> text;
  const sql::BoundParameters* parameters = nullptr;
  postgres::ResultReceiver* receiver = nullptr;
  Patience patience;

  // The pool's own.
  Slot* slot = nullptr;
  postgres::Backend::OperationId operation = 0;
  bool queued = false;
  absl::Time asked_at;
  int connect_failures = 0;
};

// Counts for listings and errors.
struct PoolCounts {
  size_t max_size = 0, open = 0, opening = 0, idle = 0, leased = 0, shared = 0, waiting = 0;
};

// Loop thread only.
class Pool {
 public:
  // The executor reads the password's file.
  Pool(loop::EventLoop& loop, loop::BlockingExecutor& executor, std::unique_ptr<postgres::BackendFactory> backends,
       const config::TargetSettings& settings, const config::SharedReads& shared_reads, size_t max_waiters,
       observe::PoolMetrics& metrics);
  // Nobody may wait or hold a lease any more: see Close().
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // Opens the backends that the settings want to be there always.
  void Start();

  // Somebody begins or ceases to use the pool, and so to have a share of the places for transactions.
  void AddOwner() { waiters_.AddOwner(); }
  void RemoveOwner();

  // Calls back with a backend, perhaps at once, or with an error: the queue is full, or no backend can be opened
  // although that was tried as `patience` allows. Whoever waits too long withdraws the ticket; 0 when it has called
  // back. `owner` is whose place a transaction takes; 0 when its holder has kept one (Lease::ReleaseBackend()), and for
  // other purposes.
  [[nodiscard]] Ticket Acquire(Purpose purpose, OwnerId owner, const Patience& patience, LeaseCallback callback);
  // The callback will not be called. Does nothing for a ticket that was served.
  void Withdraw(Ticket ticket);
  // The same when the deadline has passed, after `waited`; says why the ticket was not served by then.
  [[nodiscard]] absl::Status WithdrawLate(Ticket ticket, absl::Duration waited);

  // Runs a read on a backend that others may use at the same time. An error when the queue is full: then the receiver
  // hears nothing. All other errors come through the receiver, never from within.
  [[nodiscard]] absl::Status RunRead(SharedRead& read);
  // Its result is not wanted any more; its receiver hears nothing more. If it runs already, it is cancelled on the
  // server.
  void AbandonRead(SharedRead& read);
  void ReadEnded(SharedRead& read);
  // Process id of the backend that it runs on; 0 while it waits.
  [[nodiscard]] static int BackendPid(const SharedRead& read);
  // After its receiver's kPause, which holds up everyone behind it.
  void ResumeRead(SharedRead& read);

  // A plan was out of date: so may be whatever is prepared, on every backend.
  void ForgetPlans() { ForgetPlansBut(nullptr); }

  // Closes every backend at once and fails whoever waits. Leases may still be given back.
  void Close();

  // Every backend that there is now closes as soon as nobody uses it: the server behind the name may be another by now.
  void RetireBackends();

  // Breaks the links of the leased backends as well: whatever runs there fails at once.
  void BreakLinks();

  [[nodiscard]] PoolCounts Counts() const;
  // Cancel requests that may not have reached the server yet.
  [[nodiscard]] size_t cancels_under_way() const { return backends_->cancels_under_way(); }
  // "10 of 10 backends in use (8 by transactions), 3 waiting; oldest holders: transaction 12.3s (a1b2c3), ..."
  [[nodiscard]] std::string DescribeUse() const;
  // For a read or a Connect whose deadline passed while it waited: who has the backends, or why none can be opened.
  [[nodiscard]] absl::Status WaitTimeout(absl::Duration waited) const;

 private:
  friend class Lease;

  enum class SlotState : uint8_t { kOpening, kIdle, kShared, kLeased, kCleaning, kClosed };

  friend struct Slot;

  // Who gets what.
  void Dispatch();
  void Grant(Slot& slot, Waiter waiter);
  [[nodiscard]] Slot* FindIdle(bool for_read);
  [[nodiscard]] Slot* FindForRead();
  [[nodiscard]] size_t ReadsTogether() const;
  void StartRead(Slot& slot, SharedRead& read);
  void DrainForWaiters(size_t count);
  [[nodiscard]] absl::Status CheckOpen() const;
  [[nodiscard]] absl::Status CheckQueue();
  void GiveBackPlace(OwnerId owner);
  void AdmitHeldBackSoon();
  [[nodiscard]] size_t Waiting() const { return waiters_.in_line() + read_queue_.size(); }

  // Opening and closing.
  // Begins to open a backend; false when there is no room, or after a failure it is too early.
  bool OpenAnother();
  [[nodiscard]] size_t Size() const;
  void OpenWithPassword(absl::StatusOr<std::string> password);
  void OnOpened(Slot& slot, const absl::Status& status);
  void OnOpenFailed(const absl::Status& status);
  void FailWaiters(const absl::Status& status);
  void CloseSlot(Slot& slot, observe::CloseReason reason);
  void CloseIdle();
  // For loops that close some of them.
  [[nodiscard]] std::vector<Slot*> AllSlots() const;

  // A backend's way back.
  void Release(Slot& slot);
  void Clean(Slot& slot);
  void StartCleaning(Slot& slot);
  void RunInternal(Slot& slot, postgres::Operation operation);
  void Reset(Slot& slot);
  void ForgetPlansBut(const Slot* slot);
  void SetGuard(Slot& slot, bool on);
  void ForgetSequences(Slot& slot, bool sync);
  void OnDrained(Slot& slot);
  void OnLost(Slot& slot, const absl::Status& status);

  // Reads behind slow ones.
  void WatchSoon();
  void WatchSlowReads();
  [[nodiscard]] bool HasRoomBeside(const Slot& slow, absl::Time now) const;
  void MoveReads(Slot& slot);
  void StopAbandoned(Slot& slot, absl::Time now);
  void CloseUnlessStopped(Slot& slot);

  // The one door for a slot's state; keeps the counts.
  void SetState(Slot& slot, SlotState state);

  loop::EventLoop& loop_;
  loop::BlockingExecutor& executor_;
  const std::unique_ptr<postgres::BackendFactory> backends_;
  const config::TargetSettings& settings_;
  const config::SharedReads shared_reads_;
  const size_t max_waiters_;
  observe::PoolMetrics& metrics_;

  std::list<std::unique_ptr<Slot>> slots_;
  size_t idle_ = 0, leased_ = 0, shared_ = 0, opening_ = 0, cleaning_ = 0;
  WaitQueue waiters_;
  std::deque<SharedRead*> read_queue_;
  bool closed_ = false;
  bool dispatching_ = false;
  bool dispatch_again_ = false;

  absl::Duration read_time_ = absl::ZeroDuration();  // of shared reads on the server, a running mean
  int open_failures_ = 0;                            // in a row
  bool secret_reloaded_ = false;                     // since a login was last refused for what may be an old secret
  absl::Status last_open_failure_;
  absl::Time next_open_at_ = absl::InfinitePast();
  absl::BitGen random_;
  loop::Timer reopen_timer_;
  loop::Timer slow_read_timer_;
  loop::Timer idle_timer_;
  loop::WeakSelf<Pool> self_{this};
};

}  // namespace engine::db::pool

#endif  // ENGINE_DB_SERVER_POOL_POOL_H_

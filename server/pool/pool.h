// The backends of one target: who gets which, who waits, and in what state a backend comes back.
//
// A backend is either leased, to one transaction or statement that has it to itself, or shared by reads of several
// callers (shared_reads.h).
#ifndef ENGINE_DB_SERVER_POOL_POOL_H_
#define ENGINE_DB_SERVER_POOL_POOL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/config/settings.h"
#include "server/config/target.h"
#include "server/loop/blocking_executor.h"
#include "server/loop/event_loop.h"
#include "server/loop/weak_self.h"
#include "server/observe/metrics.h"
#include "server/pool/cleaner.h"
#include "server/pool/lease.h"
#include "server/pool/opener.h"
#include "server/pool/report.h"
#include "server/pool/shared_reads.h"
#include "server/pool/slots.h"
#include "server/pool/wait_queue.h"
#include "server/postgres/backend.h"

namespace engine::db::pool {

// Loop thread only.
class Pool {
 public:
  // The executor reads the password's file. All but the factory must outlive the pool.
  Pool(loop::EventLoop& loop, loop::BlockingExecutor& executor, std::unique_ptr<postgres::BackendFactory> backends,
       const config::TargetSettings& settings, const config::SharedReads& shared_reads, size_t max_waiters,
       observe::PoolMetrics& metrics);
  // Nobody may wait or hold a lease any more: see Close().
  ~Pool() { Close(); }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // Opens the backends that the settings want to be there always.
  void Start();

  // Somebody begins or ceases to use the pool, and so to have a share of the places for transactions.
  void AddOwner() { waiters_.AddOwner(); }
  void RemoveOwner();

  // Calls back with a backend, perhaps at once, or with an error: the queue is full, or no backend can be opened
  // although that was tried as `retry_limits` allows. Whoever waits too long withdraws the ticket; 0 when it has called
  // back. `owner` is whose place a transaction takes; 0 when its holder has kept one (Lease::ReleaseBackend()), and for
  // other purposes.
  [[nodiscard]] Ticket Acquire(Purpose purpose, OwnerId owner, const RetryLimits& retry_limits, LeaseCallback callback);
  // The callback will not be called. Does nothing for a ticket that was served.
  void Withdraw(Ticket ticket);
  // The same when the deadline has passed, after `waited`; says why the ticket was not served by then.
  [[nodiscard]] absl::Status WithdrawLate(Ticket ticket, absl::Duration waited);

  // Runs a read on a backend that others may use at the same time. An error when the queue is full: then the receiver
  // hears nothing. All other errors come through the receiver, never from within.
  [[nodiscard]] absl::Status RunRead(SharedRead& read);
  // Its result is not wanted any more; its receiver hears nothing more. If it runs already, it is cancelled on the
  // server.
  void AbandonRead(SharedRead& read) { reads_.Abandon(read); }
  void ReadEnded(SharedRead& read) { reads_.Ended(read); }
  // Process id of the backend that it runs on; 0 while it waits.
  [[nodiscard]] static int BackendPid(const SharedRead& read);
  // After its receiver's kPause, which holds up everyone behind it.
  void ResumeRead(SharedRead& read);

  // A plan was out of date: so may be whatever is prepared, on every backend.
  void ForgetPlans() { cleaner_.ForgetPlansBut(nullptr); }

  // Closes every backend at once and fails whoever waits. Leases may still be given back.
  void Close();

  // Every backend that there is now closes as soon as nobody uses it: the server behind the name may be another by now.
  void RetireBackends();

  // Breaks the links of the leased backends as well: whatever runs there fails at once.
  void BreakLinks();

  [[nodiscard]] PoolCounts Counts() const;
  // Cancel requests that may not have reached the server yet.
  [[nodiscard]] size_t cancels_under_way() const { return backends_->cancels_under_way(); }
  // For errors: see report.h.
  [[nodiscard]] std::string DescribeUse() const;
  // For a read or a Connect whose deadline passed while it waited: who has the backends, or why none can be opened.
  [[nodiscard]] absl::Status WaitTimeout(absl::Duration waited) const;
  // Changes of a backend's state that should never have been tried: errors of the gateway's own.
  [[nodiscard]] size_t internal_errors() const { return slots_.refused(); }

 private:
  friend class Lease;

  enum class Dispatching : uint8_t { kNo, kYes, kAgain };

  [[nodiscard]] size_t Waiting() const { return waiters_.in_line() + reads_.waiting(); }
  [[nodiscard]] absl::Status CheckQueue() const;
  // Gives backends to those who wait, and has more opened.
  void Dispatch();
  void Grant(Slot& slot, Waiter waiter);
  // For those who have waited as long as they would: no backend could be opened.
  void FailWaiters(const absl::Status& status);
  void AdmitHeldBackSoon();
  // Closes backends that had nothing to do for long.
  void CloseIdle();

  // From the leases.
  void GiveBack(Slot& slot);
  void GiveBackPlace(OwnerId owner);

  // From the backends.
  void OnDrained(Slot& slot);
  void OnLost(Slot& slot, const absl::Status& status);

  loop::EventLoop& loop_;
  const config::TargetSettings& settings_;
  const size_t max_waiters_;
  observe::PoolMetrics& metrics_;
  const std::unique_ptr<postgres::BackendFactory> backends_;
  WaitQueue waiters_;
  Slots slots_;
  Cleaner cleaner_;
  Opener opener_;
  SharedReads reads_;
  loop::Timer idle_timer_;
  Dispatching dispatching_ = Dispatching::kNo;
  bool closed_ = false;
  loop::WeakSelf<Pool> self_{this};
};

}  // namespace engine::db::pool

#endif  // ENGINE_DB_SERVER_POOL_POOL_H_

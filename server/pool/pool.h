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
#include "server/observe/metrics.h"
#include "server/postgres/backend.h"
#include "server/postgres/results.h"

namespace engine::db::pool {

class Pool;
struct Slot;

// What a backend is wanted for. Each has its own share of the pool, so that neither starves the other.
enum class Purpose : uint8_t {
  kTransaction,  // at most all but one of the pool's backends, for a pool of two or more
  kAutocommit,
  kReads,  // autocommit, and the server refuses whatever writes, as it does for shared reads
};

// Tells callers apart; never 0.
using OwnerId = uint64_t;

// A backend that one user has to itself until the lease is destroyed. Move-only; must not outlive the pool. Loop thread
// only.
class Lease {
 public:
  Lease() = default;
  Lease(Lease&& other) noexcept;
  Lease& operator=(Lease&& other) noexcept;
  ~Lease();

  [[nodiscard]] bool held() const { return slot_ != nullptr; }
  [[nodiscard]] postgres::Backend& backend() const;
  // Something was run, or is about to be, that changes the session and what texts mean in it: the backend is reset
  // before anyone else gets it, and until then nothing is kept prepared. (In a transaction a stale plan can't be
  // retried.)
  void MarkSessionChanged();
  // For the start of a lease. What currval() and lastval() return is kept by the session, and every INSERT into a table
  // with a serial column changes it: a reset after each would be too dear. So it is forgotten here, ahead in the
  // pipeline, when it is somebody else's; and whosever it is when `reads` says that the holder may look at it.
  void ShieldSequences(OwnerId owner, bool reads);
  // What the holder is about to run: decides, by its text, what has to be done before anyone else gets the backend (a
  // reset, or closing it where no reset helps), and is named by "pool exhausted" errors.
  void WillRun(std::shared_ptr<const sql::Statement> statement, OwnerId owner);
  // What the holder was about to run stands in the pipeline now: decides what holds for whatever comes behind it.
  void HasSent(const sql::Statement& statement);
  // Calls back once, when nothing is in flight on the backend any more, or it is lost. Not after Release().
  void OnDrained(absl::AnyInvocable<void()> callback);
  // Gives the backend back, in whatever state it is.
  void Release();

 private:
  friend class Pool;
  Lease(Pool* pool, Slot* slot) : pool_(pool), slot_(slot) {}

  Pool* pool_ = nullptr;
  Slot* slot_ = nullptr;
};

// What somebody who waits for a backend sits through, while none can be opened.
struct Patience {
  // As the settings of a call that began at `began` allow.
  Patience(const config::RetrySettings& retry, absl::Time began)
      : max_attempts(retry.max_attempts), until(began + retry.budget) {}
  Patience() = default;

  int max_attempts = 1;
  absl::Time until = absl::InfiniteFuture();
};

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
  using LeaseCallback = absl::AnyInvocable<void(absl::StatusOr<Lease>)>;
  using Ticket = uint64_t;  // 0: none

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

  // Calls back with a backend, perhaps at once, or with an error: the queue is full, or no backend can be opened
  // although that was tried as `patience` allows. Who waits too long withdraws the ticket; 0 when it has called back.
  [[nodiscard]] Ticket Acquire(Purpose purpose, const Patience& patience, LeaseCallback callback);
  // The callback will not be called. Does nothing for a ticket that was served.
  void Withdraw(Ticket ticket);

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

  // How many backends transactions may hold at most.
  [[nodiscard]] size_t TransactionLimit() const;
  [[nodiscard]] PoolCounts Counts() const;
  // Cancel requests that may not have reached the server yet.
  [[nodiscard]] size_t cancels_under_way() const { return backends_->cancels_under_way(); }
  // "10 of 10 backends in use (8 by transactions), 3 waiting; oldest holders: transaction 12.3s (a1b2c3), ..."
  [[nodiscard]] std::string DescribeUse() const;
  // For a call whose deadline passed while it waited: who has the backends, or why none can be opened.
  [[nodiscard]] absl::Status WaitTimeout(absl::Duration waited) const;

 private:
  friend class Lease;

  enum class SlotState : uint8_t { kOpening, kIdle, kShared, kLeased, kCleaning, kClosed };

  struct Waiter {
    Ticket ticket;
    Purpose purpose;
    Patience patience;
    int connect_failures;
    absl::Time asked_at;
    LeaseCallback callback;
  };

  friend struct Slot;

  // Who gets what.
  void Dispatch();
  [[nodiscard]] std::deque<Waiter>* NextQueue();
  [[nodiscard]] static std::deque<Waiter>::iterator Find(std::deque<Waiter>& queue, Ticket ticket);
  void Grant(Slot& slot, Waiter waiter);
  [[nodiscard]] Slot* FindIdle(bool for_read);
  [[nodiscard]] Slot* FindForRead();
  [[nodiscard]] size_t ReadsTogether() const;
  void StartRead(Slot& slot, SharedRead& read);
  void DrainForWaiters(size_t count);
  [[nodiscard]] absl::Status CheckQueue();

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
  size_t transactions_ = 0;  // leases for that purpose
  std::deque<Waiter> transaction_queue_;
  std::deque<Waiter> autocommit_queue_;
  std::deque<SharedRead*> read_queue_;
  Ticket next_ticket_ = 1;
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
  std::shared_ptr<Pool*> self_;  // for work that comes back from another thread or a later round
};

}  // namespace engine::db::pool

#endif  // ENGINE_DB_SERVER_POOL_POOL_H_

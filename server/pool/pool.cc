#include "server/pool/pool.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "server/base/failure.h"
#include "server/observe/log.h"

namespace engine::db::pool {
namespace {

// Surplus backends close after so long without work.
constexpr absl::Duration kIdleLifetime = absl::Minutes(5);
constexpr absl::Duration kIdleCheckInterval = absl::Minutes(1);

}  // namespace

Pool::Pool(loop::EventLoop& loop, loop::BlockingExecutor& executor, std::unique_ptr<postgres::BackendFactory> backends,
           const config::TargetSettings& settings, const config::SharedReads& shared_reads, size_t max_waiters,
           observe::PoolMetrics& metrics)
    : loop_(loop),
      settings_(settings),
      max_waiters_(max_waiters),
      metrics_(metrics),
      backends_(std::move(backends)),
      // One is left for those who need none for long.
      waiters_(static_cast<size_t>(std::max(1, settings.max_pool_size - 1))),
      slots_(loop, metrics),
      cleaner_(slots_, metrics, [this] { Dispatch(); }),
      opener_(loop, executor, *backends_, settings, metrics, slots_,
              {.changed = [this] { Dispatch(); },
               .failed = [this](const absl::Status& status) { FailWaiters(status); },
               .drained = [this](Slot& slot) { OnDrained(slot); },
               .lost = [this](Slot& slot, const absl::Status& status) { OnLost(slot, status); }}),
      reads_(loop, shared_reads, metrics, slots_, cleaner_, opener_, [this] { Dispatch(); }),
      idle_timer_(loop) {
  metrics_.max_size.Set(settings_.max_pool_size);
}

void Pool::Start() {
  opener_.OpenMinimum();
  idle_timer_.SetAfter(kIdleCheckInterval, [this] { CloseIdle(); });
}

// --- who wants one

Ticket Pool::Acquire(Purpose purpose, OwnerId owner, const RetryLimits& retry_limits, LeaseCallback callback) {
  const auto refusal = [&]() -> absl::Status {
    // Those who wait for a place of their own owner keep nobody else out, and the other way round.
    if (closed_ || !waiters_.HoldsBack(purpose, owner)) return CheckQueue();
    if (waiters_.held_back() < max_waiters_) return absl::OkStatus();
    metrics_.exhausted.Increment();
    return TooManyWaitForShare(waiters_.share(), max_waiters_);
  };
  if (absl::Status status = refusal(); !status.ok()) {
    callback(std::move(status));
    return 0;
  }
  const Ticket ticket = waiters_.Add({.purpose = purpose,
                                      .owner = owner,
                                      .retry_limits = retry_limits,
                                      .asked_at = loop_.Now(),
                                      .callback = std::move(callback)});
  Dispatch();
  return waiters_.Waits(ticket) ? ticket : 0;
}

absl::Status Pool::RunRead(SharedRead& read) {
  if (absl::Status status = CheckQueue(); !status.ok()) return status;
  reads_.Add(read);
  Dispatch();
  return absl::OkStatus();
}

absl::Status Pool::CheckQueue() const {
  if (closed_) return PoolClosed();
  if (Waiting() < max_waiters_) return absl::OkStatus();
  metrics_.exhausted.Increment();
  return PoolExhausted(max_waiters_, DescribeUse());
}

void Pool::Withdraw(Ticket ticket) {
  waiters_.Withdraw(ticket);
  AdmitHeldBackSoon();
  Dispatch();
}

absl::Status Pool::WithdrawLate(Ticket ticket, absl::Duration waited) {
  if (waiters_.Withdraw(ticket) == WaitQueue::Position::kHeldBack) return ShareExhausted(waiters_.share());
  AdmitHeldBackSoon();
  Dispatch();
  return WaitTimeout(waited);
}

void Pool::RemoveOwner() {
  waiters_.RemoveOwner();  // those who are left may have more
  AdmitHeldBackSoon();
}

// Not from within: whoever gives a place back may be in the middle of something.
void Pool::AdmitHeldBackSoon() {
  if (waiters_.held_back() == 0) return;
  loop_.RunAtEndOfRound(self_.Bind([](Pool& self) {
    if (self.waiters_.AdmitHeldBack()) self.Dispatch();
  }));
}

int Pool::BackendPid(const SharedRead& read) { return read.slot == nullptr ? 0 : read.slot->backend->pid(); }

void Pool::ResumeRead(SharedRead& read) {
  if (read.slot != nullptr) read.slot->backend->ResumeReading();
}

// --- who gets one

void Pool::Dispatch() {
  if (dispatching_ != Dispatching::kNo) {  // a callback asked for more
    dispatching_ = Dispatching::kAgain;
    return;
  }
  do {
    dispatching_ = Dispatching::kYes;
    while (const Waiter* next = waiters_.Next()) {
      Slot* slot = slots_.FindIdle(/*guarded=*/next->purpose == Purpose::kReads);
      if (slot == nullptr) break;
      Grant(*slot, waiters_.Pop());
    }
    reads_.Start(/*others_wait=*/waiters_.Next() != nullptr);
    const size_t exclusive = waiters_.eligible();
    const size_t wanted = exclusive + reads_.waiting();
    while (slots_.count(SlotState::kOpening) < wanted && opener_.Open()) {
    }
    reads_.MakeRoom(exclusive);
  } while (dispatching_ == Dispatching::kAgain);
  dispatching_ = Dispatching::kNo;
  metrics_.waiting.Set(static_cast<double>(Waiting()));
}

void Pool::Grant(Slot& slot, Waiter waiter) {
  slots_.Become(slot, SlotState::kLeased);
  slot.use = {.purpose = waiter.purpose};
  const bool guard = waiter.purpose == Purpose::kReads;
  if (slot.session.guarded != guard) cleaner_.SetGuard(slot, guard);
  metrics_.wait_seconds.Observe(absl::ToDoubleSeconds(loop_.Now() - waiter.asked_at));
  waiter.callback(Lease(this, &slot, waiter.purpose == Purpose::kTransaction ? waiter.owner : 0));
}

// While the pool has other backends, a waiter will get one of those.
void Pool::FailWaiters(const absl::Status& status) {
  if (slots_.open() > 0) return;
  const bool permanent = status.code() == absl::StatusCode::kFailedPrecondition;
  const absl::Time now = loop_.Now();
  const auto gives_up = [&](auto& waiter) {
    ++waiter.connect_failures;
    return permanent || waiter.connect_failures >= waiter.retry_limits.max_attempts || now >= waiter.retry_limits.until;
  };
  std::vector<Waiter> failed = waiters_.RemoveIf(gives_up);
  AdmitHeldBackSoon();
  for (SharedRead* read : reads_.RemoveIf(gives_up)) read->receiver->OnEnd(status);
  for (Waiter& waiter : failed) waiter.callback(status);
}

// --- how they come back, and go

void Pool::GiveBack(Slot& slot) {
  slot.use.drained = nullptr;
  if (slot.use.purpose == Purpose::kTransaction) waiters_.TransactionEnded();
  if (closed_) {
    slots_.Close(slot, observe::CloseReason::kPoolClosed);
  } else {
    cleaner_.Begin(slot);
  }
}

void Pool::GiveBackPlace(OwnerId owner) {
  waiters_.GiveBackPlace(owner);
  AdmitHeldBackSoon();
}

void Pool::OnDrained(Slot& slot) {
  slot.commands.clear();
  switch (slot.state) {
    case SlotState::kShared:
      cleaner_.AfterReads(slot);
      return;
    case SlotState::kCleaning:
      cleaner_.Continue(slot);
      return;
    case SlotState::kLeased:
      if (slot.use.drained) std::exchange(slot.use.drained, nullptr)();
      return;
    case SlotState::kOpening:
    case SlotState::kIdle:
    case SlotState::kClosed:
      return;
  }
}

void Pool::OnLost(Slot& slot, const absl::Status& status) {
  observe::LogWarning(
      "backend lost",
      {{"pool", metrics_.name()}, {"sqlstate", FailureOf(status).sqlstate}, {"backend_pid", slot.backend->pid()}});
  // The holder finds out from its statements, or at the next one; the lease stays valid until it is given back.
  if (slot.state == SlotState::kLeased) {
    if (slot.use.drained) std::exchange(slot.use.drained, nullptr)();
    return;
  }
  slots_.Close(slot, observe::CloseReason::kLost);
  Dispatch();
}

void Pool::CloseIdle() {
  const absl::Time now = loop_.Now();
  for (Slot* slot : slots_.All()) {
    if (slots_.size() <= static_cast<size_t>(settings_.min_pool_size)) break;
    if (slot->state != SlotState::kIdle || now - slot->since < kIdleLifetime) continue;
    slots_.Close(*slot, observe::CloseReason::kIdle);
  }
  opener_.OpenMinimum();
  idle_timer_.SetAt(now + kIdleCheckInterval, [this] { CloseIdle(); });
}

void Pool::RetireBackends() {
  for (Slot* slot : slots_.All()) {
    slot->retired = true;
    slot->draining = true;
    if (slot->state == SlotState::kIdle) slots_.Close(*slot, observe::CloseReason::kRetired);
  }
}

void Pool::BreakLinks() {
  for (Slot* slot : slots_.All()) slot->backend->Close();
}

void Pool::Close() {
  if (std::exchange(closed_, true)) return;
  opener_.Stop();
  reads_.Stop();
  idle_timer_.Cancel();
  const absl::Status closed = PoolClosed();
  std::vector<Waiter> waiters = waiters_.RemoveAll();
  for (SharedRead* read : reads_.RemoveIf([](SharedRead&) { return true; })) read->receiver->OnEnd(closed);
  for (Waiter& waiter : waiters) waiter.callback(closed);
  for (Slot* slot : slots_.All()) {
    if (slot->state != SlotState::kLeased) slots_.Close(*slot, observe::CloseReason::kPoolClosed);
  }
}

// --- what it says of itself

PoolCounts Pool::Counts() const { return CountsOf(slots_, static_cast<size_t>(settings_.max_pool_size), Waiting()); }

std::string Pool::DescribeUse() const {
  return pool::DescribeUse(metrics_.name(), Counts(), waiters_.transactions(), slots_, loop_.Now());
}

absl::Status Pool::WaitTimeout(absl::Duration waited) const {
  metrics_.wait_timeouts.Increment();
  if (!opener_.last_failure().ok() && slots_.open() == 0) return opener_.last_failure();
  return PoolWaitTimeout(waited, DescribeUse());
}

}  // namespace engine::db::pool

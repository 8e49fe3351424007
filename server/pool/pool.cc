// Who gets which backend. pool_backends.cc has how they come and go.
#include "server/pool/pool.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/error.h"
#include "server/loop/clock.h"
#include "server/pool/errors.h"
#include "server/pool/slot.h"

namespace engine::db::pool {
namespace {

using postgres::Backend;

// A read that has run for so long is slow: those behind it go elsewhere. Ten times what a point query takes on a loaded
// server.
constexpr absl::Duration kSlowRead = absl::Milliseconds(5);
// Reads are put in line behind each other of choice while the last one waits no longer than this; measured, eight in
// line give most of what there is to gain.
constexpr absl::Duration kWaitInLine = absl::Milliseconds(1);
constexpr int kMaxReadsTogether = 8;
// How long a cancelled read may go on before its backend is given up.
constexpr absl::Duration kCancelPatience = absl::Milliseconds(500);
// A backend that was used so lately is not looked at before a read.
constexpr absl::Duration kSurelyAlive = absl::Milliseconds(100);

}  // namespace

Pool::Pool(loop::EventLoop& loop, loop::BlockingExecutor& executor, std::unique_ptr<postgres::BackendFactory> backends,
           const config::TargetSettings& settings, const config::SharedReads& shared_reads, size_t max_waiters,
           observe::PoolMetrics& metrics)
    : loop_(loop),
      executor_(executor),
      backends_(std::move(backends)),
      settings_(settings),
      shared_reads_(shared_reads),
      max_waiters_(max_waiters),
      metrics_(metrics),
      // One is left for those who need none for long.
      waiters_(static_cast<size_t>(std::max(1, settings.max_pool_size - 1))),
      reopen_timer_(loop),
      slow_read_timer_(loop),
      idle_timer_(loop) {
  metrics_.max_size.Set(settings_.max_pool_size);
}

Pool::~Pool() { Close(); }

Ticket Pool::Acquire(Purpose purpose, OwnerId owner, const Patience& patience, LeaseCallback callback) {
  const bool held_back = waiters_.HoldsBack(purpose, owner);
  if (held_back && waiters_.held_back() >= max_waiters_) {
    metrics_.exhausted.Increment();
    callback(TooManyWaitForPlace(waiters_.share(), max_waiters_));
    return 0;
  }
  // Those who wait for a place of their own owner keep nobody else out.
  if (absl::Status status = held_back ? CheckOpen() : CheckQueue(); !status.ok()) {
    callback(std::move(status));
    return 0;
  }
  const Ticket ticket = waiters_.Add({.purpose = purpose,
                                      .owner = owner,
                                      .patience = patience,
                                      .asked_at = loop_.Now(),
                                      .callback = std::move(callback)});
  Dispatch();
  return waiters_.Waits(ticket) ? ticket : 0;
}

void Pool::Withdraw(Ticket ticket) {
  if (waiters_.Withdraw(ticket) == WaitQueue::Position::kInLine) AdmitHeldBackSoon();
  Dispatch();
}

absl::Status Pool::WithdrawLate(Ticket ticket, absl::Duration waited) {
  if (waiters_.Withdraw(ticket) == WaitQueue::Position::kHeldBack) return NoPlaceInTime(waiters_.share());
  AdmitHeldBackSoon();
  Dispatch();
  return WaitTimeout(waited);
}

void Pool::RemoveOwner() {
  waiters_.RemoveOwner();  // those who are left may have more
  AdmitHeldBackSoon();
}

void Pool::GiveBackPlace(OwnerId owner) {
  waiters_.GiveBackPlace(owner);
  AdmitHeldBackSoon();
}

// Not from within: whoever gives a place back may be in the middle of something.
void Pool::AdmitHeldBackSoon() {
  if (waiters_.held_back() == 0) return;
  loop_.RunAtEndOfRound(self_.Bind([](Pool& self) {
    if (self.waiters_.AdmitHeldBack()) self.Dispatch();
  }));
}

absl::Status Pool::CheckOpen() const {
  if (!closed_) return absl::OkStatus();
  return MakeError(absl::StatusCode::kFailedPrecondition, v1::ERROR_KIND_CONNECTION, "CONNECTION_CLOSED",
                   "the connection is closed: call Connect again");
}

absl::Status Pool::CheckQueue() {
  if (absl::Status status = CheckOpen(); !status.ok()) return status;
  if (Waiting() < max_waiters_) return absl::OkStatus();
  metrics_.exhausted.Increment();
  v1::DatabaseError detail;
  detail.set_kind(v1::ERROR_KIND_CONNECTION);
  detail.set_phase(v1::PHASE_QUEUED);
  detail.set_outcome(v1::OUTCOME_NOT_EXECUTED);
  detail.set_retryable(true);
  detail.set_retry_after_ms(100);
  detail.set_reason("POOL_EXHAUSTED");
  detail.set_message(absl::StrCat("too many calls wait for a backend (limit ", max_waiters_, "): ", DescribeUse()));
  return MakeError(absl::StatusCode::kResourceExhausted, std::move(detail));
}

absl::Status Pool::RunRead(SharedRead& read) {
  if (absl::Status status = CheckQueue(); !status.ok()) return status;
  read.asked_at = loop_.Now();
  read.connect_failures = 0;
  read.queued = true;
  read_queue_.push_back(&read);
  Dispatch();
  return absl::OkStatus();
}

void Pool::AbandonRead(SharedRead& read) {
  if (read.queued) {
    read.queued = false;
    std::erase(read_queue_, &read);
    Dispatch();
    return;
  }
  Slot* slot = std::exchange(read.slot, nullptr);
  if (slot == nullptr) return;
  slot->backend->Detach(read.operation);
  std::erase(slot->reads, &read);
  if (!slot->backend->usable() || slot->backend->in_flight() == 0) return;
  if (slot->backend->front_id() == read.operation) {
    // It is what the server works on: it is stopped there, after those behind it were brought out of the line of fire.
    slot->draining = true;
    MoveReads(*slot);
    metrics_.cancels.Increment();
    slot->backend->Cancel();
  } else if (!slot->reads.empty()) {
    return;  // others wait for the same
  }
  slot->draining = true;
  slot->stopping = slot->backend->front_id();
  CloseUnlessStopped(*slot);
  WatchSoon();
  Dispatch();  // those that were moved
}

// A server that does not react, or a link that has fallen silent, would keep the place for ever.
void Pool::CloseUnlessStopped(Slot& slot) {
  slot.cleaning_timer.Cancel();
  slot.cleaning_timer.SetAfter(kCancelPatience, [this, &slot] {
    CloseSlot(slot, observe::CloseReason::kUnclean);
    Dispatch();
  });
}

void Pool::ResumeRead(SharedRead& read) {
  if (read.slot != nullptr) read.slot->backend->ResumeReading();
}

int Pool::BackendPid(const SharedRead& read) { return read.slot == nullptr ? 0 : read.slot->backend->pid(); }

void Pool::ReadEnded(SharedRead& read) {
  Slot* slot = std::exchange(read.slot, nullptr);
  if (slot == nullptr) return;
  std::erase(slot->reads, &read);
  read_time_ += (slot->backend->front_took() - read_time_) / 16;
}

// --- who gets what

void Pool::Dispatch() {
  if (dispatching_) {  // a callback asked for more
    dispatch_again_ = true;
    return;
  }
  dispatching_ = true;
  do {
    dispatch_again_ = false;
    while (const Waiter* next = waiters_.Next()) {
      Slot* slot = FindIdle(/*for_read=*/next->purpose == Purpose::kReads);
      if (slot == nullptr) break;
      Grant(*slot, waiters_.Pop());
    }
    while (!read_queue_.empty()) {
      Slot* slot = FindForRead();
      if (slot == nullptr) break;
      SharedRead* read = read_queue_.front();
      read_queue_.pop_front();
      StartRead(*slot, *read);
    }
    const size_t exclusive = waiters_.eligible();
    const size_t wanted = exclusive + read_queue_.size();
    while (opening_ < wanted && OpenAnother()) {
    }
    DrainForWaiters(exclusive);
  } while (dispatch_again_);
  dispatching_ = false;
  metrics_.waiting.Set(static_cast<double>(Waiting()));
}

// A backend that is in the right mode already, if there is one. One whose server has hung up is replaced without a
// word.
Slot* Pool::FindIdle(bool for_read) {
  while (idle_ > 0) {
    Slot* best = nullptr;
    for (const auto& slot : slots_) {
      if (slot->state != SlotState::kIdle) continue;
      best = slot.get();
      if (slot->guarded == for_read) break;
    }
    // If not, OnLost closes it. A read is simply repeated, so that a look each time costs more than it saves.
    if (!for_read || loop_.Now() - best->since > kSurelyAlive) best->backend->CheckAlive();
    if (best->state == SlotState::kIdle) return best;
  }
  return nullptr;
}

void Pool::Grant(Slot& slot, Waiter waiter) {
  SetState(slot, SlotState::kLeased);
  slot.purpose = waiter.purpose;
  slot.session_changed = false;
  slot.statement.reset();
  const bool guard = waiter.purpose == Purpose::kReads;
  if (slot.guarded != guard) SetGuard(slot, guard);
  metrics_.wait_seconds.Observe(absl::ToDoubleSeconds(loop_.Now() - waiter.asked_at));
  waiter.callback(Lease(this, &slot, waiter.purpose == Purpose::kTransaction ? waiter.owner : 0));
}

// An idle backend first, for then reads run side by side on the server; else the shortest pipeline that has room.
Slot* Pool::FindForRead() {
  // Those of one round leave together, while they are short: one system call and one wake-up of the server for all.
  if (const size_t together = ReadsTogether(); together > 1) {
    for (const auto& slot : slots_) {
      if (slot->state == SlotState::kShared && !slot->draining && slot->backend->flush_planned() &&
          slot->reads.size() < together) {
        return slot.get();
      }
    }
  }
  // An idle backend belongs to those who need one for themselves, while such wait.
  if (waiters_.Next() == nullptr) {
    if (Slot* idle = FindIdle(/*for_read=*/true)) return idle;
  }
  if (!shared_reads_.enabled) return nullptr;
  Slot* best = nullptr;
  for (const auto& slot : slots_) {
    if (slot->state != SlotState::kShared || slot->draining) continue;
    if (slot->reads.size() >= static_cast<size_t>(shared_reads_.depth)) continue;
    if (best == nullptr || slot->reads.size() < best->reads.size()) best = slot.get();
  }
  return best;
}

// How many may stand in line for one backend before another is the better choice.
size_t Pool::ReadsTogether() const {
  if (!shared_reads_.enabled) return 1;
  const int64_t fit = kWaitInLine / std::max(read_time_, absl::Microseconds(1));
  return static_cast<size_t>(std::clamp<int64_t>(fit, 1, std::min(kMaxReadsTogether, shared_reads_.depth)));
}

void Pool::StartRead(Slot& slot, SharedRead& read) {
  if (slot.state != SlotState::kShared) {
    SetState(slot, SlotState::kShared);
    slot.draining = false;
    if (!slot.guarded) {
      // In one go with the guard. Behind a guard nothing advances a sequence.
      if (slot.sequences_of != 0) ForgetSequences(slot, /*sync=*/false);
      SetGuard(slot, true);
    }
  }
  read.queued = false;
  read.slot = &slot;
  slot.reads.push_back(&read);
  metrics_.wait_seconds.Observe(absl::ToDoubleSeconds(loop_.Now() - read.asked_at));
  postgres::Operation operation;
  operation.text = read.text;
  operation.parameters = read.parameters;
  operation.receiver = read.receiver;
  read.operation = slot.backend->Run(operation);
  // Reads that stand in line could run side by side.
  if (slot.reads.size() > ReadsTogether() && opening_ == 0 && idle_ == 0) OpenAnother();
  if (slot.reads.size() > 1) WatchSoon();
}

// As many shared backends stop taking reads as calls wait for a backend of their own; the emptiest first.
void Pool::DrainForWaiters(size_t count) {
  if (shared_ == 0) return;
  size_t coming = opening_ + cleaning_;
  for (const auto& slot : slots_) {
    if (slot->state == SlotState::kShared && slot->draining) ++coming;
  }
  while (coming < count) {
    Slot* best = nullptr;
    for (const auto& slot : slots_) {
      if (slot->state != SlotState::kShared || slot->draining) continue;
      if (best == nullptr || slot->reads.size() < best->reads.size()) best = slot.get();
    }
    if (best == nullptr) return;
    best->draining = true;
    ++coming;
  }
}

// --- reads behind slow ones

void Pool::WatchSoon() {
  if (slow_read_timer_.is_set()) return;
  slow_read_timer_.SetAfter(kSlowRead, [this] { WatchSlowReads(); });
}

void Pool::WatchSlowReads() {
  const absl::Time now = loop_.Now();
  bool crowded = false;
  bool moved = false;
  for (const auto& slot : slots_) {
    if (slot->state != SlotState::kShared) continue;
    if (slot->reads.empty() && slot->backend->in_flight() > 0) {
      crowded = true;
      StopAbandoned(*slot, now);
    }
    if (slot->reads.size() < 2) continue;
    crowded = true;
    if (now - slot->backend->front_since() < kSlowRead || !HasRoomBeside(*slot, now)) continue;
    slot->draining = true;
    MoveReads(*slot);
    moved = true;
  }
  if (crowded) WatchSoon();
  if (moved) Dispatch();
}

// Whether a read would be better off elsewhere: when every backend is as slow, waiting in line is as good as waiting in
// the queue.
bool Pool::HasRoomBeside(const Slot& slow, absl::Time now) const {
  if (idle_ > 0 || Size() < static_cast<size_t>(settings_.max_pool_size)) return true;
  return std::any_of(slots_.begin(), slots_.end(), [&](const std::unique_ptr<Slot>& slot) {
    return slot.get() != &slow && slot->state == SlotState::kShared && !slot->draining &&
           slot->reads.size() < static_cast<size_t>(shared_reads_.depth) &&
           now - slot->backend->front_since() < kSlowRead;
  });
}

// What runs there runs for nobody, and so does all behind it: a slow one is stopped. Most end sooner by themselves.
void Pool::StopAbandoned(Slot& slot, absl::Time now) {
  slot.draining = true;
  if (now - slot.backend->front_since() < kSlowRead || slot.backend->cancelling()) return;
  if (std::exchange(slot.stopping, slot.backend->front_id()) != slot.backend->front_id()) CloseUnlessStopped(slot);
  metrics_.cancels.Increment();
  slot.backend->Cancel();
}

// Puts the reads behind the one that runs back to the head of the queue. The server still runs them here, for nobody.
void Pool::MoveReads(Slot& slot) {
  const Backend::OperationId running = slot.backend->in_flight() > 0 ? slot.backend->front_id() : 0;
  while (!slot.reads.empty() && slot.reads.back()->operation != running) {
    SharedRead* read = slot.reads.back();
    slot.reads.pop_back();
    slot.backend->Detach(read->operation);
    read->slot = nullptr;
    read->queued = true;
    read_queue_.push_front(read);
  }
}

}  // namespace engine::db::pool

// How the pool's backends come and go: opening, closing, and the way back to a clean state.
#include <algorithm>
#include <utility>
#include <vector>

#include "server/base/error.h"
#include "server/loop/clock.h"
#include "server/observe/log.h"
#include "server/pool/backoff.h"
#include "server/pool/pool.h"
#include "server/pool/slot.h"
#include "server/postgres/command_text.h"
#include "server/postgres/sqlstate.h"

namespace engine::db::pool {
namespace {

using postgres::Backend;

// Bringing a backend back to a clean state is a round trip or two; one that needs longer is not worth waiting for.
constexpr absl::Duration kCleaningTime = absl::Seconds(5);
// Between two tries to reach a server that is away.
constexpr absl::Duration kLongestReopenDelay = absl::Milliseconds(500);
// Surplus backends close after so long without work.
constexpr absl::Duration kIdleLifetime = absl::Minutes(5);

// Made once; never destroyed, since backends may still run them while the process exits.
const std::shared_ptr<const sql::BoundText>& Guard(bool on) {
  using Text = std::shared_ptr<const sql::BoundText>;
  static const auto* on_text = new Text(postgres::CommandText("SET default_transaction_read_only = on"));
  static const auto* off_text = new Text(postgres::CommandText("RESET default_transaction_read_only"));
  return on ? *on_text : *off_text;
}

const std::shared_ptr<const sql::BoundText>& DiscardSequences() {
  static const auto* text = new std::shared_ptr<const sql::BoundText>(postgres::CommandText("DISCARD SEQUENCES"));
  return *text;
}

// What a caller gave setseed() outlives DISCARD ALL, and would let him know the next caller's random numbers. 48 bits
// of the server's own randomness, from -1 to 1.
constexpr char kNewSeed[] =
    "SELECT pg_catalog.setseed(('x' || translate(left(pg_catalog.gen_random_uuid()::text, 13), '-', ''))::bit(48)"
    "::bigint / 140737488355328.0::float8 - 1)";

}  // namespace

void Pool::Start() {
  while (Size() < static_cast<size_t>(settings_.min_pool_size) && OpenAnother()) {
  }
  idle_timer_.SetAfter(kIdleLifetime / 5, [this] { CloseIdle(); });
}

size_t Pool::Size() const { return opening_ + idle_ + leased_ + shared_ + cleaning_; }

bool Pool::OpenAnother() {
  if (closed_ || Size() >= static_cast<size_t>(settings_.max_pool_size)) return false;
  const absl::Time now = loop_.Now();
  if (now < next_open_at_) {
    if (!reopen_timer_.is_set()) {
      reopen_timer_.SetAt(next_open_at_, [this] { Dispatch(); });
    }
    return false;
  }
  if (settings_.password_file.empty()) {
    OpenWithPassword(settings_.password);
    return true;
  }
  // Read each time: a rotated password is found without a restart.
  ++opening_;
  auto open = self_.Bind([](Pool& self, absl::StatusOr<std::string> password) {
    --self.opening_;
    if (!self.closed_) self.OpenWithPassword(std::move(password));
  });
  executor_.Run([open = std::move(open), &loop = loop_, settings = settings_]() mutable {
    loop.Post([open = std::move(open), password = settings.ReadPassword()]() mutable { open(std::move(password)); });
  });
  return true;
}

void Pool::OpenWithPassword(absl::StatusOr<std::string> password) {
  if (!password.ok()) {
    OnOpenFailed(password.status());
    return;
  }
  auto owned = std::make_unique<Slot>(loop_);
  Slot& slot = *owned;
  slots_.push_back(std::move(owned));
  ++opening_;
  SetState(slot, SlotState::kOpening);
  Backend::Events events;
  events.opened = [this, &slot](const absl::Status& status) { OnOpened(slot, status); };
  events.drained = [this, &slot] { OnDrained(slot); };
  events.lost = [this, &slot](const absl::Status& status) { OnLost(slot, status); };
  slot.backend = backends_->Open(*std::move(password), loop_.Now() + settings_.ConnectTimeout(), std::move(events));
}

void Pool::OnOpened(Slot& slot, const absl::Status& status) {
  if (!status.ok()) {
    CloseSlot(slot, observe::CloseReason::kLost);
    OnOpenFailed(status);
    return;
  }
  open_failures_ = 0;
  secret_reloaded_ = false;
  last_open_failure_ = absl::OkStatus();
  next_open_at_ = absl::InfinitePast();
  metrics_.opened.Increment();
  if (slot.retired) {
    CloseSlot(slot, observe::CloseReason::kRetired);
  } else {
    SetState(slot, SlotState::kIdle);
  }
  Dispatch();
}

void Pool::OnOpenFailed(const absl::Status& status) {
  ++open_failures_;
  last_open_failure_ = status;
  metrics_.open_failures.Increment();
  const v1::DatabaseError detail = ErrorDetail(status);
  observe::LogWarning("can't open a backend", {{"pool", metrics_.name()},
                                               {"reason", detail.reason()},
                                               {"sqlstate", detail.sqlstate()},
                                               {"failures", open_failures_}});
  // One at a time tries for all who wait: the delay spares nobody, it only keeps them waiting when the server is back.
  next_open_at_ = loop_.Now() + std::min(kLongestReopenDelay, BackoffDelay(settings_.retry, open_failures_, random_));
  // The file may have been about to change when it was read: nobody hears of the first refusal.
  const bool may_be_old = !settings_.password_file.empty() && postgres::MayMeanOldSecret(detail.sqlstate());
  if (!may_be_old || std::exchange(secret_reloaded_, true)) FailWaiters(status);
  Dispatch();
}

// While the pool has other backends, a waiter will get one of those.
void Pool::FailWaiters(const absl::Status& status) {
  if (idle_ + leased_ + shared_ + cleaning_ > 0) return;
  const bool permanent = status.code() == absl::StatusCode::kFailedPrecondition;
  const absl::Time now = loop_.Now();
  const auto gives_up = [&](const Patience& patience, int failures) {
    return permanent || failures >= patience.max_attempts || now >= patience.until;
  };
  std::vector<Waiter> failed =
      waiters_.RemoveIf([&](Waiter& waiter) { return gives_up(waiter.patience, ++waiter.connect_failures); });
  AdmitHeldBackSoon();
  std::vector<SharedRead*> failed_reads;
  std::erase_if(read_queue_, [&](SharedRead* read) {
    const bool give_up = gives_up(read->patience, ++read->connect_failures);
    if (give_up) failed_reads.push_back(read);
    return give_up;
  });
  for (SharedRead* read : failed_reads) {
    read->queued = false;
    read->receiver->OnEnd(status);
  }
  for (Waiter& waiter : failed) waiter.callback(status);
}

void Pool::CloseSlot(Slot& slot, observe::CloseReason reason) {
  if (slot.state == SlotState::kClosed) return;
  slot.cleaning_timer.Cancel();
  if (slot.state != SlotState::kOpening) metrics_.BackendClosed(reason);
  SetState(slot, SlotState::kClosed);
  slot.backend->Close();
  const auto found =
      std::find_if(slots_.begin(), slots_.end(), [&](const std::unique_ptr<Slot>& s) { return s.get() == &slot; });
  if (found == slots_.end()) return;
  loop_.DestroyLater(std::move(*found));  // we may be within a callback of the backend
  slots_.erase(found);
}

void Pool::CloseIdle() {
  const absl::Time now = loop_.Now();
  std::vector<Slot*> surplus;
  size_t open = Size();
  for (const auto& slot : slots_) {
    if (slot->state != SlotState::kIdle || now - slot->since < kIdleLifetime) continue;
    if (open <= static_cast<size_t>(settings_.min_pool_size)) break;
    surplus.push_back(slot.get());
    --open;
  }
  for (Slot* slot : surplus) CloseSlot(*slot, observe::CloseReason::kIdle);
  while (Size() < static_cast<size_t>(settings_.min_pool_size) && OpenAnother()) {
  }
  idle_timer_.SetAt(now + kIdleLifetime / 5, [this] { CloseIdle(); });
}

void Pool::Close() {
  if (closed_) return;
  closed_ = true;
  reopen_timer_.Cancel();
  slow_read_timer_.Cancel();
  idle_timer_.Cancel();
  const absl::Status closed = CheckOpen();
  std::vector<Waiter> waiters = waiters_.RemoveAll();
  for (SharedRead* read : std::exchange(read_queue_, {})) {
    read->queued = false;
    read->receiver->OnEnd(closed);
  }
  for (Waiter& waiter : waiters) waiter.callback(closed);
  for (Slot* slot : AllSlots()) {
    if (slot->state != SlotState::kLeased) CloseSlot(*slot, observe::CloseReason::kPoolClosed);
  }
}

void Pool::RetireBackends() {
  for (Slot* slot : AllSlots()) {
    slot->retired = true;
    slot->draining = true;
    if (slot->state == SlotState::kIdle) CloseSlot(*slot, observe::CloseReason::kRetired);
  }
}

std::vector<Slot*> Pool::AllSlots() const {
  std::vector<Slot*> slots;
  slots.reserve(slots_.size());
  for (const auto& slot : slots_) slots.push_back(slot.get());
  return slots;
}

void Pool::BreakLinks() {
  for (Slot* slot : AllSlots()) {
    if (slot->backend != nullptr) slot->backend->Close();
  }
}

// --- a backend's way back

void Pool::Release(Slot& slot) {
  slot.drained = nullptr;
  if (slot.purpose == Purpose::kTransaction) waiters_.TransactionEnded();
  if (closed_) {
    CloseSlot(slot, observe::CloseReason::kPoolClosed);
    return;
  }
  StartCleaning(slot);
}

void Pool::StartCleaning(Slot& slot) {
  SetState(slot, SlotState::kCleaning);
  slot.cleaning_timer.SetAfter(kCleaningTime, [this, &slot] {
    CloseSlot(slot, observe::CloseReason::kUnclean);
    Dispatch();
  });
  Clean(slot);
}

// Decides what becomes of a backend that was given back: one step at a time, again after each, until it is clean or
// closed.
void Pool::Clean(Slot& slot) {
  const auto close = [&](observe::CloseReason reason) {
    CloseSlot(slot, reason);
    Dispatch();
  };
  if (slot.schema_changed && !slot.backend->busy()) {
    slot.schema_changed = false;
    ForgetPlansBut(&slot);
  }
  if (!slot.backend->usable()) return close(observe::CloseReason::kLost);
  if (slot.retired) return close(observe::CloseReason::kRetired);
  if (slot.internal_failed) return close(observe::CloseReason::kUnclean);
  if (slot.backend->busy()) return;  // OnDrained comes back here
  if (slot.backend->in_transaction()) return RunInternal(slot, {.text = postgres::CommandText("ROLLBACK")});
  if (slot.outlasts_reset) return close(observe::CloseReason::kUnclean);
  if (std::exchange(slot.resetting, false)) {
    slot.backend->AcceptReportedSettings();  // the defaults themselves may have changed
    return Clean(slot);
  }
  if (slot.session_changed || slot.backend->ReportedSettingsChanged()) return Reset(slot);
  slot.cleaning_timer.Cancel();
  SetState(slot, SlotState::kIdle);
  Dispatch();
}

// PostgreSQL notices that a prepared statement's tables have changed, but goes on with the parameter types that it had
// inferred before: a timestamp's time zone would be dropped where the column has become a timestamptz.
void Pool::ForgetPlansBut(const Slot* other) {
  for (Slot* slot : AllSlots()) {
    if (slot == other || slot->state == SlotState::kOpening || slot->state == SlotState::kClosed) continue;
    slot->backend->ForgetPreparedStatements();
    slot->session_changed = true;  // the server still has them
    if (slot->state == SlotState::kIdle) StartCleaning(*slot);
  }
}

void Pool::Reset(Slot& slot) {
  slot.resetting = true;
  slot.session_changed = false;
  slot.sequences_of = 0;
  slot.guarded = false;
  metrics_.resets.Increment();
  RunInternal(slot, {.text = postgres::CommandText("DISCARD ALL")});
  slot.backend->StartPreparing();
  RunInternal(slot, {.text = postgres::CommandText(kNewSeed)});
}

// A failure is found by Clean() or OnDrained().
void Pool::RunInternal(Slot& slot, postgres::Operation operation) {
  slot.internal.push_back(
      std::make_unique<postgres::CommandResult>([&slot](const absl::StatusOr<postgres::Completion>& end) {
        if (!end.ok()) slot.internal_failed = true;
      }));
  operation.receiver = slot.internal.back().get();
  slot.backend->Run(operation);
}

void Pool::SetGuard(Slot& slot, bool on) {
  slot.guarded = on;
  RunInternal(slot, {.text = Guard(on)});
}

void Pool::ForgetSequences(Slot& slot, bool sync) {
  slot.sequences_of = 0;
  RunInternal(slot, {.text = DiscardSequences(), .sync = sync});
}

void Pool::OnDrained(Slot& slot) {
  slot.internal.clear();
  switch (slot.state) {
    case SlotState::kShared:
      slot.cleaning_timer.Cancel();
      if (slot.retired) {
        CloseSlot(slot, observe::CloseReason::kRetired);
      } else if (slot.internal_failed) {  // the guard could not be set: never seen, but then nothing is proven
        CloseSlot(slot, observe::CloseReason::kUnclean);
      } else if (slot.session_changed || slot.backend->ReportedSettingsChanged()) {
        StartCleaning(slot);
      } else {
        SetState(slot, SlotState::kIdle);
      }
      Dispatch();
      return;
    case SlotState::kCleaning:
      Clean(slot);
      return;
    case SlotState::kLeased:
      if (slot.drained) std::exchange(slot.drained, nullptr)();
      return;
    default:
      return;
  }
}

void Pool::OnLost(Slot& slot, const absl::Status& status) {
  const v1::DatabaseError detail = ErrorDetail(status);
  observe::LogWarning(
      "backend lost",
      {{"pool", metrics_.name()}, {"sqlstate", detail.sqlstate()}, {"backend_pid", slot.backend->pid()}});
  // Whoever holds it finds out from its statements, or at the next one; the lease stays valid until it is given back.
  if (slot.state == SlotState::kLeased) {
    if (slot.drained) std::exchange(slot.drained, nullptr)();
    return;
  }
  CloseSlot(slot, observe::CloseReason::kLost);
  Dispatch();
}

void Pool::SetState(Slot& slot, SlotState state) {
  const auto count = [this](SlotState s) -> size_t* {
    switch (s) {
      case SlotState::kOpening:
        return &opening_;
      case SlotState::kIdle:
        return &idle_;
      case SlotState::kShared:
        return &shared_;
      case SlotState::kLeased:
        return &leased_;
      case SlotState::kCleaning:
        return &cleaning_;
      case SlotState::kClosed:
        break;
    }
    return nullptr;
  };
  if (slot.state != state) {
    if (size_t* before = count(slot.state)) --*before;
    if (size_t* after = count(state)) ++*after;
  }
  slot.state = state;
  slot.since = loop_.Now();
  metrics_.opening.Set(static_cast<double>(opening_));
  metrics_.idle.Set(static_cast<double>(idle_));
  metrics_.leased.Set(static_cast<double>(leased_ + cleaning_));
  metrics_.shared.Set(static_cast<double>(shared_));
}

}  // namespace engine::db::pool

#include "server/call/transaction.h"

#include <algorithm>
#include <utility>

#include "server/call/call.h"
#include "server/call/shard.h"
#include "server/call/target.h"
#include "server/loop/clock.h"
#include "server/observe/log.h"

namespace engine::db::call {
namespace {

// How long a stream may stand still, for its reader's sake, before those who wait behind it are refused. A steady
// reader's pauses are shorter; one that is stuck is told soon.
constexpr absl::Duration kStreamPauseLimit = absl::Milliseconds(500);

absl::Duration OrDefault(uint32_t milliseconds, absl::Duration otherwise) {
  return milliseconds == 0 ? otherwise : absl::Milliseconds(milliseconds);
}

uint32_t MillisecondsUntil(absl::Time when, absl::Time now) {
  return static_cast<uint32_t>(std::max<int64_t>(0, absl::ToInt64Milliseconds(when - now)));
}

}  // namespace

Transaction::Terms Transaction::TermsOf(const CallPlan& plan, const config::Limits& limits, absl::Time now) {
  Terms terms;
  terms.connection_id = plan.connection_id;
  terms.session = plan.begin->outlives_session() ? SessionId{0} : plan.session;
  terms.read_only = plan.begin->read_only();
  terms.idle_timeout = OrDefault(plan.begin->idle_timeout_ms(), limits.transaction_idle);
  terms.ends_at = now + OrDefault(plan.begin->max_duration_ms(), limits.transaction_lifetime);
  return terms;
}

Transaction::Transaction(Target& target, std::string id, const CallPlan& plan, pool::Lease lease)
    : target_(target),
      id_(std::move(id)),
      terms_(TermsOf(plan, target.context().settings.limits, target.loop().Now())),
      lease_(std::move(lease)),
      replay_(plan.begin->replay() ? std::make_unique<Replay>(target, OwnerOf(plan), BeginText(*plan.begin)) : nullptr),
      idle_timer_(target.loop()),
      stream_timer_(target.loop()),
      lease_timer_(target.loop()),
      weak_(this) {
  activity_.began = activity_.idle_since = target.loop().Now();
  lease_timer_.SetAt(terms_.ends_at, [this] { Abort(StopReason::kTransactionExpired); });
  ArmIdleTimer();
}

Transaction::~Transaction() = default;

void Transaction::SetRecord(Record record) {
  record_ = std::move(record);
  if (!record_.mark.has_value()) return;
  record_.mark->replayable = replay_ != nullptr;
  record_.mark->elsewhere = record_.reach.at_most();
}

void Transaction::Enqueue(Call& call) {
  idle_timer_.Cancel();
  queue_.push_back(&call);
  call.WaitIn(*this);
  // Otherwise it waits its turn, perhaps for a cancel request to land.
  if (running_ == nullptr && queue_.size() == 1) RunNext();
  ArmStreamTimer();
}

void Transaction::Remove(Call& call) {
  std::erase(queue_, &call);
  if (running_ == nullptr && queue_.empty()) ArmIdleTimer();
}

void Transaction::SetStreamPaused(bool paused) {
  stream_paused_at_ = paused ? target_.loop().Now() : absl::InfiniteFuture();
  ArmStreamTimer();
}

void Transaction::ArmStreamTimer() {
  stream_timer_.Cancel();
  if (stream_paused_at_ == absl::InfiniteFuture() || queue_.empty()) return;
  stream_timer_.SetAt(stream_paused_at_ + kStreamPauseLimit, [this] { RefuseWaiting(); });
}

void Transaction::RefuseWaiting() {
  while (!queue_.empty()) {
    if (queue_.front()->plan().ending == Ending::kRollback) {
      running_->Stop(StopReason::kRolledBack);  // then it is the rollback's turn
      return;
    }
    Call& call = *queue_.front();
    queue_.pop_front();
    call.RefuseBehindStream();
  }
}

bool Transaction::committing() const { return running_ != nullptr && running_->plan().ending == Ending::kCommit; }

void Transaction::RunNext() {
  // A cancel request for the call before may still be on its way: what is sent now could be hit by it.
  if (!lost() && lease_.backend().busy()) {
    idle_timer_.Cancel();
    lease_.OnDrained([this] {
      if (running_ == nullptr && !queue_.empty()) RunNext();
    });
    return;
  }
  running_ = queue_.front();
  queue_.pop_front();
  ++activity_.statements;
  if (std::string fingerprint = running_->fingerprint(); !fingerprint.empty())
    activity_.last_fingerprint = std::move(fingerprint);
  running_->RunInTransaction();
}

void Transaction::CallEnded() {
  running_ = nullptr;
  SetStreamPaused(false);
  activity_.idle_since = target_.loop().Now();
  if (abort_reason_ != StopReason::kNone) {
    Conclude(abort_reason_ == StopReason::kTransactionExpired ? v1::TRANSACTION_STATE_EXPIRED
                                                              : v1::TRANSACTION_STATE_ROLLED_BACK,
             abort_reason_ == StopReason::kTransactionExpired ? observe::Conclusion::kExpired
                                                              : observe::Conclusion::kRolledBack);
    return;
  }
  if (queue_.empty()) {
    ArmIdleTimer();
    return;
  }
  // Not from within the call that has just ended.
  target_.loop().RunAtEndOfRound(weak_.Bind([](Transaction& self) {
    if (self.running_ == nullptr && !self.queue_.empty()) self.RunNext();
  }));
}

void Transaction::Conclude(v1::TransactionState state, observe::Conclusion conclusion, const absl::Status& doubt) {
  running_ = nullptr;
  SetStreamPaused(false);
  target_.metrics().TransactionEnded(conclusion);
  if (conclusion == observe::Conclusion::kExpired || conclusion == observe::Conclusion::kLost ||
      conclusion == observe::Conclusion::kUnknown) {
    observe::LogWarning("transaction ended badly", {{"pool", target_.metrics().name()},
                                                    {"transaction", HandlePrefix(id_)},
                                                    {"state", v1::TransactionState_Name(state)},
                                                    {"age_seconds", target_.loop().Now() - activity_.began},
                                                    {"statements", activity_.statements},
                                                    {"last_fingerprint", activity_.last_fingerprint}});
  }
  std::deque<Call*> waiting;
  waiting.swap(queue_);
  target_.EndTransaction(*this, state, doubt);                 // this object goes at the end of the round
  for (Call* call : waiting) target_.RunInTransaction(*call);  // which answers from the tombstone
}

void Transaction::Abort(StopReason reason) {
  if (abort_reason_ != StopReason::kNone) return;
  abort_reason_ = reason;
  if (running_ != nullptr) {
    running_->Stop(reason);  // ends in CallEnded or Conclude, now or soon
    return;
  }
  CallEnded();
}

void Transaction::KeepAlive() {
  activity_.idle_since = target_.loop().Now();
  if (running_ == nullptr && queue_.empty()) ArmIdleTimer();
}

void Transaction::ArmIdleTimer() {
  idle_timer_.Cancel();
  idle_timer_.SetAfter(terms_.idle_timeout, [this] { Abort(StopReason::kTransactionExpired); });
}

v1::TransactionStatus Transaction::Status() const {
  const absl::Time now = target_.loop().Now();
  v1::TransactionStatus status;
  status.set_transaction_id(id_);
  const bool run_again = running_ != nullptr && !lease_.held();  // just now: whether it is lost remains to be seen
  status.set_state(run_again  ? v1::TRANSACTION_STATE_OPEN
                   : lost()   ? v1::TRANSACTION_STATE_LOST
                   : failed() ? v1::TRANSACTION_STATE_FAILED
                              : v1::TRANSACTION_STATE_OPEN);
  status.set_idle_left_ms(MillisecondsUntil(now + terms_.idle_timeout, now));
  status.set_lease_left_ms(MillisecondsUntil(terms_.ends_at, now));
  if (record_.mark.has_value() && record_.mark->xid != 0) {
    status.set_recovery_token(record_.mark->ToToken());
  } else if (record_.mark_due) {
    status.set_recovery_token(std::string(postgres::kUnmarkedToken));
  }
  return status;
}

v1::TransactionInfo Transaction::Info() const {
  const absl::Time now = target_.loop().Now();
  v1::TransactionInfo info;
  info.set_transaction_prefix(HandlePrefix(id_));
  info.set_pool(target_.metrics().name());
  info.set_state(Status().state());
  info.set_age_ms(absl::ToInt64Milliseconds(now - activity_.began));
  info.set_idle_ms(running_ != nullptr ? 0 : absl::ToInt64Milliseconds(now - activity_.idle_since));
  info.set_statements(activity_.statements);
  info.set_last_fingerprint(activity_.last_fingerprint);
  info.set_backend_pid(lease_.held() ? lease_.backend().pid() : 0);
  return info;
}

}  // namespace engine::db::call

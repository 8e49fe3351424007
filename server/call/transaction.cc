#include "server/call/transaction.h"

#include <algorithm>
#include <utility>

#include "server/call/shard.h"
#include "server/call/statement_call.h"
#include "server/call/target.h"
#include "server/loop/clock.h"
#include "server/observe/log.h"

namespace engine::db::call {
namespace {

// How long a stream may stand still, for its reader's sake, before those who wait behind it are refused. A steady
// reader's pauses are shorter; one that is stuck is told soon.
constexpr absl::Duration kStreamPatience = absl::Milliseconds(500);

absl::Duration OrDefault(uint32_t milliseconds, absl::Duration otherwise) {
  return milliseconds == 0 ? otherwise : absl::Milliseconds(milliseconds);
}

uint32_t MillisecondsUntil(absl::Time when, absl::Time now) {
  return static_cast<uint32_t>(std::max<int64_t>(0, absl::ToInt64Milliseconds(when - now)));
}

}  // namespace

Transaction::Transaction(Target& target, std::string id, const Work& work, pool::Lease lease)
    : target_(target),
      loop_(target.shard().loop()),
      id_(std::move(id)),
      connection_id_(work.connection_id),
      session_(work.begin->outlives_session() ? SessionId{0} : work.session),
      began_(loop_.Now()),
      read_only_(work.begin->read_only()),
      idle_timeout_(OrDefault(work.begin->idle_timeout_ms(), target.shard().shared().settings.limits.transaction_idle)),
      max_duration_(
          OrDefault(work.begin->max_duration_ms(), target.shard().shared().settings.limits.transaction_lifetime)),
      lease_(std::move(lease)),
      replay_(work.begin->replay() ? std::make_unique<Replay>(target, OwnerOf(work), BeginText(*work.begin)) : nullptr),
      idle_since_(began_),
      idle_timer_(loop_),
      stream_timer_(loop_),
      lease_timer_(loop_) {
  lease_timer_.SetAt(began_ + max_duration_, [this] { Abort(StopReason::kTransactionExpired); });
  ArmIdleTimer();
}

Transaction::~Transaction() {}

void Transaction::Enqueue(StatementCall& call) {
  idle_timer_.Cancel();
  queue_.push_back(&call);
  call.WaitIn(*this);
  // Otherwise it waits its turn, perhaps for a cancel request to land.
  if (running_ == nullptr && queue_.size() == 1) RunNext();
  ArmStreamTimer();
}

void Transaction::Remove(StatementCall& call) {
  std::erase(queue_, &call);
  if (running_ == nullptr && queue_.empty()) ArmIdleTimer();
}

void Transaction::SetStreamPaused(bool paused) {
  stream_paused_at_ = paused ? loop_.Now() : absl::InfiniteFuture();
  ArmStreamTimer();
}

void Transaction::ArmStreamTimer() {
  stream_timer_.Cancel();
  if (stream_paused_at_ == absl::InfiniteFuture() || queue_.empty()) return;
  stream_timer_.SetAt(stream_paused_at_ + kStreamPatience, [this] { RefuseWaiting(); });
}

void Transaction::RefuseWaiting() {
  while (!queue_.empty()) {
    if (queue_.front()->work().ending == Ending::kRollback) {
      running_->Stop(StopReason::kRolledBack);  // then it is the rollback's turn
      return;
    }
    StatementCall& call = *queue_.front();
    queue_.pop_front();
    call.RefuseBehindStream();
  }
}

bool Transaction::committing() const { return running_ != nullptr && running_->work().ending == Ending::kCommit; }

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
  ++statements_;
  if (std::string fingerprint = running_->fingerprint(); !fingerprint.empty())
    last_fingerprint_ = std::move(fingerprint);
  running_->RunIn(*this);
}

void Transaction::CallEnded() {
  running_ = nullptr;
  SetStreamPaused(false);
  idle_since_ = loop_.Now();
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
  loop_.RunAtEndOfRound([&target = target_, id = id_] {
    const auto found = target.transactions().find(id);
    if (found == target.transactions().end()) return;
    Transaction& self = *found->second;
    if (self.running_ == nullptr && !self.queue_.empty()) self.RunNext();
  });
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
                                                    {"age_seconds", loop_.Now() - began_},
                                                    {"statements", statements_},
                                                    {"last_fingerprint", last_fingerprint_}});
  }
  std::deque<StatementCall*> waiting;
  waiting.swap(queue_);
  target_.EndTransaction(*this, state, doubt);                          // this object goes at the end of the round
  for (StatementCall* call : waiting) target_.RunInTransaction(*call);  // which answers from the tombstone
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
  idle_since_ = loop_.Now();
  if (running_ == nullptr && queue_.empty()) ArmIdleTimer();
}

void Transaction::ArmIdleTimer() {
  idle_timer_.Cancel();
  idle_timer_.SetAfter(idle_timeout_, [this] { Abort(StopReason::kTransactionExpired); });
}

v1::TransactionStatus Transaction::Status() const {
  const absl::Time now = loop_.Now();
  v1::TransactionStatus status;
  status.set_transaction_id(id_);
  const bool run_again = running_ != nullptr && !lease_.held();  // just now: whether it is lost remains to be seen
  status.set_state(run_again  ? v1::TRANSACTION_STATE_OPEN
                   : lost()   ? v1::TRANSACTION_STATE_LOST
                   : failed() ? v1::TRANSACTION_STATE_FAILED
                              : v1::TRANSACTION_STATE_OPEN);
  status.set_idle_left_ms(MillisecondsUntil(now + idle_timeout_, now));
  status.set_lease_left_ms(MillisecondsUntil(began_ + max_duration_, now));
  if (mark_.has_value() && mark_->xid != 0) {
    status.set_recovery_token(mark_->ToToken());
  } else if (mark_due_) {
    status.set_recovery_token(std::string(postgres::kUnmarkedToken));
  }
  return status;
}

v1::TransactionInfo Transaction::Info() const {
  const absl::Time now = loop_.Now();
  v1::TransactionInfo info;
  info.set_transaction_prefix(HandlePrefix(id_));
  info.set_pool(target_.metrics().name());
  info.set_state(Status().state());
  info.set_age_ms(absl::ToInt64Milliseconds(now - began_));
  info.set_idle_ms(running_ != nullptr ? 0 : absl::ToInt64Milliseconds(now - idle_since_));
  info.set_statements(statements_);
  info.set_last_fingerprint(last_fingerprint_);
  info.set_backend_pid(lease_.held() ? lease_.backend().pid() : 0);
  return info;
}

}  // namespace engine::db::call

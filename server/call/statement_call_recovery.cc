// What a call does when its link broke at the worst moment: runs its transaction again, or finds out about its COMMIT.
#include <utility>

#include "server/base/error.h"
#include "server/call/errors.h"
#include "server/call/handle.h"
#include "server/call/shard.h"
#include "server/call/statement_call.h"
#include "server/call/target.h"
#include "server/call/transaction.h"
#include "server/loop/clock.h"
#include "server/observe/log.h"
#include "server/pool/backoff.h"

namespace engine::db::call {
namespace {

// How long the server is asked what became of a COMMIT: a restart takes less, a failover to another server ends it.
constexpr absl::Duration kResolveTime = absl::Minutes(1);

}  // namespace

// --- a transaction that is run again

bool StatementCall::WantsDigests() const {
  return transaction_ != nullptr ? transaction_->replay() != nullptr
                                 : work_.begin.has_value() && work_.begin->replay() && work_.ending == Ending::kNone;
}

void StatementCall::RememberRuns(Transaction& transaction) {
  if (transaction.replay() == nullptr) return;
  for (size_t i = 0; i < work_.runs.size(); ++i) {
    if (!work_.runs[i].describe_only) transaction.replay()->Remember(std::move(work_.runs[i].bound), digests_[i]);
  }
}

bool StatementCall::MayReplay(const absl::Status& verdict) const {
  if (verdict.ok() || stop_reason_ != StopReason::kNone || answered_ || work_.ending == Ending::kRollback) return false;
  if (work_.asks_outcome) return false;
  if (transaction_->replay() == nullptr || !transaction_->replay()->possible()) return false;
  if (reach_.at_most() == postgres::Elsewhere::kAtOnce) return false;
  if (!MayTryAgain() || ErrorDetail(error_).rows_delivered() > 0) return false;
  const v1::DatabaseError detail = ErrorDetail(verdict);
  if (detail.outcome() == v1::OUTCOME_UNKNOWN) return false;
  return detail.sqlstate() == "40001" || detail.sqlstate() == "40P01" || detail.reason() == kTransactionLost;
}

void StatementCall::StartReplay() {
  state_ = State::kReplaying;
  const v1::DatabaseError detail = ErrorDetail(replayed_because_);
  target_.metrics().retries.Increment();
  observe::LogInfo("running a transaction again", {{"pool", target_.metrics().name()},
                                                   {"transaction", HandlePrefix(transaction_->id())},
                                                   {"reason", detail.reason()},
                                                   {"sqlstate", detail.sqlstate()},
                                                   {"attempt", attempts_}});
  transaction_->lease().ReleaseBackend();
  backoff_timer_.SetAfter(DelayBeforeRetry(), [this] {
    ++attempts_;
    transaction_->replay()->Run(patience_,
                                [this](absl::StatusOr<Replay::Replayed> replayed) { OnReplayed(std::move(replayed)); });
  });
}

void StatementCall::OnReplayed(absl::StatusOr<Replay::Replayed> replayed) {
  if (!replayed.ok()) {
    // The first reason is the telling one.
    const v1::DatabaseError detail = ErrorDetail(replayed.status());
    if (MayTryAgain() && (detail.retryable() || LinkWasLost(detail))) {
      StartReplay();
    } else {
      ConcludeTransaction(replayed_because_);
    }
    return;
  }
  transaction_->TakeLease(std::move(replayed->lease));
  mark_ = std::move(replayed->mark);
  error_ = absl::OkStatus();
  ending_sent_ = false;
  receivers_.clear();
  Send(transaction_->lease());
}

// --- a COMMIT that was never answered

bool StatementCall::Resolve() {
  if (!ending_sent_ || work_.ending != Ending::kCommit || error_.ok()) return false;
  if (ErrorDetail(error_).outcome() != v1::OUTCOME_UNKNOWN) return false;
  const bool nothing = !MayWrite() && (transaction_ == nullptr || !transaction_->may_have_written());
  if (!nothing && !mark_.has_value()) return false;  // nobody can tell
  // One that had written nothing is in no doubt.
  if (nothing || mark_->xid == 0) fate_ = postgres::CommitFate::kAborted;
  if (fate_.has_value()) {
    TakeFate(*fate_);
    return false;
  }
  state_ = State::kResolving;
  // Who stopped it has waited long enough, unless that has only just begun.
  if (stop_reason_ != StopReason::kNone && !patience_timer_.is_set()) AnswerInDoubt();
  target_.resolver().Resolve({.mark = *mark_, .end_backend = true}, loop().Now() + kResolveTime,
                             [&shard = target_.shard(), id = id_](postgres::CommitFate fate) {
                               StatementCall* call = shard.FindCall(id);
                               if (call == nullptr) return;
                               call->fate_ = fate;
                               call->Conclude();
                             });
  return true;
}

// One that waits for a standby, or checks deferred constraints, takes its time; one whose answer is never to come would
// keep its caller waiting until the deadline. The server knows which it is.
void StatementCall::OnSlowCommit() {
  if (state_ != State::kRunning || !mark_.has_value() || mark_->xid == 0) return;
  target_.resolver().Resolve(
      {.mark = *mark_, .end_backend = false}, work_.deadline,
      [&shard = target_.shard(), id = id_, attempt = attempts_](postgres::CommitFate fate) {
        StatementCall* call = shard.FindCall(id);
        const bool told = fate == postgres::CommitFate::kCommitted || fate == postgres::CommitFate::kAborted;
        if (call == nullptr || call->state_ != State::kRunning || call->attempts_ != attempt || !told) {
          return;
        }
        call->fate_ = fate;
        call->CurrentLease().backend().Close();  // which ends the step, and so the call
      });
}

void StatementCall::TakeFate(postgres::CommitFate fate) {
  target_.metrics().CommitResolved(fate == postgres::CommitFate::kCommitted ? observe::Fate::kCommitted
                                   : fate == postgres::CommitFate::kAborted ? observe::Fate::kAborted
                                                                            : observe::Fate::kUnknown);
  if (fate == postgres::CommitFate::kCommitted) {
    committed_ = true;
    error_ = absl::OkStatus();
  } else if (fate == postgres::CommitFate::kAborted && reach_.at_most() != postgres::Elsewhere::kNothing) {
    error_ = EffectsElsewhere(v1::PHASE_COMMITTING);
  } else if (fate == postgres::CommitFate::kAborted) {
    error_ = WithDetail(TransactionHasEnded(v1::TRANSACTION_STATE_LOST), [this](v1::DatabaseError& detail) {
      detail.set_phase(v1::PHASE_COMMITTING);
      detail.set_retryable(true);
      if (work_.streams) detail.set_rows_delivered(last_.rows_received);
    });
  }
}

}  // namespace engine::db::call

#include "server/call/call.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "server/base/failure.h"
#include "server/call/handle.h"
#include "server/call/shard.h"
#include "server/call/target.h"
#include "server/call/transaction.h"
#include "server/observe/log.h"
#include "server/pool/backoff.h"
#include "server/postgres/sqlstate.h"

namespace engine::db::call {
namespace {

// How long a cancel request may take to show, or a COMMIT to end, before the caller gets an answer all the same.
constexpr absl::Duration kStopTimeout = absl::Milliseconds(100);
// How long a COMMIT may go on when its caller's deadline has passed, before its link is given up.
constexpr absl::Duration kCommitTimeout = absl::Seconds(10);
// How long the server is asked what became of a COMMIT: a restart takes less, a failover to another server ends it.
constexpr absl::Duration kResolveTime = absl::Minutes(1);

// A transaction that goes on after the call.
bool BeginsLasting(const CallPlan& plan) { return plan.begin.has_value() && plan.ending == Ending::kNone; }

}  // namespace

Call::Call(CallId id, Target& target, CallPlan plan)
    : id_(id),
      target_(target),
      plan_(std::move(plan)),
      started_(target.loop().Now()),
      retry_limits_(plan_.retry, started_),
      deadline_timer_(target.loop()),
      timer_(target.loop()),
      weak_(this) {
  target_.CallStarted();
  const bool hides_writes =
      OnlyReads(plan_) &&
      std::any_of(plan_.statements.begin(), plan_.statements.end(), [&](const PlannedStatement& planned) {
        return Executes(planned) && target_.learnt().HidesWrites(*planned.bound.statement);
      });
  if (hides_writes) TakeAsWrite();
}

Call::~Call() { target_.CallEnded(); }

void Call::MoveTo(CallState state) {
  if (!MayGo(state_, state)) {
    observe::LogError("impossible transition of a call",
                      {{"from", CallStateName(state_)}, {"to", CallStateName(state)}});
    std::abort();
  }
  state_ = state;
}

void Call::Start() {
  if (plan_.deadline <= started_) {
    stop_reason_ = StopReason::kDeadline;
    End(Stopped(StopReason::kDeadline, Phase::kValidating, Outcome::kNotExecuted));
    return;
  }
  deadline_timer_.SetAt(plan_.deadline, [this] { Stop(StopReason::kDeadline); });
  if (!plan_.transaction_id.empty()) {
    target_.RunInTransaction(*this);
  } else {
    StartAttempt();
  }
}

// --- attempts

void Call::MakeAttempt(Record record) {
  attempt_.emplace(Attempt::Of{.target = target_, .plan = plan_, .transaction = transaction_}, std::move(record),
                   tried_.found_writing, [this] { OnAttemptEnded(); });
}

void Call::StartAttempt() {
  ++tried_.attempts;
  MakeAttempt(Record());
  waiting_.since = target_.loop().Now();
  if (attempt_->MayShare()) {
    MoveTo(CallState::kRunning);
    if (absl::Status refused = attempt_->RunShared(retry_limits_); !refused.ok()) End(refused);
    return;
  }
  MoveTo(CallState::kQueued);
  const pool::Purpose purpose = BeginsLasting(plan_)  ? pool::Purpose::kTransaction
                                : attempt_->guarded() ? pool::Purpose::kReads
                                                      : pool::Purpose::kAutocommit;
  waiting_.ticket = target_.pool().Acquire(purpose, OwnerOf(plan_), retry_limits_,
                                           [this](absl::StatusOr<pool::Lease> lease) { OnLease(std::move(lease)); });
}

void Call::OnLease(absl::StatusOr<pool::Lease> lease) {
  waiting_.ticket = 0;
  if (!lease.ok()) {
    End(lease.status());  // the pool has tried as often as it may
    return;
  }
  MoveTo(CallState::kRunning);
  attempt_->RunOn(*std::move(lease));
}

void Call::WaitIn(Transaction& transaction) {
  transaction_ = &transaction;
  MoveTo(CallState::kQueuedInTransaction);
}

void Call::RunInTransaction() {
  ++tried_.attempts;
  if (plan_.asks_outcome && !transaction_->lost()) {  // the transaction goes on
    Transaction& in = *std::exchange(transaction_, nullptr);
    v1::TransactionStatus status = in.Status();
    in.CallEnded();
    End(absl::OkStatus(), std::move(status));
    return;
  }
  MakeAttempt(transaction_->record());
  MoveTo(CallState::kRunning);
  attempt_->RunInTransaction();
}

void Call::TransactionWasOver(const absl::StatusOr<v1::TransactionStatus>& end) {
  transaction_ = nullptr;
  if (end.ok()) {
    End(absl::OkStatus(), *end);
  } else {
    End(end.status());
  }
}

void Call::RefuseBehindStream() {
  const Transaction& in = *std::exchange(transaction_, nullptr);
  End(plan_.asks_outcome ? absl::OkStatus() : StreamOpen(), in.Status());
}

void Call::OnAttemptEnded() {
  if (attempt_->result().key_has_shown) tried_.in_doubt = false;
  tried_.may_try_again = MayTryAgain();
  AttemptEnd end = attempt_->End();
  end.stop_reason = stop_reason_;
  const Decision decision = WhatFollows(end, tried_);
  switch (decision.next) {
    case Next::kResolve:
      Resolve();
      return;
    case Next::kReplay:
      again_because_ = decision.status;
      StartReplay();
      return;
    case Next::kRunAsWrite:
      TakeAsWrite();
      RunAgain(decision);
      return;
    case Next::kRunAgain:
      if (!decision.costs_budget || target_.retry_budget().Spend()) {
        RunAgain(decision);
        return;
      }
      target_.metrics().retries_denied.Increment();
      break;
    case Next::kAnswer:
      break;
  }
  Conclude(decision.status);
}

void Call::TakeAsWrite() {
  tried_.found_writing = true;
  if (!plan_.exactly_once || plan_.begin.has_value()) return;
  plan_.begin.emplace();
  plan_.ending = Ending::kCommit;
}

bool Call::MayTryAgain() const {
  return tried_.attempts < retry_limits_.max_attempts && target_.loop().Now() < retry_limits_.until;
}

absl::Duration Call::DelayBeforeRetry() const {
  const absl::Duration delay = pool::BackoffDelay(plan_.retry, tried_.attempts, target_.shard().random());
  return std::clamp(retry_limits_.until - target_.loop().Now(), absl::ZeroDuration(), delay);
}

void Call::RunAgain(const Decision& decision) {
  const Failure failure = FailureOf(decision.status);
  tried_.stale_plan_retried |= decision.mended == Mended::kStalePlan;
  tried_.read_only_server_retried |= decision.mended == Mended::kReadOnlyServer;
  tried_.in_doubt |= failure.outcome == Outcome::kUnknown;
  again_because_ = decision.status;
  attempt_->own_lease().Release();
  const bool at_once = decision.mended != Mended::kNothing || decision.next == Next::kRunAsWrite;
  const absl::Duration delay = at_once ? absl::ZeroDuration() : DelayBeforeRetry();
  target_.metrics().retries.Increment();
  observe::LogInfo("retrying", {{"pool", target_.metrics().name()},
                                {"reason", NameOf(failure.reason)},
                                {"sqlstate", failure.sqlstate},
                                {"attempt", tried_.attempts},
                                {"delay_seconds", delay}});
  MoveTo(CallState::kBackingOff);
  timer_.SetAfter(delay, [this] { StartAttempt(); });
}

// --- its end

void Call::Conclude(const absl::Status& status) {
  if (transaction_ != nullptr) {
    ConcludeInTransaction(status);
    return;
  }
  std::optional<v1::TransactionStatus> transaction;
  if (status.ok() && BeginsLasting(plan_)) {
    Transaction& begun = target_.AddTransaction(plan_, std::move(attempt_->own_lease()), attempt_->RecordAtEnd());
    RememberStatements(begun);
    transaction = begun.Status();
  } else if (status.ok() && plan_.ending != Ending::kNone) {
    transaction.emplace();
    transaction->set_state(v1::TRANSACTION_STATE_COMMITTED);
  }
  End(status, std::move(transaction));
}

void Call::ConcludeInTransaction(const absl::Status& status) {
  Transaction& in = *std::exchange(transaction_, nullptr);
  in.SetRecord(attempt_->RecordAtEnd());
  if (status.ok()) {
    RememberStatements(in);
  } else if (in.replay() != nullptr && !in.lost() && !in.failed()) {
    in.replay()->GiveUp();  // its statement has worked; it is the answer that failed
  }
  End(status, EndOrLeave(in, status));
}

v1::TransactionStatus Call::EndOrLeave(Transaction& in, const absl::Status& status) {
  const bool lost = in.lost();
  const bool committed = attempt_->result().committed;
  const Failure failure = FailureOf(status);
  const bool unknown = !status.ok() && failure.outcome == Outcome::kUnknown;
  const bool elsewhere =
      failure.reason == Reason::kEffectsElsewhere ||
      (failure.reason == Reason::kPostgresqlError && in.record().reach.at_most() != postgres::Elsewhere::kNothing);
  const absl::Status doubt = !unknown    ? absl::OkStatus()
                             : elsewhere ? EffectsElsewhere(failure.phase)
                                         : CommitInDoubt();
  v1::TransactionStatus transaction;
  transaction.set_transaction_id(plan_.transaction_id);
  if (plan_.ending == Ending::kCommit) {
    transaction.set_state(committed ? v1::TRANSACTION_STATE_COMMITTED
                          : lost    ? v1::TRANSACTION_STATE_LOST
                                    : v1::TRANSACTION_STATE_ROLLED_BACK);
    in.Conclude(transaction.state(),
                committed ? observe::Conclusion::kCommitted
                : unknown ? observe::Conclusion::kUnknown
                : lost    ? observe::Conclusion::kLost
                          : observe::Conclusion::kRolledBack,
                doubt);
  } else if (plan_.ending == Ending::kRollback || (lost && stop_reason_ == StopReason::kRolledBack)) {
    transaction.set_state(v1::TRANSACTION_STATE_ROLLED_BACK);  // also where its link was given up to that end
    in.Conclude(transaction.state(), observe::Conclusion::kRolledBack);
  } else if (lost) {
    transaction.set_state(v1::TRANSACTION_STATE_LOST);
    in.Conclude(transaction.state(), observe::Conclusion::kLost, doubt);
  } else {
    transaction = in.Status();
    in.CallEnded();
  }
  return transaction;
}

void Call::RememberStatements(Transaction& transaction) {
  if (transaction.replay() == nullptr) return;
  for (size_t i = 0; i < plan_.statements.size(); ++i) {
    if (!Executes(plan_.statements[i])) continue;
    transaction.replay()->Remember(std::move(plan_.statements[i].bound), attempt_->result().digests[i]);
  }
}

void Call::Answer(const absl::Status& status, std::optional<v1::TransactionStatus> transaction) {
  if (std::exchange(tried_.answered, true)) return;
  CallEnd end;
  end.status = status;
  end.attempts = std::max(1, tried_.attempts);
  if (attempt_.has_value()) {
    Attempt::Result& result = attempt_->result();
    for (size_t i = 0; i < result.failures.size(); ++i) {
      if (!result.failures[i].ok()) plan_.statements[i].failed(result.failures[i]);
    }
    end.last = result.last;
  }
  const Failure failure = FailureOf(status);
  if (tried_.in_doubt && (failure.outcome == Outcome::kNotExecuted || failure.outcome == Outcome::kRolledBack)) {
    end.status = WithFailure(status, [](Failure& d) { d.outcome = Outcome::kUnknown; });
  }
  if (!status.ok() && transaction.has_value()) {
    end.status = WithFailure(end.status, [state = transaction->state()](Failure& d) {
      d.transaction_state = static_cast<TransactionState>(state);
    });
  }
  end.transaction = std::move(transaction);
  plan_.finish(std::move(end));
}

void Call::End(const absl::Status& status, std::optional<v1::TransactionStatus> transaction) {
  if (state_ == CallState::kEnded) return;
  MoveTo(CallState::kEnded);
  deadline_timer_.Cancel();
  timer_.Cancel();
  if (attempt_.has_value()) attempt_->own_lease().Release();
  Answer(status, std::move(transaction));
  target_.shard().EndCall(*this);
}

// --- a transaction that is run again

void Call::StartReplay() {
  MoveTo(CallState::kReplaying);
  const Failure failure = FailureOf(again_because_);
  target_.metrics().retries.Increment();
  observe::LogInfo("running a transaction again", {{"pool", target_.metrics().name()},
                                                   {"transaction", HandlePrefix(transaction_->id())},
                                                   {"reason", NameOf(failure.reason)},
                                                   {"sqlstate", failure.sqlstate},
                                                   {"attempt", tried_.attempts}});
  transaction_->lease().ReleaseBackend();
  timer_.SetAfter(DelayBeforeRetry(), [this] {
    ++tried_.attempts;
    transaction_->replay()->Run(retry_limits_,
                                [this](absl::StatusOr<Replay::Replayed> replayed) { OnReplayed(std::move(replayed)); });
  });
}

void Call::OnReplayed(absl::StatusOr<Replay::Replayed> replayed) {
  if (!replayed.ok()) {
    // The first reason is the telling one.
    const Failure failure = FailureOf(replayed.status());
    if (MayTryAgain() && (failure.retryable || !failure.backend_usable)) {
      StartReplay();
    } else {
      ConcludeInTransaction(again_because_);
    }
    return;
  }
  transaction_->TakeLease(std::move(replayed->lease));
  Record record = attempt_->record();
  record.mark = std::move(replayed->mark);
  MakeAttempt(std::move(record));
  MoveTo(CallState::kRunning);
  attempt_->RunInTransaction();
}

// --- a COMMIT that was never answered

void Call::Resolve() {
  MoveTo(CallState::kResolving);
  // Who stopped it has waited long enough, unless that has only just begun.
  if (stop_reason_ != StopReason::kNone && !timer_.is_set()) AnswerInDoubt();
  target_.resolver().Resolve({.mark = *attempt_->record().mark, .end_backend = true},
                             target_.loop().Now() + kResolveTime, weak_.Bind([](Call& self, postgres::CommitFate fate) {
                               if (self.state_ != CallState::kResolving) return;
                               self.attempt_->Settle(fate);
                               self.OnAttemptEnded();
                             }));
}

// --- stopping

void Call::Stop(StopReason reason) {
  if (state_ == CallState::kEnded || stop_reason_ != StopReason::kNone) return;
  stop_reason_ = reason;
  switch (state_) {
    case CallState::kQueued:
      StopWaiting();
      return;
    case CallState::kQueuedInTransaction:
      StopWaitingInTransaction();
      return;
    case CallState::kRunning:
      StopAttempt();
      return;
    case CallState::kBackingOff:
      End(again_because_);
      return;
    case CallState::kReplaying:
      timer_.Cancel();
      transaction_->replay()->Abandon();
      ConcludeInTransaction(Stopped(reason, Phase::kExecuting, Outcome::kRolledBack));
      return;
    case CallState::kResolving:
      AnswerUnlessCommitEnds();
      return;
    case CallState::kNew:
    case CallState::kEnded:
      return;
  }
}

void Call::StopWaiting() {
  if (stop_reason_ == StopReason::kDeadline) {
    End(target_.pool().WithdrawLate(std::exchange(waiting_.ticket, 0), target_.loop().Now() - waiting_.since));
    return;
  }
  target_.pool().Withdraw(std::exchange(waiting_.ticket, 0));
  End(Stopped(stop_reason_, Phase::kQueued, Outcome::kNotExecuted));
}

void Call::StopWaitingInTransaction() {
  Transaction& in = *std::exchange(transaction_, nullptr);
  // What the COMMIT before it will do, it might have said too.
  const bool committing = in.committing();
  const bool in_doubt = plan_.ending == Ending::kCommit && committing;
  std::optional<v1::TransactionStatus> status;
  if (!committing) status = in.Status();
  in.Remove(*this);
  End(in_doubt ? Stopped(stop_reason_, Phase::kCommitting, Outcome::kUnknown)
               : Stopped(stop_reason_, Phase::kQueued, Outcome::kNotExecuted),
      std::move(status));
}

void Call::StopAttempt() {
  if (attempt_->shared()) {
    const bool was_queued = attempt_->AbandonShared(stop_reason_);
    if (was_queued && stop_reason_ == StopReason::kDeadline) {
      End(target_.pool().WaitTimeout(target_.loop().Now() - waiting_.since));
    } else {
      End(Stopped(stop_reason_, was_queued ? Phase::kQueued : Phase::kExecuting, Outcome::kNotExecuted));
    }
    return;
  }
  if (attempt_->commit_is_under_way()) {
    AnswerUnlessCommitEnds();
    return;
  }
  attempt_->Cancel(stop_reason_);
  // When the server has not reacted by then, closing the link is what is left to be done. That ends every step, and so
  // the call. (An answer before it would free what the receivers still write to.)
  timer_.SetAfter(kStopTimeout, [this] {
    if (state_ == CallState::kResolving) {
      AnswerInDoubt();
      return;
    }
    observe::LogWarning("a backend did not react to a cancel request and is given up",
                        {{"pool", target_.metrics().name()}});
    attempt_->BreakLink();
  });
}

// Mostly the truth is there in a moment. If not, the caller gets an answer; the call goes on until it knows, so that a
// repeated Commit can tell.
void Call::AnswerUnlessCommitEnds() {
  timer_.SetAfter(kStopTimeout, [this] {
    AnswerInDoubt();
    if (state_ != CallState::kRunning) return;  // the server is being asked, which takes its time
    timer_.SetAfter(kCommitTimeout, [this] {
      if (state_ == CallState::kRunning) attempt_->BreakLink();
    });
  });
}

void Call::AnswerInDoubt() { Answer(Stopped(stop_reason_, Phase::kCommitting, Outcome::kUnknown), std::nullopt); }

// --- what it tells of itself

void Call::ResumeStream() {
  if (state_ != CallState::kRunning) return;
  if (transaction_ != nullptr) transaction_->SetStreamPaused(false);
  attempt_->ResumeReading();
}

bool Call::waiting() const { return state_ != CallState::kRunning || attempt_->waits(); }

int Call::backend_pid() const { return state_ == CallState::kRunning ? attempt_->backend_pid() : 0; }

std::string Call::fingerprint() const {
  if (plan_.statements.empty() || plan_.statements[0].bound.statement == nullptr) return "";
  return plan_.statements[0].bound.statement->fingerprint();
}

}  // namespace engine::db::call

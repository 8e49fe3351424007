#include "server/gateway/statement_call.h"

#include <algorithm>
#include <utility>

#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/base/error.h"
#include "server/gateway/shard.h"
#include "server/gateway/target.h"
#include "server/gateway/transaction.h"
#include "server/observe/log.h"
#include "server/pool/backoff.h"
#include "server/postgres/command_text.h"

namespace engine::db::gateway {
namespace {

// How long a cancel request may take to show before the caller gets an answer all the same, and the backend is given
// up.
constexpr absl::Duration kPatience = absl::Milliseconds(150);

bool WasSkipped(const absl::Status& status) {
  // The backend's word for what stood behind a failure in the same pipeline: no error of its own.
  return status.code() == absl::StatusCode::kAborted && ErrorDetail(status).reason().empty();
}

bool LinkWasLost(const v1::DatabaseError& detail) { return detail.reason() == "LINK_LOST"; }

}  // namespace

StatementCall::StatementCall(CallId id, Target& target, Work work)
    : id_(id), target_(target), work_(std::move(work)), started_(absl::Now()) {
  target_.CallStarted();
}

StatementCall::~StatementCall() = default;

void StatementCall::Start() {
  queued_at_ = started_;
  if (work_.deadline <= started_) {
    stop_reason_ = StopReason::kDeadline;
    End(Stopped(StopReason::kDeadline, v1::PHASE_VALIDATING, v1::OUTCOME_NOT_EXECUTED), std::nullopt);
    return;
  }
  deadline_timer_ = target_.shard().loop().RunAt(work_.deadline, [this] {
    deadline_timer_ = {};
    Stop(StopReason::kDeadline);
  });
  if (!work_.transaction_id.empty()) {
    target_.RunInTransaction(*this);
    return;
  }
  Attempt();
}

void StatementCall::Attempt() {
  ++attempts_;
  error_ = absl::OkStatus();
  committed_ = false;
  shared_ = false;
  state_ = State::kQueued;
  queued_at_ = absl::Now();
  receivers_.clear();
  if (MayShare()) {
    RunShared();
    return;
  }
  const bool lasting = work_.begin.has_value() && work_.ending == Ending::kNone;
  ticket_ = target_.pool().Acquire(lasting ? pool::Purpose::kTransaction : pool::Purpose::kAutocommit,
                                   work_.retry.max_attempts,
                                   [this](absl::StatusOr<pool::Lease> lease) { OnLease(std::move(lease)); });
}

// A read on its own, whose result is bounded: a streamed one could hold up everyone behind it.
bool StatementCall::MayShare() const {
  return !work_.begin.has_value() && work_.ending == Ending::kNone && work_.runs.size() == 1 && !work_.streams &&
         !work_.runs[0].describe_only && !read_only_proof_failed_ && OnlyReads();
}

bool StatementCall::OnlyReads() const {
  return std::all_of(work_.runs.begin(), work_.runs.end(), [](const Run& run) {
    return run.describe_only ||
           (run.bound.statement != nullptr && run.bound.statement->statement_class() == sql::StatementClass::kRead);
  });
}

void StatementCall::RunShared() {
  shared_ = true;
  steps_left_ = 1;
  Run& run = work_.runs[0];
  receivers_.push_back(run.receive(*this, [this](const absl::StatusOr<postgres::Completion>& end) {
    target_.pool().ReadEnded(read_);
    OnStepEnd(Step::kStatement, 0, end);
  }));
  read_.text = run.bound.text;
  read_.parameters = &run.bound.parameters;
  read_.receiver = receivers_.back().get();
  read_.max_attempts = work_.retry.max_attempts;
  CountStatement(run.bound.text, &run.bound.parameters);
  state_ = State::kRunning;  // or waiting, which read_.queued tells
  target_.pool().RunRead(read_);
}

void StatementCall::OnLease(absl::StatusOr<pool::Lease> lease) {
  ticket_ = 0;
  if (!lease.ok()) {
    End(lease.status(), std::nullopt);  // the pool has tried as often as it may
    return;
  }
  lease_ = *std::move(lease);
  // What a transaction will run is not known yet.
  const bool reads_sequences = (work_.begin.has_value() && work_.ending == Ending::kNone) ||
                               std::any_of(work_.runs.begin(), work_.runs.end(), [](const Run& run) {
                                 return run.bound.statement != nullptr && run.bound.statement->reads_sequences();
                               });
  lease_.ShieldSequences(Owner(), reads_sequences);
  Send(lease_);
}

// A connection of the contract is one caller's.
pool::OwnerId StatementCall::Owner() const { return absl::HashOf(work_.connection_id) | 1; }

void StatementCall::WaitIn(Transaction& transaction) {
  state_ = State::kQueuedInTransaction;
  transaction_ = &transaction;
}

void StatementCall::RunIn(Transaction& transaction) {
  ++attempts_;
  if (!transaction.lease().backend().usable()) {
    // What is lost has been rolled back by the server.
    if (work_.ending != Ending::kRollback) error_ = TransactionHasEnded(v1::TRANSACTION_STATE_LOST);
    state_ = State::kRunning;
    Conclude();
    return;
  }
  Send(transaction.lease());
}

void StatementCall::TransactionWasOver(const absl::StatusOr<v1::TransactionStatus>& end) {
  transaction_ = nullptr;
  if (end.ok()) {
    End(absl::OkStatus(), *end);
  } else {
    End(end.status(), std::nullopt);
  }
}

void StatementCall::Send(pool::Lease& lease) {
  state_ = State::kRunning;
  const size_t steps = (work_.begin.has_value() ? 1 : 0) + work_.runs.size() + (work_.ending != Ending::kNone ? 1 : 0);
  steps_left_ = steps;
  size_t sent = 0;
  const auto operation = [&](std::shared_ptr<const sql::BoundText> text) {
    postgres::Operation op;
    op.text = std::move(text);
    op.sync = work_.independent || ++sent == steps;
    return op;
  };
  const auto command = [&](Step step, std::string text) {
    SendStep(lease, step, operation(postgres::CommandText(std::move(text))),
             std::make_unique<postgres::CommandResult>(
                 [this, step](const absl::StatusOr<postgres::Completion>& end) { OnStepEnd(step, 0, end); }));
  };
  if (work_.begin.has_value()) command(Step::kBegin, BeginText(*work_.begin));
  for (size_t i = 0; i < work_.runs.size(); ++i) {
    Run& run = work_.runs[i];
    if (run.bound.statement != nullptr && !run.describe_only) {
      lease.SetStatement(run.bound.statement);
      // What the guard refused writes although the text does not show it: it runs code that may do anything.
      if (run.bound.statement->changes_session() || read_only_proof_failed_) lease.MarkSessionChanged();
      if (run.bound.statement->outlasts_reset()) lease.MarkOutlastingReset();
      if (run.bound.statement->statement_class() != sql::StatementClass::kRead) lease.MarkSequencesUsed(Owner());
    }
    postgres::Operation op = operation(run.bound.text);
    op.parameters = &run.bound.parameters;
    op.describe_only = run.describe_only;
    SendStep(lease, Step::kStatement, std::move(op),
             run.receive(*this, [this, i](const absl::StatusOr<postgres::Completion>& end) {
               OnStepEnd(Step::kStatement, i, end);
             }));
    if (run.bound.statement != nullptr && !run.describe_only && run.bound.statement->forgets_prepared()) {
      lease.backend().ForgetPreparedStatements();
    }
  }
  if (work_.ending == Ending::kCommit) command(Step::kEnding, "COMMIT");
  if (work_.ending == Ending::kRollback) command(Step::kEnding, "ROLLBACK");
}

void StatementCall::SendStep(pool::Lease& lease, Step step, postgres::Operation operation,
                             std::unique_ptr<postgres::ResultReceiver> receiver) {
  operation.receiver = receiver.get();
  receivers_.push_back(std::move(receiver));
  if (step == Step::kStatement) CountStatement(operation.text, operation.parameters);
  lease.backend().Run(operation);
}

void StatementCall::CountStatement(const std::shared_ptr<const sql::BoundText>& text,
                                   const sql::BoundParameters* parameters) {
  size_t bytes = text->sql.size();
  const int count = parameters == nullptr ? 0 : parameters->size();
  for (int i = 0; i < count; ++i) bytes += static_cast<size_t>(parameters->lengths()[i]);
  target_.metrics().statements.Increment();
  target_.metrics().bytes_sent.Increment(static_cast<double>(bytes));
}

void StatementCall::OnStepEnd(Step step, size_t index, const absl::StatusOr<postgres::Completion>& end) {
  --steps_left_;
  if (end.ok()) {
    if (step == Step::kStatement) {
      last_ = *end;
      target_.metrics().rows.Increment(static_cast<double>(end->rows_received));
      target_.metrics().bytes_received.Increment(static_cast<double>(end->bytes_received));
    }
    if (step == Step::kEnding) {
      // COMMIT of a failed transaction answers with the tag ROLLBACK, and no error.
      committed_ = work_.ending == Ending::kCommit && end->command_tag == "COMMIT";
      if (work_.ending == Ending::kCommit && !committed_ && error_.ok()) {
        error_ = TransactionError(absl::StatusCode::kAborted, v1::OUTCOME_ROLLED_BACK, "TRANSACTION_FAILED",
                                  "the transaction was rolled back, because one of its statements had failed");
      }
    }
  } else if (work_.independent) {
    const bool stopped = stop_reason_ != StopReason::kNone && ErrorDetail(end.status()).sqlstate() == "57014";
    work_.runs[index].failed(
        Describe(index, stopped ? Stopped(stop_reason_, v1::PHASE_EXECUTING, v1::OUTCOME_ROLLED_BACK) : end.status()));
    if (LinkWasLost(ErrorDetail(end.status())) && error_.ok()) error_ = end.status();
  } else if (error_.ok() && !WasSkipped(end.status())) {
    absl::Status status = step == Step::kStatement ? Describe(index, end.status()) : end.status();
    if (step == Step::kEnding) {
      status = WithDetail(status, [](v1::DatabaseError& detail) { detail.set_phase(v1::PHASE_COMMITTING); });
    }
    error_ = std::move(status);
  }
  if (steps_left_ == 0) Conclude();
}

// Adds what only the call knows: which statement, and where in the caller's own text.
absl::Status StatementCall::Describe(size_t index, const absl::Status& status) const {
  const Run& run = work_.runs[index];
  return WithDetail(status, [&](v1::DatabaseError& detail) {
    detail.set_statement_index(run.statement_index);
    if (detail.position() > 0 && run.bound.statement != nullptr) {
      detail.set_position(run.bound.PositionInCallerText(detail.position()));
    }
  });
}

void StatementCall::Stop(StopReason reason) {
  if (state_ == State::kEnded || stop_reason_ != StopReason::kNone) return;
  stop_reason_ = reason;
  const absl::Status not_executed = Stopped(reason, v1::PHASE_QUEUED, v1::OUTCOME_NOT_EXECUTED);
  switch (state_) {
    case State::kQueued:
      target_.pool().Withdraw(std::exchange(ticket_, 0));
      End(reason == StopReason::kDeadline ? target_.pool().WaitTimeout(absl::Now() - queued_at_) : not_executed,
          std::nullopt);
      return;
    case State::kQueuedInTransaction:
      std::exchange(transaction_, nullptr)->Remove(*this);
      End(not_executed, std::nullopt);
      return;
    case State::kBackingOff:
      End(error_, std::nullopt);
      return;
    case State::kRunning:
      break;
    case State::kEnded:
      return;
  }
  if (shared_) {
    const bool queued = read_.queued;
    target_.pool().AbandonRead(read_);
    if (queued && reason == StopReason::kDeadline) {
      End(target_.pool().WaitTimeout(absl::Now() - queued_at_), std::nullopt);
    } else {
      End(Stopped(reason, queued ? v1::PHASE_QUEUED : v1::PHASE_EXECUTING, v1::OUTCOME_NOT_EXECUTED), std::nullopt);
    }
    return;
  }
  if (work_.ending == Ending::kCommit && steps_left_ == 1) {
    // COMMIT is under way, and is never cancelled: one that waits for a standby is committed all the same. The caller
    // gets an answer; the call goes on until it knows, so that a repeated Commit can tell.
    Answer(Stopped(reason, v1::PHASE_COMMITTING, v1::OUTCOME_UNKNOWN), std::nullopt);
    return;
  }
  postgres::Backend& backend = CurrentLease().backend();
  target_.metrics().cancels.Increment();
  backend.Cancel();
  backend.ResumeReading();  // a paused stream has to be read to its end; its rows are dropped from now on
  patience_timer_ = target_.shard().loop().RunAt(absl::Now() + kPatience, [this] {
    patience_timer_ = {};
    OnPatienceLost();
  });
}

// The server has not reacted to the cancel request: closing the link is what is left to be done. That ends every step,
// and so the call. (An answer before it would free what the receivers still write to.)
void StatementCall::OnPatienceLost() {
  observe::LogWarning("a backend did not react to a cancel request and is given up",
                      {{"pool", target_.metrics().name()}});
  (transaction_ != nullptr ? transaction_->lease() : lease_).backend().Close();
}

void StatementCall::Resume() {
  if (state_ != State::kRunning) return;
  if (shared_) {
    target_.pool().ResumeRead(read_);
  } else if (CurrentLease().held()) {
    CurrentLease().backend().ResumeReading();
  }
}

pool::Lease& StatementCall::CurrentLease() { return transaction_ != nullptr ? transaction_->lease() : lease_; }

postgres::TypeNaming StatementCall::Types() {
  return {target_.types(), [this, attempt = attempts_](const std::vector<uint32_t>& oids) {
            return target_.LookUpTypes(oids, [&shard = target_.shard(), id = id_, attempt] {
              if (StatementCall* call = shard.FindCall(id)) call->OnTypes(attempt);
            });
          }};
}

void StatementCall::OnTypes(int attempt) {
  if (state_ != State::kRunning || attempts_ != attempt) return;
  for (const auto& receiver : receivers_) receiver->SetTypes(*target_.types());
  Resume();
}

void StatementCall::OnOverflow() {
  if (!shared_) {
    target_.metrics().cancels.Increment();
    CurrentLease().backend().Cancel();
    return;
  }
  // Not from within the receiver, which ends with the call.
  target_.shard().loop().RunAtEndOfRound([this, &shard = target_.shard(), id = id_] {
    if (shard.FindCall(id) != this || state_ != State::kRunning || steps_left_ == 0) return;
    target_.pool().AbandonRead(read_);
    receivers_.back()->OnEnd(absl::CancelledError("the result is too large"));
  });
}

void StatementCall::Conclude() {
  const absl::Status status = FinalStatus();
  std::optional<v1::TransactionStatus> transaction;
  if (transaction_ != nullptr) {
    Transaction& in = *transaction_;
    const bool lost = !in.lease().backend().usable();
    if (work_.ending == Ending::kCommit) {
      const bool unknown = !status.ok() && ErrorDetail(status).outcome() == v1::OUTCOME_UNKNOWN;
      in.Conclude(committed_ ? v1::TRANSACTION_STATE_COMMITTED
                  : lost     ? v1::TRANSACTION_STATE_LOST
                             : v1::TRANSACTION_STATE_ROLLED_BACK,
                  committed_ ? observe::Conclusion::kCommitted
                  : unknown  ? observe::Conclusion::kUnknown
                             : observe::Conclusion::kRolledBack);
    } else if (work_.ending == Ending::kRollback) {
      in.Conclude(v1::TRANSACTION_STATE_ROLLED_BACK, observe::Conclusion::kRolledBack);
    } else if (lost) {
      in.Conclude(v1::TRANSACTION_STATE_LOST, observe::Conclusion::kLost);
    } else {
      transaction = in.Status();
      in.CallEnded();
    }
    if (!transaction.has_value()) {
      transaction.emplace();
      transaction->set_transaction_id(work_.transaction_id);
      transaction->set_state(committed_ ? v1::TRANSACTION_STATE_COMMITTED : v1::TRANSACTION_STATE_ROLLED_BACK);
    }
    transaction_ = nullptr;
    End(status, std::move(transaction));
    return;
  }
  if (!status.ok() && MayRetry(status)) {
    Retry(status);
    return;
  }
  if (status.ok() && work_.begin.has_value() && work_.ending == Ending::kNone) {
    transaction = target_.AddTransaction(work_, std::move(lease_)).Status();
  } else if (status.ok() && work_.ending != Ending::kNone) {
    transaction.emplace();
    transaction->set_state(committed_ ? v1::TRANSACTION_STATE_COMMITTED : v1::TRANSACTION_STATE_ROLLED_BACK);
  }
  End(status, std::move(transaction));
}

// The first error, in the light of what the call knows: why it was cancelled, and what it ran in.
absl::Status StatementCall::FinalStatus() const {
  if (error_.ok()) return error_;
  // The server undoes whatever was open when a link breaks.
  if (work_.ending == Ending::kRollback && LinkWasLost(ErrorDetail(error_))) return absl::OkStatus();
  const v1::DatabaseError detail = ErrorDetail(error_);
  if (stop_reason_ != StopReason::kNone && detail.sqlstate() == "57014") {
    return Stopped(stop_reason_, v1::PHASE_EXECUTING, v1::OUTCOME_ROLLED_BACK);
  }
  if (LinkWasLost(detail)) {
    const bool committing = work_.ending == Ending::kCommit;
    if (stop_reason_ != StopReason::kNone) {
      return Stopped(stop_reason_, committing ? v1::PHASE_COMMITTING : v1::PHASE_EXECUTING,
                     OnlyReads() && !committing ? v1::OUTCOME_ROLLED_BACK : v1::OUTCOME_UNKNOWN);
    }
    if (committing) {
      return WithDetail(error_, [](v1::DatabaseError& d) {
        d.set_kind(v1::ERROR_KIND_TRANSACTION);
        d.set_phase(v1::PHASE_COMMITTING);
        d.set_reason("COMMIT_IN_DOUBT");
        d.set_outcome(v1::OUTCOME_UNKNOWN);
      });
    }
    if (transaction_ != nullptr || work_.begin.has_value()) return TransactionHasEnded(v1::TRANSACTION_STATE_LOST);
    if (OnlyReads()) {
      return MakeError(absl::StatusCode::kUnavailable, [&] {
        v1::DatabaseError d = detail;
        d.set_outcome(v1::OUTCOME_ROLLED_BACK);
        d.set_retryable(!work_.streams);
        return d;
      }());
    }
  }
  if (transaction_ != nullptr && detail.retryable()) {
    // The statement alone can't be repeated, only the whole transaction.
    return WithDetail(error_, [](v1::DatabaseError& d) { d.set_hint("roll back, and repeat the whole transaction"); });
  }
  return error_;
}

// Only where nothing of the failed attempt remains, and nobody has seen any of it.
bool StatementCall::MayRetry(const absl::Status& status) {
  const v1::DatabaseError detail = ErrorDetail(status);
  if (stop_reason_ != StopReason::kNone || answered_) return false;
  if (work_.streams && detail.rows_delivered() > 0) return false;
  if (work_.independent && work_.runs.size() > 1) return false;  // some may have been committed
  if (detail.sqlstate() == "25006" && shared_) {
    read_only_proof_failed_ = true;
    return true;
  }
  if (detail.reason() == "STALE_PLAN" && !stale_plan_retried_) {
    stale_plan_retried_ = true;
    return true;
  }
  if (attempts_ >= work_.retry.max_attempts) return false;
  if (LinkWasLost(detail)) return OnlyReads();
  return detail.retryable();
}

void StatementCall::Retry(const absl::Status& status) {
  const v1::DatabaseError detail = ErrorDetail(status);
  lease_.Release();
  target_.metrics().retries.Increment();
  const absl::Duration delay = detail.retryable() || LinkWasLost(detail)
                                   ? pool::BackoffDelay(work_.retry, attempts_, target_.shard().random())
                                   : absl::ZeroDuration();
  observe::LogInfo("retrying", {{"pool", target_.metrics().name()},
                                {"reason", detail.reason()},
                                {"sqlstate", detail.sqlstate()},
                                {"attempt", attempts_},
                                {"delay_seconds", delay}});
  state_ = State::kBackingOff;
  backoff_timer_ = target_.shard().loop().RunAt(absl::Now() + delay, [this] {
    backoff_timer_ = {};
    Attempt();
  });
}

void StatementCall::Answer(const absl::Status& status, std::optional<v1::TransactionStatus> transaction) {
  if (answered_) return;
  answered_ = true;
  const v1::DatabaseError detail = ErrorDetail(status);
  target_.shard().shared().metrics.ForMethod(work_.method).Finished(absl::Now() - started_, detail.kind());
  CallEnd end;
  end.status = status;
  end.attempts = std::max(1, attempts_);
  end.transaction = std::move(transaction);
  end.last = last_;
  work_.finish(std::move(end));
}

void StatementCall::End(const absl::Status& status, std::optional<v1::TransactionStatus> transaction) {
  if (state_ == State::kEnded) return;
  state_ = State::kEnded;
  postgres::EventLoop& loop = target_.shard().loop();
  loop.CancelTimer(deadline_timer_);
  loop.CancelTimer(patience_timer_);
  loop.CancelTimer(backoff_timer_);
  lease_.Release();
  Answer(status, std::move(transaction));
  target_.shard().EndCall(*this);
}

int StatementCall::backend_pid() const {
  if (state_ != State::kRunning) return 0;
  if (shared_) return pool::Pool::BackendPid(read_);
  if (transaction_ != nullptr) return transaction_->lease().backend().pid();
  return lease_.held() ? lease_.backend().pid() : 0;
}

std::string StatementCall::fingerprint() const {
  if (work_.runs.empty() || work_.runs[0].bound.statement == nullptr) return "";
  return work_.runs[0].bound.statement->fingerprint();
}

}  // namespace engine::db::gateway

#include "server/call/statement_call.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/error.h"
#include "server/call/shard.h"
#include "server/call/statement_error.h"
#include "server/call/target.h"
#include "server/call/transaction.h"
#include "server/call/verdict.h"
#include "server/loop/clock.h"
#include "server/observe/log.h"
#include "server/pool/backoff.h"
#include "server/postgres/sqlstate.h"

namespace engine::db::call {
namespace {

// How long a cancel request may take to show, or a COMMIT to end, before the caller gets an answer all the same.
constexpr absl::Duration kPatience = absl::Milliseconds(100);
// How long a COMMIT may go on when its caller's deadline has passed, before its link is given up.
constexpr absl::Duration kCommitPatience = absl::Seconds(10);

bool WasSkipped(const absl::Status& status) {
  // The backend's word for what stood behind a failure in the same pipeline: no error of its own.
  return status.code() == absl::StatusCode::kAborted && ErrorDetail(status).reason().empty();
}

bool MayCommitItself(const Run& run) {
  return Executes(run) && run.bound.statement != nullptr && run.bound.statement->may_commit_itself();
}

}  // namespace

StatementCall::StatementCall(CallId id, Target& target, Work work)
    : id_(id),
      target_(target),
      work_(std::move(work)),
      only_reads_(std::all_of(work_.runs.begin(), work_.runs.end(), OnlyReads)),
      may_commit_itself_(std::any_of(work_.runs.begin(), work_.runs.end(), MayCommitItself)),
      started_(target.shard().loop().Now()),
      patience_(work_.retry, started_),
      deadline_timer_(loop()),
      patience_timer_(loop()),
      commit_timer_(loop()),
      backoff_timer_(loop()) {
  target_.CallStarted();
  if (only_reads_ && std::any_of(work_.runs.begin(), work_.runs.end(), [&](const Run& run) {
        return Executes(run) && target_.HidesWrites(*run.bound.statement);
      })) {
    TakeForWrite();
  }
}

StatementCall::~StatementCall() = default;

loop::EventLoop& StatementCall::loop() const { return target_.shard().loop(); }

void StatementCall::Start() {
  queued_at_ = started_;
  if (work_.deadline <= started_) {
    stop_reason_ = StopReason::kDeadline;
    End(Stopped(StopReason::kDeadline, v1::PHASE_VALIDATING, v1::OUTCOME_NOT_EXECUTED), std::nullopt);
    return;
  }
  deadline_timer_.SetAt(work_.deadline, [this] { Stop(StopReason::kDeadline); });
  if (!work_.transaction_id.empty()) {
    target_.RunInTransaction(*this);
    return;
  }
  StartAttempt();
}

void StatementCall::StartAttempt() {
  ++attempts_;
  error_ = absl::OkStatus();
  ending_sent_ = false;
  committed_ = false;
  mark_.reset();
  marked_ = false;
  fate_.reset();
  reach_ = {};
  server_is_read_only_ = false;
  shared_ = false;
  guarded_ = ReadsOnItsOwn();
  rows_dropped_ = false;
  failures_.assign(work_.independent ? work_.runs.size() : 0, absl::OkStatus());
  state_ = State::kQueued;
  queued_at_ = loop().Now();
  receivers_.clear();
  if (MayShare()) {
    RunShared();
    return;
  }
  const bool lasting = work_.begin.has_value() && work_.ending == Ending::kNone;
  const pool::Purpose purpose = lasting    ? pool::Purpose::kTransaction
                                : guarded_ ? pool::Purpose::kReads
                                           : pool::Purpose::kAutocommit;
  ticket_ = target_.pool().Acquire(purpose, OwnerOf(work_), patience_,
                                   [this](absl::StatusOr<pool::Lease> lease) { OnLease(std::move(lease)); });
}

// Outside of transactions, where the server can be told to refuse writes.
bool StatementCall::ReadsOnItsOwn() const {
  return only_reads_ && !hides_writes_ && work_.transaction_id.empty() && !work_.begin.has_value() &&
         work_.ending == Ending::kNone && std::any_of(work_.runs.begin(), work_.runs.end(), Executes);
}

// A streamed one could hold up everyone behind it.
bool StatementCall::MayShare() const { return guarded_ && work_.runs.size() == 1 && !work_.streams; }

void StatementCall::TakeForWrite() {
  hides_writes_ = true;
  if (!work_.exactly_once || work_.begin.has_value()) return;
  work_.begin.emplace();
  work_.ending = Ending::kCommit;
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
  read_.patience = patience_;
  CountStatement(run.bound.text, &run.bound.parameters);
  state_ = State::kRunning;  // or waiting, which read_.queued tells
  if (absl::Status refused = target_.pool().RunRead(read_); !refused.ok()) End(refused, std::nullopt);
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
  lease_.ShieldSequences(OwnerOf(work_), reads_sequences);
  Send(lease_);
}

// A connection of the contract is one caller's.
void StatementCall::WaitIn(Transaction& transaction) {
  state_ = State::kQueuedInTransaction;
  transaction_ = &transaction;
}

void StatementCall::RunIn(Transaction& transaction) {
  ++attempts_;
  mark_ = transaction.mark();
  reach_ = transaction.reach();
  if (transaction.lost()) {
    // What is lost has been rolled back by the server.
    if (work_.ending != Ending::kRollback) error_ = postgres::LinkLost(absl::OkStatus());
    state_ = State::kRunning;
    Conclude();
    return;
  }
  NoteIn(transaction);
  if (work_.asks_outcome) {  // it goes on
    transaction_ = nullptr;
    v1::TransactionStatus status = transaction.Status();
    transaction.CallEnded();
    End(absl::OkStatus(), std::move(status));
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
      if (committed_ && mark_.has_value()) target_.resolver().NoteCommitted(*mark_);
      if (work_.ending == Ending::kCommit && !committed_ && error_.ok()) {
        error_ = TransactionError(absl::StatusCode::kAborted, v1::OUTCOME_ROLLED_BACK, kTransactionFailed,
                                  "the transaction was rolled back, because one of its statements had failed");
      }
    }
  } else if (!WasSkipped(end.status())) {
    const absl::Status status = step == Step::kStatement
                                    ? StatementError(end.status(), work_.runs, index, work_.independent)
                                    : EndingError(end.status(), work_.runs);
    const v1::DatabaseError detail = ErrorDetail(status);
    const bool refused = detail.sqlstate() == "25006";
    if (refused) NoticeReadOnlyServer();
    // The other kinds are of a session that was swapped: nothing is out of date.
    const bool stale = detail.reason() == "STALE_PLAN" && detail.sqlstate() != "26000" && detail.sqlstate() != "42P05";
    if (stale && step == Step::kStatement) {
      target_.NoteStalePlan(work_.runs[index].bound.statement.get(), InTransaction());
    }
    if (refused && guarded_ && step == Step::kStatement) target_.NoteHiddenWrite(*work_.runs[index].bound.statement);
    if (work_.independent) {
      Attempt attempt = ThisAttempt();
      attempt.may_commit_itself = MayCommitItself(work_.runs[index]);
      failures_[index] = Verdict(status, attempt);
      const bool concerns_all = work_.runs.size() == 1 || LinkWasLost(detail) || (refused && guarded_);
      if (concerns_all && error_.ok()) error_ = status;
    } else if (error_.ok()) {
      error_ = step != Step::kEnding ? status : WithDetail(status, [this](v1::DatabaseError& d) {
        d.set_phase(v1::PHASE_COMMITTING);
        if (work_.streams) d.set_rows_delivered(last_.rows_received);
      });
    }
  }
  if (steps_left_ > 0) return;
  if (work_.ending != Ending::kNone && !ending_sent_ && error_.ok()) {
    if (stop_reason_ == StopReason::kNone) {
      GoOn();
      return;
    }
    // The cancel came too late for the statements, but not for the transaction.
    error_ = Stopped(stop_reason_, v1::PHASE_EXECUTING, v1::OUTCOME_ROLLED_BACK);
  }
  Conclude();
}

// The server says that it takes no writes. If that holds for everyone there, it is no longer the one to write to: its
// backends go, and the next ones look its name up again.
void StatementCall::NoticeReadOnlyServer() {
  if (guarded_ || !CurrentLease().held() || !CurrentLease().backend().server_is_read_only()) return;
  server_is_read_only_ = true;
  target_.pool().RetireBackends();
}

void StatementCall::Stop(StopReason reason) {
  if (state_ == State::kEnded || stop_reason_ != StopReason::kNone) return;
  stop_reason_ = reason;
  const absl::Status not_executed = Stopped(reason, v1::PHASE_QUEUED, v1::OUTCOME_NOT_EXECUTED);
  switch (state_) {
    case State::kQueued:
      if (reason == StopReason::kDeadline) {
        End(target_.pool().WithdrawLate(std::exchange(ticket_, 0), loop().Now() - queued_at_), std::nullopt);
      } else {
        target_.pool().Withdraw(std::exchange(ticket_, 0));
        End(not_executed, std::nullopt);
      }
      return;
    case State::kQueuedInTransaction: {
      // What the COMMIT before it will do, it might have said too.
      const bool in_doubt = work_.ending == Ending::kCommit && transaction_->committing();
      std::optional<v1::TransactionStatus> status;
      if (!transaction_->committing()) status = transaction_->Status();
      std::exchange(transaction_, nullptr)->Remove(*this);
      End(in_doubt ? Stopped(reason, v1::PHASE_COMMITTING, v1::OUTCOME_UNKNOWN) : not_executed, std::move(status));
      return;
    }
    case State::kBackingOff:
      End(error_, std::nullopt);
      return;
    case State::kReplaying:
      backoff_timer_.Cancel();
      transaction_->replay()->Abandon();
      ConcludeTransaction(Stopped(reason, v1::PHASE_EXECUTING, v1::OUTCOME_ROLLED_BACK));
      return;
    case State::kResolving:
      AnswerUnlessCommitEnds();
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
      End(target_.pool().WaitTimeout(loop().Now() - queued_at_), std::nullopt);
    } else {
      End(Stopped(reason, queued ? v1::PHASE_QUEUED : v1::PHASE_EXECUTING, v1::OUTCOME_NOT_EXECUTED), std::nullopt);
    }
    return;
  }
  if (work_.ending == Ending::kCommit && ending_sent_ && steps_left_ == 1) {
    // COMMIT is under way, and is never cancelled: one that waits for a standby is committed all the same.
    AnswerUnlessCommitEnds();
    return;
  }
  postgres::Backend& backend = CurrentLease().backend();
  target_.metrics().cancels.Increment();
  backend.Cancel();
  ResumeStream();  // it has to be read to its end; its rows are dropped from now on
  patience_timer_.SetAfter(kPatience, [this] { OnPatienceLost(); });
}

// Mostly the truth is there in a moment. If not, the caller gets an answer; the call goes on until it knows, so that a
// repeated Commit can tell.
void StatementCall::AnswerUnlessCommitEnds() {
  patience_timer_.SetAfter(kPatience, [this] {
    AnswerInDoubt();
    if (state_ != State::kRunning) return;  // the server is being asked, which takes its time
    patience_timer_.SetAfter(kCommitPatience, [this] {
      if (state_ == State::kRunning) CurrentLease().backend().Close();
    });
  });
}

void StatementCall::AnswerInDoubt() {
  Answer(Stopped(stop_reason_, v1::PHASE_COMMITTING, v1::OUTCOME_UNKNOWN), std::nullopt);
}

// The server has not reacted to the cancel request: closing the link is what is left to be done. That ends every step,
// and so the call. (An answer before it would free what the receivers still write to.)
void StatementCall::OnPatienceLost() {
  if (state_ == State::kResolving) {
    AnswerInDoubt();
    return;
  }
  observe::LogWarning("a backend did not react to a cancel request and is given up",
                      {{"pool", target_.metrics().name()}});
  CurrentLease().backend().Close();
}

void StatementCall::ResumeReading() {
  if (state_ != State::kRunning) return;
  if (shared_) {
    target_.pool().ResumeRead(read_);
  } else if (CurrentLease().held()) {
    CurrentLease().backend().ResumeReading();
  }
}

pool::Lease& StatementCall::CurrentLease() { return transaction_ != nullptr ? transaction_->lease() : lease_; }

postgres::TypeNaming StatementCall::Types() {
  return {[&target = target_]() -> const postgres::TypeCatalog& { return *target.types(); },
          [this, attempt = attempts_](const std::vector<uint32_t>& oids) {
            return target_.LookUpTypes(oids, [&shard = target_.shard(), id = id_, attempt] {
              if (StatementCall* call = shard.FindCall(id)) call->OnTypes(attempt);
            });
          }};
}

void StatementCall::OnTypes(int attempt) {
  if (state_ != State::kRunning || attempts_ != attempt) return;
  for (const auto& receiver : receivers_) receiver->SetTypes(*target_.types());
  ResumeReading();
}

void StatementCall::OnOverflow() {
  if (!shared_) {
    // The cancel might hit the one behind it, which is none of its business.
    if (work_.independent && steps_left_ > 1) return;
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
  commit_timer_.Cancel();
  if (Resolve()) return;
  if (rows_dropped_ && error_.ok()) error_ = RowsWithheld();
  const absl::Status status = FinalStatus();
  if (transaction_ != nullptr) {
    if (MayReplay(status)) {
      replayed_because_ = status;
      StartReplay();
    } else {
      ConcludeTransaction(status);
    }
    return;
  }
  if (!status.ok() && MayRetry(status)) {
    Retry(status);
    return;
  }
  std::optional<v1::TransactionStatus> transaction;
  if (status.ok() && work_.begin.has_value() && work_.ending == Ending::kNone) {
    Transaction& begun = target_.AddTransaction(work_, std::move(lease_));
    begun.SetReach(reach_);
    begun.SetMark(mark_);
    begun.SetMarkDue(MarkIsDue());
    NoteIn(begun);
    RememberRuns(begun);
    transaction = begun.Status();
  } else if (status.ok() && work_.ending != Ending::kNone) {
    transaction.emplace();
    transaction->set_state(v1::TRANSACTION_STATE_COMMITTED);
  }
  End(status, std::move(transaction));
}

void StatementCall::ConcludeTransaction(const absl::Status& status) {
  transaction_->SetReach(reach_);
  transaction_->SetMark(mark_);
  transaction_->SetMarkDue(!marked_ && (transaction_->mark_due() || MarkIsDue()));
  Transaction& in = *std::exchange(transaction_, nullptr);
  const bool lost = in.lost();
  if (status.ok()) {
    RememberRuns(in);
  } else if (in.replay() != nullptr && !lost && !in.lease().backend().transaction_failed()) {
    in.replay()->GiveUp();  // its statement has worked; it is the answer that failed
  }
  v1::TransactionStatus transaction;
  transaction.set_transaction_id(work_.transaction_id);
  const v1::DatabaseError detail = ErrorDetail(status);
  const bool unknown = !status.ok() && detail.outcome() == v1::OUTCOME_UNKNOWN;
  const bool elsewhere = detail.reason() == kEffectsElsewhere || (detail.reason() == postgres::kPostgresError &&
                                                                  reach_.at_most() != postgres::Elsewhere::kNothing);
  const absl::Status doubt = !unknown    ? absl::OkStatus()
                             : elsewhere ? EffectsElsewhere(detail.phase())
                                         : CommitInDoubt();
  if (work_.ending == Ending::kCommit) {
    transaction.set_state(committed_ ? v1::TRANSACTION_STATE_COMMITTED
                          : lost     ? v1::TRANSACTION_STATE_LOST
                                     : v1::TRANSACTION_STATE_ROLLED_BACK);
    in.Conclude(transaction.state(),
                committed_ ? observe::Conclusion::kCommitted
                : unknown  ? observe::Conclusion::kUnknown
                : lost     ? observe::Conclusion::kLost
                           : observe::Conclusion::kRolledBack,
                doubt);
  } else if (work_.ending == Ending::kRollback) {
    transaction.set_state(v1::TRANSACTION_STATE_ROLLED_BACK);
    in.Conclude(transaction.state(), observe::Conclusion::kRolledBack);
  } else if (lost && stop_reason_ == StopReason::kRolledBack) {  // its link was given up to that end
    transaction.set_state(v1::TRANSACTION_STATE_ROLLED_BACK);
    in.Conclude(transaction.state(), observe::Conclusion::kRolledBack);
  } else if (lost) {
    transaction.set_state(v1::TRANSACTION_STATE_LOST);
    in.Conclude(transaction.state(), observe::Conclusion::kLost, doubt);
  } else {
    transaction = in.Status();
    in.CallEnded();
  }
  End(status, std::move(transaction));
}

Attempt StatementCall::ThisAttempt() const {
  Attempt attempt;
  attempt.scope = transaction_ != nullptr   ? Attempt::Scope::kTransaction
                  : work_.begin.has_value() ? Attempt::Scope::kOwnTransaction
                                            : Attempt::Scope::kAutocommit;
  attempt.commits = work_.ending == Ending::kCommit && ending_sent_;
  attempt.ends = work_.ending != Ending::kNone;
  attempt.transaction_failed = transaction_ != nullptr && transaction_->failed();
  attempt.may_write = MayWrite();
  attempt.guarded = guarded_;
  attempt.read_only_asked = ReadOnlyAsked();
  attempt.server_is_read_only = server_is_read_only_;
  attempt.may_commit_itself = may_commit_itself_;
  attempt.elsewhere = reach_.at_most();
  attempt.commits_elsewhere = attempt.scope == Attempt::Scope::kAutocommit
                                  ? RunsWrites() && target_.surroundings().foreign != postgres::Elsewhere::kNothing
                                  : reach_.at_most() != postgres::Elsewhere::kNothing;
  attempt.acts_at_once = CallsOutside() || reach_.known() == postgres::Elsewhere::kAtOnce;
  attempt.stop_reason = stop_reason_;
  return attempt;
}

absl::Status StatementCall::FinalStatus() const {
  if (error_.ok()) return error_;
  // The server undoes whatever was open when a link breaks.
  if (work_.ending == Ending::kRollback && LinkWasLost(ErrorDetail(error_))) return absl::OkStatus();
  return Verdict(error_, ThisAttempt());
}

// The statement ended while nobody wanted its rows any more: what has been handed on is not all.
absl::Status StatementCall::RowsWithheld() const {
  const bool in_open_one = transaction_ != nullptr && work_.ending == Ending::kNone;
  const bool is_ended =
      in_open_one && (stop_reason_ == StopReason::kRolledBack || transaction_->abort_reason() != StopReason::kNone);
  const v1::Outcome outcome = in_open_one && !is_ended  ? v1::OUTCOME_UNSPECIFIED
                              : MayWrite() && !is_ended ? v1::OUTCOME_COMMITTED
                                                        : v1::OUTCOME_ROLLED_BACK;
  return Stopped(stop_reason_, v1::PHASE_STREAMING, outcome);
}

bool StatementCall::MayTryAgain() const { return attempts_ < patience_.max_attempts && loop().Now() < patience_.until; }

absl::Duration StatementCall::DelayBeforeRetry() const {
  const absl::Duration delay = pool::BackoffDelay(work_.retry, attempts_, target_.shard().random());
  return std::clamp(patience_.until - loop().Now(), absl::ZeroDuration(), delay);
}

// Only where nothing of the failed attempt remains, and nobody has seen any of it.
bool StatementCall::MayRetry(const absl::Status& verdict) {
  const v1::DatabaseError detail = ErrorDetail(verdict);
  if (stop_reason_ != StopReason::kNone || answered_) return false;
  if (work_.independent && work_.runs.size() > 1 && !guarded_) return false;  // some may have been committed
  if (detail.sqlstate() == "25006") {
    if (guarded_) {
      if (detail.rows_delivered() > 0) return false;
      TakeForWrite();
      return true;
    }
    return detail.retryable() && !std::exchange(read_only_server_retried_, true);
  }
  if (detail.reason() == "STALE_PLAN") return !std::exchange(stale_plan_retried_, true);
  // Its key shows the next attempt whether this one was committed.
  const bool shown_by_key =
      work_.after_phase && detail.outcome() == v1::OUTCOME_UNKNOWN && reach_.at_most() == postgres::Elsewhere::kNothing;
  if (!MayTryAgain() || !(detail.retryable() || shown_by_key)) return false;
  // A server in trouble is spared; what only got in another transaction's way is not its trouble.
  if (detail.kind() != v1::ERROR_KIND_CONNECTION || target_.retry_budget().Spend()) return true;
  target_.metrics().retries_denied.Increment();
  return false;
}

void StatementCall::Retry(const absl::Status& status) {
  const v1::DatabaseError detail = ErrorDetail(status);
  lease_.Release();
  target_.metrics().retries.Increment();
  const bool mended = detail.sqlstate() == "25006" || detail.reason() == "STALE_PLAN";
  const absl::Duration delay = mended ? absl::ZeroDuration() : DelayBeforeRetry();
  observe::LogInfo("retrying", {{"pool", target_.metrics().name()},
                                {"reason", detail.reason()},
                                {"sqlstate", detail.sqlstate()},
                                {"attempt", attempts_},
                                {"delay_seconds", delay}});
  state_ = State::kBackingOff;
  error_ = status;  // what the caller hears if there is no time for another attempt
  earlier_attempt_in_doubt_ |= detail.outcome() == v1::OUTCOME_UNKNOWN;
  backoff_timer_.SetAfter(delay, [this] { StartAttempt(); });
}

void StatementCall::Answer(const absl::Status& status, std::optional<v1::TransactionStatus> transaction) {
  if (answered_) return;
  answered_ = true;
  for (size_t i = 0; i < failures_.size(); ++i) {
    if (!failures_[i].ok()) work_.runs[i].failed(failures_[i]);
  }
  const v1::DatabaseError detail = ErrorDetail(status);
  target_.shard().shared().metrics.ForMethod(work_.method).Finished(loop().Now() - started_, detail.kind());
  CallEnd end;
  end.status = status;
  if (earlier_attempt_in_doubt_ &&
      (detail.outcome() == v1::OUTCOME_NOT_EXECUTED || detail.outcome() == v1::OUTCOME_ROLLED_BACK)) {
    end.status = WithDetail(status, [](v1::DatabaseError& d) { d.set_outcome(v1::OUTCOME_UNKNOWN); });
  }
  if (!status.ok() && transaction.has_value()) {
    end.status = WithDetail(end.status,
                            [state = transaction->state()](v1::DatabaseError& d) { d.set_transaction_state(state); });
  }
  end.attempts = std::max(1, attempts_);
  end.transaction = std::move(transaction);
  end.last = last_;
  work_.finish(std::move(end));
}

void StatementCall::End(const absl::Status& status, std::optional<v1::TransactionStatus> transaction) {
  if (state_ == State::kEnded) return;
  state_ = State::kEnded;
  deadline_timer_.Cancel();
  patience_timer_.Cancel();
  commit_timer_.Cancel();
  backoff_timer_.Cancel();
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

}  // namespace engine::db::call

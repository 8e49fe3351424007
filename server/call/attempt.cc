#include "server/call/attempt.h"

#include <algorithm>
#include <utility>

#include "server/base/failure.h"
#include "server/call/statement_error.h"
#include "server/call/target.h"
#include "server/call/transaction.h"
#include "server/call/verdict.h"
#include "server/postgres/command_text.h"
#include "server/postgres/digested_result.h"
#include "server/postgres/sqlstate.h"

namespace engine::db::call {
namespace {

// A COMMIT that takes so long is looked at from another connection.
constexpr absl::Duration kSlowCommit = absl::Seconds(2);

// Status of an operation that the server skipped after an earlier failure in the pipeline: no error of its own.
bool WasSkipped(const absl::Status& status) {
  return status.code() == absl::StatusCode::kAborted && ReasonOf(status) == Reason::kUnspecified;
}

bool IsReadOnlyAsked(const Attempt::Of& of) {
  if (of.transaction != nullptr) return of.transaction->read_only();
  return of.plan.begin.has_value() && of.plan.begin->read_only();
}

// Outside of transactions, where the server can be told to refuse writes.
bool ReadsOnItsOwn(const CallPlan& plan) {
  return OnlyReads(plan) && plan.transaction_id.empty() && !plan.begin.has_value() && plan.ending == Ending::kNone &&
         std::any_of(plan.statements.begin(), plan.statements.end(), Executes);
}

// What a lasting transaction will run is not known yet.
bool MayReadSequences(const CallPlan& plan) {
  if (plan.begin.has_value() && plan.ending == Ending::kNone) return true;
  return std::any_of(plan.statements.begin(), plan.statements.end(), [](const PlannedStatement& planned) {
    return planned.bound.statement != nullptr && planned.bound.statement->reads_sequences();
  });
}

bool HasCallersStatements(const CallPlan& plan) {
  return std::any_of(plan.statements.begin(), plan.statements.end(),
                     [](const PlannedStatement& planned) { return planned.bound.statement != nullptr; });
}

}  // namespace

Attempt::Attempt(const Of& of, Record record, bool hides_writes, absl::AnyInvocable<void()> ended)
    : target_(of.target),
      plan_(of.plan),
      transaction_(of.transaction),
      circumstances_{.in_transaction = of.transaction != nullptr,
                     .read_only_asked = IsReadOnlyAsked(of),
                     .guarded = !hides_writes && ReadsOnItsOwn(of.plan),
                     .hides_writes = hides_writes},
      record_(std::move(record)),
      ended_(std::move(ended)),
      commit_timer_(of.target.loop()),
      weak_(this) {
  if (plan_.independent) result_.failures.resize(plan_.statements.size());
}

Attempt::~Attempt() = default;

Effects Attempt::effects() const { return {plan_, circumstances_, record_, target_.server().surroundings()}; }

pool::Lease& Attempt::lease() { return transaction_ != nullptr ? transaction_->lease() : lease_; }

bool Attempt::MayShare() const { return circumstances_.guarded && plan_.statements.size() == 1 && !plan_.streams; }

// --- what is sent

absl::Status Attempt::RunShared(const pool::RetryLimits& retry_limits) {
  progress_.steps_left = 1;
  PlannedStatement& planned = plan_.statements[0];
  receivers_.push_back(planned.receive(*this, [this](const absl::StatusOr<postgres::Completion>& end) {
    target_.pool().ReadEnded(read_);
    OnStepEnd(Step::kStatement, 0, end);
  }));
  read_.text = planned.bound.text;
  read_.parameters = &planned.bound.parameters;
  read_.receiver = receivers_.back().get();
  read_.retry_limits = retry_limits;
  CountStatement(*planned.bound.text, planned.bound.parameters);
  return target_.pool().RunRead(read_);
}

void Attempt::RunOn(pool::Lease lease) {
  lease_ = std::move(lease);
  lease_.ShieldSequences(OwnerOf(plan_), MayReadSequences(plan_));
  Start();
}

void Attempt::RunInTransaction() {
  if (transaction_->lost()) {
    // What is lost has been rolled back by the server.
    if (plan_.ending != Ending::kRollback) result_.error = postgres::LinkLost(absl::OkStatus());
    Finish();
    return;
  }
  if (effects().MayWrite()) record_.may_have_written = true;
  if (effects().MayChangeSettings()) record_.settings_changed = true;
  if (lease().backend().ReadsTextOtherwise() && HasCallersStatements(plan_)) {
    result_.error = ReadingSettingChanged();
    Finish();
    return;
  }
  Start();
}

void Attempt::Start() {
  if (WantsDigests()) result_.digests.assign(plan_.statements.size(), 0);
  SendStatements();
}

bool Attempt::WantsDigests() const {
  if (transaction_ != nullptr) return transaction_->replay() != nullptr;
  return plan_.begin.has_value() && plan_.begin->replay() && plan_.ending == Ending::kNone;
}

bool Attempt::WantsMark() const { return target_.server().HasMarks() && effects().WantMark(); }

void Attempt::SendStatements() {
  const size_t first = progress_.phase == 0 ? 0 : plan_.phase_ends[progress_.phase - 1];
  const size_t last = plan_.phase_ends.empty() ? plan_.statements.size() : plan_.phase_ends[progress_.phase];
  const bool begins = plan_.begin.has_value() && progress_.phase == 0;
  const bool marks = WantsMark();
  // COMMIT is sent when all before it has been answered, the mark too: a link that breaks earlier would take all that
  // is known of it along, and a cancel that is meant for the statement could hit it. Where nothing can have been
  // written, it goes along.
  const bool ends = plan_.ending != Ending::kNone && plan_.phase_ends.empty() && !marks && !effects().MayWrite();
  // Until the server has told. What the server refuses to let write is taken for a read.
  const bool may_act = std::any_of(
      plan_.statements.begin() + static_cast<ptrdiff_t>(first), plan_.statements.begin() + static_cast<ptrdiff_t>(last),
      [this](const PlannedStatement& planned) { return !planned.internal && effects().Writes(planned); });
  if (may_act && !circumstances_.guarded) record_.reach.Presume(effects().FarthestReach());
  progress_.steps_left = (begins ? 1 : 0) + (last - first) + (marks ? 1 : 0) + (ends ? 1 : 0);
  if (begins) SendCommand(Step::kBegin, BeginText(*plan_.begin), /*sync=*/progress_.steps_left == 1);
  for (size_t i = first; i < last; ++i) {
    SendStatement(i, /*sync=*/plan_.independent || (!marks && !ends && i + 1 == last));
  }
  if (marks) SendMark();
  if (ends) SendEnding();
}

void Attempt::SendStatement(size_t index, bool sync) {
  PlannedStatement& planned = plan_.statements[index];
  pool::Lease& on = lease();
  const sql::Statement* statement = planned.bound.statement.get();
  const bool runs_statement = statement != nullptr && Executes(planned);
  if (runs_statement) {
    on.WillRun(planned.bound.statement, OwnerOf(plan_));
    // It runs code that its text does not show.
    if (circumstances_.hides_writes) on.MarkUnknownCode();
  }
  const bool in_transaction = transaction_ != nullptr || plan_.begin.has_value();
  postgres::Operation op;
  op.text = planned.bound.text;
  op.parameters = &planned.bound.parameters;
  op.describe_only = planned.describe_only;
  // The gateway's own savepoints have ever new names.
  op.keep_prepared = statement != nullptr && !(in_transaction && target_.learnt().LosesPlans(*statement));
  op.sync = sync;
  CountStatement(*op.text, *op.parameters);
  std::unique_ptr<postgres::ResultReceiver> receiver = planned.receive(
      *this,
      [this, index](const absl::StatusOr<postgres::Completion>& end) { OnStepEnd(Step::kStatement, index, end); });
  if (!result_.digests.empty()) {
    receiver = std::make_unique<postgres::DigestedResult>(
        std::move(receiver), [this, index](uint64_t digest) { result_.digests[index] = digest; });
  }
  SendStep(std::move(op), std::move(receiver));
  if (runs_statement) on.HasSent(*statement);
}

void Attempt::SendCommand(Step step, std::string text, bool sync) {
  postgres::Operation op;
  op.text = postgres::CommandText(std::move(text));
  op.sync = sync;
  SendStep(std::move(op),
           std::make_unique<postgres::CommandResult>(
               [this, step](const absl::StatusOr<postgres::Completion>& end) { OnStepEnd(step, 0, end); }));
}

void Attempt::SendMark() {
  record_.mark.reset();
  postgres::Operation op;
  op.text = postgres::MarkText(
      {.assigns = record_.mark_due || effects().AnyWrites(), .asks_elsewhere = target_.server().surroundings().any()});
  op.sync = true;
  SendStep(std::move(op),
           std::make_unique<postgres::MarkResult>(
               target_.server().info().system_identifier, [this](const absl::StatusOr<postgres::MarkAnswer>& answer) {
                 if (answer.ok()) TakeMark(*answer);
                 OnStepEnd(
                     Step::kMark, 0,
                     answer.ok() ? absl::StatusOr<postgres::Completion>(postgres::Completion()) : answer.status());
               }));
}

void Attempt::SendEnding() {
  progress_.ending_sent = true;
  if (plan_.ending == Ending::kCommit) commit_timer_.SetAfter(kSlowCommit, [this] { OnSlowCommit(); });
  SendCommand(Step::kEnding, plan_.ending == Ending::kCommit ? "COMMIT" : "ROLLBACK", /*sync=*/true);
}

void Attempt::SendStep(postgres::Operation operation, std::unique_ptr<postgres::ResultReceiver> receiver) {
  operation.receiver = receiver.get();
  receivers_.push_back(std::move(receiver));
  lease().backend().Run(operation);
}

void Attempt::CountStatement(const sql::BoundText& text, const sql::BoundParameters& parameters) {
  target_.metrics().statements.Increment();
  target_.metrics().bytes_sent.Increment(static_cast<double>(text.sql.size() + parameters.bytes()));
}

// --- what comes back

void Attempt::OnStepEnd(Step step, size_t index, const absl::StatusOr<postgres::Completion>& end) {
  --progress_.steps_left;
  if (!end.ok()) {
    if (!WasSkipped(end.status())) OnStepFailed(step, index, end.status());
  } else if (step == Step::kStatement) {
    OnStatementWorked(*end);
  } else if (step == Step::kEnding) {
    OnEndingWorked(*end);
  }
  if (progress_.steps_left > 0) return;
  if (plan_.ending != Ending::kNone && !progress_.ending_sent && result_.error.ok()) {
    if (stop_reason_ == StopReason::kNone) {
      GoOn();
      return;
    }
    // The cancel came too late for the statements, but not for the transaction.
    result_.error = Stopped(stop_reason_, Phase::kExecuting, Outcome::kRolledBack);
  }
  Finish();
}

void Attempt::OnStatementWorked(const postgres::Completion& end) {
  result_.last = end;
  target_.metrics().rows.Increment(static_cast<double>(end.rows_received));
  target_.metrics().bytes_received.Increment(static_cast<double>(end.bytes_received));
}

void Attempt::OnEndingWorked(const postgres::Completion& end) {
  if (plan_.ending != Ending::kCommit) return;
  // COMMIT of a failed transaction answers with the tag ROLLBACK, and no error.
  result_.committed = end.command_tag == "COMMIT";
  if (result_.committed && record_.mark.has_value()) target_.resolver().NoteCommitted(*record_.mark);
  if (!result_.committed && result_.error.ok()) {
    result_.error = TransactionError(absl::StatusCode::kAborted, Outcome::kRolledBack, Reason::kTransactionFailed,
                                     "the transaction was rolled back, because one of its statements had failed");
  }
}

void Attempt::OnStepFailed(Step step, size_t index, const absl::Status& error) {
  const absl::Status status = step == Step::kStatement
                                  ? StatementError(error, plan_.statements, index, plan_.independent)
                                  : EndingError(error, plan_.statements);
  LearnFrom(status, step, index);
  if (plan_.independent) {
    AttemptEnd end = End();
    end.error = status;
    end.may_commit_itself = MayCommitItself(plan_.statements[index]);
    result_.failures[index] = Verdict(end);
    const Failure failure = FailureOf(status);
    const bool concerns_all = plan_.statements.size() == 1 || !failure.backend_usable ||
                              (failure.cause == Cause::kReadOnly && circumstances_.guarded);
    if (concerns_all && result_.error.ok()) result_.error = status;
    return;
  }
  if (!result_.error.ok()) return;
  result_.error = step != Step::kEnding ? status : WithFailure(status, [this](Failure& failure) {
    failure.phase = Phase::kCommitting;
    if (plan_.streams) failure.rows_delivered = result_.last.rows_received;
  });
}

void Attempt::LearnFrom(const absl::Status& error, Step step, size_t index) {
  const Failure failure = FailureOf(error);
  const bool refused = failure.cause == Cause::kReadOnly;
  // The server says that it takes no writes. If that holds for everyone there, it is no longer the one to write to: its
  // backends go, and the next ones look its name up again.
  if (refused && !circumstances_.guarded && lease().held() && lease().backend().server_is_read_only()) {
    result_.server_is_read_only = true;
    target_.pool().RetireBackends();
  }
  if (step != Step::kStatement) return;
  const sql::Statement* statement = plan_.statements[index].bound.statement.get();
  // The other kinds are of a session that was swapped: nothing is out of date.
  const bool stale = failure.cause == Cause::kStalePlan;
  if (stale) {
    target_.pool().ForgetPlans();
    const bool in_transaction = transaction_ != nullptr || plan_.begin.has_value();
    if (in_transaction && statement != nullptr) target_.learnt().NoteLostPlan(*statement);
  }
  if (refused && circumstances_.guarded) target_.learnt().NoteHiddenWrite(*statement);
}

void Attempt::GoOn() {
  if (!plan_.phase_ends.empty() && progress_.phase < plan_.phase_ends.size()) {
    const absl::StatusOr<bool> more = plan_.after_phase(plan_, progress_.phase);
    if (progress_.phase == 0) result_.key_has_shown = true;
    if (!more.ok()) {
      result_.error = more.status();
      Finish();
      return;
    }
    progress_.phase = *more ? progress_.phase + 1 : plan_.phase_ends.size();
    if (progress_.phase < plan_.phase_ends.size()) {
      SendStatements();
      return;
    }
  }
  progress_.steps_left = 1;
  SendEnding();
}

void Attempt::TakeMark(const postgres::MarkAnswer& answer) {
  target_.server().NoteSurroundings(answer.surroundings);
  const bool calls = answer.calls_functions || effects().CallsUnknownCode();
  record_.reach.Learn(
      std::max(answer.mark.elsewhere, calls ? answer.surroundings.functions : postgres::Elsewhere::kNothing));
  record_.mark = answer.mark;
  progress_.marked = true;
}

// --- while it runs

bool Attempt::commit_is_under_way() const {
  return plan_.ending == Ending::kCommit && progress_.ending_sent && progress_.steps_left == 1;
}

// One that waits for a standby, or checks deferred constraints, takes its time; one whose answer is never to come would
// keep its caller waiting until the deadline. The server knows which it is.
void Attempt::OnSlowCommit() {
  if (progress_.steps_left == 0 || !record_.mark.has_value() || record_.mark->xid == 0) return;
  target_.resolver().Resolve({.mark = *record_.mark, .end_backend = false}, plan_.deadline,
                             weak_.Bind([](Attempt& self, postgres::CommitFate fate) {
                               const bool told =
                                   fate == postgres::CommitFate::kCommitted || fate == postgres::CommitFate::kAborted;
                               if (!told || self.progress_.steps_left == 0) return;
                               self.progress_.fate = fate;
                               self.BreakLink();  // which ends the step, and so the attempt
                             }));
}

void Attempt::Cancel(StopReason reason) {
  stop_reason_ = reason;
  target_.metrics().cancels.Increment();
  lease().backend().Cancel();
  if (transaction_ != nullptr) transaction_->SetStreamPaused(false);
  ResumeReading();  // the result has to be read to its end; its rows are dropped from now on
}

bool Attempt::AbandonShared(StopReason reason) {
  stop_reason_ = reason;
  const bool was_queued = read_.queued;
  progress_.steps_left = 0;
  target_.pool().AbandonRead(read_);
  return was_queued;
}

void Attempt::BreakLink() { lease().backend().Close(); }

void Attempt::ResumeReading() {
  if (progress_.steps_left == 0) return;
  if (shared()) {
    target_.pool().ResumeRead(read_);
  } else if (lease().held()) {
    lease().backend().ResumeReading();
  }
}

int Attempt::backend_pid() const {
  if (shared()) return pool::Pool::BackendPid(read_);
  const pool::Lease& on = transaction_ != nullptr ? transaction_->lease() : lease_;
  return on.held() ? on.backend().pid() : 0;
}

// --- for receivers

postgres::TypeNaming Attempt::Types() {
  return {[&target = target_]() -> const postgres::TypeCatalog& { return *target.server().types(); },
          [this](const std::vector<uint32_t>& oids) {
            return target_.server().LookUpTypes(oids, weak_.Bind([](Attempt& self) {
              if (self.progress_.steps_left == 0) return;
              for (const auto& receiver : self.receivers_) receiver->SetTypes(*self.target_.server().types());
              self.ResumeReading();
            }));
          }};
}

void Attempt::OnOverflow() {
  if (!shared()) {
    // The cancel might hit the one behind it, which is none of its business.
    if (plan_.independent && progress_.steps_left > 1) return;
    target_.metrics().cancels.Increment();
    lease().backend().Cancel();
    return;
  }
  // Not from within the receiver, which goes with the attempt.
  target_.loop().RunAtEndOfRound(weak_.Bind([](Attempt& self) {
    if (self.progress_.steps_left == 0) return;
    self.target_.pool().AbandonRead(self.read_);
    self.receivers_.back()->OnEnd(absl::CancelledError("the result is too large"));
  }));
}

void Attempt::NoteStreamPaused() {
  if (transaction_ != nullptr) transaction_->SetStreamPaused(true);
}

// --- its end

void Attempt::Finish() {
  commit_timer_.Cancel();
  const bool wrote_nothing = !record_.may_have_written && !effects().MayWrite();
  const bool has_no_id = record_.mark.has_value() && record_.mark->xid == 0;
  if (IsCommitInDoubt()) {
    // One that has written nothing is in no doubt.
    if (!progress_.fate.has_value() && (wrote_nothing || has_no_id)) progress_.fate = postgres::CommitFate::kAborted;
    if (progress_.fate.has_value()) Settle(*progress_.fate);
  }
  ended_();
}

bool Attempt::IsCommitInDoubt() const {
  return progress_.ending_sent && plan_.ending == Ending::kCommit && !result_.error.ok() &&
         FailureOf(result_.error).outcome == Outcome::kUnknown;
}

void Attempt::Settle(postgres::CommitFate fate) {
  progress_.fate = fate;
  target_.metrics().CommitResolved(fate == postgres::CommitFate::kCommitted ? observe::Fate::kCommitted
                                   : fate == postgres::CommitFate::kAborted ? observe::Fate::kAborted
                                                                            : observe::Fate::kUnknown);
  if (fate == postgres::CommitFate::kCommitted) {
    result_.committed = true;
    result_.error = absl::OkStatus();
  } else if (fate == postgres::CommitFate::kAborted && record_.reach.at_most() != postgres::Elsewhere::kNothing) {
    result_.error = EffectsElsewhere(Phase::kCommitting);
  } else if (fate == postgres::CommitFate::kAborted) {
    result_.error = WithFailure(TransactionHasEnded(v1::TRANSACTION_STATE_LOST), [this](Failure& failure) {
      failure.phase = Phase::kCommitting;
      failure.retryable = true;
      if (plan_.streams) failure.rows_delivered = result_.last.rows_received;
    });
  }
}

Record Attempt::RecordAtEnd() const {
  Record record = record_;
  record.may_have_written |= effects().MayWrite();
  record.settings_changed |= effects().MayChangeSettings();
  const bool leaves_due = target_.server().HasMarks() && effects().LeaveMarkDue();
  record.mark_due = !progress_.marked && (record_.mark_due || leaves_due);
  return record;
}

AttemptEnd Attempt::End() const {
  using Scope = AttemptEnd::Scope;
  AttemptEnd end;
  end.error = result_.error;
  end.scope = transaction_ != nullptr   ? Scope::kTransaction
              : plan_.begin.has_value() ? Scope::kOwnTransaction
                                        : Scope::kAutocommit;
  end.commits = plan_.ending == Ending::kCommit && progress_.ending_sent;
  end.commit_can_be_asked = IsCommitInDoubt() && !progress_.fate.has_value() && record_.mark.has_value();
  end.ends = plan_.ending != Ending::kNone;
  end.rolls_back = plan_.ending == Ending::kRollback;
  end.transaction_failed = transaction_ != nullptr && transaction_->failed();
  end.transaction_aborts = transaction_ != nullptr && transaction_->abort_reason() != StopReason::kNone;
  end.may_write = effects().MayWrite();
  end.guarded = circumstances_.guarded;
  end.may_commit_itself = std::any_of(plan_.statements.begin(), plan_.statements.end(), MayCommitItself);
  end.has_independent_parts = plan_.independent && plan_.statements.size() > 1;
  end.read_only_asked = circumstances_.read_only_asked;
  end.server_is_read_only = result_.server_is_read_only;
  end.elsewhere = record_.reach.at_most();
  end.commits_elsewhere = effects().CommitsElsewhere();
  end.acts_at_once = effects().CallsOutside() || record_.reach.known() == postgres::Elsewhere::kAtOnce;
  end.is_shown_by_key = plan_.after_phase != nullptr;
  end.can_be_replayed = transaction_ != nullptr && transaction_->replay() != nullptr &&
                        transaction_->replay()->possible() && !plan_.asks_outcome;
  end.rows_dropped = result_.rows_dropped;
  end.stop_reason = stop_reason_;
  return end;
}

}  // namespace engine::db::call

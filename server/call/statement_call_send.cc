// What a call sends down its backend's pipeline: BEGIN, its statements, the question for the transaction's mark,
// COMMIT.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "server/call/shard.h"
#include "server/call/statement_call.h"
#include "server/call/target.h"
#include "server/call/transaction.h"
#include "server/loop/clock.h"
#include "server/postgres/command_text.h"
#include "server/postgres/digested_result.h"

namespace engine::db::call {
namespace {

// A COMMIT that takes so long is looked at from another connection.
constexpr absl::Duration kSlowCommit = absl::Seconds(2);

bool AnyStatement(const Work& work, bool (sql::Statement::*is)() const) {
  return std::any_of(work.runs.begin(), work.runs.end(), [&](const Run& run) {
    return run.bound.statement != nullptr && !run.describe_only && ((*run.bound.statement).*is)();
  });
}

}  // namespace

void StatementCall::Send(pool::Lease& lease) {
  state_ = State::kRunning;
  phase_ = 0;
  const auto is_callers = [](const Run& run) { return run.bound.statement != nullptr; };
  if (transaction_ != nullptr && lease.backend().ReadsTextOtherwise() &&
      std::any_of(work_.runs.begin(), work_.runs.end(), is_callers)) {
    error_ = ReadingSettingChanged();
    Conclude();
    return;
  }
  if (WantsDigests()) digests_.assign(work_.runs.size(), 0);
  SendRuns(lease);
}

void StatementCall::SendRuns(pool::Lease& lease) {
  const size_t first = phase_ == 0 ? 0 : work_.phase_ends[phase_ - 1];
  const size_t last = work_.phase_ends.empty() ? work_.runs.size() : work_.phase_ends[phase_];
  const bool begins = work_.begin.has_value() && phase_ == 0;
  const bool marks = WantsMark();
  // COMMIT is sent when all before it has been answered, the mark too: a link that breaks earlier would take all that
  // is known of it along, and a cancel that is meant for the statement could hit it. Where nothing can have been
  // written, it goes along.
  const bool ends = work_.ending != Ending::kNone && work_.phase_ends.empty() && !MayWrite() && !marks;
  // Until the server has told. What the server refuses to let write is taken for a read.
  const bool may_act = std::any_of(work_.runs.begin() + first, work_.runs.begin() + last,
                                   [this](const Run& run) { return RunsWrite(run) && !run.internal; });
  if (may_act && !guarded_) {
    reach_.Presume(std::max(target_.surroundings().foreign, target_.surroundings().functions));
  }
  steps_left_ = (begins ? 1 : 0) + (last - first) + (marks ? 1 : 0) + (ends ? 1 : 0);
  if (begins) SendCommand(lease, Step::kBegin, BeginText(*work_.begin), /*sync=*/steps_left_ == 1);
  for (size_t i = first; i < last; ++i) {
    Run& run = work_.runs[i];
    const bool runs_statement = run.bound.statement != nullptr && !run.describe_only;
    if (runs_statement) {
      lease.WillRun(run.bound.statement, OwnerOf(work_));
      // It runs code that its text does not show, and that may do anything.
      if (hides_writes_) lease.MarkSessionChanged();
    }
    postgres::Operation op;
    op.text = run.bound.text;
    op.parameters = &run.bound.parameters;
    op.describe_only = run.describe_only;
    // Savepoints have ever new names.
    op.keep_prepared = run.bound.statement != nullptr && !(InTransaction() && target_.LosesPlans(*run.bound.statement));
    op.sync = work_.independent || (!marks && !ends && i + 1 == last);
    std::unique_ptr<postgres::ResultReceiver> receiver = run.receive(
        *this, [this, i](const absl::StatusOr<postgres::Completion>& end) { OnStepEnd(Step::kStatement, i, end); });
    if (!digests_.empty()) {
      receiver = std::make_unique<postgres::DigestedResult>(std::move(receiver),
                                                            [this, i](uint64_t digest) { digests_[i] = digest; });
    }
    SendStep(lease, Step::kStatement, std::move(op), std::move(receiver));
    if (runs_statement) lease.HasSent(*run.bound.statement);
  }
  if (marks) SendMark(lease);
  if (ends) SendEnding(lease);
}

void StatementCall::GoOn() {
  if (!work_.phase_ends.empty() && phase_ < work_.phase_ends.size()) {
    const absl::StatusOr<bool> more = work_.after_phase(work_, phase_);
    if (phase_ == 0) earlier_attempt_in_doubt_ = false;  // its key has shown what became of it
    if (!more.ok()) {
      error_ = more.status();
      Conclude();
      return;
    }
    phase_ = *more ? phase_ + 1 : work_.phase_ends.size();
    if (phase_ < work_.phase_ends.size()) {
      SendRuns(CurrentLease());
      return;
    }
  }
  steps_left_ = 1;
  SendEnding(CurrentLease());
}

void StatementCall::SendCommand(pool::Lease& lease, Step step, std::string text, bool sync) {
  postgres::Operation op;
  op.text = postgres::CommandText(std::move(text));
  op.sync = sync;
  SendStep(lease, step, std::move(op),
           std::make_unique<postgres::CommandResult>(
               [this, step](const absl::StatusOr<postgres::Completion>& end) { OnStepEnd(step, 0, end); }));
}

void StatementCall::SendEnding(pool::Lease& lease) {
  ending_sent_ = true;
  if (work_.ending == Ending::kCommit) {
    commit_timer_.SetAfter(kSlowCommit, [this] { OnSlowCommit(); });
  }
  SendCommand(lease, Step::kEnding, work_.ending == Ending::kCommit ? "COMMIT" : "ROLLBACK", /*sync=*/true);
}

bool StatementCall::MayWrite() const {
  if (only_reads_ && !hides_writes_) {
    // A transaction that something else has run in may have been made READ WRITE by it.
    const bool untouched =
        transaction_ == nullptr || (!transaction_->may_have_written() && !transaction_->settings_changed());
    if (guarded_ || (ReadOnlyAsked() && untouched)) return false;
  }
  return std::any_of(work_.runs.begin(), work_.runs.end(),
                     [](const Run& run) { return Executes(run) && !IsNeutral(run); });
}

bool StatementCall::RunsWrite(const Run& run) const {
  return Executes(run) && !IsNeutral(run) && (!OnlyReads(run) || hides_writes_);
}

bool StatementCall::RunsWrites() const {
  return std::any_of(work_.runs.begin(), work_.runs.end(), [this](const Run& run) { return RunsWrite(run); });
}

bool StatementCall::CallsOutside() const {
  return target_.surroundings().functions == postgres::Elsewhere::kAtOnce &&
         std::any_of(work_.runs.begin(), work_.runs.end(), [](const Run& run) {
           return Executes(run) && run.bound.statement != nullptr && run.bound.statement->calls_unknown_code();
         });
}

void StatementCall::NoteIn(Transaction& transaction) const {
  if (MayWrite()) transaction.MarkWritten();
  if (std::any_of(work_.runs.begin(), work_.runs.end(), [](const Run& run) {
        return run.bound.statement != nullptr && run.bound.statement->may_change_settings();
      })) {
    transaction.MarkSettingsChanged();
  }
}

bool StatementCall::ReadOnlyAsked() const {
  return transaction_ != nullptr ? transaction_->read_only() : work_.begin.has_value() && work_.begin->read_only();
}

// The transaction's mark, once it has an id, stays the same; but what has just been run may have given it one, changed
// a setting that the mark tells of, or gone further than what was run before.
bool StatementCall::WantsMark() const {
  const bool in_transaction = transaction_ != nullptr || work_.begin.has_value();
  if (!in_transaction || work_.ending == Ending::kRollback || !target_.HasMarks()) return false;
  // The question takes a snapshot. Where the caller's own statements have not, it waits for them, or for COMMIT.
  if (work_.ending != Ending::kCommit && !AnyStatement(work_, &sql::Statement::takes_snapshot)) return false;
  if (transaction_ != nullptr && transaction_->mark_due()) return true;
  if (!MayWrite()) return false;
  return !mark_.has_value() || mark_->xid == 0 || AnyStatement(work_, &sql::Statement::may_change_settings) ||
         reach_.known() < std::max(target_.surroundings().foreign, target_.surroundings().functions);
}

bool StatementCall::MarkIsDue() const {
  return MayWrite() && target_.HasMarks() && !AnyStatement(work_, &sql::Statement::takes_snapshot) &&
         (!mark_.has_value() || mark_->xid == 0);
}

// Behind the statements, so that it knows what they did.
void StatementCall::SendMark(pool::Lease& lease) {
  mark_.reset();
  const bool due = transaction_ != nullptr && transaction_->mark_due();
  postgres::Operation op;
  op.text = postgres::MarkText({.assigns = due || RunsWrites(), .asks_elsewhere = target_.surroundings().any()});
  op.sync = true;
  SendStep(lease, Step::kMark, std::move(op),
           std::make_unique<postgres::MarkResult>(
               target_.server().system_identifier, [this](const absl::StatusOr<postgres::MarkAnswer>& answer) {
                 if (answer.ok()) TakeMark(*answer);
                 OnStepEnd(
                     Step::kMark, 0,
                     answer.ok() ? absl::StatusOr<postgres::Completion>(postgres::Completion()) : answer.status());
               }));
}

void StatementCall::TakeMark(const postgres::MarkAnswer& answer) {
  target_.NoteSurroundings(answer.surroundings);
  const bool calls = answer.calls_functions || AnyStatement(work_, &sql::Statement::calls_unknown_code);
  reach_.Learn(std::max(answer.mark.elsewhere, calls ? answer.surroundings.functions : postgres::Elsewhere::kNothing));
  mark_ = answer.mark;
  marked_ = true;
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
  const size_t bytes = text->sql.size() + (parameters == nullptr ? 0 : parameters->bytes());
  target_.metrics().statements.Increment();
  target_.metrics().bytes_sent.Increment(static_cast<double>(bytes));
}

}  // namespace engine::db::call

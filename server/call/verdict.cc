#include "server/call/verdict.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/failure.h"
#include "server/postgres/sqlstate.h"

namespace engine::db::call {
namespace {

using absl::StatusCode;
using Scope = AttemptEnd::Scope;

// Everything that was open when the link broke has been undone by the server, but for a COMMIT that got through.
absl::Status LinkVerdict(Failure failure, const AttemptEnd& attempt) {
  const bool unsent = failure.outcome == Outcome::kNotExecuted;
  const bool nothing_to_lose = !attempt.may_write && attempt.scope != Scope::kTransaction;
  const bool in_doubt = !unsent && !nothing_to_lose && (attempt.commits || attempt.scope == Scope::kAutocommit);
  const Phase phase = attempt.commits ? Phase::kCommitting : Phase::kExecuting;
  // What was done at once, a rollback does not undo. (What waits for COMMIT has not been done.)
  const bool at_once = !unsent && attempt.elsewhere == postgres::Elsewhere::kAtOnce;
  if (attempt.stop_reason != StopReason::kNone) {
    return Stopped(attempt.stop_reason, phase, in_doubt || at_once ? Outcome::kUnknown : Outcome::kRolledBack);
  }
  if (in_doubt && attempt.commits) {
    failure.kind = ErrorKind::kTransaction;
    failure.phase = phase;
    failure.reason = Reason::kCommitInDoubt;
    failure.outcome = Outcome::kUnknown;
    failure.code = StatusCode::kUnknown;
    return ToStatus(std::move(failure));
  }
  if (in_doubt) {
    failure.code = StatusCode::kUnknown;
    return ToStatus(std::move(failure));
  }
  if (at_once) return EffectsElsewhere(phase);
  if (attempt.scope == Scope::kTransaction) return TransactionHasEnded(v1::TRANSACTION_STATE_LOST);

  if (!unsent) failure.outcome = Outcome::kRolledBack;
  failure.retryable = failure.rows_delivered == 0;
  if (failure.rows_delivered > 0) {
    failure.message = absl::StrCat(failure.message, ", after ", failure.rows_delivered,
                                   failure.rows_delivered == 1 ? " row" : " rows", " had been handed on");
    failure.hint = "begin the statement again and pass over what has come already, or read it in smaller parts";
  }
  failure.code = StatusCode::kUnavailable;
  return ToStatus(std::move(failure));
}

}  // namespace

absl::Status Verdict(const AttemptEnd& attempt) {
  const absl::Status& error = attempt.error;
  if (error.ok()) return error;
  Failure failure = FailureOf(error);
  if (!failure.backend_usable) return LinkVerdict(std::move(failure), attempt);
  if (failure.reason == Reason::kEffectsElsewhere) return error;

  // PostgreSQL refused to commit, after the others had been told to: a serialization failure, or the next of several
  // foreign servers that failed.
  const bool at_commit = failure.phase == Phase::kCommitting && failure.reason != Reason::kTransactionFailed;
  if (at_commit && attempt.commits_elsewhere && failure.outcome == Outcome::kRolledBack) {
    failure.outcome = Outcome::kUnknown;
    failure.retryable = false;
    failure.hint = "it was rolled back here, and may have been committed on foreign servers: look there";
    return ToStatus(std::move(failure));
  }
  if (attempt.acts_at_once && failure.outcome != Outcome::kNotExecuted) failure.retryable = false;

  // A procedure's COMMIT is not undone by what fails after it. (An error with a position was found in the text, before
  // any of it ran.)
  const bool refused_by_name = failure.phase == Phase::kValidating && failure.reason == Reason::kPostgresqlError;
  const bool refused_at_once = refused_by_name || failure.position > 0;
  const bool part_may_remain = attempt.may_commit_itself && attempt.scope == Scope::kAutocommit &&
                               (failure.outcome == Outcome::kRolledBack || failure.cause == Cause::kReadOnly) &&
                               !refused_at_once;
  if (refused_by_name && attempt.may_commit_itself) {
    failure.outcome = Outcome::kNotExecuted;
  } else if (refused_by_name) {
    failure.phase = Phase::kExecuting;  // what a value names is looked up while the statement runs
  }
  if (part_may_remain) {
    failure.outcome = Outcome::kUnknown;
    failure.retryable = false;
  }
  // A timeout and a cancel share a SQLSTATE: who stopped it knows why.
  if (failure.cause == Cause::kCancelled && attempt.stop_reason != StopReason::kNone) {
    return Stopped(attempt.stop_reason, Phase::kExecuting, part_may_remain ? Outcome::kUnknown : Outcome::kRolledBack);
  }
  if (failure.cause == Cause::kReadOnly && (attempt.read_only_asked || !attempt.server_is_read_only)) {
    failure.kind = ErrorKind::kExecution;
    failure.retryable = false;
    failure.hint = attempt.read_only_asked ? "leave read_only out to write in the transaction"
                   : attempt.guarded       ? "the statement writes, which its text does not show: it is known now, and "
                                             "will work when it is run again"
                                           : "the role or the session is set to default_transaction_read_only";
    failure.code = StatusCode::kFailedPrecondition;
    return ToStatus(std::move(failure));
  }
  // What has been handed on can't be taken back.
  if (failure.rows_delivered > 0) failure.retryable = false;
  if (failure.outcome == Outcome::kUnknown && !attempt.may_write) {
    failure.outcome = Outcome::kRolledBack;
    failure.retryable = attempt.scope != Scope::kTransaction && failure.rows_delivered == 0;
  }
  // A read has no effect to tell of.
  if (failure.reason == Reason::kResultTooLarge && !attempt.may_write) failure.outcome = Outcome::kUnspecified;
  // Said of the statement alone, whose transaction goes on or was rolled back.
  if (failure.outcome == Outcome::kCommitted && attempt.scope != Scope::kAutocommit) {
    const bool open = attempt.scope == Scope::kTransaction && !attempt.ends && !attempt.transaction_failed;
    failure.outcome = open ? Outcome::kUnspecified : Outcome::kRolledBack;
    if (open) failure.hint = "the statement took effect within the transaction, which is still open";
  }
  if (attempt.scope != Scope::kTransaction) return ToStatus(std::move(failure));

  // The statement alone can't be repeated, only the whole transaction.
  StatusCode code = error.code();
  if (failure.cause == Cause::kReadOnly || failure.reason == Reason::kStalePlan ||
      failure.cause == Cause::kInsufficientResources) {
    code = StatusCode::kAborted;
  }
  if (failure.retryable) failure.hint = "roll back, and repeat the whole transaction";
  failure.code = code;
  return ToStatus(std::move(failure));
}

}  // namespace engine::db::call

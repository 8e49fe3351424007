#include "server/call/verdict.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/error.h"
#include "server/postgres/sqlstate.h"

namespace engine::db::call {
namespace {

using absl::StatusCode;
using Scope = AttemptEnd::Scope;

// Everything that was open when the link broke has been undone by the server, but for a COMMIT that got through.
absl::Status LinkVerdict(v1::DatabaseError detail, const AttemptEnd& attempt) {
  const bool unsent = detail.outcome() == v1::OUTCOME_NOT_EXECUTED;
  const bool nothing_to_lose = !attempt.may_write && attempt.scope != Scope::kTransaction;
  const bool in_doubt = !unsent && !nothing_to_lose && (attempt.commits || attempt.scope == Scope::kAutocommit);
  const v1::Phase phase = attempt.commits ? v1::PHASE_COMMITTING : v1::PHASE_EXECUTING;
  // What was done at once, a rollback does not undo. (What waits for COMMIT has not been done.)
  const bool at_once = !unsent && attempt.elsewhere == postgres::Elsewhere::kAtOnce;
  if (attempt.stop_reason != StopReason::kNone) {
    return Stopped(attempt.stop_reason, phase, in_doubt || at_once ? v1::OUTCOME_UNKNOWN : v1::OUTCOME_ROLLED_BACK);
  }
  if (in_doubt && attempt.commits) {
    detail.set_kind(v1::ERROR_KIND_TRANSACTION);
    detail.set_phase(phase);
    detail.set_reason(std::string(kCommitInDoubt));
    detail.set_outcome(v1::OUTCOME_UNKNOWN);
    return MakeError(StatusCode::kUnknown, std::move(detail));
  }
  if (in_doubt) return MakeError(StatusCode::kUnknown, std::move(detail));
  if (at_once) return EffectsElsewhere(phase);
  if (attempt.scope == Scope::kTransaction) return TransactionHasEnded(v1::TRANSACTION_STATE_LOST);

  if (!unsent) detail.set_outcome(v1::OUTCOME_ROLLED_BACK);
  detail.set_retryable(detail.rows_delivered() == 0);
  if (detail.rows_delivered() > 0) {
    detail.set_message(absl::StrCat(detail.message(), ", after ", detail.rows_delivered(),
                                    detail.rows_delivered() == 1 ? " row" : " rows", " had been handed on"));
    detail.set_hint("begin the statement again and pass over what has come already, or read it in smaller parts");
  }
  return MakeError(StatusCode::kUnavailable, std::move(detail));
}

}  // namespace

bool LinkWasLost(const v1::DatabaseError& detail) { return detail.reason() == postgres::kLinkLost; }

absl::Status Verdict(const AttemptEnd& attempt) {
  const absl::Status& error = attempt.error;
  if (error.ok()) return error;
  v1::DatabaseError detail = ErrorDetail(error);
  if (LinkWasLost(detail)) return LinkVerdict(std::move(detail), attempt);
  if (detail.reason() == kEffectsElsewhere) return error;

  // PostgreSQL refused to commit, after the others had been told to: a serialization failure, or the next of several
  // foreign servers that failed.
  const bool at_commit = detail.phase() == v1::PHASE_COMMITTING && detail.reason() != kTransactionFailed;
  if (at_commit && attempt.commits_elsewhere && detail.outcome() == v1::OUTCOME_ROLLED_BACK) {
    detail.set_outcome(v1::OUTCOME_UNKNOWN);
    detail.set_retryable(false);
    detail.set_hint("it was rolled back here, and may have been committed on foreign servers: look there");
    return MakeError(error.code(), std::move(detail));
  }
  if (attempt.acts_at_once && detail.outcome() != v1::OUTCOME_NOT_EXECUTED) detail.set_retryable(false);

  // A procedure's COMMIT is not undone by what fails after it. (An error with a position was found in the text, before
  // any of it ran.)
  const bool refused_by_name = detail.phase() == v1::PHASE_VALIDATING && detail.reason() == postgres::kPostgresError;
  const bool refused_at_once = refused_by_name || detail.position() > 0;
  const bool part_may_remain = attempt.may_commit_itself && attempt.scope == Scope::kAutocommit &&
                               (detail.outcome() == v1::OUTCOME_ROLLED_BACK || detail.sqlstate() == "25006") &&
                               !refused_at_once;
  if (refused_by_name && attempt.may_commit_itself) {
    detail.set_outcome(v1::OUTCOME_NOT_EXECUTED);
  } else if (refused_by_name) {
    detail.set_phase(v1::PHASE_EXECUTING);  // what a value names is looked up while the statement runs
  }
  if (part_may_remain) {
    detail.set_outcome(v1::OUTCOME_UNKNOWN);
    detail.set_retryable(false);
  }
  // A timeout and a cancel share a SQLSTATE: who stopped it knows why.
  if (detail.sqlstate() == "57014" && attempt.stop_reason != StopReason::kNone) {
    return Stopped(attempt.stop_reason, v1::PHASE_EXECUTING,
                   part_may_remain ? v1::OUTCOME_UNKNOWN : v1::OUTCOME_ROLLED_BACK);
  }
  if (detail.sqlstate() == "25006" && (attempt.read_only_asked || !attempt.server_is_read_only)) {
    detail.set_kind(v1::ERROR_KIND_EXECUTION);
    detail.set_retryable(false);
    detail.set_hint(attempt.read_only_asked ? "leave read_only out to write in the transaction"
                    : attempt.guarded ? "the statement writes, which its text does not show: it is known now, and "
                                        "will work when it is run again"
                                      : "the role or the session is set to default_transaction_read_only");
    return MakeError(StatusCode::kFailedPrecondition, std::move(detail));
  }
  // What has been handed on can't be taken back.
  if (detail.rows_delivered() > 0) detail.set_retryable(false);
  if (detail.outcome() == v1::OUTCOME_UNKNOWN && !attempt.may_write) {
    detail.set_outcome(v1::OUTCOME_ROLLED_BACK);
    detail.set_retryable(attempt.scope != Scope::kTransaction && detail.rows_delivered() == 0);
  }
  // A read has no effect to tell of.
  if (detail.reason() == postgres::kResultTooLarge && !attempt.may_write) detail.set_outcome(v1::OUTCOME_UNSPECIFIED);
  // Said of the statement alone, whose transaction goes on or was rolled back.
  if (detail.outcome() == v1::OUTCOME_COMMITTED && attempt.scope != Scope::kAutocommit) {
    const bool open = attempt.scope == Scope::kTransaction && !attempt.ends && !attempt.transaction_failed;
    detail.set_outcome(open ? v1::OUTCOME_UNSPECIFIED : v1::OUTCOME_ROLLED_BACK);
    if (open) detail.set_hint("the statement took effect within the transaction, which is still open");
  }
  if (attempt.scope != Scope::kTransaction) return MakeError(error.code(), std::move(detail));

  // The statement alone can't be repeated, only the whole transaction.
  StatusCode code = error.code();
  if (detail.sqlstate() == "25006" || detail.reason() == "STALE_PLAN" || detail.sqlstate().starts_with("53")) {
    code = StatusCode::kAborted;
  }
  if (detail.retryable()) detail.set_hint("roll back, and repeat the whole transaction");
  return MakeError(code, std::move(detail));
}

}  // namespace engine::db::call

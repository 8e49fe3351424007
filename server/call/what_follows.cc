#include "server/call/what_follows.h"

#include "server/base/failure.h"
#include "server/call/verdict.h"

namespace engine::db::call {
namespace {

using Scope = AttemptEnd::Scope;

// The statement ended while nobody wanted its rows any more: what has been handed on is not all.
absl::Status RowsWithheld(const AttemptEnd& end) {
  const bool in_open_one = end.scope == Scope::kTransaction && !end.ends;
  const bool is_ended = in_open_one && (end.stop_reason == StopReason::kRolledBack || end.transaction_aborts);
  const Outcome outcome = in_open_one && !is_ended     ? Outcome::kUnspecified
                          : end.may_write && !is_ended ? Outcome::kCommitted
                                                       : Outcome::kRolledBack;
  return Stopped(end.stop_reason, Phase::kStreaming, outcome);
}

absl::Status StatusOf(const AttemptEnd& end) {
  if (end.error.ok()) {
    if (!end.rows_dropped) return absl::OkStatus();
    AttemptEnd withheld = end;
    withheld.error = RowsWithheld(end);
    return Verdict(withheld);
  }
  // The server undoes whatever was open when a link breaks.
  if (end.rolls_back && !FailureOf(end.error).backend_usable) return absl::OkStatus();
  return Verdict(end);
}

// A transaction that was lost or had to give way, and may be run again without its caller's knowing.
bool MayReplay(const AttemptEnd& end, const Tried& tried, const Failure& failure) {
  if (!end.can_be_replayed || end.rolls_back || !tried.may_try_again) return false;
  if (end.elsewhere == postgres::Elsewhere::kAtOnce) return false;
  if (FailureOf(end.error).rows_delivered > 0 || failure.outcome == Outcome::kUnknown) return false;
  return failure.cause == Cause::kConflict || failure.reason == Reason::kTransactionLost;
}

Decision AfterRefusedWrite(const AttemptEnd& end, const Tried& tried, const Failure& failure) {
  if (end.guarded) return {.next = Next::kRunAsWrite};
  if (!failure.retryable || tried.read_only_server_retried) return {};
  return {.next = Next::kRunAgain, .mended = Mended::kReadOnlyServer};
}

Decision AfterFailure(const AttemptEnd& end, const Tried& tried, const Failure& failure) {
  if (end.has_independent_parts && !end.guarded) return {};  // some may have been committed
  if (failure.rows_delivered > 0) return {};                 // they can't be taken back
  if (failure.cause == Cause::kReadOnly) return AfterRefusedWrite(end, tried, failure);
  if (failure.reason == Reason::kStalePlan) {
    if (tried.stale_plan_retried) return {};
    return {.next = Next::kRunAgain, .mended = Mended::kStalePlan};
  }
  const bool shown_by_key =
      end.is_shown_by_key && failure.outcome == Outcome::kUnknown && end.elsewhere == postgres::Elsewhere::kNothing;
  if (!tried.may_try_again || !(failure.retryable || shown_by_key)) return {};
  // A server in trouble is spared; what only got in another transaction's way is not its trouble.
  return {.next = Next::kRunAgain, .costs_budget = failure.kind == ErrorKind::kConnection};
}

}  // namespace

Decision WhatFollows(const AttemptEnd& end, const Tried& tried) {
  if (end.commit_can_be_asked) return {.next = Next::kResolve};
  const absl::Status status = StatusOf(end);
  Decision decision;
  if (!status.ok() && end.stop_reason == StopReason::kNone && !tried.answered) {
    const Failure failure = FailureOf(status);
    if (end.scope != Scope::kTransaction) {
      decision = AfterFailure(end, tried, failure);
    } else if (MayReplay(end, tried, failure)) {
      decision.next = Next::kReplay;
    }
  }
  decision.status = status;
  return decision;
}

}  // namespace engine::db::call

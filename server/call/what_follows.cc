#include "server/call/what_follows.h"

#include "server/base/error.h"
#include "server/call/verdict.h"

namespace engine::db::call {
namespace {

using Scope = AttemptEnd::Scope;

// The statement ended while nobody wanted its rows any more: what has been handed on is not all.
absl::Status RowsWithheld(const AttemptEnd& end) {
  const bool in_open_one = end.scope == Scope::kTransaction && !end.ends;
  const bool is_ended = in_open_one && (end.stop_reason == StopReason::kRolledBack || end.transaction_aborts);
  const v1::Outcome outcome = in_open_one && !is_ended     ? v1::OUTCOME_UNSPECIFIED
                              : end.may_write && !is_ended ? v1::OUTCOME_COMMITTED
                                                           : v1::OUTCOME_ROLLED_BACK;
  return Stopped(end.stop_reason, v1::PHASE_STREAMING, outcome);
}

absl::Status StatusOf(const AttemptEnd& end) {
  if (end.error.ok()) {
    if (!end.rows_dropped) return absl::OkStatus();
    AttemptEnd withheld = end;
    withheld.error = RowsWithheld(end);
    return Verdict(withheld);
  }
  // The server undoes whatever was open when a link breaks.
  if (end.rolls_back && LinkWasLost(ErrorDetail(end.error))) return absl::OkStatus();
  return Verdict(end);
}

// A transaction that was lost or had to give way, and may be run again without its caller's knowing.
bool MayReplay(const AttemptEnd& end, const Tried& tried, const v1::DatabaseError& detail) {
  if (!end.can_be_replayed || end.rolls_back || !tried.may_try_again) return false;
  if (end.elsewhere == postgres::Elsewhere::kAtOnce) return false;
  if (ErrorDetail(end.error).rows_delivered() > 0 || detail.outcome() == v1::OUTCOME_UNKNOWN) return false;
  return detail.sqlstate() == "40001" || detail.sqlstate() == "40P01" || detail.reason() == kTransactionLost;
}

Decision AfterRefusedWrite(const AttemptEnd& end, const Tried& tried, const v1::DatabaseError& detail) {
  if (end.guarded) return {.next = Next::kRunAsWrite};
  if (!detail.retryable() || tried.read_only_server_retried) return {};
  return {.next = Next::kRunAgain, .mended = Mended::kReadOnlyServer};
}

Decision AfterFailure(const AttemptEnd& end, const Tried& tried, const v1::DatabaseError& detail) {
  if (end.has_independent_parts && !end.guarded) return {};  // some may have been committed
  if (detail.rows_delivered() > 0) return {};                // they can't be taken back
  if (detail.sqlstate() == "25006") return AfterRefusedWrite(end, tried, detail);
  if (detail.reason() == "STALE_PLAN") {
    if (tried.stale_plan_retried) return {};
    return {.next = Next::kRunAgain, .mended = Mended::kStalePlan};
  }
  const bool shown_by_key =
      end.is_shown_by_key && detail.outcome() == v1::OUTCOME_UNKNOWN && end.elsewhere == postgres::Elsewhere::kNothing;
  if (!tried.may_try_again || !(detail.retryable() || shown_by_key)) return {};
  // A server in trouble is spared; what only got in another transaction's way is not its trouble.
  return {.next = Next::kRunAgain, .costs_budget = detail.kind() == v1::ERROR_KIND_CONNECTION};
}

}  // namespace

Decision WhatFollows(const AttemptEnd& end, const Tried& tried) {
  if (end.commit_can_be_asked) return {.next = Next::kResolve};
  const absl::Status status = StatusOf(end);
  Decision decision;
  if (!status.ok() && end.stop_reason == StopReason::kNone && !tried.answered) {
    const v1::DatabaseError detail = ErrorDetail(status);
    if (end.scope != Scope::kTransaction) {
      decision = AfterFailure(end, tried, detail);
    } else if (MayReplay(end, tried, detail)) {
      decision.next = Next::kReplay;
    }
  }
  decision.status = status;
  return decision;
}

}  // namespace engine::db::call

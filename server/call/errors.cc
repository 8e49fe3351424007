#include "server/call/errors.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/error.h"

namespace engine::db::call {
namespace {

using absl::StatusCode;

}  // namespace

absl::Status Stopped(StopReason reason, v1::Phase phase, v1::Outcome outcome) {
  v1::DatabaseError detail;
  detail.set_kind(v1::ERROR_KIND_TIMEOUT);
  detail.set_phase(phase);
  detail.set_outcome(outcome);
  StatusCode code = StatusCode::kCancelled;
  switch (reason) {
    case StopReason::kDeadline:
      code = StatusCode::kDeadlineExceeded;
      detail.set_reason("DEADLINE_EXCEEDED");
      detail.set_message(outcome == v1::OUTCOME_UNKNOWN ? "the deadline passed, and what became of it is not known"
                         : phase == v1::PHASE_STREAMING ? "the deadline passed before all rows had been handed on"
                                                        : "the deadline passed, and the statement was cancelled");
      break;
    case StopReason::kConnectionClosed:
      detail.set_kind(v1::ERROR_KIND_CONNECTION);
      detail.set_reason("CONNECTION_CLOSED");
      detail.set_message("the connection was closed by its caller");
      break;
    case StopReason::kDraining:
      code = StatusCode::kUnavailable;
      detail.set_kind(v1::ERROR_KIND_CONNECTION);
      detail.set_reason("DRAINING");
      detail.set_message("the gateway shut down before the call was done");
      break;
    case StopReason::kTransactionExpired:
      detail.set_kind(v1::ERROR_KIND_TRANSACTION);
      code = StatusCode::kAborted;
      detail.set_reason("TRANSACTION_EXPIRED");
      detail.set_message("the transaction's lease ran out while the statement ran");
      break;
    case StopReason::kRolledBack:
      detail.set_kind(v1::ERROR_KIND_TRANSACTION);
      code = StatusCode::kAborted;
      detail.set_reason("TRANSACTION_ROLLED_BACK");
      detail.set_message("the transaction was rolled back while its stream was open");
      break;
    case StopReason::kAdmin:
      detail.set_reason("CANCELLED_BY_OPERATOR");
      detail.set_message("an operator cancelled the statement");
      break;
    case StopReason::kNone:
    case StopReason::kCancelled:
      detail.set_reason("CANCELLED");
      detail.set_message("the caller cancelled the call");
      break;
  }
  return MakeError(code, std::move(detail));
}

absl::Status TransactionError(StatusCode code, v1::Outcome outcome, std::string_view reason, std::string_view message) {
  v1::DatabaseError detail;
  detail.set_kind(v1::ERROR_KIND_TRANSACTION);
  detail.set_phase(v1::PHASE_VALIDATING);
  detail.set_outcome(outcome);
  detail.set_field("transaction_id");
  detail.set_reason(std::string(reason));
  detail.set_message(std::string(message));
  return MakeError(code, std::move(detail));
}

absl::Status TransactionHasEnded(v1::TransactionState state) {
  switch (state) {
    case v1::TRANSACTION_STATE_COMMITTED:
      return TransactionError(StatusCode::kFailedPrecondition, v1::OUTCOME_NOT_EXECUTED, "TRANSACTION_COMMITTED",
                              "the transaction was committed already");
    case v1::TRANSACTION_STATE_ROLLED_BACK:
      return TransactionError(StatusCode::kFailedPrecondition, v1::OUTCOME_ROLLED_BACK, "TRANSACTION_ROLLED_BACK",
                              "the transaction was rolled back already");
    case v1::TRANSACTION_STATE_EXPIRED:
      return TransactionError(
          StatusCode::kFailedPrecondition, v1::OUTCOME_ROLLED_BACK, "TRANSACTION_EXPIRED",
          "the transaction was rolled back because its lease ran out (idle_timeout_ms or max_duration_ms)");
    default:
      return TransactionError(StatusCode::kAborted, v1::OUTCOME_ROLLED_BACK, kTransactionLost,
                              "the transaction's connection to PostgreSQL was lost, which rolled it back");
  }
}

absl::Status CommitInDoubt() {
  const absl::Status status =
      TransactionError(StatusCode::kUnknown, v1::OUTCOME_UNKNOWN, kCommitInDoubt,
                       "COMMIT was sent, and the connection to PostgreSQL broke before its answer: whether the "
                       "transaction is committed is not known");
  return WithDetail(status, [](v1::DatabaseError& detail) { detail.set_phase(v1::PHASE_COMMITTING); });
}

absl::Status EffectsElsewhere(v1::Phase phase) {
  const absl::Status status = TransactionError(
      StatusCode::kUnknown, v1::OUTCOME_UNKNOWN, kEffectsElsewhere,
      "the connection to PostgreSQL was lost, and the transaction was rolled back there; but it may have "
      "taken effect elsewhere, through foreign tables or functions that act outside of the server");
  return WithDetail(status, [phase](v1::DatabaseError& detail) {
    detail.set_phase(phase);
    detail.clear_field();
    detail.set_hint("look there before repeating it");
  });
}

v1::Outcome OutcomeOf(v1::TransactionState state) {
  switch (state) {
    case v1::TRANSACTION_STATE_COMMITTED:
      return v1::OUTCOME_COMMITTED;
    case v1::TRANSACTION_STATE_ROLLED_BACK:
    case v1::TRANSACTION_STATE_EXPIRED:
    case v1::TRANSACTION_STATE_LOST:
      return v1::OUTCOME_ROLLED_BACK;
    default:
      return v1::OUTCOME_UNSPECIFIED;
  }
}

absl::Status StreamOpen() {
  v1::DatabaseError detail;
  detail.set_kind(v1::ERROR_KIND_TRANSACTION);
  detail.set_phase(v1::PHASE_QUEUED);
  detail.set_outcome(v1::OUTCOME_NOT_EXECUTED);
  detail.set_reason("STREAM_OPEN");
  detail.set_message(
      "a stream of the same transaction is open, and its rows are not being read: the backend runs one statement at a "
      "time");
  detail.set_hint(
      "read the stream to its end or cancel it first; to run statements between its rows, collect them before "
      "(Execute), or "
      "stream them in another transaction");
  return MakeError(StatusCode::kFailedPrecondition, std::move(detail));
}

absl::Status ReadingSettingChanged() {
  return WithDetail(
      TransactionError(StatusCode::kFailedPrecondition, v1::OUTCOME_NOT_EXECUTED, "SETTING_NOT_SUPPORTED",
                       "an earlier statement of the transaction has changed standard_conforming_strings or "
                       "client_encoding, by which PostgreSQL would read this one otherwise than the gateway"),
      [](v1::DatabaseError& detail) { detail.set_hint("roll back, and leave these settings as they are"); });
}

absl::Status StillInProgress() {
  v1::DatabaseError detail;
  detail.set_kind(v1::ERROR_KIND_TIMEOUT);
  detail.set_phase(v1::PHASE_EXECUTING);
  detail.set_outcome(v1::OUTCOME_UNKNOWN);
  detail.set_retryable(true);
  detail.set_reason("DEADLINE_EXCEEDED");
  detail.set_message("the deadline passed before the transaction's outcome could be found out: ask again");
  return MakeError(StatusCode::kDeadlineExceeded, std::move(detail));
}

absl::Status Draining() {
  v1::DatabaseError detail;
  detail.set_kind(v1::ERROR_KIND_CONNECTION);
  detail.set_phase(v1::PHASE_VALIDATING);
  detail.set_outcome(v1::OUTCOME_NOT_EXECUTED);
  detail.set_retryable(true);
  detail.set_retry_after_ms(500);
  detail.set_reason("DRAINING");
  detail.set_message("the gateway is shutting down: only open transactions may go on");
  return MakeError(StatusCode::kUnavailable, std::move(detail));
}

}  // namespace engine::db::call

#include "server/call/errors.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/failure.h"

namespace engine::db::call {
namespace {

using absl::StatusCode;

}  // namespace

absl::Status Stopped(StopReason reason, Phase phase, Outcome outcome) {
  Failure failure;
  failure.kind = ErrorKind::kTimeout;
  failure.phase = phase;
  failure.outcome = outcome;
  StatusCode code = StatusCode::kCancelled;
  switch (reason) {
    case StopReason::kDeadline:
      code = StatusCode::kDeadlineExceeded;
      failure.reason = Reason::kDeadlineExceeded;
      failure.message = outcome == Outcome::kUnknown ? "the deadline passed, and what became of it is not known"
                        : phase == Phase::kStreaming ? "the deadline passed before all rows had been handed on"
                                                     : "the deadline passed, and the statement was cancelled";
      break;
    case StopReason::kConnectionClosed:
      failure.kind = ErrorKind::kConnection;
      failure.reason = Reason::kConnectionClosed;
      failure.message = "the connection was closed by its caller";
      break;
    case StopReason::kDraining:
      code = StatusCode::kUnavailable;
      failure.kind = ErrorKind::kConnection;
      failure.reason = Reason::kDraining;
      failure.message = "the gateway shut down before the call was done";
      break;
    case StopReason::kTransactionExpired:
      failure.kind = ErrorKind::kTransaction;
      code = StatusCode::kAborted;
      failure.reason = Reason::kTransactionExpired;
      failure.message = "the transaction's lease ran out while the statement ran";
      break;
    case StopReason::kRolledBack:
      failure.kind = ErrorKind::kTransaction;
      code = StatusCode::kAborted;
      failure.reason = Reason::kTransactionRolledBack;
      failure.message = "the transaction was rolled back while its stream was open";
      break;
    case StopReason::kAdmin:
      failure.reason = Reason::kCancelledByOperator;
      failure.message = "an operator cancelled the statement";
      break;
    case StopReason::kNone:
    case StopReason::kCancelled:
      failure.reason = Reason::kCancelled;
      failure.message = "the caller cancelled the call";
      break;
  }
  failure.code = code;
  return ToStatus(std::move(failure));
}

absl::Status TransactionError(StatusCode code, Outcome outcome, Reason reason, std::string_view message) {
  Failure failure;
  failure.kind = ErrorKind::kTransaction;
  failure.phase = Phase::kValidating;
  failure.outcome = outcome;
  failure.field = "transaction_id";
  failure.reason = reason;
  failure.message = std::string(message);
  failure.code = code;
  return ToStatus(std::move(failure));
}

absl::Status TransactionHasEnded(v1::TransactionState state) {
  switch (state) {
    case v1::TRANSACTION_STATE_COMMITTED:
      return TransactionError(StatusCode::kFailedPrecondition, Outcome::kNotExecuted, Reason::kTransactionCommitted,
                              "the transaction was committed already");
    case v1::TRANSACTION_STATE_ROLLED_BACK:
      return TransactionError(StatusCode::kFailedPrecondition, Outcome::kRolledBack, Reason::kTransactionRolledBack,
                              "the transaction was rolled back already");
    case v1::TRANSACTION_STATE_EXPIRED:
      return TransactionError(
          StatusCode::kFailedPrecondition, Outcome::kRolledBack, Reason::kTransactionExpired,
          "the transaction was rolled back because its lease ran out (idle_timeout_ms or max_duration_ms)");
    default:
      return TransactionError(StatusCode::kAborted, Outcome::kRolledBack, Reason::kTransactionLost,
                              "the transaction's connection to PostgreSQL was lost, which rolled it back");
  }
}

absl::Status CommitInDoubt() {
  const absl::Status status =
      TransactionError(StatusCode::kUnknown, Outcome::kUnknown, Reason::kCommitInDoubt,
                       "COMMIT was sent, and the connection to PostgreSQL broke before its answer: whether the "
                       "transaction is committed is not known");
  return WithFailure(status, [](Failure& failure) { failure.phase = Phase::kCommitting; });
}

absl::Status EffectsElsewhere(Phase phase) {
  const absl::Status status = TransactionError(
      StatusCode::kUnknown, Outcome::kUnknown, Reason::kEffectsElsewhere,
      "the connection to PostgreSQL was lost, and the transaction was rolled back there; but it may have "
      "taken effect elsewhere, through foreign tables or functions that act outside of the server");
  return WithFailure(status, [phase](Failure& failure) {
    failure.phase = phase;
    failure.field.clear();
    failure.hint = "look there before repeating it";
  });
}

Outcome OutcomeOf(v1::TransactionState state) {
  switch (state) {
    case v1::TRANSACTION_STATE_COMMITTED:
      return Outcome::kCommitted;
    case v1::TRANSACTION_STATE_ROLLED_BACK:
    case v1::TRANSACTION_STATE_EXPIRED:
    case v1::TRANSACTION_STATE_LOST:
      return Outcome::kRolledBack;
    default:
      return Outcome::kUnspecified;
  }
}

absl::Status StreamOpen() {
  Failure failure;
  failure.kind = ErrorKind::kTransaction;
  failure.phase = Phase::kQueued;
  failure.outcome = Outcome::kNotExecuted;
  failure.reason = Reason::kStreamOpen;
  failure.message =
      "a stream of the same transaction is open, and its rows are not being read: the backend runs one statement at a "
      "time";
  failure.hint =
      "read the stream to its end or cancel it first; to run statements between its rows, collect them before "
      "(Execute), or "
      "stream them in another transaction";
  failure.code = StatusCode::kFailedPrecondition;
  return ToStatus(std::move(failure));
}

absl::Status ReadingSettingChanged() {
  return WithFailure(
      TransactionError(StatusCode::kFailedPrecondition, Outcome::kNotExecuted, Reason::kSettingNotSupported,
                       "an earlier statement of the transaction has changed standard_conforming_strings or "
                       "client_encoding, by which PostgreSQL would read this one otherwise than the gateway"),
      [](Failure& failure) { failure.hint = "roll back, and leave these settings as they are"; });
}

absl::Status StillInProgress() {
  Failure failure;
  failure.kind = ErrorKind::kTimeout;
  failure.phase = Phase::kExecuting;
  failure.outcome = Outcome::kUnknown;
  failure.retryable = true;
  failure.reason = Reason::kDeadlineExceeded;
  failure.message = "the deadline passed before the transaction's outcome could be found out: ask again";
  failure.code = StatusCode::kDeadlineExceeded;
  return ToStatus(std::move(failure));
}

absl::Status Draining() {
  Failure failure;
  failure.kind = ErrorKind::kConnection;
  failure.phase = Phase::kValidating;
  failure.outcome = Outcome::kNotExecuted;
  failure.retryable = true;
  failure.retry_after = absl::Milliseconds(500);
  failure.reason = Reason::kDraining;
  failure.message = "the gateway is shutting down: only open transactions may go on";
  failure.code = StatusCode::kUnavailable;
  return ToStatus(std::move(failure));
}

}  // namespace engine::db::call

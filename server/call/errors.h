// The gateway's own errors: what callers do wrong with handles, and what it refuses or stops itself.
#ifndef ENGINE_DB_SERVER_CALL_ERRORS_H_
#define ENGINE_DB_SERVER_CALL_ERRORS_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "engine/db/v1/connector.pb.h"
#include "server/base/failure.h"

namespace engine::db::call {

// Why a call is stopped before its end.
enum class StopReason : uint8_t {
  kNone,
  kDeadline,
  kCancelled,
  kAdmin,
  kConnectionClosed,
  kDraining,
  kTransactionExpired,
  kRolledBack  // by a Rollback of its transaction
};

// The error of a call that was stopped.
[[nodiscard]] absl::Status Stopped(StopReason reason, Phase phase, Outcome outcome);

// A transaction handle that can't be used: `reason` and `message` say why.
[[nodiscard]] absl::Status TransactionError(absl::StatusCode code, Outcome outcome, Reason reason,
                                            std::string_view message);

// COMMIT found that a statement of the transaction had failed.

// What a finished transaction answers to whoever goes on using it.
[[nodiscard]] absl::Status TransactionHasEnded(v1::TransactionState state);

// The same for one whose COMMIT was sent and never answered.
[[nodiscard]] absl::Status CommitInDoubt();

// One that was rolled back here, and may have taken effect elsewhere (postgres::Elsewhere).
[[nodiscard]] absl::Status EffectsElsewhere(Phase phase);

// What a transaction in that state has left behind; UNSPECIFIED while it is open.
[[nodiscard]] Outcome OutcomeOf(v1::TransactionState state);

// Another call of the same transaction is a stream that nobody reads.
[[nodiscard]] absl::Status StreamOpen();

// What was run in the transaction has changed a setting by which the server reads texts.
[[nodiscard]] absl::Status ReadingSettingChanged();

// The deadline of one who asks for a transaction's outcome passed before there was one.
[[nodiscard]] absl::Status StillInProgress();

// The gateway is shutting down.
[[nodiscard]] absl::Status Draining();

}  // namespace engine::db::call

#endif  // ENGINE_DB_SERVER_CALL_ERRORS_H_

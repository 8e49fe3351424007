// How the gateway's layers say that something failed: an absl::Status in which a Failure rides. Whoever finds a fault
// fills in what it knows; the layers above may add to it (phase, statement index); each acts on the consequences that
// concern it; and server/rpc turns it into the contract's v1::DatabaseError.
//
//   Failure failure = {.code = absl::StatusCode::kResourceExhausted, .reason = Reason::kPoolExhausted, ...};
//   return ToStatus(std::move(failure));
//
//   if (ReasonOf(status) == Reason::kLinkLost) ...
//   return WithFailure(status, [](Failure& failure) { failure.phase = Phase::kCommitting; });
//
// A Failure never leaves the process and never changes once it is in a Status: copies of the status, on any threads,
// share it. A Status prints as its code and message; what else the failure holds is not printed.
#ifndef ENGINE_DB_SERVER_BASE_FAILURE_H_
#define ENGINE_DB_SERVER_BASE_FAILURE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/base/reason.h"

namespace engine::db {
// The SDK has enums of the same names for its callers: the programs in which both are linked must tell them apart.
inline namespace server {

// The four enums have the numbers that the contract gives them (error.proto, which also documents the values).
enum class ErrorKind : uint8_t {
  kUnspecified,
  kConnection,
  kExecution,
  kTimeout,
  kTransaction,
  kInvalidRequest,
};
inline constexpr size_t kErrorKindCount = 6;

enum class Outcome : uint8_t {
  kUnspecified,
  kNotExecuted,
  kRolledBack,
  kCommitted,
  kUnknown,
};

enum class Phase : uint8_t {
  kUnspecified,
  kValidating,
  kQueued,
  kConnecting,
  kExecuting,
  kStreaming,
  kCommitting,
};

enum class TransactionState : uint8_t {
  kUnspecified,
  kOpen,
  kFailed,
  kCommitted,
  kRolledBack,
  kExpired,
  kLost,
};

// What stood behind an error of PostgreSQL, as far as some layer treats it in a way of its own. Set from the SQLSTATE,
// by the one table in server/postgres/sqlstate.cc; nothing else compares SQLSTATEs.
enum class Cause : uint8_t {
  kOther,
  kReadOnly,               // 25006: the server, the session or the transaction takes no writes
  kCancelled,              // 57014: a cancel request, or statement_timeout
  kConflict,               // 40001 and 40P01: another transaction was in the way (serialization, deadlock)
  kInsufficientResources,  // class 53
  kPermissionDenied,       // 42501
  kStalePlan,              // one of the gateway's own prepared statements is not what it was made for any more
  kMissingPlan,            // one of them is gone, or its name is taken, though the gateway did neither: a pooler
  kCredentials,            // 28xxx or 3D000 at login: a secret that is read from a file may have changed since
  kUnknownParameterType,   // 42P18, 42P08: nothing tells the type of a parameter, or two places differ
  kNotGrouped,             // 42803: a column that GROUP BY does not have
  kNotSelected,            // 42P10: ORDER BY names what SELECT DISTINCT does not have
  kTypeMismatch,           // 42883, 42804: no such function or operator for these types; another type is wanted
};

struct Failure {
  absl::StatusCode code = absl::StatusCode::kUnknown;
  Reason reason = Reason::kUnspecified;
  ErrorKind kind = ErrorKind::kUnspecified;
  Phase phase = Phase::kUnspecified;
  Outcome outcome = Outcome::kUnspecified;
  Cause cause = Cause::kOther;
  // Where it leaves the transaction that the call ran in; kUnspecified outside of one.
  TransactionState transaction_state = TransactionState::kUnspecified;
  // Whether the same call may be repeated without the risk of running anything twice, and after how long.
  bool retryable = false;
  // False when the failure ended the backend's session: the server undoes whatever was open in it, and the link is
  // closed. (Whether a transaction still takes statements, the backend knows: Transaction::failed().)
  bool backend_usable = true;
  absl::Duration retry_after = {};
  // As v1::DatabaseError documents them.
  std::string sqlstate = {};
  std::string message = {};
  std::string hint = {};
  std::string field = {};
  std::string constraint_name = {};
  std::string schema_name = {};
  std::string table_name = {};
  std::string column_name = {};
  std::string data_type_name = {};
  uint32_t position = 0;
  uint32_t statement_index = 0;
  uint64_t rows_delivered = 0;
};

// A status of failure.code and failure.message, in which the failure rides.
[[nodiscard]] absl::Status ToStatus(Failure failure);

// INVALID_ARGUMENT, kind INVALID_REQUEST, outcome NOT_EXECUTED: `field` is the path of what is wrong ("config.port"),
// `message` says what was expected.
[[nodiscard]] absl::Status InvalidRequest(std::string_view field, Reason reason, std::string_view message);

// The failure that rides in `status`, or null. It lives as long as the status, or a copy of it.
[[nodiscard]] const Failure* FindFailure(const absl::Status& status);

// The same as a value; for a status that is not OK and has none, a failure of kind EXECUTION with its code and message;
// for an OK one, an empty failure with its code.
[[nodiscard]] Failure FailureOf(const absl::Status& status);

// FailureOf(status).reason, without a copy.
[[nodiscard]] Reason ReasonOf(const absl::Status& status);

// The same status with its failure changed by `change(Failure&)`. Other payloads stay.
template <typename Change>
[[nodiscard]] absl::Status WithFailure(const absl::Status& status, Change&& change) {
  Failure failure = FailureOf(status);
  change(failure);
  absl::Status changed = ToStatus(std::move(failure));
  status.ForEachPayload([&changed](absl::string_view url, const absl::Cord& payload) {
    if (!changed.GetPayload(url)) changed.SetPayload(url, payload);
  });
  return changed;
}

}  // namespace server
}  // namespace engine::db

#endif  // ENGINE_DB_SERVER_BASE_FAILURE_H_

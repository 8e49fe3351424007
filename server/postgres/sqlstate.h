// What follows from an error that PostgreSQL reports: the one table of SQLSTATEs (PostgreSQL manual, appendix A).
#ifndef ENGINE_DB_SERVER_POSTGRES_SQLSTATE_H_
#define ENGINE_DB_SERVER_POSTGRES_SQLSTATE_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "engine/db/v1/error.pb.h"

namespace engine::db::postgres {

// The consequences of a SQLSTATE.
struct Consequence {
  absl::StatusCode code = absl::StatusCode::kInvalidArgument;
  v1::ErrorKind kind = v1::ERROR_KIND_EXECUTION;
  // Of the statement's implicit transaction.
  v1::Outcome outcome = v1::OUTCOME_ROLLED_BACK;
  // The same statement may well succeed if it is simply run again, and nothing of the first run remains.
  bool retryable = false;
};

// Of an error that a statement ended with, while its session goes on. What ends the session is LinkLost().
[[nodiscard]] Consequence ConsequenceOf(std::string_view sqlstate);

// Whether a login that was refused like this will be refused again until somebody changes the settings. Empty: the
// server gave no SQLSTATE, or was not reached at all.
[[nodiscard]] bool IsPermanentRefusal(std::string_view sqlstate);

// 28xxx or 3D000 at login: a secret that is read from a file may have changed since it was read.
[[nodiscard]] bool MayMeanOldSecret(std::string_view sqlstate);

// One of the gateway's own prepared statements is not, or no longer, what it was (26000, 42P05, 0A000, or XX000 for a
// parameter whose type was dropped): preparing it again, under another name, mends it. `function` is the server's own
// that reported it, and needs no translation.
[[nodiscard]] bool MeansStalePlan(std::string_view sqlstate, std::string_view message, std::string_view function);

// The reason of an error that PostgreSQL reported, unless it is LinkLost() or STALE_PLAN.
inline constexpr std::string_view kPostgresError = "POSTGRESQL_ERROR";

// The reason of a result that is larger than a unary call returns.
inline constexpr std::string_view kResultTooLarge = "RESULT_TOO_LARGE";

// The reason of LinkLost().
inline constexpr std::string_view kLinkLost = "LINK_LOST";

// The link to a backend broke while something was under way. `cause` is what was heard last, if anything (fact: the
// first error is the telling one); its SQLSTATE is kept. The outcome is UNKNOWN: whoever knows better says so.
[[nodiscard]] absl::Status LinkLost(const absl::Status& cause);

// Connecting failed with libpq's `message`, which must have been made with PQERRORS_VERBOSE so that it has the
// SQLSTATE. `target` names the target to the caller; `password` is left out of the message, should the server repeat
// it.
[[nodiscard]] absl::Status ConnectFailed(std::string_view target, std::string_view message, std::string_view password);

}  // namespace engine::db::postgres

#endif  // ENGINE_DB_SERVER_POSTGRES_SQLSTATE_H_

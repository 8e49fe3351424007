// What follows from an error that PostgreSQL reports: the one table of SQLSTATEs (PostgreSQL manual, appendix A).
#ifndef ENGINE_DB_SERVER_POSTGRES_SQLSTATE_H_
#define ENGINE_DB_SERVER_POSTGRES_SQLSTATE_H_

#include <libpq-fe.h>

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
  // The backend can go on being used. False: the server is ending it, or will.
  bool backend_usable = true;
};

[[nodiscard]] Consequence ConsequenceOf(std::string_view sqlstate);

// 0A000 or 26000 out of a prepared statement that is no longer valid: preparing it again mends it.
[[nodiscard]] bool MeansStalePlan(std::string_view sqlstate, std::string_view message);

// The error of a result whose status is PGRES_FATAL_ERROR. DETAIL and CONTEXT are left out, since they hold row data,
// and so is what a class-22 message quotes.
[[nodiscard]] absl::Status StatusOfResult(const PGresult& result);

// The link to a backend broke while something was under way. `cause` is what was heard last, if anything (fact: the
// first error is the telling one); its SQLSTATE is kept. The outcome is UNKNOWN: whoever knows better says so.
[[nodiscard]] absl::Status LinkLost(const absl::Status& cause);

// Connecting failed with libpq's `message`, which must have been made with PQERRORS_VERBOSE so that it has the
// SQLSTATE. `target` names the target to the caller.
[[nodiscard]] absl::Status ConnectFailed(std::string_view target, std::string_view message);

}  // namespace engine::db::postgres

#endif  // ENGINE_DB_SERVER_POSTGRES_SQLSTATE_H_

// What a failed attempt means for its caller, and whether it may be run again. What each SQLSTATE means by itself is in
// server/postgres/sqlstate.h; here it is read in the light of what the call was: a read or a write, alone, in a
// transaction, or at its COMMIT.
#ifndef ENGINE_DB_SERVER_CALL_VERDICT_H_
#define ENGINE_DB_SERVER_CALL_VERDICT_H_

#include "absl/status/status.h"
#include "server/call/attempt_end.h"

namespace engine::db::call {

// What the caller is told of the attempt's error. `retryable` in its failure says whether the same call may be run again,
// by the gateway or by the caller, and nothing runs twice; in an open transaction it says so of the whole transaction.
[[nodiscard]] absl::Status Verdict(const AttemptEnd& end);

}  // namespace engine::db::call

#endif  // ENGINE_DB_SERVER_CALL_VERDICT_H_

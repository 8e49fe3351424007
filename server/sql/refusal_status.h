// Turns a refusal of sdk/sql into the gateway's Failure.
#ifndef ENGINE_DB_SERVER_SQL_REFUSAL_STATUS_H_
#define ENGINE_DB_SERVER_SQL_REFUSAL_STATUS_H_

#include "absl/status/status.h"
#include "sdk/sql/refusal.h"

namespace engine::db::sql {

// INVALID_ARGUMENT, not executed: of kind INVALID_REQUEST, or EXECUTION where PostgreSQL would refuse the text too.
[[nodiscard]] absl::Status ToStatus(const Refusal& refusal);

}  // namespace engine::db::sql

#endif  // ENGINE_DB_SERVER_SQL_REFUSAL_STATUS_H_

// Adds to a statement's error what only its call knows: where in the request and in the caller's own text the fault
// lies.
#ifndef ENGINE_DB_SERVER_GATEWAY_STATEMENT_ERROR_H_
#define ENGINE_DB_SERVER_GATEWAY_STATEMENT_ERROR_H_

#include "absl/status/status.h"
#include "server/gateway/work.h"

namespace engine::db::gateway {

// Of an error that PostgreSQL gave for the run: its position is moved into the caller's text, the number of a parameter
// becomes the request's field, and values of its parameters that a message quotes (a function's own RAISE, say) are
// taken out.
[[nodiscard]] absl::Status StatementError(const absl::Status& status, const Run& run);

// Of an error that was found in the run's part of the request: its field is given from the request's root.
[[nodiscard]] absl::Status RequestError(const absl::Status& status, const Run& run);

}  // namespace engine::db::gateway

#endif  // ENGINE_DB_SERVER_GATEWAY_STATEMENT_ERROR_H_

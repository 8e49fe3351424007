// Adds to a statement's error what only its call knows: where in the request and in the caller's own text the fault
// lies.
#ifndef ENGINE_DB_SERVER_CALL_STATEMENT_ERROR_H_
#define ENGINE_DB_SERVER_CALL_STATEMENT_ERROR_H_

#include <cstddef>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "server/call/call_plan.h"

namespace engine::db::call {

// Of an error that PostgreSQL gave for one of a call's statements: its position is moved into the caller's text, the number
// of a parameter becomes the request's field, and the values of the call's parameters are taken out (those of the one
// statement where the statements are independent of each other).
[[nodiscard]] absl::Status StatementError(const absl::Status& status, absl::Span<const PlannedStatement> statements,
                                          size_t index, bool independent);

// Of an error of the call's COMMIT: a deferred trigger may raise with the values that the call had.
[[nodiscard]] absl::Status EndingError(const absl::Status& status, absl::Span<const PlannedStatement> statements);

// Of an error that was found in the statement's part of the request: its field is given from the request's root.
[[nodiscard]] absl::Status RequestError(const absl::Status& status, const PlannedStatement& planned);

}  // namespace engine::db::call

#endif  // ENGINE_DB_SERVER_CALL_STATEMENT_ERROR_H_

// A failure whose every field is set, and to something else than its default.
#ifndef ENGINE_DB_TESTS_SUPPORT_FULL_FAILURE_H_
#define ENGINE_DB_TESTS_SUPPORT_FULL_FAILURE_H_

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/base/failure.h"

namespace engine::db::test {

inline Failure FullFailure() {
  return {.code = absl::StatusCode::kAborted,
          .reason = Reason::kReplayDiffered,
          .kind = ErrorKind::kTransaction,
          .phase = Phase::kCommitting,
          .outcome = Outcome::kRolledBack,
          .cause = Cause::kConflict,
          .transaction_state = TransactionState::kLost,
          .retryable = true,
          .backend_usable = false,
          .retry_after = absl::Milliseconds(250),
          .sqlstate = "40001",
          .message = "it came to other results",
          .hint = "begin again",
          .field = "parameters[2]",
          .constraint_name = "a",
          .schema_name = "b",
          .table_name = "c",
          .column_name = "d",
          .data_type_name = "e",
          .position = 17,
          .statement_index = 3,
          .rows_delivered = 5'000'000'000};
}

}  // namespace engine::db::test

#endif  // ENGINE_DB_TESTS_SUPPORT_FULL_FAILURE_H_

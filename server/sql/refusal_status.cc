#include "server/sql/refusal_status.h"

#include <string>

#include "server/base/failure.h"
#include "server/base/reason.h"

namespace engine::db::sql {

absl::Status ToStatus(const Refusal& refusal) {
  const Reason reason = FindReason(refusal.reason).value_or(Reason::kUnspecified);
  if (refusal.sqlstate.empty()) return InvalidRequest(refusal.field, reason, refusal.message);
  return engine::db::ToStatus(
      {.code = refusal.is_ours ? absl::StatusCode::kInternal : absl::StatusCode::kInvalidArgument,
       .reason = reason,
       .kind = ErrorKind::kExecution,
       .phase = Phase::kValidating,
       .outcome = Outcome::kNotExecuted,
       .sqlstate = std::string(refusal.sqlstate),
       .message = refusal.message,
       .hint = std::string(refusal.hint),
       .field = refusal.field,
       .position = refusal.position});
}

}  // namespace engine::db::sql

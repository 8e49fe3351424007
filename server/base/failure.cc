#include "server/base/failure.h"

#include "server/base/carried.h"

namespace engine::db {
inline namespace server {
namespace {
constexpr char kPayloadUrl[] = "engine.db/failure";
}

absl::Status ToStatus(Failure failure) {
  absl::Status status(failure.code, failure.message);
  Carry(kPayloadUrl, std::move(failure), status);
  return status;
}

absl::Status InvalidRequest(std::string_view field, Reason reason, std::string_view message) {
  return ToStatus({.code = absl::StatusCode::kInvalidArgument,
                   .reason = reason,
                   .kind = ErrorKind::kInvalidRequest,
                   .phase = Phase::kValidating,
                   .outcome = Outcome::kNotExecuted,
                   .message = std::string(message),
                   .field = std::string(field)});
}

const Failure* FindFailure(const absl::Status& status) { return FindCarried<Failure>(kPayloadUrl, status); }

Failure FailureOf(const absl::Status& status) {
  if (const Failure* failure = FindFailure(status)) return *failure;
  if (status.ok()) return {.code = absl::StatusCode::kOk};
  return {.code = status.code(), .kind = ErrorKind::kExecution, .message = std::string(status.message())};
}

Reason ReasonOf(const absl::Status& status) {
  const Failure* failure = FindFailure(status);
  return failure == nullptr ? Reason::kUnspecified : failure->reason;
}

}  // namespace server
}  // namespace engine::db

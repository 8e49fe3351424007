#include "server/base/failure.h"

#include <memory>
#include <type_traits>

namespace engine::db {
inline namespace server {
namespace {

constexpr char kPayloadUrl[] = "engine.db/failure";

// What the payload's Cord owns. The Cord's one byte is `mark`, so that whoever prints the status prints that; and
// `mark` leads back to the failure. Only ToStatus() makes payloads of this URL, and a copied Cord shares its memory.
struct Carried {
  char mark = '.';
  Failure failure;
};
static_assert(std::is_standard_layout_v<Carried>, "the address of its first member is its own");

}  // namespace

absl::Status ToStatus(Failure failure) {
  absl::Status status(failure.code, failure.message);
  auto carried = std::make_unique<const Carried>(Carried{.failure = std::move(failure)});
  const absl::string_view mark(&carried->mark, 1);
  status.SetPayload(kPayloadUrl, absl::MakeCordFromExternal(mark, [owned = carried.release()] { delete owned; }));
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

const Failure* FindFailure(const absl::Status& status) {
  const auto payload = status.GetPayload(kPayloadUrl);
  if (!payload.has_value()) return nullptr;
  const auto mark = payload->TryFlat();
  return &reinterpret_cast<const Carried*>(mark->data())->failure;
}

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

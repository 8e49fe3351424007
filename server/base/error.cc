#include "server/base/error.h"

#include <utility>

#include "absl/strings/cord.h"

namespace engine::db {
namespace {
constexpr char kPayloadUrl[] = "type.googleapis.com/engine.db.v1.DatabaseError";
}

absl::Status MakeError(absl::StatusCode code, v1::DatabaseError detail) {
  detail.set_status_code(static_cast<int32_t>(code));
  absl::Status status(code, detail.message());
  status.SetPayload(kPayloadUrl, absl::Cord(detail.SerializeAsString()));
  return status;
}

absl::Status MakeError(absl::StatusCode code, v1::ErrorKind kind, std::string_view reason, std::string_view message) {
  v1::DatabaseError detail;
  detail.set_kind(kind);
  detail.set_reason(reason.data(), reason.size());
  detail.set_message(message.data(), message.size());
  return MakeError(code, std::move(detail));
}

absl::Status InvalidRequest(std::string_view field, std::string_view reason, std::string_view message) {
  v1::DatabaseError detail;
  detail.set_kind(v1::ERROR_KIND_INVALID_REQUEST);
  detail.set_phase(v1::PHASE_VALIDATING);
  detail.set_outcome(v1::OUTCOME_NOT_EXECUTED);
  detail.set_field(field.data(), field.size());
  detail.set_reason(reason.data(), reason.size());
  detail.set_message(message.data(), message.size());
  return MakeError(absl::StatusCode::kInvalidArgument, std::move(detail));
}

v1::DatabaseError ErrorDetail(const absl::Status& status) {
  v1::DatabaseError detail;
  if (auto payload = status.GetPayload(kPayloadUrl)) {
    detail.ParseFromString(std::string(*payload));
    return detail;
  }
  if (!status.ok()) {
    detail.set_kind(v1::ERROR_KIND_EXECUTION);
    detail.set_status_code(static_cast<int32_t>(status.code()));
    detail.set_message(std::string(status.message()));
  }
  return detail;
}

}  // namespace engine::db

#include "server/rpc/status.h"

#include <algorithm>
#include <string>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "server/base/failure.h"
#include "server/rpc/error.h"

namespace engine::db::rpc {

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const v1::DatabaseError detail = ToProto(FailureOf(status));

  google::rpc::ErrorInfo info;
  info.set_reason(detail.reason());
  info.set_domain("engine.db");
  if (!detail.sqlstate().empty()) (*info.mutable_metadata())["sqlstate"] = detail.sqlstate();

  google::rpc::Status rich;
  rich.set_code(static_cast<int>(status.code()));
  rich.set_message(std::string(status.message()));
  rich.add_details()->PackFrom(info);
  if (detail.retryable()) {
    google::rpc::RetryInfo retry;
    const uint32_t milliseconds = std::max<uint32_t>(1, detail.retry_after_ms());
    retry.mutable_retry_delay()->set_seconds(milliseconds / 1000);
    retry.mutable_retry_delay()->set_nanos(static_cast<int>(milliseconds % 1000) * 1'000'000);
    rich.add_details()->PackFrom(retry);
  }
  rich.add_details()->PackFrom(detail);
  return {static_cast<grpc::StatusCode>(status.code()), std::string(status.message()), rich.SerializeAsString()};
}

void WriteError(const absl::Status& status, v1::DatabaseError& error) { error = ToProto(FailureOf(status)); }

}  // namespace engine::db::rpc

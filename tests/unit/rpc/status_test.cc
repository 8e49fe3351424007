#include "server/rpc/status.h"

#include <string>

#include "engine/db/v1/error.pb.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"
#include "server/base/failure.h"

namespace engine::db::rpc {
namespace {

google::rpc::Status Rich(const grpc::Status& status) {
  google::rpc::Status rich;
  EXPECT_TRUE(rich.ParseFromString(status.error_details()));
  return rich;
}

Failure Conflict() {
  return {.code = absl::StatusCode::kAborted,
          .reason = Reason::kPostgresqlError,
          .kind = ErrorKind::kExecution,
          .phase = Phase::kExecuting,
          .outcome = Outcome::kRolledBack,
          .sqlstate = "40001",
          .message = "could not serialize access",
          .position = 12};
}

TEST(Status, OkIsOk) {
  EXPECT_TRUE(ToGrpc(absl::OkStatus()).ok());
  EXPECT_TRUE(ToGrpc(absl::OkStatus()).error_details().empty());
}

TEST(Status, CarriesReasonAndTheDatabasesError) {
  const grpc::Status status = ToGrpc(ToStatus(Conflict()));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::ABORTED);
  EXPECT_EQ(status.error_message(), "could not serialize access");

  const google::rpc::Status rich = Rich(status);
  EXPECT_EQ(rich.code(), static_cast<int>(grpc::StatusCode::ABORTED));
  EXPECT_EQ(rich.message(), status.error_message());
  ASSERT_EQ(rich.details_size(), 2) << "no RetryInfo: it may not be repeated";
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(rich.details(0).UnpackTo(&info));
  EXPECT_EQ(info.reason(), "POSTGRESQL_ERROR");
  EXPECT_EQ(info.domain(), "engine.db");
  EXPECT_EQ(info.metadata().at("sqlstate"), "40001");
  v1::DatabaseError error;
  ASSERT_TRUE(rich.details(1).UnpackTo(&error));
  EXPECT_EQ(error.kind(), v1::ERROR_KIND_EXECUTION);
  EXPECT_EQ(error.phase(), v1::PHASE_EXECUTING);
  EXPECT_EQ(error.outcome(), v1::OUTCOME_ROLLED_BACK);
  EXPECT_EQ(error.position(), 12);
}

TEST(Status, SaysWhenToRetryWhatMayBeRepeated) {
  Failure failure = Conflict();
  failure.retryable = true;
  const auto delay = [&]() {
    const google::rpc::Status rich = Rich(ToGrpc(ToStatus(failure)));
    google::rpc::RetryInfo retry;
    EXPECT_TRUE(rich.details(1).UnpackTo(&retry));
    return absl::Seconds(retry.retry_delay().seconds()) + absl::Nanoseconds(retry.retry_delay().nanos());
  };
  EXPECT_EQ(delay(), absl::Milliseconds(1)) << "never at once";
  failure.retry_after = absl::Milliseconds(2'500);
  EXPECT_EQ(delay(), absl::Milliseconds(2'500));
}

TEST(Status, AnErrorWithinAMessageIsTheSameDatabasesError) {
  v1::DatabaseError error;
  WriteError(ToStatus(Conflict()), error);
  EXPECT_EQ(error.reason(), "POSTGRESQL_ERROR");
  EXPECT_EQ(error.sqlstate(), "40001");
  EXPECT_EQ(error.status_code(), static_cast<int>(absl::StatusCode::kAborted));
}

TEST(Status, OneWithoutAFailureStillSaysWhatItCan) {
  const grpc::Status status = ToGrpc(absl::InternalError("oh"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL);
  v1::DatabaseError error;
  ASSERT_TRUE(Rich(status).details(1).UnpackTo(&error));
  EXPECT_EQ(error.kind(), v1::ERROR_KIND_EXECUTION);
  EXPECT_EQ(error.message(), "oh");
}

}  // namespace
}  // namespace engine::db::rpc

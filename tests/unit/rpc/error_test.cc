// A failure as the contract's message.
#include "server/rpc/error.h"

#include <gtest/gtest.h>

#include "tests/support/full_failure.h"

namespace engine::db::rpc {
namespace {

TEST(Error, HasTheFailuresFieldsUnderTheContractsNames) {
  const v1::DatabaseError detail = ToProto(test::FullFailure());
  EXPECT_EQ(detail.kind(), v1::ERROR_KIND_TRANSACTION);
  EXPECT_EQ(detail.phase(), v1::PHASE_COMMITTING);
  EXPECT_EQ(detail.outcome(), v1::OUTCOME_ROLLED_BACK);
  EXPECT_EQ(detail.status_code(), 10);
  EXPECT_EQ(detail.reason(), "REPLAY_DIFFERED");
  EXPECT_EQ(detail.retry_after_ms(), 250);
  EXPECT_EQ(detail.transaction_state(), v1::TRANSACTION_STATE_LOST);
  EXPECT_TRUE(detail.retryable());
  EXPECT_EQ(detail.sqlstate(), "40001");
  EXPECT_EQ(detail.message(), "it came to other results");
  EXPECT_EQ(detail.hint(), "begin again");
  EXPECT_EQ(detail.field(), "parameters[2]");
  EXPECT_EQ(detail.constraint_name(), "a");
  EXPECT_EQ(detail.schema_name(), "b");
  EXPECT_EQ(detail.table_name(), "c");
  EXPECT_EQ(detail.column_name(), "d");
  EXPECT_EQ(detail.data_type_name(), "e");
  EXPECT_EQ(detail.position(), 17);
  EXPECT_EQ(detail.statement_index(), 3);
  EXPECT_EQ(detail.rows_delivered(), 5'000'000'000);
}

TEST(Error, IsEmptyWithoutAFailure) { EXPECT_EQ(ToProto(FailureOf(absl::OkStatus())).SerializeAsString(), ""); }

// The numbers are the contract's, so that turning one into the other is a cast.
TEST(Error, EnumsHaveTheContractsNumbers) {
  EXPECT_EQ(static_cast<int>(ErrorKind::kInvalidRequest), v1::ERROR_KIND_INVALID_REQUEST);
  EXPECT_EQ(static_cast<int>(ErrorKind::kConnection), v1::ERROR_KIND_CONNECTION);
  EXPECT_EQ(static_cast<int>(ErrorKind::kExecution), v1::ERROR_KIND_EXECUTION);
  EXPECT_EQ(static_cast<int>(ErrorKind::kTimeout), v1::ERROR_KIND_TIMEOUT);
  EXPECT_EQ(static_cast<int>(ErrorKind::kTransaction), v1::ERROR_KIND_TRANSACTION);
  EXPECT_EQ(static_cast<int>(Outcome::kNotExecuted), v1::OUTCOME_NOT_EXECUTED);
  EXPECT_EQ(static_cast<int>(Outcome::kRolledBack), v1::OUTCOME_ROLLED_BACK);
  EXPECT_EQ(static_cast<int>(Outcome::kCommitted), v1::OUTCOME_COMMITTED);
  EXPECT_EQ(static_cast<int>(Outcome::kUnknown), v1::OUTCOME_UNKNOWN);
  EXPECT_EQ(static_cast<int>(Phase::kValidating), v1::PHASE_VALIDATING);
  EXPECT_EQ(static_cast<int>(Phase::kQueued), v1::PHASE_QUEUED);
  EXPECT_EQ(static_cast<int>(Phase::kConnecting), v1::PHASE_CONNECTING);
  EXPECT_EQ(static_cast<int>(Phase::kExecuting), v1::PHASE_EXECUTING);
  EXPECT_EQ(static_cast<int>(Phase::kStreaming), v1::PHASE_STREAMING);
  EXPECT_EQ(static_cast<int>(Phase::kCommitting), v1::PHASE_COMMITTING);
  EXPECT_EQ(static_cast<int>(TransactionState::kOpen), v1::TRANSACTION_STATE_OPEN);
  EXPECT_EQ(static_cast<int>(TransactionState::kFailed), v1::TRANSACTION_STATE_FAILED);
  EXPECT_EQ(static_cast<int>(TransactionState::kCommitted), v1::TRANSACTION_STATE_COMMITTED);
  EXPECT_EQ(static_cast<int>(TransactionState::kRolledBack), v1::TRANSACTION_STATE_ROLLED_BACK);
  EXPECT_EQ(static_cast<int>(TransactionState::kExpired), v1::TRANSACTION_STATE_EXPIRED);
  EXPECT_EQ(static_cast<int>(TransactionState::kLost), v1::TRANSACTION_STATE_LOST);
}

}  // namespace
}  // namespace engine::db::rpc

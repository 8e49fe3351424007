// The transaction's state that an answer tells is the one after the statement: what the next statement will find.
#include <algorithm>
#include <future>

#include "tests/integration/gateway_calls.h"

namespace engine::db::test {
namespace {

using grpc::StatusCode;

class TransactionStates : public GatewayCallsTest {
 protected:
  void SetUp() override {
    CreateTable("n int PRIMARY KEY");
    connection_ = Open(2);
  }
  std::string Begun() {
    const auto begun = Begin(connection_);
    EXPECT_TRUE(begun.ok()) << begun.status.error_message();
    return begun.response.transaction_id();
  }
  // What the next statement finds.
  v1::TransactionState Really(const std::string& transaction) {
    const auto next = ExecuteIn(connection_, transaction, "SELECT 1");
    if (next.ok()) return v1::TRANSACTION_STATE_OPEN;
    const v1::DatabaseError error = Decode(next.status).error;
    if (error.sqlstate() == "25P02") return v1::TRANSACTION_STATE_FAILED;
    // A backend that does not react to a cancel in time is given up.
    EXPECT_EQ(error.reason(), "TRANSACTION_LOST");
    return v1::TRANSACTION_STATE_LOST;
  }
  void ExpectTold(const grpc::Status& status, const std::string& transaction) {
    const v1::DatabaseError error = Decode(status).error;
    EXPECT_EQ(error.transaction_state(), Really(transaction)) << error.ShortDebugString();
  }
  [[nodiscard]] v1::ExecuteRequest Request(const std::string& transaction, const std::string& sql,
                                           uint32_t timeout_ms) const {
    v1::ExecuteRequest request;
    request.set_connection_id(connection_);
    request.set_transaction_id(transaction);
    request.set_sql(sql);
    request.set_timeout_ms(timeout_ms);
    return request;
  }
  std::string connection_;
};

// The request to cancel goes by another connection than its effect comes back by: the two race each other.
TEST_F(TransactionStates, AfterATimeoutItIsFailedHoweverTheCancelRaces) {
  constexpr int kTimes = 300;
  int open = 0;
  for (int i = 0; i < kTimes; ++i) {
    const std::string transaction = Begun();
    const auto answer = Call(&Stub::Execute, Request(transaction, "SELECT pg_sleep(10)", 5));
    const v1::DatabaseError error = Decode(answer.status).error;
    ASSERT_EQ(error.reason(), "DEADLINE_EXCEEDED") << answer.status.error_message();
    if (error.transaction_state() != v1::TRANSACTION_STATE_FAILED) ++open;
    if (i % 10 == 0) {
      EXPECT_EQ(error.transaction_state(), Really(transaction));
    }
    ASSERT_TRUE(Rollback(connection_, transaction).ok());
  }
  EXPECT_EQ(open, 0) << "of " << kTimes;
}

// Where the statement ends at about the time of its cancel, either may win; what is told is what is so.
TEST_F(TransactionStates, AfterATimeoutAtTheStatementsEndItIsWhatTheNextOneFinds) {
  for (int i = 0; i < 100; ++i) {
    const std::string transaction = Begun();
    const auto answer = Call(&Stub::Execute, Request(transaction, "SELECT pg_sleep(0.005)", 4 + i % 5));
    if (answer.ok()) {
      EXPECT_EQ(answer.response.transaction().state(), v1::TRANSACTION_STATE_OPEN);
      EXPECT_EQ(Really(transaction), v1::TRANSACTION_STATE_OPEN);
    } else if (Decode(answer.status).error.outcome() != v1::OUTCOME_NOT_EXECUTED) {
      ExpectTold(answer.status, transaction);
    }
    ASSERT_TRUE(Rollback(connection_, transaction).ok());
  }
}

TEST_F(TransactionStates, AfterACancelledStreamItIsFailed) {
  for (int i = 0; i < 30; ++i) {
    const std::string transaction = Begun();
    v1::ExecuteStreamRequest request;
    request.set_connection_id(connection_);
    request.set_transaction_id(transaction);
    request.set_sql("SELECT n, pg_sleep(0.001) FROM generate_series(1, 100000) n");
    request.set_timeout_ms(10);
    ExpectTold(Stream(request).status, transaction);
    ASSERT_TRUE(Rollback(connection_, transaction).ok());
  }
}

TEST_F(TransactionStates, AfterAnErrorInTheMiddleOfABatchItIsFailed) {
  const std::string transaction = Begun();
  v1::ExecuteBatchRequest request;
  request.set_connection_id(connection_);
  request.set_transaction_id(transaction);
  for (const char* sql : {"SELECT 1", "SELECT 1/0", "SELECT 2"}) request.add_statements()->set_sql(sql);
  const auto answer = Call(&Stub::ExecuteBatch, request);
  EXPECT_EQ(Decode(answer.status).error.sqlstate(), "22012");
  ExpectTold(answer.status, transaction);
  EXPECT_TRUE(Rollback(connection_, transaction).ok());
}

TEST_F(TransactionStates, AfterADescribeThatFailsItIsFailed) {
  const std::string transaction = Begun();
  v1::DescribeRequest request;
  request.set_connection_id(connection_);
  request.set_transaction_id(transaction);
  request.set_sql("SELECT nope");
  const auto answer = Call(&Stub::Describe, request);
  EXPECT_EQ(Decode(answer.status).error.sqlstate(), "42703");
  EXPECT_EQ(Decode(answer.status).error.transaction_state(), v1::TRANSACTION_STATE_FAILED);
  ExpectTold(answer.status, transaction);
  EXPECT_TRUE(Rollback(connection_, transaction).ok());
}

// Once there are too many prepared statements, each new one is followed by a DEALLOCATE of the gateway's own.
TEST_F(TransactionStates, AfterAnErrorAmongManyDistinctTextsItIsFailed) {
  const std::string transaction = Begun();
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(ExecuteIn(connection_, transaction, "SELECT 1 AS a" + std::to_string(i)).ok());
  }
  for (int i = 0; i < 20; ++i) {
    v1::SavepointRequest savepoint;
    savepoint.set_connection_id(connection_);
    savepoint.set_transaction_id(transaction);
    savepoint.set_name("s");
    ASSERT_TRUE(Call(&Stub::Savepoint, savepoint).ok());
    const auto answer = ExecuteIn(connection_, transaction, "SELECT 1/0 AS b" + std::to_string(i));
    EXPECT_EQ(Decode(answer.status).error.transaction_state(), v1::TRANSACTION_STATE_FAILED);
    v1::RollbackToSavepointRequest back;
    back.set_connection_id(connection_);
    back.set_transaction_id(transaction);
    back.set_name("s");
    const auto mended = Call(&Stub::RollbackToSavepoint, back);
    ASSERT_TRUE(mended.ok());
    EXPECT_EQ(mended.response.transaction().state(), v1::TRANSACTION_STATE_OPEN);
  }
  EXPECT_TRUE(Rollback(connection_, transaction).ok());
}

TEST_F(TransactionStates, AfterAResultThatIsTooLargeItIsWhatTheNextOneFinds) {
  for (const char* sql : {"SELECT n FROM generate_series(1, 10001) n", "SELECT n FROM generate_series(1, 3000000) n"}) {
    for (int i = 0; i < 10; ++i) {
      const std::string transaction = Begun();
      const auto answer = ExecuteIn(connection_, transaction, sql);
      const v1::DatabaseError error = Decode(answer.status).error;
      EXPECT_EQ(error.reason(), "RESULT_TOO_LARGE");
      if (error.transaction_state() == v1::TRANSACTION_STATE_FAILED) {
        EXPECT_EQ(error.outcome(), v1::OUTCOME_ROLLED_BACK);
        EXPECT_EQ(error.hint(), "");
      }
      ExpectTold(answer.status, transaction);
      ASSERT_TRUE(Rollback(connection_, transaction).ok());
    }
  }
}

TEST_F(TransactionStates, ACallThatNeverRanTellsItToo) {
  const std::string transaction = Begun();
  const auto wrong = ExecuteIn(connection_, transaction, "SELECT ?::int", {Int(1), Int(2)});
  EXPECT_EQ(Decode(wrong.status).error.reason(), "PARAMETER_COUNT");
  ExpectTold(wrong.status, transaction);

  auto running =
      std::async(std::launch::async, [&] { return ExecuteIn(connection_, transaction, "SELECT pg_sleep(1)"); });
  ASSERT_TRUE(WaitForBackends(1, "state = 'active'"));
  const auto waited = Call(&Stub::Execute, Request(transaction, "SELECT 1", 100));
  EXPECT_EQ(Decode(waited.status).error.outcome(), v1::OUTCOME_NOT_EXECUTED);
  EXPECT_EQ(Decode(waited.status).error.transaction_state(), v1::TRANSACTION_STATE_OPEN);
  EXPECT_TRUE(running.get().ok());
  EXPECT_TRUE(Rollback(connection_, transaction).ok());
}

TEST_F(TransactionStates, AnEndedTransactionSaysHowItEnded) {
  const std::string committed = Begun();
  ASSERT_TRUE(Commit(connection_, committed).ok());
  EXPECT_EQ(Decode(ExecuteIn(connection_, committed, "SELECT 1").status).error.transaction_state(),
            v1::TRANSACTION_STATE_COMMITTED);
  const std::string rolled_back = Begun();
  ASSERT_TRUE(Rollback(connection_, rolled_back).ok());
  EXPECT_EQ(Decode(Commit(connection_, rolled_back).status).error.transaction_state(),
            v1::TRANSACTION_STATE_ROLLED_BACK);
}

}  // namespace
}  // namespace engine::db::test

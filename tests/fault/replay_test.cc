// Transactions that ask for it are run again by the gateway, and go on only where that comes to the same.
#include <future>

#include "tests/fault/contract_fault_test.h"

namespace engine::db::test {
namespace {

using grpc::StatusCode;

class TransparentReplay : public ContractFaultTest {
 protected:
  void SetUp() override {
    CreateTable("n int PRIMARY KEY, hits int DEFAULT 0");
    Sql("INSERT INTO " + name() + " VALUES (1), (2), (3)");
    connection_ = OpenFaulty(5);
  }
  [[nodiscard]] std::string BeginReplayed(v1::IsolationLevel isolation = v1::ISOLATION_LEVEL_UNSPECIFIED) {
    v1::TransactionOptions options;
    options.set_replay(true);
    options.set_isolation_level(isolation);
    const auto begun = Begin(connection_, options);
    EXPECT_TRUE(begun.ok()) << begun.status.error_message();
    return begun.response.transaction_id();
  }
  Answer<v1::ExecuteResponse> Run(const std::string& transaction, const std::string& sql,
                                  const std::vector<v1::Value>& parameters = {}) {
    return ExecuteIn(connection_, transaction, sql, parameters);
  }
  [[nodiscard]] std::string Hit() const {
    return "UPDATE " + name() + " SET hits = hits + 1 WHERE n = ? RETURNING hits";
  }
  [[nodiscard]] std::string Look() const { return "SELECT n, hits FROM " + name() + " ORDER BY n"; }
  [[nodiscard]] std::string Hits() const {
    return Scalar("SELECT string_agg(hits::text, ',' ORDER BY n) FROM " + name());
  }
  std::string connection_;
};

TEST_F(TransparentReplay, ALostBackendGoesUnnoticed) {
  for (const FaultPoint point :
       {FaultPoint::kBeforeRequest, FaultPoint::kAfterRequest, FaultPoint::kBeforeReply, FaultPoint::kInReply}) {
    Sql("UPDATE " + name() + " SET hits = 0");
    const std::string transaction = BeginReplayed();
    ASSERT_TRUE(Run(transaction, Look()).ok());
    ASSERT_TRUE(Run(transaction, Hit(), {Int(1)}).ok());
    const auto rule = Fault("^UPDATE", point);
    const auto hit = Run(transaction, Hit(), {Int(2)});
    EXPECT_EQ(proxy().Fired(rule), 1);
    ASSERT_TRUE(hit.ok()) << hit.status.error_message();
    EXPECT_EQ(hit.response.rows(0).values(0).int64_value(), 1);
    EXPECT_EQ(hit.response.rows_size(), 1);
    EXPECT_EQ(hit.response.attempts(), 2U);
    EXPECT_EQ(hit.response.transaction().state(), v1::TRANSACTION_STATE_OPEN);
    ASSERT_TRUE(Commit(connection_, transaction).ok());
    EXPECT_EQ(Hits(), "1,1,0");
  }
}

TEST_F(TransparentReplay, ABackendThatDiedBetweenStatementsGoesUnnoticed) {
  const std::string transaction = BeginReplayed();
  ASSERT_TRUE(Run(transaction, Hit(), {Int(1)}).ok());
  TerminateBackends("state = 'idle in transaction'");
  ASSERT_TRUE(Run(transaction, Hit(), {Int(1)}).ok());
  TerminateBackends("state = 'idle in transaction'");
  EXPECT_TRUE(Commit(connection_, transaction).ok());
  EXPECT_EQ(Hits(), "2,0,0");
}

TEST_F(TransparentReplay, OtherResultsThanBeforeAreTheFirstError) {
  const std::string transaction = BeginReplayed();
  ASSERT_TRUE(Run(transaction, Look()).ok());
  Sql("UPDATE " + name() + " SET hits = 7 WHERE n = 3");
  TerminateBackends("state = 'idle in transaction'");
  const auto hit = Run(transaction, Hit(), {Int(1)});
  const Failure failure =
      ExpectFailure(hit.status, StatusCode::ABORTED, v1::ERROR_KIND_TRANSACTION, "TRANSACTION_LOST");
  EXPECT_EQ(failure.error.outcome(), v1::OUTCOME_ROLLED_BACK);
  EXPECT_EQ(failure.error.transaction_state(), v1::TRANSACTION_STATE_LOST);
  EXPECT_EQ(Decode(Commit(connection_, transaction).status).error.outcome(), v1::OUTCOME_ROLLED_BACK);
  EXPECT_EQ(Hits(), "0,0,7");
  EXPECT_TRUE(WaitForBackends(0, "state = 'idle in transaction'"));
}

TEST_F(TransparentReplay, SerializationFailuresGoUnnoticedWhereNothingWasSeen) {
  const std::string transaction = BeginReplayed(v1::ISOLATION_LEVEL_REPEATABLE_READ);
  ASSERT_TRUE(Run(transaction, "SELECT 1").ok());  // takes the snapshot
  Sql("UPDATE " + name() + " SET hits = 10 WHERE n = 1");
  const auto hit = Run(transaction, Hit(), {Int(1)});
  ASSERT_TRUE(hit.ok()) << hit.status.error_message();
  EXPECT_EQ(hit.response.rows(0).values(0).int64_value(), 11);
  ASSERT_TRUE(Commit(connection_, transaction).ok());

  const std::string second = BeginReplayed(v1::ISOLATION_LEVEL_REPEATABLE_READ);
  ASSERT_TRUE(Run(second, Look()).ok());  // which is other by then
  Sql("UPDATE " + name() + " SET hits = 20 WHERE n = 1");
  EXPECT_EQ(Decode(Run(second, Hit(), {Int(1)}).status).error.sqlstate(), "40001");
}

TEST_F(TransparentReplay, DeadlocksGoUnnoticed) {
  const auto both = [&](int first, int second) {
    return std::async(std::launch::async, [this, first, second] {
      for (int i = 0; i < 3; ++i) {
        const std::string transaction = BeginReplayed();
        if (!Run(transaction, Hit(), {Int(first)}).ok()) return false;
        if (!Run(transaction, "SELECT pg_sleep(0.05)").ok()) return false;
        const auto hit = Run(transaction, Hit(), {Int(second)});
        if (!hit.ok()) {
          // The other one's commit may have changed what the first statement returned: then it is an error, and rolled
          // back.
          EXPECT_EQ(Decode(hit.status).error.sqlstate(), "40P01");
          --i;
          continue;
        }
        if (!Commit(connection_, transaction).ok()) return false;
      }
      return true;
    });
  };
  auto one = both(1, 2);
  auto other = both(2, 1);
  EXPECT_TRUE(one.get());
  EXPECT_TRUE(other.get());
  EXPECT_EQ(Hits(), "6,6,0");
}

TEST_F(TransparentReplay, SavepointsAndFailedStatementsAreRunAgainAsTheyWere) {
  const std::string transaction = BeginReplayed();
  v1::SavepointRequest savepoint;
  savepoint.set_connection_id(connection_);
  savepoint.set_transaction_id(transaction);
  savepoint.set_name("s");
  v1::RollbackToSavepointRequest back;
  back.set_connection_id(connection_);
  back.set_transaction_id(transaction);
  back.set_name("s");
  ASSERT_TRUE(Run(transaction, Hit(), {Int(1)}).ok());
  ASSERT_TRUE(Call(&Stub::Savepoint, savepoint).ok());
  ASSERT_TRUE(Run(transaction, Hit(), {Int(2)}).ok());
  EXPECT_FALSE(Run(transaction, "SELECT 1/0").ok());
  ASSERT_TRUE(Call(&Stub::RollbackToSavepoint, back).ok());
  TerminateBackends("state = 'idle in transaction'");
  ASSERT_TRUE(Run(transaction, Hit(), {Int(3)}).ok());
  ASSERT_TRUE(Commit(connection_, transaction).ok());
  EXPECT_EQ(Hits(), "1,0,1");
}

TEST_F(TransparentReplay, SavepointsAsTextsAreRunAgainAsTheyWere) {
  const std::string transaction = BeginReplayed();
  for (const std::string& sql :
       {std::string("SAVEPOINT a"), Hit(), std::string("RELEASE a"), std::string("SAVEPOINT b"), Hit()}) {
    ASSERT_TRUE(Run(transaction, sql, sql == Hit() ? std::vector{Int(1)} : std::vector<v1::Value>()).ok()) << sql;
  }
  EXPECT_FALSE(Run(transaction, "SELECT 1/0").ok());
  ASSERT_TRUE(Run(transaction, "ROLLBACK TO b").ok());
  TerminateBackends("state = 'idle in transaction'");
  const auto back = Run(transaction, "ROLLBACK TO SAVEPOINT b");
  ASSERT_TRUE(back.ok()) << back.status.error_message();
  EXPECT_EQ(back.response.attempts(), 2U);
  ASSERT_TRUE(Run(transaction, Hit(), {Int(3)}).ok());
  ASSERT_TRUE(Commit(connection_, transaction).ok());
  EXPECT_EQ(Hits(), "1,0,1");
}

TEST_F(TransparentReplay, ATransactionThatBeganWithItsFirstStatementIsRunAgainToo) {
  v1::ExecuteRequest request;
  request.set_connection_id(connection_);
  request.set_sql(Hit());
  *request.add_parameters() = Int(1);
  request.mutable_begin()->set_replay(true);
  const auto first = Call(&Stub::Execute, request);
  ASSERT_TRUE(first.ok());
  const std::string transaction = first.response.transaction().transaction_id();
  TerminateBackends("state = 'idle in transaction'");
  ASSERT_TRUE(Run(transaction, Hit(), {Int(1)}).ok());
  ASSERT_TRUE(Commit(connection_, transaction).ok());
  EXPECT_EQ(Hits(), "2,0,0");
}

TEST_F(TransparentReplay, ALostCommitIsFoundOutRatherThanRunAgain) {
  const std::string transaction = BeginReplayed();
  ASSERT_TRUE(Run(transaction, Hit(), {Int(1)}).ok());
  const auto rule = Fault("^COMMIT", FaultPoint::kBeforeReply);
  EXPECT_TRUE(Commit(connection_, transaction).ok());
  EXPECT_EQ(proxy().Fired(rule), 1);
  EXPECT_EQ(Hits(), "1,0,0");
  // And one that never arrived is run again, COMMIT and all.
  const std::string second = BeginReplayed();
  ASSERT_TRUE(Run(second, Hit(), {Int(2)}).ok());
  static_cast<void>(Fault("^COMMIT", FaultPoint::kBeforeRequest));
  EXPECT_TRUE(Commit(connection_, second).ok());
  EXPECT_EQ(Hits(), "1,1,0");
}

TEST_F(TransparentReplay, BreaksThatGoOnAreToldInTheEnd) {
  const std::string transaction = BeginReplayed();
  ASSERT_TRUE(Run(transaction, Hit(), {Int(1)}).ok());
  const auto rule = Fault("^UPDATE", FaultPoint::kAfterRequest, FaultAct::kCut, kAlways);
  const Failure failure = Decode(Run(transaction, Hit(), {Int(2)}).status);
  EXPECT_EQ(failure.error.reason(), "TRANSACTION_LOST");
  EXPECT_GE(proxy().Fired(rule), 5);
  proxy().Heal();
  EXPECT_TRUE(WaitForBackends(0, "state <> 'idle'"));
  EXPECT_EQ(Hits(), "0,0,0");
}

TEST_F(TransparentReplay, NothingIsRunAgainUnasked) {
  const std::string transaction = Begin(connection_).response.transaction_id();
  ASSERT_TRUE(Run(transaction, Hit(), {Int(1)}).ok());
  TerminateBackends("state = 'idle in transaction'");
  EXPECT_EQ(Decode(Run(transaction, Hit(), {Int(1)}).status).error.reason(), "TRANSACTION_LOST");
}

TEST_F(TransparentReplay, PastItsBoundsItIsNotTried) {
  const std::string transaction = BeginReplayed();
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(Run(transaction, "SELECT length(?)", {Text(std::string(500'000, 'x'))}).ok());
  }
  TerminateBackends("state = 'idle in transaction'");
  EXPECT_EQ(Decode(Run(transaction, Hit(), {Int(1)}).status).error.reason(), "TRANSACTION_LOST");
}

TEST_F(TransparentReplay, ADeadlineEndsItAtOnce) {
  const std::string transaction = BeginReplayed();
  ASSERT_TRUE(Run(transaction, "SELECT pg_sleep(1)").ok());
  TerminateBackends("state = 'idle in transaction'");
  v1::ExecuteRequest request;
  request.set_connection_id(connection_);
  request.set_transaction_id(transaction);
  request.set_sql(Hit());
  *request.add_parameters() = Int(1);
  request.set_timeout_ms(300);
  const Failure failure = Decode(Call(&Stub::Execute, request).status);
  EXPECT_EQ(failure.code, StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(failure.error.outcome(), v1::OUTCOME_ROLLED_BACK);
  EXPECT_TRUE(WaitForBackends(0, "state <> 'idle'"));
  EXPECT_EQ(Hits(), "0,0,0");
}

}  // namespace
}  // namespace engine::db::test

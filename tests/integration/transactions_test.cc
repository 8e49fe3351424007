// Transaction handles: leases, repeated endings, and handles that are somebody else's.
#include <thread>

#include "tests/integration/gateway_calls.h"

namespace engine::db::test {
namespace {

using grpc::StatusCode;

class Transactions : public GatewayCallsTest {
 protected:
  void SetUp() override {
    CreateTable("n int PRIMARY KEY");
    connection_ = Open();
  }
  std::string BeginWith(uint32_t idle_timeout_ms, uint32_t max_duration_ms = 0) {
    v1::TransactionOptions options;
    options.set_idle_timeout_ms(idle_timeout_ms);
    options.set_max_duration_ms(max_duration_ms);
    const auto begun = Begin(connection_, options);
    EXPECT_TRUE(begun.ok()) << begun.status.error_message();
    return begun.response.transaction_id();
  }
  Answer<v1::ExecuteResponse> Insert(const std::string& transaction, int n) {
    return ExecuteIn(connection_, transaction, "INSERT INTO " + name() + " VALUES (?)", {Int(n)});
  }
  void ExpectExpired(const grpc::Status& status) {
    const Failure failure =
        ExpectFailure(status, StatusCode::FAILED_PRECONDITION, v1::ERROR_KIND_TRANSACTION, "TRANSACTION_EXPIRED");
    EXPECT_EQ(failure.error.outcome(), v1::OUTCOME_ROLLED_BACK);
  }
  std::string connection_;
};

TEST_F(Transactions, AnIdleTransactionIsReapedAndSaysSoAfterwards) {
  const std::string transaction = BeginWith(1000);
  ASSERT_TRUE(Insert(transaction, 1).ok());
  EXPECT_TRUE(WaitForBackends(0, "state LIKE 'idle in transaction%'"));
  ExpectExpired(Insert(transaction, 2).status);
  ExpectExpired(Commit(connection_, transaction).status);
  EXPECT_EQ(Rows(), 0);
}

TEST_F(Transactions, StatementsAndKeepAliveBeginTheIdleTimeAnew) {
  const std::string transaction = BeginWith(1500);
  const auto start = Now();
  v1::KeepAliveRequest keep_alive;
  keep_alive.set_connection_id(connection_);
  keep_alive.set_transaction_id(transaction);
  for (int n = 0; Since(start) < milliseconds(4500); ++n) {
    std::this_thread::sleep_for(milliseconds(300));
    if (n % 2 == 0) {
      const auto kept = Call(&Stub::KeepAlive, keep_alive);
      ASSERT_TRUE(kept.ok()) << kept.status.error_message();
      EXPECT_GT(kept.response.transaction().idle_left_ms(), 0U);
    } else {
      ASSERT_TRUE(Insert(transaction, n).ok());
    }
  }
  EXPECT_TRUE(Commit(connection_, transaction).ok());
  EXPECT_GT(Rows(), 0);
}

TEST_F(Transactions, ARunningStatementIsNotIdle) {
  const std::string transaction = BeginWith(300);
  ASSERT_TRUE(ExecuteIn(connection_, transaction, "SELECT pg_sleep(1)").ok());
  EXPECT_TRUE(Commit(connection_, transaction).ok());
}

TEST_F(Transactions, MaxDurationEndsEvenABusyTransaction) {
  const std::string transaction = BeginWith(0, 600);
  ASSERT_TRUE(Insert(transaction, 1).ok());
  const auto start = Now();
  const auto running = ExecuteIn(connection_, transaction, "SELECT pg_sleep(60)");
  EXPECT_LT(Since(start), milliseconds(600) + Slack(start));
  EXPECT_EQ(Decode(running.status).error.kind(), v1::ERROR_KIND_TRANSACTION);
  EXPECT_EQ(Decode(running.status).error.reason(), "TRANSACTION_EXPIRED");
  ExpectExpired(Insert(transaction, 2).status);
  EXPECT_TRUE(WaitForBackends(0, "state <> 'idle'"));
  EXPECT_EQ(Rows(), 0);
}

TEST_F(Transactions, ARepeatedCommitReturnsTheFirstAnswer) {
  const std::string transaction = BeginWith(0);
  ASSERT_TRUE(Insert(transaction, 1).ok());
  for (int i = 0; i < 3; ++i) {
    const auto committed = Commit(connection_, transaction);
    ASSERT_TRUE(committed.ok()) << committed.status.error_message();
    EXPECT_EQ(committed.response.transaction().state(), v1::TRANSACTION_STATE_COMMITTED);
  }
  EXPECT_EQ(Rows(), 1);
  const auto rollback = Rollback(connection_, transaction);
  static_cast<void>(ExpectFailure(rollback.status, StatusCode::FAILED_PRECONDITION, v1::ERROR_KIND_TRANSACTION,
                                  "TRANSACTION_COMMITTED"));
  static_cast<void>(ExpectFailure(Insert(transaction, 2).status, StatusCode::FAILED_PRECONDITION,
                                  v1::ERROR_KIND_TRANSACTION, "TRANSACTION_COMMITTED"));
}

TEST_F(Transactions, CommitAfterRollbackIsAnError) {
  const std::string transaction = BeginWith(0);
  ASSERT_TRUE(Insert(transaction, 1).ok());
  ASSERT_TRUE(Rollback(connection_, transaction).ok());
  EXPECT_TRUE(Rollback(connection_, transaction).ok()) << "a repeated rollback is none";
  const Failure failure = ExpectFailure(Commit(connection_, transaction).status, StatusCode::FAILED_PRECONDITION,
                                        v1::ERROR_KIND_TRANSACTION, "TRANSACTION_ROLLED_BACK");
  EXPECT_EQ(failure.error.outcome(), v1::OUTCOME_ROLLED_BACK);
  EXPECT_EQ(Rows(), 0);
}

TEST_F(Transactions, AFailedCommitStaysFailedWhenRepeated) {
  const std::string transaction = BeginWith(0);
  ASSERT_TRUE(Insert(transaction, 1).ok());
  ASSERT_FALSE(Insert(transaction, 1).ok());
  for (int i = 0; i < 2; ++i) {
    const Failure failure = Decode(Commit(connection_, transaction).status);
    EXPECT_EQ(failure.error.kind(), v1::ERROR_KIND_TRANSACTION);
    EXPECT_EQ(failure.error.outcome(), v1::OUTCOME_ROLLED_BACK);
  }
}

TEST_F(Transactions, ADeferredConstraintFailsTheCommitAndRollsBack) {
  Sql("CREATE TABLE " + name() + "_child (n int REFERENCES " + name() + " DEFERRABLE INITIALLY DEFERRED)");
  const std::string transaction = BeginWith(0);
  ASSERT_TRUE(ExecuteIn(connection_, transaction, "INSERT INTO " + name() + "_child VALUES (7)").ok());
  const auto committed = Commit(connection_, transaction);
  const Failure failure = Decode(committed.status);
  EXPECT_EQ(failure.error.sqlstate(), "23503");
  EXPECT_EQ(failure.error.outcome(), v1::OUTCOME_ROLLED_BACK);
  EXPECT_EQ(failure.error.phase(), v1::PHASE_COMMITTING);
  EXPECT_EQ(Number("SELECT count(*) FROM " + name() + "_child"), 0);
  // The same for autocommit, where INSERT 0 1 comes before the error; and for a commit that rides on the statement.
  const auto autocommit = Execute(connection_, "INSERT INTO " + name() + "_child VALUES (7)");
  EXPECT_EQ(Decode(autocommit.status).error.sqlstate(), "23503");
  v1::ExecuteRequest riding;
  riding.set_connection_id(connection_);
  riding.set_sql("INSERT INTO " + name() + "_child VALUES (7)");
  riding.mutable_begin();
  riding.set_commit(true);
  EXPECT_EQ(Decode(Call(&Stub::Execute, riding).status).error.sqlstate(), "23503");
  EXPECT_EQ(Number("SELECT count(*) FROM " + name() + "_child"), 0);
  EXPECT_TRUE(WaitForBackends(0, "state <> 'idle'"));
}

TEST_F(Transactions, UnknownAndForeignHandlesAreRefused) {
  const std::string transaction = BeginWith(0);
  const std::string other = Open();
  for (const std::string& id : {std::string("nonsense"), std::string("t-0000-1111"), transaction + "x"}) {
    static_cast<void>(ExpectFailure(Commit(connection_, id).status, StatusCode::FAILED_PRECONDITION,
                                    v1::ERROR_KIND_TRANSACTION, "UNKNOWN_TRANSACTION"));
    static_cast<void>(ExpectFailure(Insert(id, 1).status, StatusCode::FAILED_PRECONDITION, v1::ERROR_KIND_TRANSACTION,
                                    "UNKNOWN_TRANSACTION"));
  }
  // Another connection's, even on the same pool, looks the same as none.
  const Failure foreign =
      ExpectFailure(ExecuteIn(other, transaction, "SELECT 1").status, StatusCode::FAILED_PRECONDITION,
                    v1::ERROR_KIND_TRANSACTION, "UNKNOWN_TRANSACTION");
  EXPECT_EQ(foreign.error.field(), "transaction_id");
  static_cast<void>(ExpectFailure(Rollback(other, transaction).status, StatusCode::FAILED_PRECONDITION,
                                  v1::ERROR_KIND_TRANSACTION, "UNKNOWN_TRANSACTION"));
  EXPECT_TRUE(Insert(transaction, 1).ok()) << "its owner still has it";
  EXPECT_TRUE(Commit(connection_, transaction).ok());
  static_cast<void>(ExpectFailure(Commit(connection_, "").status, StatusCode::FAILED_PRECONDITION,
                                  v1::ERROR_KIND_TRANSACTION, "NO_TRANSACTION"));
}

TEST_F(Transactions, HandlesOfAnEarlierRunAreToldApart) {
  const auto gateway = StartGateway({});
  const auto stub = StubFor(*gateway);
  v1::ConnectResponse connected;
  {
    grpc::ClientContext context;
    ASSERT_TRUE(stub->Connect(&context, ConnectTo(), &connected).ok());
  }
  v1::BeginRequest begin;
  begin.set_connection_id(connected.connection_id());
  v1::BeginResponse begun;
  {
    grpc::ClientContext context;
    ASSERT_TRUE(stub->Begin(&context, begin, &begun).ok());
  }
  // The shared gateway is another run, for all that matters.
  const Failure connection =
      ExpectFailure(Execute(connected.connection_id(), "SELECT 1").status, StatusCode::FAILED_PRECONDITION,
                    v1::ERROR_KIND_CONNECTION, "UNKNOWN_CONNECTION");
  EXPECT_THAT(connection.message, testing::HasSubstr("earlier run"));
  const Failure transaction =
      ExpectFailure(Commit(connection_, begun.transaction_id()).status, StatusCode::FAILED_PRECONDITION,
                    v1::ERROR_KIND_TRANSACTION, "UNKNOWN_TRANSACTION");
  EXPECT_THAT(transaction.message, testing::HasSubstr("earlier run"));
  EXPECT_EQ(transaction.error.outcome(), v1::OUTCOME_UNKNOWN);
}

TEST_F(Transactions, OptionsOutOfRangeAreRefused) {
  v1::TransactionOptions options;
  options.set_idle_timeout_ms(3'600'001);
  EXPECT_EQ(Decode(Begin(connection_, options).status).error.field(), "options.idle_timeout_ms");
  options.set_idle_timeout_ms(0);
  options.set_max_duration_ms(86'400'001);
  EXPECT_EQ(Decode(Begin(connection_, options).status).error.field(), "options.max_duration_ms");
  v1::SavepointRequest savepoint;
  savepoint.set_connection_id(connection_);
  const std::string transaction = BeginWith(0);
  savepoint.set_transaction_id(transaction);
  for (const std::string& bad :
       {std::string(), std::string("1a"), std::string("a-b"), std::string("a\"; DROP"), std::string(64, 'a')}) {
    savepoint.set_name(bad);
    EXPECT_EQ(Decode(Call(&Stub::Savepoint, savepoint).status).error.field(), "name") << bad;
  }
  EXPECT_TRUE(Insert(transaction, 1).ok()) << "a refused name does no harm";
  v1::RollbackToSavepointRequest back;
  back.set_connection_id(connection_);
  back.set_transaction_id(transaction);
  back.set_name("never_set");
  EXPECT_EQ(Decode(Call(&Stub::RollbackToSavepoint, back).status).error.sqlstate(), "3B001");
  EXPECT_TRUE(Rollback(connection_, transaction).ok());
}

TEST_F(Transactions, TransactionsAndAutocommitDoNotStarveEachOther) {
  const std::string connection = Open(3);
  std::vector<std::string> open;
  open.reserve(2);
  for (int i = 0; i < 2; ++i) {
    const auto begun = Begin(connection);
    ASSERT_TRUE(begun.ok());
    open.push_back(begun.response.transaction_id());
  }
  // The pool of three has two transactions: a third one has to wait, a statement has not.
  v1::BeginRequest begin;
  begin.set_connection_id(connection);
  begin.set_timeout_ms(300);
  EXPECT_EQ(Decode(Call(&Stub::Begin, begin).status).code, StatusCode::DEADLINE_EXCEEDED);
  EXPECT_TRUE(Execute(connection, "SELECT 1").ok());
  EXPECT_TRUE(Execute(connection, "CREATE TABLE " + name() + "_x (n int)").ok());
  for (const std::string& id : open) EXPECT_TRUE(Rollback(connection, id).ok());
  const auto begun = Begin(connection);
  ASSERT_TRUE(begun.ok());
  EXPECT_TRUE(Rollback(connection, begun.response.transaction_id()).ok());
}

TEST_F(Transactions, APoolOfOneStillRunsTransactions) {
  const std::string connection = Open(1);
  const auto begun = Begin(connection);
  ASSERT_TRUE(begun.ok()) << begun.status.error_message();
  ASSERT_TRUE(ExecuteIn(connection, begun.response.transaction_id(), "INSERT INTO " + name() + " VALUES (1)").ok());
  ASSERT_TRUE(Commit(connection, begun.response.transaction_id()).ok());
  EXPECT_EQ(Cell(Execute(connection, "SELECT count(*) FROM " + name())).int64_value(), 1);
}

TEST_F(Transactions, ADeadlineInAStatementFailsTheTransactionButKeepsIt) {
  const std::string transaction = BeginWith(0);
  ASSERT_TRUE(Insert(transaction, 1).ok());
  v1::ExecuteRequest request;
  request.set_connection_id(connection_);
  request.set_transaction_id(transaction);
  request.set_sql("SELECT pg_sleep(60)");
  request.set_timeout_ms(200);
  EXPECT_EQ(Call(&Stub::Execute, request).status.error_code(), StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(Decode(Insert(transaction, 2).status).error.sqlstate(), "25P02");
  EXPECT_TRUE(Rollback(connection_, transaction).ok());
  EXPECT_EQ(Rows(), 0);
}

// A COMMIT that takes its time: a deferred trigger sleeps.
class SlowCommits : public Transactions {
 protected:
  void SetUp() override {
    Transactions::SetUp();
    Sql("CREATE FUNCTION " + name() +
        "_sleep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(2); "
        "RETURN NULL; END $$; CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON " +
        name() + " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION " + name() + "_sleep()");
  }
  grpc::Status CommitWithin(const std::string& transaction, uint32_t timeout_ms) {
    v1::CommitRequest request;
    request.set_connection_id(connection_);
    request.set_transaction_id(transaction);
    request.set_timeout_ms(timeout_ms);
    return Call(&Stub::Commit, request).status;
  }
};

TEST_F(SlowCommits, ADeadlineAtCommitIsUnknownAndARepeatedCommitTells) {
  const std::string transaction = BeginWith(0);
  ASSERT_TRUE(Insert(transaction, 1).ok());
  const auto start = Now();
  const Failure failure = ExpectFailure(CommitWithin(transaction, 200), StatusCode::DEADLINE_EXCEEDED,
                                        v1::ERROR_KIND_TIMEOUT, "DEADLINE_EXCEEDED");
  EXPECT_LT(Since(start), milliseconds(200) + Slack(start));
  EXPECT_EQ(failure.error.outcome(), v1::OUTCOME_UNKNOWN);
  EXPECT_EQ(failure.error.phase(), v1::PHASE_COMMITTING);
  const auto committed = Commit(connection_, transaction);
  ASSERT_TRUE(committed.ok()) << committed.status.error_message();
  EXPECT_EQ(committed.response.transaction().state(), v1::TRANSACTION_STATE_COMMITTED);
  EXPECT_EQ(Rows(), 1);
}

TEST_F(SlowCommits, ABackendKilledDuringCommitNeverSaysCommitted) {
  const std::string transaction = BeginWith(0);
  ASSERT_TRUE(Insert(transaction, 1).ok());
  grpc::Status status;
  std::thread caller([&] { status = CommitWithin(transaction, 0); });
  EXPECT_TRUE(WaitForBackends(1, "state = 'active'"));
  TerminateBackends("state = 'active'");
  caller.join();
  const Failure failure = Decode(status);
  EXPECT_EQ(failure.error.kind(), v1::ERROR_KIND_TRANSACTION);
  EXPECT_EQ(failure.error.phase(), v1::PHASE_COMMITTING);
  EXPECT_TRUE(failure.error.outcome() == v1::OUTCOME_UNKNOWN || failure.error.outcome() == v1::OUTCOME_ROLLED_BACK);
  EXPECT_EQ(Rows(), 0);
  const Failure again = Decode(CommitWithin(transaction, 0));
  EXPECT_EQ(again.error.kind(), v1::ERROR_KIND_TRANSACTION);
  EXPECT_EQ(again.error.outcome(), failure.error.outcome()) << "a repeated commit must not know more, nor less";
}

TEST_F(SlowCommits, ABackendKilledAfterADeadlineAtCommitIsFoundOut) {
  const std::string transaction = BeginWith(0);
  ASSERT_TRUE(Insert(transaction, 1).ok());
  EXPECT_EQ(Decode(CommitWithin(transaction, 200)).error.outcome(), v1::OUTCOME_UNKNOWN);
  TerminateBackends("state = 'active'");
  EXPECT_TRUE(WaitUntil(
      kSoon, [&] { return Decode(CommitWithin(transaction, 100)).error.kind() == v1::ERROR_KIND_TRANSACTION; }));
  EXPECT_EQ(Decode(CommitWithin(transaction, 0)).error.outcome(), v1::OUTCOME_ROLLED_BACK);
  EXPECT_TRUE(Rollback(connection_, transaction).ok());
  EXPECT_EQ(Rows(), 0);
}

}  // namespace
}  // namespace engine::db::test

// A stream holds its transaction's backend until its end: what becomes of calls that come while nobody reads it, and
// while somebody does.
#include <future>
#include <optional>
#include <thread>

#include "tests/integration/gateway_calls.h"

namespace engine::db::test {
namespace {

using grpc::StatusCode;

// 20 MB: more than what is on its way when nobody reads.
constexpr const char* kLarge = "SELECT n, repeat('x', 1000) AS t FROM generate_series(1, 20000) n";
// When a caller has to have heard.
constexpr milliseconds kToldWithin = milliseconds(500);

class OpenStreams : public GatewayCallsTest {
 protected:
  void SetUp() override { CreateTable("n int"); }
  [[nodiscard]] std::string InsertText() const { return "INSERT INTO " + name() + " VALUES (1)"; }
  [[nodiscard]] bool WaitForStandstill() const {
    return WaitForBackends(1, "state = 'active' AND wait_event = 'ClientWrite'");
  }
  static void ExpectStreamOpen(const DatabaseTransactionError& error) {
    EXPECT_EQ(error.reason(), "STREAM_OPEN") << error.what();
    EXPECT_EQ(error.outcome(), Outcome::kNotExecuted);
    EXPECT_FALSE(error.retryable());
    EXPECT_THAT(error.what(), testing::HasSubstr("stream"));
  }
  template <typename Work>
  static void ExpectRefusedSoon(Work&& work) {
    const auto start = Now();
    ExpectStreamOpen(Catch<DatabaseTransactionError>(std::forward<Work>(work)));
    EXPECT_LT(Since(start), kToldWithin + Slack(start));
  }
};

TEST_F(OpenStreams, StatementsBetweenTheRowsOfALargeResultAreRefusedAndTheTransactionGoesOn) {
  const auto connector = Connect(Config(2));
  Transaction transaction = connector->begin_transaction();
  transaction.execute(InsertText());
  {
    RowStream stream = transaction.execute_stream(kLarge);
    int64_t rows = 0;
    for (Row row : stream) {
      EXPECT_EQ(row["n"].as<int64_t>(), ++rows);
      if (rows != 10) continue;
      ExpectRefusedSoon([&] { transaction.execute(InsertText()); });
      ExpectRefusedSoon([&] { transaction.execute_batch({{InsertText(), {}}}); });
      ExpectRefusedSoon([&] { transaction.savepoint("s"); });
      ExpectRefusedSoon([&] { static_cast<void>(transaction.execute_stream("SELECT 1").next_batch()); });
      ExpectRefusedSoon([&] { transaction.commit(); });
    }
    EXPECT_EQ(rows, 20000) << "the stream was none the worse for it";
  }
  transaction.execute(InsertText());
  transaction.commit();
  EXPECT_EQ(Rows(), 2);
}

TEST_F(OpenStreams, TheConnectorsOwnTransactionSaysTheSame) {
  const auto connector = Connect(Config(2));
  connector->begin();
  connector->execute(InsertText());
  RowStream stream = connector->execute_stream(kLarge);
  static_cast<void>(stream.next_batch());
  ExpectRefusedSoon([&] { connector->execute(InsertText()); });
  ExpectRefusedSoon([&] { connector->commit(); });
  while (stream.next_batch().has_value()) {
  }
  connector->commit();
  EXPECT_EQ(Rows(), 1);
}

TEST_F(OpenStreams, SmallResultsAreNoHindrance) {
  const auto connector = Connect(Config(2));
  Transaction transaction = connector->begin_transaction();
  RowStream stream = transaction.execute_stream("SELECT n FROM generate_series(1, 10) n");
  for (Row row : stream) transaction.execute("INSERT INTO " + name() + " VALUES (?)", {row[0].as<int>()});
  transaction.commit();
  EXPECT_EQ(Rows(), 10);
}

TEST_F(OpenStreams, RollbackEndsTheStream) {
  const auto connector = Connect(Config(2));
  Transaction transaction = connector->begin_transaction();
  transaction.execute(InsertText());
  RowStream stream = transaction.execute_stream(kLarge);
  ASSERT_TRUE(stream.next_batch().has_value());
  ASSERT_TRUE(WaitForStandstill());
  const auto start = Now();
  transaction.rollback();
  EXPECT_LT(Since(start), kToldWithin + Slack(start));
  EXPECT_EQ(Rows(), 0);
  EXPECT_TRUE(WaitForBackends(0, "state <> 'idle'"));
  const auto error = Catch<DatabaseTransactionError>([&] {
    while (stream.next_batch().has_value()) {
    }
  });
  EXPECT_EQ(error.reason(), "TRANSACTION_ROLLED_BACK") << error.what();
  EXPECT_EQ(error.outcome(), Outcome::kRolledBack);
}

TEST_F(OpenStreams, ADestroyedTransactionDoesNotWaitForItsStream) {
  const auto connector = Connect(Config(2));
  std::optional<RowStream> stream;
  {
    Transaction transaction = connector->begin_transaction();
    transaction.execute(InsertText());
    stream = transaction.execute_stream(kLarge);
    ASSERT_TRUE(stream->next_batch().has_value());
  }
  EXPECT_TRUE(WaitForBackends(0, "state <> 'idle'"));
}

// What is behind a stream that is being read waits for it, however slow its reader is.
TEST_F(OpenStreams, AStreamThatIsReadIsWaitedFor) {
  const auto connector = ConnectAsync(Config(2));
  AsyncTransaction transaction = sync_wait(connector->async_begin_transaction());
  AsyncRowStream stream = transaction.async_execute_stream(kLarge);
  Async<Result> behind = transaction.async_execute("SELECT 7 AS n");
  size_t rows = 0;
  const auto start = Now();
  while (const auto batch = sync_wait(stream.next_batch())) {
    rows += batch->size();
    std::this_thread::sleep_for(milliseconds(8));
  }
  EXPECT_GT(Since(start), milliseconds(700)) << "or nothing was tried";
  EXPECT_EQ(rows, 20000U);
  EXPECT_EQ(sync_wait(std::move(behind)).rows()[0]["n"].as<int>(), 7);
  sync_wait(transaction.async_commit());
}

TEST_F(OpenStreams, OverUnaryCallsToo) {
  const std::string connection = Open(2);
  const std::string transaction = Begin(connection).response.transaction_id();
  ASSERT_TRUE(ExecuteIn(connection, transaction, InsertText()).ok());
  v1::ExecuteStreamRequest request;
  request.set_connection_id(connection);
  request.set_transaction_id(transaction);
  request.set_sql(kLarge);
  grpc::ClientContext context;
  const auto reader = stub().ExecuteStream(&context, request);
  v1::ExecuteStreamResponse message;
  ASSERT_TRUE(reader->Read(&message));
  ASSERT_TRUE(WaitForStandstill());

  const auto refused = [&](const grpc::Status& status) {
    const Failure failure =
        ExpectFailure(status, StatusCode::FAILED_PRECONDITION, v1::ERROR_KIND_TRANSACTION, "STREAM_OPEN");
    EXPECT_EQ(failure.error.outcome(), v1::OUTCOME_NOT_EXECUTED);
    EXPECT_EQ(failure.error.transaction_state(), v1::TRANSACTION_STATE_OPEN);
    EXPECT_THAT(failure.error.hint(), testing::HasSubstr("to its end"));
  };
  const auto start = Now();
  refused(ExecuteIn(connection, transaction, InsertText()).status);
  EXPECT_LT(Since(start), kToldWithin + Slack(start));
  refused(Commit(connection, transaction).status);
  v1::DescribeRequest describe;
  describe.set_connection_id(connection);
  describe.set_transaction_id(transaction);
  describe.set_sql("SELECT 1");
  refused(Call(&Stub::Describe, describe).status);
  v1::GetTransactionOutcomeRequest outcome;
  outcome.set_connection_id(connection);
  outcome.set_transaction_id(transaction);
  const auto asked = Call(&Stub::GetTransactionOutcome, outcome);
  ASSERT_TRUE(asked.ok()) << asked.status.error_message();
  EXPECT_EQ(asked.response.transaction().state(), v1::TRANSACTION_STATE_OPEN);

  while (reader->Read(&message)) {
  }
  EXPECT_TRUE(reader->Finish().ok());
  ASSERT_TRUE(message.has_summary());
  EXPECT_EQ(message.summary().row_count(), 20000U);
  EXPECT_TRUE(Commit(connection, transaction).ok());
  EXPECT_EQ(Rows(), 1);
}

TEST_F(OpenStreams, RollbackOverUnaryCallsEndsTheStream) {
  const std::string connection = Open(2);
  const std::string transaction = Begin(connection).response.transaction_id();
  v1::ExecuteStreamRequest request;
  request.set_connection_id(connection);
  request.set_transaction_id(transaction);
  request.set_sql(kLarge);
  grpc::ClientContext context;
  const auto reader = stub().ExecuteStream(&context, request);
  v1::ExecuteStreamResponse message;
  ASSERT_TRUE(reader->Read(&message));
  ASSERT_TRUE(WaitForStandstill());
  const auto start = Now();
  const auto rolled_back = Rollback(connection, transaction);
  EXPECT_LT(Since(start), kToldWithin + Slack(start));
  ASSERT_TRUE(rolled_back.ok()) << rolled_back.status.error_message();
  EXPECT_EQ(rolled_back.response.transaction().state(), v1::TRANSACTION_STATE_ROLLED_BACK);
  while (reader->Read(&message)) EXPECT_FALSE(message.has_summary());
  const Failure failure =
      ExpectFailure(reader->Finish(), StatusCode::ABORTED, v1::ERROR_KIND_TRANSACTION, "TRANSACTION_ROLLED_BACK");
  EXPECT_EQ(failure.error.outcome(), v1::OUTCOME_ROLLED_BACK);
}

}  // namespace
}  // namespace engine::db::test

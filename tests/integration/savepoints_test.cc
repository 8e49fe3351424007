// Savepoints: by their methods, on both ways to call them, and as texts.
#include <utility>
#include <vector>

#include "tests/integration/gateway_calls.h"

namespace engine::db::test {
namespace {

using grpc::StatusCode;

class Savepoints : public GatewayCallsTest {
 protected:
  void SetUp() override {
    CreateTable("n int PRIMARY KEY");
    connection_ = Open();
  }
  std::string Begun() {
    const auto begun = Begin(connection_);
    EXPECT_TRUE(begun.ok()) << begun.status.error_message();
    return begun.response.transaction_id();
  }
  template <typename Request, typename Response>
  Answer<Response> About(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                         const std::string& transaction, const std::string& savepoint) {
    Request request;
    request.set_connection_id(connection_);
    request.set_transaction_id(transaction);
    request.set_name(savepoint);
    return Call(method, request);
  }
  Answer<v1::ExecuteResponse> Insert(const std::string& transaction, int n) {
    return ExecuteIn(connection_, transaction, InsertText(), {Int(n)});
  }
  [[nodiscard]] std::string InsertText() const { return "INSERT INTO " + name() + " VALUES (?)"; }
  // Of this test's transaction: its own id, and one for each savepoint under which something was written and that is
  // still there.
  [[nodiscard]] int TransactionLocks() const {
    return Number(
        "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'transactionid' AND "
        "application_name = '" +
        name() + "'");
  }
  std::string connection_;
};

TEST_F(Savepoints, AReleasedOneLeavesNothingAndKeepsWhatCameAfterIt) {
  const std::string transaction = Begun();
  for (int n = 0; n < 5; ++n) {
    ASSERT_TRUE(About(&Stub::Savepoint, transaction, "s").ok());
    ASSERT_TRUE(Insert(transaction, n).ok());
    const auto released = About(&Stub::ReleaseSavepoint, transaction, "s");
    ASSERT_TRUE(released.ok()) << released.status.error_message();
    EXPECT_EQ(released.response.transaction().state(), v1::TRANSACTION_STATE_OPEN);
    EXPECT_FALSE(released.response.transaction().recovery_token().empty());
    EXPECT_EQ(TransactionLocks(), 1);
  }
  ASSERT_TRUE(Commit(connection_, transaction).ok());
  EXPECT_EQ(Rows(), 5);
}

TEST_F(Savepoints, AnUnknownOneFailsTheTransactionAndSaysSo) {
  const std::string transaction = Begun();
  ASSERT_TRUE(About(&Stub::Savepoint, transaction, "outer").ok());
  ASSERT_TRUE(About(&Stub::Savepoint, transaction, "inner").ok());
  ASSERT_TRUE(About(&Stub::ReleaseSavepoint, transaction, "outer").ok()) << "takes the inner one along";
  ASSERT_TRUE(About(&Stub::Savepoint, transaction, "other").ok());
  const auto unknown = About(&Stub::ReleaseSavepoint, transaction, "inner");
  const Failure failure =
      ExpectFailure(unknown.status, StatusCode::FAILED_PRECONDITION, v1::ERROR_KIND_TRANSACTION, "POSTGRESQL_ERROR");
  EXPECT_EQ(failure.error.sqlstate(), "3B001");
  EXPECT_EQ(failure.error.transaction_state(), v1::TRANSACTION_STATE_FAILED);
  EXPECT_EQ(Decode(About(&Stub::ReleaseSavepoint, transaction, "other").status).error.sqlstate(), "25P02");
  const auto mended = About(&Stub::RollbackToSavepoint, transaction, "other");
  ASSERT_TRUE(mended.ok()) << mended.status.error_message();
  EXPECT_EQ(mended.response.transaction().state(), v1::TRANSACTION_STATE_OPEN);
  ASSERT_TRUE(About(&Stub::ReleaseSavepoint, transaction, "other").ok());
  ASSERT_TRUE(Insert(transaction, 1).ok());
  ASSERT_TRUE(Commit(connection_, transaction).ok());
  EXPECT_EQ(Rows(), 1);
}

TEST_F(Savepoints, ReleaseWithoutATransactionOrANameIsRefused) {
  static_cast<void>(ExpectFailure(About(&Stub::ReleaseSavepoint, "", "s").status, StatusCode::FAILED_PRECONDITION,
                                  v1::ERROR_KIND_TRANSACTION, "NO_TRANSACTION"));
  const std::string transaction = Begun();
  for (const char* bad : {"", "1a", "a-b", "a\"; DROP"}) {
    EXPECT_EQ(Decode(About(&Stub::ReleaseSavepoint, transaction, bad).status).error.field(), "name") << bad;
  }
  EXPECT_TRUE(Rollback(connection_, transaction).ok());
}

TEST_F(Savepoints, AsTextsTheyRunInATransaction) {
  const std::string transaction = Begun();
  const auto run = [&](const std::string& sql) { return ExecuteIn(connection_, transaction, sql); };
  ASSERT_TRUE(Insert(transaction, 1).ok());
  const auto set = run("SAVEPOINT \"With Blanks\"");
  ASSERT_TRUE(set.ok()) << set.status.error_message();
  EXPECT_EQ(set.response.command_tag(), "SAVEPOINT");
  ASSERT_TRUE(Insert(transaction, 2).ok());
  EXPECT_EQ(Decode(Insert(transaction, 1).status).error.transaction_state(), v1::TRANSACTION_STATE_FAILED);
  const auto mended = run("ROLLBACK WORK TO SAVEPOINT \"With Blanks\"");
  ASSERT_TRUE(mended.ok()) << mended.status.error_message();
  EXPECT_EQ(mended.response.transaction().state(), v1::TRANSACTION_STATE_OPEN);
  ASSERT_TRUE(Insert(transaction, 3).ok());
  ASSERT_TRUE(run("RELEASE \"With Blanks\"").ok());
  EXPECT_EQ(Decode(run("ROLLBACK TO \"With Blanks\"").status).error.sqlstate(), "3B001");
  ASSERT_TRUE(Rollback(connection_, transaction).ok());

  // Texts and methods know the same savepoints.
  const std::string second = Begun();
  ASSERT_TRUE(ExecuteIn(connection_, second, "SAVEPOINT a").ok());
  ASSERT_TRUE(Insert(second, 1).ok());
  ASSERT_TRUE(About(&Stub::RollbackToSavepoint, second, "a").ok());
  ASSERT_TRUE(Insert(second, 4).ok());
  ASSERT_TRUE(About(&Stub::ReleaseSavepoint, second, "a").ok());
  ASSERT_TRUE(Commit(connection_, second).ok());
  EXPECT_EQ(Scalar("SELECT string_agg(n::text, ',') FROM " + name()), "4");
}

TEST_F(Savepoints, AsTextsOutsideOfATransactionTheyAreRefused) {
  for (const std::string sql : {"SAVEPOINT a", "RELEASE SAVEPOINT a", "ROLLBACK TO a"}) {
    const Failure failure = ExpectFailure(Execute(connection_, sql).status, StatusCode::INVALID_ARGUMENT,
                                          v1::ERROR_KIND_INVALID_REQUEST, "TRANSACTION_CONTROL");
    EXPECT_EQ(failure.error.outcome(), v1::OUTCOME_NOT_EXECUTED);
    EXPECT_THAT(failure.message, testing::HasSubstr("Begin"));
    v1::ExecuteStreamRequest stream;
    stream.set_connection_id(connection_);
    stream.set_sql(sql);
    EXPECT_EQ(Decode(Stream(stream).status).error.reason(), "TRANSACTION_CONTROL");
    v1::ExecuteRequest once;
    once.set_connection_id(connection_);
    once.set_sql(sql);
    once.set_exactly_once(true);
    EXPECT_EQ(Decode(Call(&Stub::Execute, once).status).error.reason(), "TRANSACTION_CONTROL");
    v1::ExecuteBatchRequest batch;
    batch.set_connection_id(connection_);
    batch.add_statements()->set_sql("SELECT 1");
    batch.add_statements()->set_sql(sql);
    const Failure refused = Decode(Call(&Stub::ExecuteBatch, batch).status);
    EXPECT_EQ(refused.error.reason(), "TRANSACTION_CONTROL");
    EXPECT_EQ(refused.error.field(), "statements[1].sql");
  }
}

// More than the server's lock table has room for.
constexpr int kMany = 20'000;

TEST_F(Savepoints, ThousandsOfThemTakeNoLocksWhenTheyAreReleased) {
  const auto connector = ConnectAsync(Config(2));
  constexpr int kTogether = 250;
  AsyncTransaction transaction = sync_wait(connector->async_begin_transaction());
  for (int n = 0; n < kMany;) {
    std::vector<Async<void>> done;
    std::vector<Async<Result>> inserted;
    for (const int end = n + kTogether; n < end; ++n) {
      const std::string savepoint = "s" + std::to_string(n);
      done.push_back(transaction.async_savepoint(savepoint));
      inserted.push_back(transaction.async_execute(InsertText(), {n}));
      done.push_back(transaction.async_release_savepoint(savepoint));
    }
    for (auto& one : inserted) sync_wait(std::move(one));
    for (auto& one : done) sync_wait(std::move(one));
  }
  EXPECT_EQ(TransactionLocks(), 1);
  sync_wait(transaction.async_commit());
  EXPECT_EQ(Rows(), kMany);
}

TEST_F(Savepoints, ThousandsOfThemInBatchesOfTexts) {
  const auto connector = Connect(Config(2));
  Transaction transaction = connector->begin_transaction();
  constexpr int kTogether = 1'000;
  for (int n = 0; n < kMany;) {
    Batch batch;
    for (const int end = n + kTogether; n < end; ++n) {
      batch.push_back({"SAVEPOINT s", {}});
      batch.push_back({InsertText(), {{n}}});
      batch.push_back({"RELEASE s", {}});
    }
    transaction.execute_batch(batch);
  }
  EXPECT_EQ(TransactionLocks(), 1);
  transaction.commit();
  EXPECT_EQ(Rows(), kMany);
}

}  // namespace
}  // namespace engine::db::test

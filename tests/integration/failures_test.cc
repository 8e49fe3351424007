// Backends and servers that go away, and what is known afterwards.
#include <future>

#include "tests/integration/integration_test.h"

namespace engine::db::test {
namespace {

constexpr RetryConfig kFast{.max_attempts = 5, .initial_delay_ms = 1, .max_delay_ms = 50};

class Failures : public IntegrationTest {
 protected:
  void SetUp() override { CreateTable("n int PRIMARY KEY"); }
  [[nodiscard]] std::string Insert() const { return "INSERT INTO " + name() + " VALUES (?)"; }
};

TEST_F(Failures, AnIdleBackendThatWasKilledIsSwappedSilently) {
  const auto connector = Connect(Config(1, {.max_attempts = 1}));
  for (int i = 0; i < 5; ++i) {
    connector->execute(Insert(), {i});
    TerminateBackends();
    connector->execute(Insert(), {100 + i});  // a write: it must not be sent to the dead
    TerminateBackends();
    EXPECT_EQ(connector->execute("SELECT 1 AS n").rows()[0]["n"].as<int>(), 1);
  }
  EXPECT_EQ(Rows(), 10);
}

TEST_F(Failures, AllIdleBackendsKilledAtOnce) {
  ConnectionConfig config = Config(4, kFast);
  config.min_pool_size = 4;
  const auto connector = Connect(config);
  ASSERT_TRUE(WaitForBackends(4, "state = 'idle'"));
  TerminateBackends();
  connector->begin();
  connector->execute(Insert(), {1});
  connector->commit();
  EXPECT_EQ(Rows(), 1);
}

TEST_F(Failures, ABackendKilledInATransactionLosesIt) {
  const auto connector = Connect(Config(2, kFast));
  connector->begin();
  connector->execute(Insert(), {1});
  TerminateBackends("state = 'idle in transaction'");
  const auto lost = Catch<DatabaseTransactionError>([&] { connector->execute(Insert(), {2}); });
  EXPECT_EQ(lost.reason(), "TRANSACTION_LOST");
  EXPECT_EQ(lost.outcome(), Outcome::kRolledBack);
  EXPECT_EQ(Catch<DatabaseTransactionError>([&] { connector->commit(); }).outcome(), Outcome::kRolledBack);
  EXPECT_EQ(Rows(), 0) << "nothing may have been committed outside the transaction";
  connector->begin();
  connector->execute(Insert(), {3});
  connector->commit();
  EXPECT_EQ(Rows(), 1);
}

TEST_F(Failures, ABackendKilledInAStatementOfATransactionLosesIt) {
  const auto connector = Connect(Config(2, kFast));
  connector->begin();
  connector->execute(Insert(), {1});
  auto running = std::async(std::launch::async, [&] { connector->execute("SELECT pg_sleep(30)"); });
  ASSERT_TRUE(WaitForBackends(1, "state = 'active'"));
  TerminateBackends("state = 'active'");
  EXPECT_EQ(Catch<DatabaseTransactionError>([&] { running.get(); }).reason(), "TRANSACTION_LOST");
  connector->rollback();
  EXPECT_EQ(Rows(), 0);
}

TEST_F(Failures, RollbackOfALostTransactionSucceeds) {
  const auto connector = Connect(Config(2, kFast));
  connector->begin();
  connector->execute(Insert(), {1});
  TerminateBackends("state = 'idle in transaction'");
  connector->rollback();
  EXPECT_EQ(Rows(), 0);
}

TEST_F(Failures, AStreamThatBreaksOffAfterRowsIsAnErrorThatSaysHowMany) {
  const auto connector = Connect(Config(2, kFast));
  RowStream stream = connector->execute_stream("SELECT n, repeat('x', 1000) FROM generate_series(1, 10000000) n");
  auto batch = stream.next_batch();
  ASSERT_TRUE(batch.has_value());
  uint64_t rows = batch->size();
  TerminateBackends("state = 'active'");
  const auto error = Catch<DatabaseConnectionError>([&] {
    while ((batch = stream.next_batch())) rows += batch->size();
  });
  EXPECT_EQ(error.rows_delivered(), rows);
  EXPECT_FALSE(error.retryable());
  EXPECT_EQ(stream.summary(), nullptr);
}

TEST_F(Failures, APostgreSqlThatIsRestartedIsUsedAgain) {
  PostgresCluster cluster;
  ConnectionConfig config = Config(3, {.max_attempts = 50, .initial_delay_ms = 20, .max_delay_ms = 100});
  config.host = cluster.host();
  config.port = cluster.port();
  const auto connector = Connect(config);
  connector->execute("CREATE TABLE t (n int)");
  for (const auto mode : {PostgresCluster::StopMode::kFast, PostgresCluster::StopMode::kImmediate}) {
    connector->begin();
    connector->execute("INSERT INTO t VALUES (1)");
    cluster.Restart(mode);
    EXPECT_EQ(Catch<DatabaseTransactionError>([&] { connector->commit(); }).outcome(), Outcome::kRolledBack);
    connector->execute("INSERT INTO t VALUES (2)");
    EXPECT_EQ(connector->execute("SELECT 1 AS n").rows()[0]["n"].as<int>(), 1);
  }
  cluster.Kill();
  cluster.Start();
  connector->execute("INSERT INTO t VALUES (2)");
  EXPECT_EQ(cluster.Scalar("SELECT string_agg(n::text, ',') FROM t"), "2,2,2");
}

TEST_F(Failures, AStatementWhoseTableWasAlteredKeepsWorking) {
  const auto connector = Connect(Config(1));
  const std::string read = "SELECT * FROM " + name();
  connector->execute(Insert(), {1});
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(connector->execute(read).columns().size(), static_cast<size_t>(i + 1));
    connector->execute("UPDATE " + name() + " SET n = n WHERE n = ? RETURNING *", {1});
    Sql("ALTER TABLE " + name() + " ADD COLUMN c" + std::to_string(i) + " text DEFAULT 'x'");
  }
  EXPECT_EQ(connector->execute(read).columns().size(), 4U);
  EXPECT_EQ(connector->execute("UPDATE " + name() + " SET n = n WHERE n = ? RETURNING *", {1}).columns().size(), 4U);
  Sql("ALTER TABLE " + name() + " ALTER COLUMN n TYPE bigint");
  EXPECT_EQ(connector->execute(read).columns()[0].type_name, "bigint");
}

TEST_F(Failures, AnAlteredTableInATransactionIsAnErrorThatIsWorthARepeat) {
  const auto connector = Connect(Config(1));
  connector->execute(Insert(), {1});
  const auto read = [&](Transaction& transaction) {
    return transaction.execute("SELECT * FROM " + name()).columns().size();
  };
  EXPECT_EQ(connector->run_transaction(read), 1U);
  Sql("ALTER TABLE " + name() + " ADD COLUMN c text");
  try {
    EXPECT_EQ(connector->run_transaction(read), 2U);
  } catch (const DatabaseError& error) {
    // It may fail once, but never twice.
    EXPECT_EQ(error.sqlstate(), "0A000");
    EXPECT_EQ(connector->run_transaction(read), 2U);
  }
}

TEST_F(Failures, ATableThatWasDroppedAndMadeAnewWorks) {
  const auto connector = Connect(Config(1));
  for (int i = 0; i < 3; ++i) {
    connector->execute(Insert(), {1});
    EXPECT_EQ(connector->execute("SELECT n FROM " + name()).rows().size(), 1U);
    Sql("DROP TABLE " + name() + "; CREATE TABLE " + name() + " (x text, n int)");
    Sql("ALTER TABLE " + name() + " DROP COLUMN x");
  }
}

TEST_F(Failures, MoreStatementsThanABackendKeepsPrepared) {
  const auto connector = Connect(Config(1));
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 400; ++i) {
      const Result result = connector->execute("SELECT ?::int + " + std::to_string(i) + " AS n", {1});
      ASSERT_EQ(result.rows()[0]["n"].as<int>(), i + 1);
    }
  }
  EXPECT_LE(connector->execute("SELECT count(*) AS n FROM pg_prepared_statements").rows()[0]["n"].as<int>(), 300);
  // In a transaction that failed, where DEALLOCATE is refused.
  Transaction transaction = connector->begin_transaction();
  transaction.savepoint("s");
  for (int i = 0; i < 400; ++i) {
    static_cast<void>(
        Catch<DatabaseExecutionError>([&] { transaction.execute("SELECT 1/0, ?::int + " + std::to_string(i), {1}); }));
    transaction.rollback_to("s");
  }
  transaction.rollback();
  EXPECT_EQ(connector->execute("SELECT 5 AS n").rows()[0]["n"].as<int>(), 5);
}

TEST_F(Failures, ConcurrentDeadlocksEndAndAreRepeated) {
  Sql("INSERT INTO " + name() + " VALUES (1), (2)");
  Sql("ALTER TABLE " + name() + " ADD COLUMN hits int DEFAULT 0");
  const auto connector = Connect(Config(4));
  std::vector<std::future<void>> done;
  done.reserve(2);
  for (int t = 0; t < 2; ++t) {
    done.push_back(std::async(std::launch::async, [&, t] {
      for (int i = 0; i < 2; ++i) {
        connector->run_transaction(
            [&](Transaction& transaction) {
              transaction.execute("UPDATE " + name() + " SET hits = hits + 1 WHERE n = ?", {t == 0 ? 1 : 2});
              transaction.execute("SELECT pg_sleep(0.05)");
              transaction.execute("UPDATE " + name() + " SET hits = hits + 1 WHERE n = ?", {t == 0 ? 2 : 1});
            },
            {}, {.max_attempts = 50, .initial_delay_ms = 1, .max_delay_ms = 100});
      }
    }));
  }
  for (auto& one : done) one.get();
  EXPECT_EQ(Number("SELECT sum(hits) FROM " + name()), 8);
}

TEST_F(Failures, NoBackendIsLostByALongLineOfErrors) {
  const auto connector = Connect(Config(2));
  for (int i = 0; i < 200; ++i) {
    static_cast<void>(Catch<DatabaseExecutionError>([&] { connector->execute("SELECT 1/0"); }));
    static_cast<void>(Catch<DatabaseExecutionError>([&] { connector->execute("INSERT INTO nowhere VALUES (1)"); }));
  }
  EXPECT_LE(Backends(), 2);
  EXPECT_EQ(connector->execute("SELECT 5 AS n").rows()[0]["n"].as<int>(), 5);
}

}  // namespace
}  // namespace engine::db::test

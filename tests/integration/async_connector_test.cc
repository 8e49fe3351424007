// The asynchronous connector: US-004 and US-008, criterion by criterion.
#include <atomic>
#include <future>
#include <thread>

#include "tests/integration/integration_test.h"

namespace engine::db::test {
namespace {

// --- US-004

class US004AsyncConnector : public IntegrationTest {};

TEST_F(US004AsyncConnector, AsyncPoolInitializesProperly) {
  PostgresAsyncConnector connector(Config(), At(Gateway()));
  EXPECT_EQ(Backends(), 0);
  sync_wait(connector.async_connect());
  EXPECT_TRUE(WaitUntil(kSoon, [&] { return Backends() >= 1; }));
  sync_wait(connector.async_close());
  EXPECT_TRUE(WaitForBackends(0));
}

TEST_F(US004AsyncConnector, EveryOperationWorksWithoutTheSyncConnector) {
  CreateTable("n int");
  PostgresAsyncConnector connector(Config(), At(Gateway()));
  sync_wait(connector.async_connect());
  sync_wait(connector.async_begin());
  sync_wait(connector.async_execute("INSERT INTO " + name() + " VALUES (?)", {1}));
  sync_wait(connector.async_commit());
  sync_wait(connector.async_begin());
  sync_wait(connector.async_execute("INSERT INTO " + name() + " VALUES (?)", {2}));
  sync_wait(connector.async_rollback());
  EXPECT_EQ(Rows(), 1);
  sync_wait(connector.async_close());
  sync_wait(connector.async_close());
}

TEST_F(US004AsyncConnector, ConcurrentQueriesRunInParallel) {
  const auto connector = ConnectAsync(Config(8));
  // Eight backends at hand, so that what is measured is not their opening.
  const auto run_eight = [&](const char* sql) {
    std::vector<std::future<Result>> results;
    results.reserve(8);
    for (int i = 0; i < 8; ++i) results.push_back(connector->async_execute(sql, {i}).future());
    for (int i = 0; i < 8; ++i) EXPECT_EQ(results[i].get().rows()[0]["n"].as<int>(), i);
  };
  run_eight("SELECT ?::int AS n FROM pg_sleep(0.2)");
  const auto start = Now();
  run_eight("SELECT ?::int AS n FROM pg_sleep(1)");
  EXPECT_GE(Since(start), milliseconds(950));
  EXPECT_LT(Since(start), milliseconds(1000) + 2 * Slack(start));  // one after the other: 8 s
}

Async<int64_t> Sum(PostgresAsyncConnector& connector, int64_t to) {
  int64_t sum = 0;
  for (int64_t n = 1; n <= to; ++n) {
    const Result result = co_await connector.async_execute("SELECT ?::bigint AS n", parameters(n));
    sum += result.rows()[0]["n"].as<int64_t>();
  }
  co_return sum;
}

TEST_F(US004AsyncConnector, AwaitCallbackAndFutureWork) {
  const auto connector = ConnectAsync();
  EXPECT_EQ(sync_wait(Sum(*connector, 20)), 210);
  EXPECT_EQ(Sum(*connector, 10).future().get(), 55);
  std::promise<int> answer;
  connector->async_execute("SELECT 42 AS n").then([&](const Completion<Result>& done) {
    answer.set_value(done.value().rows()[0]["n"].as<int>());
  });
  EXPECT_EQ(answer.get_future().get(), 42);
}

Async<std::string> FailureOf(PostgresAsyncConnector& connector, std::string sql) {
  std::string sqlstate = "none";
  try {
    co_await connector.async_execute(sql);
  } catch (const DatabaseExecutionError& error) {
    sqlstate = error.sqlstate();
  }
  co_return sqlstate;
}

TEST_F(US004AsyncConnector, AsyncErrorPropagationWorks) {
  const auto connector = ConnectAsync();
  EXPECT_EQ(sync_wait(FailureOf(*connector, "SELECT 1/0")), "22012");
  EXPECT_EQ(sync_wait(FailureOf(*connector, "SELEC")), "42601");
  auto future = connector->async_execute("SELECT * FROM nowhere").future();
  EXPECT_EQ(Catch<DatabaseExecutionError>([&] { future.get(); }).sqlstate(), "42P01");
  std::promise<bool> failed;
  connector->async_execute("SELECT 1/0").then([&](const Completion<Result>& done) { failed.set_value(!done.ok()); });
  EXPECT_TRUE(failed.get_future().get());
  EXPECT_EQ(sync_wait(Sum(*connector, 3)), 6) << "the connector goes on after errors";
}

TEST_F(US004AsyncConnector, RowsAreIdenticalToTheSyncConnectors) {
  const std::string sql =
      "SELECT 1 AS a, 'text' AS b, NULL AS c, 1.50::numeric AS d, true AS e, '\\x00ff'::bytea AS f, "
      "'{1,2}'::int[] AS g, '2024-01-02 03:04:05'::timestamp AS h, 'NaN'::float8 AS i UNION ALL "
      "SELECT 2, '', NULL, NULL, false, NULL, NULL, NULL, 1e300 ORDER BY 1";
  const auto async_connector = ConnectAsync();
  const auto sync_connector = Connect();
  const Result a = sync_wait(async_connector->async_execute(sql));
  const Result b = sync_connector->execute(sql);
  EXPECT_EQ(a.columns(), b.columns());
  EXPECT_EQ(a.rowcount(), b.rowcount());
  EXPECT_EQ(a.command_tag(), b.command_tag());
  ASSERT_EQ(a.rows().size(), 2U);
  for (size_t row = 0; row < 2; ++row) {
    for (size_t column = 0; column < a.columns().size(); ++column) {
      EXPECT_EQ(a.rows()[row][column].to_string(), b.rows()[row][column].to_string());
      EXPECT_EQ(a.rows()[row][column].kind(), b.rows()[row][column].kind());
    }
  }
}

TEST_F(US004AsyncConnector, ThousandsOfStatementsInFlightGetTheirOwnAnswers) {
  const auto connector = ConnectAsync();
  constexpr int kCalls = 5000;
  std::vector<std::future<Result>> results;
  results.reserve(kCalls);
  for (int i = 0; i < kCalls; ++i) {
    results.push_back(connector->async_execute("SELECT ?::int * 2 AS n", {i}).future());
  }
  for (int i = 0; i < kCalls; ++i) ASSERT_EQ(results[i].get().rows()[0]["n"].as<int>(), 2 * i);
}

TEST_F(US004AsyncConnector, AStopRequestCancelsTheStatement) {
  const auto connector = ConnectAsync();
  std::stop_source stop;
  auto future = connector->async_execute("SELECT pg_sleep(60)", {}, {.stop = stop.get_token()}).future();
  ASSERT_TRUE(WaitForBackends(1, "state = 'active'"));
  stop.request_stop();
  static_cast<void>(Catch<DatabaseTimeoutError>([&] { future.get(); }));
  EXPECT_TRUE(WaitForBackends(0, "state = 'active'"));
}

TEST_F(US004AsyncConnector, DestroyingTheConnectorFailsWhatIsInFlight) {
  auto connector = ConnectAsync();
  auto future = connector->async_execute("SELECT pg_sleep(60)").future();
  ASSERT_TRUE(WaitForBackends(1, "state = 'active'"));
  connector.reset();
  static_cast<void>(Catch<DatabaseConnectionError>([&] { future.get(); }));
  EXPECT_TRUE(WaitForBackends(0)) << "and its statement is cancelled on the server";
}

// --- US-008

class US008AsyncTransactions : public IntegrationTest {
 protected:
  void SetUp() override { CreateTable("n int PRIMARY KEY"); }
  [[nodiscard]] std::string Insert() const { return "INSERT INTO " + name() + " VALUES (?)"; }
};

TEST_F(US008AsyncTransactions, ParallelTransactionsDoNotInterfere) {
  const auto connector = ConnectAsync(Config(8));
  constexpr int kTransactions = 6;  // all open at the same time
  std::vector<AsyncTransaction> transactions;
  transactions.reserve(kTransactions);
  for (int i = 0; i < kTransactions; ++i) {
    transactions.push_back(sync_wait(connector->async_begin_transaction()));
  }
  std::vector<std::future<Result>> results;
  results.reserve(kTransactions);
  for (int i = 0; i < kTransactions; ++i) {
    results.push_back(transactions[i].async_execute(Insert(), {i}).future());
  }
  for (auto& result : results) EXPECT_EQ(result.get().rowcount(), 1);
  for (int i = 0; i < kTransactions; ++i) {
    const Result seen = sync_wait(transactions[i].async_execute("SELECT string_agg(n::text, ',') AS n FROM " + name()));
    EXPECT_EQ(seen.rows()[0]["n"].as<std::string>(), std::to_string(i)) << "each sees its own row only";
  }
  for (int i = 0; i < kTransactions; ++i) {
    sync_wait(i % 2 == 0 ? transactions[i].async_commit() : transactions[i].async_rollback());
  }
  EXPECT_EQ(Scalar("SELECT string_agg(n::text, ',' ORDER BY n) FROM " + name()), "0,2,4");
}

TEST_F(US008AsyncTransactions, TransactionsOfTwoConnectorsDoNotInterfere) {
  const auto one = ConnectAsync();
  const auto two = ConnectAsync();
  sync_wait(one->async_begin());
  sync_wait(two->async_begin());
  sync_wait(one->async_execute(Insert(), {1}));
  sync_wait(two->async_execute(Insert(), {2}));
  sync_wait(one->async_rollback());
  sync_wait(two->async_commit());
  EXPECT_EQ(Scalar("SELECT string_agg(n::text, ',') FROM " + name()), "2");
}

TEST_F(US008AsyncTransactions, RollbackDiscardsIntermediateWrites) {
  const auto connector = ConnectAsync();
  sync_wait(connector->async_begin());
  for (int i = 0; i < 5; ++i) sync_wait(connector->async_execute(Insert(), {i}));
  sync_wait(connector->async_rollback());
  EXPECT_EQ(Rows(), 0);
}

TEST_F(US008AsyncTransactions, CommitPersistsResults) {
  const auto connector = ConnectAsync();
  sync_wait(connector->async_begin());
  for (int i = 0; i < 5; ++i) sync_wait(connector->async_execute(Insert(), {i}));
  EXPECT_EQ(Rows(), 0);
  sync_wait(connector->async_commit());
  EXPECT_EQ(Rows(), 5);
}

Async<void> Transfer(PostgresAsyncConnector& connector, std::string table, int from, int to) {
  AsyncTransaction transaction = co_await connector.async_begin_transaction();
  co_await transaction.async_execute("UPDATE " + table + " SET n = n + 1000 WHERE n = ?", parameters(from));
  co_await transaction.async_execute("INSERT INTO " + table + " VALUES (?)", parameters(to));
  co_await transaction.async_commit();
}

TEST_F(US008AsyncTransactions, WorksWithTheAsyncPool) {
  Sql("INSERT INTO " + name() + " SELECT generate_series(1, 40)");
  const auto connector = ConnectAsync(Config(3));  // far fewer backends than transactions
  std::vector<std::future<void>> done;
  for (int i = 1; i <= 40; ++i) done.push_back(Transfer(*connector, name(), i, 100 + i).future());
  for (auto& one : done) one.get();
  EXPECT_EQ(Rows(), 80);
  EXPECT_EQ(Number("SELECT count(*) FROM " + name() + " WHERE n > 1000"), 40);
}

TEST_F(US008AsyncTransactions, StatementsOfOneTransactionRunInOrder) {
  Sql("CREATE TABLE " + name() + "_log (id serial, n int)");
  const auto connector = ConnectAsync();
  sync_wait(connector->async_begin());
  std::vector<std::future<Result>> results;
  results.reserve(50);
  for (int i = 0; i < 50; ++i) {
    results.push_back(connector->async_execute("INSERT INTO " + name() + "_log (n) VALUES (?)", {i}).future());
  }
  for (auto& result : results) result.get();
  sync_wait(connector->async_commit());
  EXPECT_EQ(Number("SELECT count(*) FROM " + name() + "_log WHERE id = n + 1"), 50);
}

TEST_F(US008AsyncTransactions, BeginWhileOneIsActiveIsAnError) {
  const auto connector = ConnectAsync();
  sync_wait(connector->async_begin());
  static_cast<void>(Catch<DatabaseTransactionError>([&] { sync_wait(connector->async_begin()); }));
  sync_wait(connector->async_rollback());
  static_cast<void>(Catch<DatabaseTransactionError>([&] { sync_wait(connector->async_commit()); }));
}

}  // namespace
}  // namespace engine::db::test

// The synchronous connector: US-003, US-005 (binding), US-007 (transactions) and US-009 (errors), criterion by
// criterion.
#include <future>
#include <thread>

#include "tests/integration/integration_test.h"

namespace engine::db::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// --- US-003

class US003SyncConnector : public IntegrationTest {};

TEST_F(US003SyncConnector, PoolInitializesCorrectly) {
  PostgresSyncConnector connector(Config(), At(Gateway()));
  EXPECT_EQ(Backends(), 0) << "nothing is opened before connect()";
  connector.connect();
  EXPECT_TRUE(WaitUntil(kSoon, [&] { return Backends() >= 1; }));
  EXPECT_EQ(connector.execute("SELECT 1 AS one").rows()[0]["one"].as<int>(), 1);
}

TEST_F(US003SyncConnector, KeepsMinPoolSizeOpen) {
  ConnectionConfig config = Config(5);
  config.min_pool_size = 3;
  const auto connector = Connect(config);
  EXPECT_TRUE(WaitForBackends(3));
}

TEST_F(US003SyncConnector, ConnectionCheckoutAndReturnWorks) {
  const auto connector = Connect(Config(2));
  // Far more statements than backends, one after the other and side by side: each gives its backend back.
  for (int i = 0; i < 20; ++i) connector->execute("SELECT pg_backend_pid()");
  std::vector<std::future<int>> results;
  results.reserve(16);
  for (int i = 0; i < 16; ++i) {
    results.push_back(std::async(std::launch::async, [&, i] {
      return connector->execute("SELECT ?::int + 0 * pg_backend_pid() AS n", {i}).rows()[0]["n"].as<int>();
    }));
  }
  for (int i = 0; i < 16; ++i) EXPECT_EQ(results[i].get(), i);
  EXPECT_LE(Backends(), 2);
  EXPECT_TRUE(WaitForBackends(0, "state <> 'idle'"));
}

TEST_F(US003SyncConnector, ExecutesQueriesAndReturnsRowsLikeDictionaries) {
  CreateTable("id int, name text, score numeric(10,2), active bool");
  Sql("INSERT INTO " + name() + " VALUES (1, 'Ada', 12.50, true), (2, 'Grace', NULL, false)");
  const auto connector = Connect();
  const Result result = connector->execute("SELECT * FROM " + name() + " WHERE id >= ? ORDER BY id", {1});
  ASSERT_EQ(result.rows().size(), 2U);
  EXPECT_EQ(result.rowcount(), 2);
  EXPECT_EQ(result.rows()[0]["name"].as<std::string>(), "Ada");
  EXPECT_EQ(result.rows()[0]["score"].as<std::string>(), "12.50");
  EXPECT_TRUE(result.rows()[0]["active"].as<bool>());
  EXPECT_EQ(result.rows()[1]["id"].as<int64_t>(), 2);
  EXPECT_TRUE(result.rows()[1]["score"].is_null());
  EXPECT_EQ(result.columns()[2].type_name, "numeric");
}

TEST_F(US003SyncConnector, HandlesEmptyResultSets) {
  CreateTable("id int, name text");
  const auto connector = Connect();
  const Result result = connector->execute("SELECT id, name FROM " + name());
  EXPECT_EQ(result.rowcount(), 0);
  EXPECT_TRUE(result.rows().empty());
  ASSERT_EQ(result.columns().size(), 2U);
  EXPECT_EQ(result.columns()[1].name, "name");
}

TEST_F(US003SyncConnector, ValidatesPlaceholderConversion) {
  const auto connector = Connect();
  const Result result = connector->execute("SELECT ?::int AS a, '?' AS literal, ?::text AS b /* ? */ -- ?", {7, "x"});
  EXPECT_EQ(result.bound_sql(), "SELECT $1::int AS a, '?' AS literal, $2::text AS b /* ? */ -- ?");
  EXPECT_EQ(result.rows()[0]["a"].as<int>(), 7);
  EXPECT_EQ(result.rows()[0]["literal"].as<std::string>(), "?");
  EXPECT_EQ(result.rows()[0]["b"].as<std::string>(), "x");
  EXPECT_TRUE(connector->execute("SELECT '{\"k\": 1}'::jsonb ?? ? AS found", {"k"}).rows()[0]["found"].as<bool>());
}

TEST_F(US003SyncConnector, RunsInsertUpdateDeleteAndTellsRowcounts) {
  CreateTable("id int PRIMARY KEY, note text");
  const auto connector = Connect();
  const Result inserted = connector->execute("INSERT INTO " + name() + " VALUES (?, ?), (?, ?)", {1, "a", 2, "b"});
  EXPECT_EQ(inserted.rowcount(), 2);
  EXPECT_EQ(inserted.command_tag(), "INSERT 0 2");
  EXPECT_TRUE(inserted.rows().empty());
  EXPECT_EQ(connector->execute("UPDATE " + name() + " SET note = ?", {"c"}).rowcount(), 2);
  EXPECT_EQ(Scalar("SELECT string_agg(note, ',') FROM " + name()), "c,c");
  const Result deleted = connector->execute("DELETE FROM " + name() + " WHERE id = ? RETURNING id", {2});
  EXPECT_EQ(deleted.rowcount(), 1);
  EXPECT_EQ(deleted.rows()[0]["id"].as<int>(), 2);
  EXPECT_EQ(connector->execute("DELETE FROM " + name() + " WHERE id = 99").rowcount(), 0);
  EXPECT_EQ(Rows(), 1);
}

TEST_F(US003SyncConnector, PoolIsCreatedOnceAndReused) {
  const auto connector = Connect(Config(1));
  const int pid = connector->execute("SELECT pg_backend_pid() AS pid").rows()[0]["pid"].as<int>();
  connector->connect();  // changes nothing
  const auto other = Connect(Config(1));
  EXPECT_EQ(connector->execute("SELECT pg_backend_pid() AS pid").rows()[0]["pid"].as<int>(), pid);
  EXPECT_EQ(other->execute("SELECT pg_backend_pid() AS pid").rows()[0]["pid"].as<int>(), pid);
  EXPECT_TRUE(WaitForBackends(1));
}

TEST_F(US003SyncConnector, TheLoyaltyQueryOfTheRequirements) {
  CreateTable("customer_id text, orderdate timestamptz");
  Sql("INSERT INTO " + name() +
      " SELECT 'c-1', now() - n * interval '1 day' FROM generate_series(1, 10) n UNION ALL SELECT 'c-2', now()");
  const auto connector = Connect();
  const Result result =
      connector->execute("SELECT COUNT(*) AS loyaltyScore FROM " + name() +
                             " WHERE customer_id = ? AND ORDERDATE BETWEEN ? AND ? GROUP BY customer_id",
                         {"c-1", "2020-01-01", currentdatetime()});
  EXPECT_EQ(result.rows()[0]["loyaltyscore"].as<int64_t>(), 10);
}

// --- US-005

class US005ParameterBinding : public IntegrationTest {};

TEST_F(US005ParameterBinding, ValidPlaceholderCountExecutes) {
  const auto connector = Connect();
  EXPECT_EQ(connector->execute("SELECT ?::int + ?::int AS sum", {2, 3}).rows()[0]["sum"].as<int>(), 5);
}

TEST_F(US005ParameterBinding, TooFewParametersRaiseAClearError) {
  const auto connector = Connect();
  const auto error = Catch<DatabaseRequestError>([&] { connector->execute("SELECT ?::int, ?::int", {1}); });
  EXPECT_EQ(error.reason(), "PARAMETER_COUNT");
  EXPECT_EQ(error.field(), "parameters");
  EXPECT_THAT(error.what(), AllOf(HasSubstr("2"), HasSubstr("1")));
  EXPECT_EQ(error.outcome(), Outcome::kNotExecuted);
}

TEST_F(US005ParameterBinding, TooManyParametersRaiseAClearError) {
  const auto connector = Connect();
  const auto error = Catch<DatabaseRequestError>([&] { connector->execute("SELECT ?::int", {1, 2, 3}); });
  EXPECT_EQ(error.reason(), "PARAMETER_COUNT");
  EXPECT_THAT(error.what(), AllOf(HasSubstr("1"), HasSubstr("3")));
  EXPECT_EQ(Catch<DatabaseRequestError>([&] { connector->execute("SELECT 1", {1}); }).reason(), "PARAMETER_COUNT");
}

TEST_F(US005ParameterBinding, ParametersArePassedInOrder) {
  const auto connector = Connect();
  const Result result = connector->execute("SELECT ?::text || ?::text || ?::text AS word", {"a", "b", "c"});
  EXPECT_EQ(result.rows()[0]["word"].as<std::string>(), "abc");
}

TEST_F(US005ParameterBinding, MixesLiteralExpressionsWithBoundParameters) {
  CreateTable("id int, made timestamptz, note text DEFAULT 'none'");
  const auto connector = Connect();
  connector->execute("INSERT INTO " + name() + " (id, made, note) VALUES (?, CURRENT_TIMESTAMP, ?)", {1, "written"});
  connector->execute("INSERT INTO " + name() + " (id, made, note) VALUES (?, ?, ?)",
                     {2, currentdatetime(), Expression::kDefault});
  EXPECT_EQ(Number("SELECT count(*) FROM " + name() + " WHERE made > now() - interval '5 min' AND made <= now()"), 2);
  EXPECT_EQ(Scalar("SELECT note FROM " + name() + " WHERE id = 2"), "none");
}

TEST_F(US005ParameterBinding, ReturnedSqlShowsTheSubstitutions) {
  const auto connector = Connect();
  const Result result = connector->execute("SELECT ?::int AS a, ? AS at, ?::int AS b", {1, currentdatetime(), 2});
  EXPECT_EQ(result.bound_sql(), "SELECT $1::int AS a, CURRENT_TIMESTAMP AS at, $2::int AS b");
  EXPECT_EQ(result.rows()[0]["b"].as<int>(), 2);
}

TEST_F(US005ParameterBinding, LiteralOnlyParametersConsumeNoPlaceholderSlots) {
  const auto connector = Connect();
  const Result result =
      connector->execute("SELECT ? AS t, ? AS d", {Expression::kCurrentTimestamp, Expression::kCurrentDate});
  EXPECT_EQ(result.bound_sql(), "SELECT CURRENT_TIMESTAMP AS t, CURRENT_DATE AS d");
  EXPECT_EQ(result.columns()[0].type_name, "timestamp with time zone");
  EXPECT_EQ(result.columns()[1].type_name, "date");
}

TEST_F(US005ParameterBinding, HostileValuesStayValues) {
  CreateTable("note text");
  const auto connector = Connect();
  const std::string hostile = "'); DROP TABLE " + name() + "; -- ? $1 \\ \" \xE2\x82\xAC";
  connector->execute("INSERT INTO " + name() + " VALUES (?)", {hostile});
  EXPECT_EQ(connector->execute("SELECT note FROM " + name()).rows()[0]["note"].as<std::string>(), hostile);
}

// --- US-007

class US007SyncTransactions : public IntegrationTest {
 protected:
  void SetUp() override { CreateTable("n int PRIMARY KEY"); }
  [[nodiscard]] std::string Insert() const { return "INSERT INTO " + name() + " VALUES (?)"; }
};

TEST_F(US007SyncTransactions, BeginExecuteCommitPersists) {
  const auto connector = Connect();
  connector->begin();
  connector->execute(Insert(), {1});
  connector->execute(Insert(), {2});  // several statements in one transaction
  EXPECT_EQ(Rows(), 0) << "autocommit must be off in a transaction";
  connector->commit();
  EXPECT_EQ(Rows(), 2);
}

TEST_F(US007SyncTransactions, BeginExecuteRollbackDiscards) {
  const auto connector = Connect();
  connector->begin();
  connector->execute(Insert(), {1});
  EXPECT_EQ(connector->execute("SELECT count(*) AS n FROM " + name()).rows()[0]["n"].as<int>(), 1);
  connector->rollback();
  EXPECT_EQ(Rows(), 0);
  connector->execute(Insert(), {2});  // autocommit again
  EXPECT_EQ(Rows(), 1);
}

TEST_F(US007SyncTransactions, BeginWhileOneIsActiveIsAnError) {
  const auto connector = Connect();
  connector->begin();
  connector->execute(Insert(), {1});
  static_cast<void>(Catch<DatabaseTransactionError>([&] { connector->begin(); }));
  connector->execute(Insert(), {2});  // the first transaction is unharmed
  connector->commit();
  EXPECT_EQ(Rows(), 2);
  connector->begin();  // and another one may follow
  connector->rollback();
}

TEST_F(US007SyncTransactions, AutocommitIsOnWithoutATransaction) {
  const auto connector = Connect();
  connector->execute(Insert(), {1});
  EXPECT_EQ(Rows(), 1);
}

TEST_F(US007SyncTransactions, CommitOfAFailedTransactionIsAnErrorAndRollsBack) {
  const auto connector = Connect();
  connector->begin();
  connector->execute(Insert(), {1});
  EXPECT_EQ(Catch<DatabaseExecutionError>([&] { connector->execute(Insert(), {1}); }).sqlstate(), "23505");
  const auto refused = Catch<DatabaseTransactionError>([&] { connector->execute("SELECT 1"); });
  EXPECT_EQ(refused.sqlstate(), "25P02");
  const auto error = Catch<DatabaseTransactionError>([&] { connector->commit(); });
  EXPECT_EQ(error.outcome(), Outcome::kRolledBack);
  EXPECT_EQ(Rows(), 0);
  connector->begin();  // the connector is usable again
  connector->execute(Insert(), {3});
  connector->commit();
  EXPECT_EQ(Rows(), 1);
}

TEST_F(US007SyncTransactions, IndependentTransactionsOfOneConnectorDoNotMix) {
  const auto connector = Connect();
  Transaction first = connector->begin_transaction();
  Transaction second = connector->begin_transaction();
  first.execute(Insert(), {1});
  second.execute(Insert(), {2});
  connector->execute(Insert(), {3});
  first.rollback();
  second.commit();
  EXPECT_EQ(Scalar("SELECT string_agg(n::text, ',' ORDER BY n) FROM " + name()), "2,3");
}

TEST_F(US007SyncTransactions, ADestroyedTransactionRollsBack) {
  const auto connector = Connect();
  {
    Transaction transaction = connector->begin_transaction();
    transaction.execute(Insert(), {1});
  }
  EXPECT_TRUE(WaitForBackends(0, "state LIKE 'idle in transaction%'"));
  EXPECT_EQ(Rows(), 0);
}

TEST_F(US007SyncTransactions, SavepointsMendAFailedTransaction) {
  const auto connector = Connect();
  Transaction transaction = connector->begin_transaction();
  transaction.execute(Insert(), {1});
  transaction.savepoint("before");
  static_cast<void>(Catch<DatabaseExecutionError>([&] { transaction.execute(Insert(), {1}); }));
  transaction.rollback_to("before");
  transaction.execute(Insert(), {2});
  transaction.commit();
  EXPECT_EQ(Rows(), 2);
}

TEST_F(US007SyncTransactions, AReleasedSavepointIsGoneAndWhatCameAfterItStays) {
  const auto connector = Connect();
  Transaction transaction = connector->begin_transaction();
  transaction.savepoint("s");
  transaction.execute(Insert(), {1});
  transaction.release_savepoint("s");
  transaction.commit();
  EXPECT_EQ(Rows(), 1);
  Transaction another = connector->begin_transaction();
  EXPECT_EQ(Catch<DatabaseTransactionError>([&] { another.release_savepoint("s"); }).sqlstate(), "3B001");
}

TEST_F(US007SyncTransactions, RunTransactionRepeatsASerializationFailure) {
  Sql("INSERT INTO " + name() + " VALUES (0)");
  const auto connector = Connect();
  const auto increment = [&](Transaction& transaction) {
    const int n = transaction.execute("SELECT max(n) AS n FROM " + name()).rows()[0]["n"].as<int>();
    transaction.execute("UPDATE " + name() + " SET n = ?", {n + 1});
  };
  constexpr int kThreads = 4;
  constexpr int kEach = 10;
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < kEach; ++k) {
        connector->run_transaction(increment, {.isolation_level = IsolationLevel::kSerializable},
                                   {.max_attempts = 100, .initial_delay_ms = 1, .max_delay_ms = 20});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Number("SELECT n FROM " + name()), kThreads * kEach);
}

TEST_F(US007SyncTransactions, IsolationLevelAndReadOnlyReachTheServer) {
  const auto connector = Connect();
  connector->begin({.isolation_level = IsolationLevel::kRepeatableRead, .read_only = true});
  EXPECT_EQ(connector->execute("SHOW transaction_isolation").rows()[0][0].as<std::string>(), "repeatable read");
  EXPECT_EQ(Catch<DatabaseExecutionError>([&] { connector->execute(Insert(), {1}); }).sqlstate(), "25006");
  connector->rollback();
}

TEST_F(US007SyncTransactions, TransactionControlInSqlIsRefusedAndNamesTheMethod) {
  const auto connector = Connect();
  for (const char* sql : {"BEGIN", "COMMIT", "ROLLBACK", "start transaction", "END"}) {
    const auto error = Catch<DatabaseRequestError>([&] { connector->execute(sql); });
    EXPECT_EQ(error.reason(), "TRANSACTION_CONTROL") << sql;
  }
}

// --- US-009

class US009Errors : public IntegrationTest {};

TEST_F(US009Errors, InvalidSqlRaisesDatabaseExecutionError) {
  const auto connector = Connect();
  const auto error = Catch<DatabaseExecutionError>([&] { connector->execute("SELEC 1"); });
  EXPECT_EQ(error.sqlstate(), "42601");
  EXPECT_EQ(error.position(), 1U);
  EXPECT_FALSE(error.retryable());
  const auto missing = Catch<DatabaseExecutionError>([&] { connector->execute("SELECT * FROM no_such_table"); });
  EXPECT_EQ(missing.sqlstate(), "42P01");
  EXPECT_EQ(missing.position(), 15U);
}

TEST_F(US009Errors, PositionPointsIntoTheCallersOwnText) {
  const auto connector = Connect();
  const auto error = Catch<DatabaseExecutionError>([&] {
    connector->execute("SELECT ?::int, ?, ?::int, nope", {1, currentdatetime(), 2});
  });
  EXPECT_EQ(error.sqlstate(), "42703");
  EXPECT_EQ(error.position(), 27U);
}

TEST_F(US009Errors, LostConnectionRaisesDatabaseConnectionError) {
  CreateTable("n int");
  const auto connector = Connect(Config(2, {.max_attempts = 1}));
  auto running = std::async(std::launch::async,
                            [&] { connector->execute("INSERT INTO " + name() + " SELECT 1 FROM pg_sleep(30)"); });
  ASSERT_TRUE(WaitForBackends(1, "state = 'active'"));
  TerminateBackends("state = 'active'");
  const auto error = Catch<DatabaseConnectionError>([&] { running.get(); });
  EXPECT_EQ(error.outcome(), Outcome::kUnknown);
}

TEST_F(US009Errors, UnreachableGatewayRaisesDatabaseConnectionError) {
  PostgresSyncConnector connector(Config(), engine::db::GatewayOptions{.address = "127.0.0.1:1"});
  static_cast<void>(Catch<DatabaseConnectionError>([&] { connector.connect(); }));
}

TEST_F(US009Errors, TimeoutRaisesDatabaseTimeoutError) {
  const auto connector = Connect();
  const auto start = Now();
  static_cast<void>(Catch<DatabaseTimeoutError>(
      [&] { connector->execute("SELECT pg_sleep(30)", {}, {.timeout = milliseconds(300)}); }));
  EXPECT_LT(Since(start), milliseconds(300) + Slack(start));
  EXPECT_TRUE(WaitForBackends(0, "state = 'active'"));
}

TEST_F(US009Errors, CommitWithoutBeginRaisesDatabaseTransactionError) {
  const auto connector = Connect();
  static_cast<void>(Catch<DatabaseTransactionError>([&] { connector->commit(); }));
  static_cast<void>(Catch<DatabaseTransactionError>([&] { connector->rollback(); }));
  EXPECT_EQ(connector->execute("SELECT 1 AS n").rows()[0]["n"].as<int>(), 1);
}

TEST_F(US009Errors, MessagesAreActionableWithoutSensitiveDetails) {
  CreateTable("email text, CONSTRAINT unique_email UNIQUE (email), n int");
  const auto connector = Connect();
  const std::string insert = "INSERT INTO " + name() + " (email, n) VALUES (?, 1)";
  const std::string secret = "canary-4242@example.org";
  connector->execute(insert, {secret});
  const auto duplicate = Catch<DatabaseExecutionError>([&] { connector->execute(insert, {secret}); });
  EXPECT_EQ(duplicate.sqlstate(), "23505");
  EXPECT_EQ(duplicate.constraint_name(), "unique_email");
  EXPECT_EQ(duplicate.table_name(), name());
  EXPECT_THAT(duplicate.what(), AllOf(HasSubstr("unique_email"), Not(HasSubstr("canary"))));
  const auto bad = Catch<DatabaseExecutionError>([&] { connector->execute("SELECT ?::int", {"canary-4242"}); });
  EXPECT_EQ(bad.sqlstate(), "22P02");
  EXPECT_THAT(bad.what(), AllOf(HasSubstr("integer"), Not(HasSubstr("canary"))));

  ConnectionConfig wrong = Config();
  wrong.password = "canary-password";
  const auto login = Catch<DatabaseConnectionError>([&] { static_cast<void>(Connect(wrong)); });
  EXPECT_EQ(login.sqlstate(), "28P01");
  EXPECT_THAT(login.what(), Not(HasSubstr("canary")));
}

TEST_F(US009Errors, ExecuteBeforeConnectAndAfterCloseIsAConnectionError) {
  PostgresSyncConnector connector(Config(), At(Gateway()));
  static_cast<void>(Catch<DatabaseConnectionError>([&] { connector.execute("SELECT 1"); }));
  static_cast<void>(Catch<DatabaseConnectionError>([&] { connector.begin(); }));
  connector.connect();
  connector.close();
  static_cast<void>(Catch<DatabaseConnectionError>([&] { connector.execute("SELECT 1"); }));
}

TEST_F(US009Errors, EveryClassOfSqlStateBecomesAnExecutionError) {
  CreateTable("n int NOT NULL CHECK (n > 0)");
  const auto connector = Connect();
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"SELECT 1 / 0", "22012"},
      {"INSERT INTO " + name() + " VALUES (NULL)", "23502"},
      {"INSERT INTO " + name() + " VALUES (-1)", "23514"},
      {"SELECT * FROM pg_authid", "42501"},
      {"SELECT no_such_function(1)", "42883"},
      {"SELECT 'x'::no_such_type", "42704"},
      {"CREATE TABLE " + name() + " (n int)", "42P07"},
  };
  for (const auto& [sql, sqlstate] : cases) {
    const auto error = Catch<DatabaseExecutionError>([&] { connector->execute(sql); });
    EXPECT_EQ(error.sqlstate(), sqlstate) << sql;
    EXPECT_FALSE(error.retryable()) << sql;
  }
  EXPECT_EQ(Rows(), 0);
}

}  // namespace
}  // namespace engine::db::test

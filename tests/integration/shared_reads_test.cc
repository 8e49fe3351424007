// Statements of many callers that share pipelines: each gets its own right answer.
#include <future>
#include <thread>

#include "tests/integration/integration_test.h"

namespace engine::db::test {
namespace {

class SharedReads : public IntegrationTest {};

TEST_F(SharedReads, FiveHundredMixedReadsGetTheirOwnAnswers) {
  const auto connector = ConnectAsync(Config(4));
  struct Call {
    std::future<Result> result;
    int kind;
    int value;
  };
  std::vector<Call> calls;
  calls.reserve(500);
  for (int i = 0; i < 500; ++i) {
    const int kind = i % 10;
    switch (kind) {
      case 3:
        calls.push_back({connector->async_execute("SELECT ?::int AS n FROM pg_sleep(0.05)", {i}).future(), kind, i});
        break;
      case 5:
        calls.push_back({connector->async_execute("SELECT ?::int / 0 AS n", {i}).future(), kind, i});
        break;
      case 7:
        calls.push_back({connector->async_execute("SELECT ?::int AS n FORM", {i}).future(), kind, i});
        break;
      case 8:
        calls.push_back(
            {connector->async_execute("SELECT s AS n FROM generate_series(1, ?::int) s", {i}).future(), kind, i});
        break;
      case 9:
        calls.push_back({connector->async_execute("SELECT n FROM missing_" + std::to_string(i)).future(), kind, i});
        break;
      default:
        calls.push_back({connector->async_execute("SELECT ?::int AS n", {i}).future(), kind, i});
    }
  }
  for (Call& call : calls) {
    std::string sqlstate;
    try {
      const Result result = call.result.get();
      if (call.kind == 8) {
        ASSERT_EQ(result.rows().size(), static_cast<size_t>(call.value));
        EXPECT_EQ(result.rows()[call.value - 1]["n"].as<int>(), call.value);
      } else {
        ASSERT_EQ(result.rows().size(), 1U);
        EXPECT_EQ(result.rows()[0]["n"].as<int>(), call.value);
      }
    } catch (const DatabaseError& error) {
      sqlstate = error.sqlstate();
      EXPECT_FALSE(sqlstate.empty()) << error.what();
    }
    EXPECT_EQ(sqlstate, call.kind == 5 ? "22012" : call.kind == 7 ? "42601" : call.kind == 9 ? "42P01" : "");
  }
  EXPECT_LE(Backends(), 4);
}

TEST_F(SharedReads, WritersAndReadersAtTheSameTime) {
  CreateTable("id int PRIMARY KEY, n int");
  Sql("INSERT INTO " + name() + " SELECT i, 0 FROM generate_series(1, 20) i");
  const auto connector = ConnectAsync(Config(4));
  std::vector<std::future<Result>> writes;
  writes.reserve(400);
  std::vector<std::future<Result>> reads;
  for (int i = 0; i < 400; ++i) {
    writes.push_back(
        connector->async_execute("UPDATE " + name() + " SET n = n + 1 WHERE id = ?", {1 + i % 20}).future());
    reads.push_back(
        connector->async_execute("SELECT count(*) AS n FROM " + name() + " WHERE id <= ?", {i % 20}).future());
  }
  for (auto& write : writes) EXPECT_EQ(write.get().rowcount(), 1);
  for (int i = 0; i < 400; ++i) EXPECT_EQ(reads[i].get().rows()[0]["n"].as<int>(), i % 20);
  EXPECT_EQ(Number("SELECT sum(n) FROM " + name()), 400);
  EXPECT_EQ(Number("SELECT count(*) FROM " + name() + " WHERE n <> 20"), 0);
}

TEST_F(SharedReads, ASlowReadDoesNotHoldUpTheOthers) {
  const auto connector = ConnectAsync(Config(3));
  sync_wait(connector->async_execute("SELECT 1"));
  auto slow = connector->async_execute("SELECT 1 AS n FROM pg_sleep(4)").future();
  ASSERT_TRUE(WaitForBackends(1, "state = 'active'"));
  const auto start = Now();
  std::vector<std::future<Result>> fast;
  fast.reserve(100);
  for (int i = 0; i < 100; ++i) fast.push_back(connector->async_execute("SELECT ?::int AS n", {i}).future());
  for (int i = 0; i < 100; ++i) EXPECT_EQ(fast[i].get().rows()[0]["n"].as<int>(), i);
  EXPECT_LT(Since(start), seconds(3));
  EXPECT_EQ(slow.get().rows()[0]["n"].as<int>(), 1);
}

// Those behind a slow read are run elsewhere; the server would run them here as well, one after the other, for nobody.
TEST_F(SharedReads, WhatWasMovedAwayFromASlowReadDoesNotKeepItsBackend) {
  const auto connector = ConnectAsync(Config(2));
  sync_wait(connector->async_execute("SELECT 1"));
  std::vector<std::future<Result>> slow;
  slow.reserve(8);
  for (int i = 0; i < 8; ++i) {
    slow.push_back(
        connector->async_execute("SELECT pg_sleep(?) AS moved", {i == 0 ? 1.0 : 30.0}, {.timeout = milliseconds(1500)})
            .future());
  }
  for (auto& call : slow) {
    try {
      call.get();
    } catch (const DatabaseTimeoutError&) {  // as it should
    }
  }
  EXPECT_TRUE(WaitForBackends(0, "state = 'active'", seconds(10)));
  EXPECT_EQ(sync_wait(connector->async_execute("SELECT 5 AS n")).rows()[0]["n"].as<int>(), 5);
}

TEST_F(SharedReads, ASelectWithAFunctionThatWritesRunsOnce) {
  CreateTable("n int");
  Sql("CREATE FUNCTION " + name() + "_write(n int) RETURNS int LANGUAGE sql AS $$ INSERT INTO " + name() +
      " VALUES (n) RETURNING n $$");
  const auto connector = ConnectAsync(Config(3));
  std::vector<std::future<Result>> results;
  results.reserve(50);
  for (int i = 0; i < 50; ++i) {
    results.push_back(connector->async_execute("SELECT " + name() + "_write(?) AS n", {i}).future());
    results.push_back(connector->async_execute("SELECT ?::int AS n", {i}).future());
  }
  for (int i = 0; i < 100; ++i) EXPECT_EQ(results[i].get().rows()[0]["n"].as<int>(), i / 2);
  EXPECT_EQ(Rows(), 50);
}

TEST_F(SharedReads, AViewWhoseFunctionWritesRunsOnce) {
  // Its text looks like a read: the server's guard tells that it is none.
  CreateTable("n int");
  Sql("CREATE FUNCTION " + name() + "_write() RETURNS int LANGUAGE sql AS $$ INSERT INTO " + name() +
      " VALUES (1) RETURNING n $$; CREATE VIEW " + name() + "_view AS SELECT " + name() + "_write() AS n");
  const auto connector = Connect(Config(2));
  for (int i = 1; i <= 3; ++i) {
    EXPECT_EQ(connector->execute("SELECT n FROM " + name() + "_view").rows()[0]["n"].as<int>(), 1);
    EXPECT_EQ(Rows(), i);
  }
}

TEST_F(SharedReads, RowLocksAndWritingCtesAreNoReads) {
  CreateTable("n int");
  Sql("INSERT INTO " + name() + " VALUES (1)");
  const auto connector = Connect(Config(1));
  EXPECT_EQ(connector->execute("SELECT n FROM " + name() + " FOR UPDATE").rows().size(), 1U);
  EXPECT_EQ(connector->execute("WITH w AS (INSERT INTO " + name() + " VALUES (2) RETURNING n) SELECT n FROM w")
                .rows()[0]["n"]
                .as<int>(),
            2);
  EXPECT_EQ(connector->execute("SELECT * FROM " + name()).rows().size(), 2U);
  EXPECT_EQ(connector->execute("EXPLAIN ANALYZE INSERT INTO " + name() + " VALUES (3)").rows().empty(), false);
  EXPECT_EQ(Rows(), 3);
}

TEST_F(SharedReads, AKilledSharedBackendHurtsNobody) {
  const auto connector = ConnectAsync(Config(2, {.max_attempts = 10, .initial_delay_ms = 1, .max_delay_ms = 20}));
  std::vector<std::future<Result>> results;
  results.reserve(200);
  for (int i = 0; i < 200; ++i) {
    results.push_back(connector->async_execute("SELECT ?::int AS n FROM pg_sleep(0.02)", {i}).future());
  }
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(WaitUntil(kSoon, [&] { return Active() > 0; }));
    TerminateBackends("state = 'active'");
  }
  for (int i = 0; i < 200; ++i) EXPECT_EQ(results[i].get().rows()[0]["n"].as<int>(), i);
}

TEST_F(SharedReads, ManyCancelledReadsLeaveTheOthersAlone) {
  const auto connector = ConnectAsync(Config(2));
  std::vector<std::future<Result>> kept;
  std::vector<std::future<Result>> cancelled;
  cancelled.reserve(100);
  std::stop_source stop;
  for (int i = 0; i < 100; ++i) {
    kept.push_back(connector->async_execute("SELECT ?::int AS n FROM pg_sleep(0.005)", {i}).future());
    cancelled.push_back(
        connector->async_execute("SELECT ?::int AS n FROM pg_sleep(0.005)", {i}, {.stop = stop.get_token()}).future());
  }
  EXPECT_EQ(kept[10].get().rows()[0]["n"].as<int>(), 10);
  stop.request_stop();
  for (int i = 0; i < 100; ++i) {
    if (i == 10) continue;
    EXPECT_EQ(kept[i].get().rows()[0]["n"].as<int>(), i);
  }
  for (auto& one : cancelled) {
    try {
      one.get();
    } catch (const DatabaseTimeoutError&) {  // as asked for
    }
  }
}

TEST_F(SharedReads, TheGatewayWorksWithoutSharing) {
  const auto gateway = StartGateway({{"ENGINE_DB_SHARED_READS_ENABLED", "false"}});
  PostgresAsyncConnector connector(Config(3), At(*gateway));
  sync_wait(connector.async_connect());
  std::vector<std::future<Result>> results;
  results.reserve(300);
  for (int i = 0; i < 300; ++i) results.push_back(connector.async_execute("SELECT ?::int AS n", {i}).future());
  for (int i = 0; i < 300; ++i) EXPECT_EQ(results[i].get().rows()[0]["n"].as<int>(), i);
}

TEST_F(SharedReads, SeveralEventLoopsWork) {
  const auto gateway = StartGateway({{"ENGINE_DB_EVENT_LOOPS", "3"}});
  std::vector<std::thread> threads;
  threads.reserve(5);
  for (int t = 0; t < 5; ++t) {
    threads.emplace_back([&, t] {
      PostgresSyncConnector connector(Config(2 + t), At(*gateway));
      connector.connect();
      connector.begin();
      for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(connector.execute("SELECT ?::int AS n", {i}).rows()[0]["n"].as<int>(), i);
      }
      connector.commit();
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace engine::db::test

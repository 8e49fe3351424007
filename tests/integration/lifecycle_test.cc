// Connecting and closing: US-010, and what goes beyond it.
#include <thread>

#include "tests/integration/integration_test.h"

namespace engine::db::test {
namespace {

class US010Lifecycle : public IntegrationTest {};

TEST_F(US010Lifecycle, PoolIsCreatedOnFirstConnectAndOnlyOnce) {
  PostgresSyncConnector connector(Config(3), At(Gateway()));
  EXPECT_EQ(Backends(), 0);
  connector.connect();
  const int pid = connector.execute("SELECT pg_backend_pid() AS pid").rows()[0]["pid"].as<int>();
  for (int i = 0; i < 5; ++i) connector.connect();
  EXPECT_EQ(connector.execute("SELECT pg_backend_pid() AS pid").rows()[0]["pid"].as<int>(), pid);
  EXPECT_LE(Backends(), 3);
}

TEST_F(US010Lifecycle, CloseReleasesAllConnections) {
  ConnectionConfig config = Config(4);
  config.min_pool_size = 2;
  const auto connector = Connect(config);
  connector->execute("SELECT 1");
  EXPECT_TRUE(WaitForBackends(2, "true"));
  connector->close();
  EXPECT_TRUE(WaitForBackends(0));
}

TEST_F(US010Lifecycle, CloseIsSafeToRepeat) {
  const auto connector = Connect();
  connector->close();
  connector->close();
  connector->close();
  PostgresSyncConnector never_connected(Config(), At(Gateway()));
  never_connected.close();
  never_connected.close();
}

TEST_F(US010Lifecycle, ReconnectingAfterCloseReinitializesThePool) {
  const auto connector = Connect();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(connector->execute("SELECT 1 AS n").rows()[0]["n"].as<int>(), 1);
    connector->close();
    EXPECT_TRUE(WaitForBackends(0));
    connector->connect();
  }
  EXPECT_EQ(connector->execute("SELECT 1 AS n").rows()[0]["n"].as<int>(), 1);
}

TEST_F(US010Lifecycle, NoResourcesLeakAfterOperations) {
  CreateTable("n int");
  for (int round = 0; round < 10; ++round) {
    const auto connector = Connect();
    connector->execute("INSERT INTO " + name() + " VALUES (1)");
    connector->begin();
    connector->execute("INSERT INTO " + name() + " VALUES (2)");
    if (round % 3 == 0) connector->commit();
    if (round % 3 == 1) connector->rollback();
    // Otherwise it is left open, and goes with the connector.
    RowStream stream = connector->execute_stream("SELECT generate_series(1, 100000)");
    static_cast<void>(stream.next_batch());  // and left unread
    static_cast<void>(
        Catch<DatabaseError>([&] { connector->execute("SELECT 1/0", {}, {.timeout = milliseconds(500)}); }));
  }
  EXPECT_TRUE(WaitForBackends(0));
  EXPECT_EQ(Number("SELECT count(*) FROM " + name() + " WHERE n = 1"), 10);
}

TEST_F(US010Lifecycle, CloseRollsBackAnOpenTransaction) {
  CreateTable("n int");
  const auto connector = Connect();
  connector->begin();
  connector->execute("INSERT INTO " + name() + " VALUES (1)");
  connector->close();
  EXPECT_TRUE(WaitForBackends(0));
  EXPECT_EQ(Rows(), 0);
  connector->connect();
  static_cast<void>(Catch<DatabaseTransactionError>([&] { connector->commit(); }));
}

TEST_F(US010Lifecycle, CloseStopsWhatRuns) {
  const auto connector = Connect();
  std::thread caller(
      [&] { static_cast<void>(Catch<DatabaseConnectionError>([&] { connector->execute("SELECT pg_sleep(60)"); })); });
  EXPECT_TRUE(WaitForBackends(1, "state = 'active'"));
  connector->close();
  caller.join();
  EXPECT_TRUE(WaitForBackends(0));
}

TEST_F(US010Lifecycle, OneConnectorsCloseLeavesTheOthersPoolAlone) {
  const auto one = Connect();
  const auto two = Connect();
  one->close();
  EXPECT_EQ(two->execute("SELECT 1 AS n").rows()[0]["n"].as<int>(), 1);
  two->close();
  EXPECT_TRUE(WaitForBackends(0));
}

TEST_F(US010Lifecycle, ConnectorsWithTheSameSettingsShareAPool) {
  const auto one = Connect(Config(1));
  const auto two = Connect(Config(1));
  const auto pid = [](PostgresSyncConnector& connector) {
    return connector.execute("SELECT pg_backend_pid() AS pid").rows()[0]["pid"].as<int>();
  };
  EXPECT_EQ(pid(*one), pid(*two));
  EXPECT_TRUE(WaitForBackends(1));
}

TEST_F(US010Lifecycle, ConnectorsWithOtherSettingsHaveAPoolOfTheirOwn) {
  const auto one = Connect(Config(1));
  const auto two = Connect(Config(2));
  const auto pid = [](PostgresSyncConnector& connector) {
    return connector.execute("SELECT pg_backend_pid() AS pid").rows()[0]["pid"].as<int>();
  };
  EXPECT_NE(pid(*one), pid(*two));
  one->close();
  EXPECT_EQ(two->execute("SELECT 1 AS n").rows()[0]["n"].as<int>(), 1);
}

TEST_F(US010Lifecycle, ConnectingAndClosingSideBySide) {
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 8; ++i) {
        const auto connector = Connect(Config(2));
        EXPECT_EQ(connector->execute("SELECT ?::int AS n", {i}).rows()[0]["n"].as<int>(), i);
        if (i % 2 == 0) connector->close();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(WaitForBackends(0));
}

TEST_F(US010Lifecycle, AVanishedClientLeavesNothingBehind) {
  CreateTable("n int");
  auto connector = Connect();
  connector->begin();
  connector->execute("INSERT INTO " + name() + " VALUES (1)");
  connector.reset();  // no close()
  EXPECT_TRUE(WaitForBackends(0));
  EXPECT_EQ(Rows(), 0);
}

}  // namespace
}  // namespace engine::db::test

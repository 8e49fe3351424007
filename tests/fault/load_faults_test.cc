// Too many, too slow, too late, all at the same row: what is bounded stays bounded, and nobody waits past a deadline.
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <future>
#include <iostream>
#include <random>
#include <thread>

#include "tests/fault/fault_test.h"

namespace engine::db::test {
namespace {

// ./test.sh --all sets it: the full numbers of the list rather than a tenth.
bool Thorough() { return std::getenv("ENGINE_DB_ALL_CHECKS") != nullptr; }

class LoadFaults : public FaultTest {
 protected:
  // The gateway's memory, settled.
  static long ResidentMib() { return Gateway().Memory().resident_kib / 1024; }
};

TEST_F(LoadFaults, StalledReadersCostNextToNothing) {
  const int readers = Thorough() ? 50 : 10;
  const std::string rows = Thorough() ? "2000000" : "300000";
  const auto connector = Connect(Config(readers + 1));
  connector->execute("SELECT 1");
  const long before = ResidentMib();
  std::vector<RowStream> streams;
  for (int i = 0; i < readers; ++i) {
    streams.push_back(connector->execute_stream("SELECT n, repeat('x', 1000) FROM generate_series(1, " + rows + ") n"));
    ASSERT_TRUE(streams.back().next_batch().has_value());
  }
  // Each is held back at the server, which can't get rid of its rows.
  EXPECT_TRUE(WaitUntil(seconds(60), [&] { return Backends("wait_event = 'ClientWrite'") == readers; }));
  const long grown = ResidentMib() - before;
  RecordProperty("mib", static_cast<int>(grown));
  EXPECT_LT(grown, 4 * readers + 32) << "MiB for " << readers << " stalled readers";
  ExpectWorks(*connector);
  // One of them goes on, and gets all of it; the others go away.
  int64_t count = 0;
  RowStream last = std::move(streams.back());
  streams.clear();
  while (const auto batch = last.next_batch()) count += static_cast<int64_t>(batch->size());
  ASSERT_NE(last.summary(), nullptr);
  EXPECT_EQ(last.summary()->rowcount, std::stoll(rows));
  EXPECT_LT(count, std::stoll(rows)) << "the first batch had been read before";
  EXPECT_TRUE(WaitForBackends(0, "state = 'active'"));
}

TEST_F(LoadFaults, TenThousandWaitersAreBoundedAndEndWithTheirDeadlines) {
  const int waiters = Thorough() ? 10'000 : 2'000;
  CreateTable("n int");
  const auto connector = ConnectAsync(Config(1));
  AsyncTransaction holder = sync_wait(connector->async_begin_transaction());
  sync_wait(holder.async_execute("SELECT 1"));
  const milliseconds timeout{2000};
  const auto start = Now();
  std::vector<std::future<Result>> waiting;
  waiting.reserve(static_cast<size_t>(waiters));
  for (int i = 0; i < waiters; ++i) {
    waiting.push_back(
        connector->async_execute("INSERT INTO " + name() + " VALUES (?)", {i}, {.timeout = timeout}).future());
  }
  // Others are served meanwhile.
  ExpectWorks(*Connect(Config(2)));
  for (auto& one : waiting) {
    const auto error = Catch([&] { one.get(); });
    // A busy machine may bring the gateway's answer too late; then the client can't know.
    const Outcome truth = error.reason() == "NO_ANSWER" ? Outcome::kUnknown : Outcome::kNotExecuted;
    EXPECT_EQ(error.outcome(), truth) << error.reason();
  }
  EXPECT_LT(Since(start), timeout + Slack(start) + seconds(waiters / 500)) << "making so many calls takes its time too";
  sync_wait(holder.async_rollback());
  EXPECT_EQ(Rows(), 0);
  // And all get their turn when there is one.
  waiting.clear();
  for (int i = 0; i < waiters; ++i) {
    waiting.push_back(connector->async_execute("INSERT INTO " + name() + " VALUES (?)", {i}).future());
  }
  for (auto& one : waiting) EXPECT_EQ(one.get().rowcount(), 1);
  EXPECT_EQ(Rows(), waiters);
}

constexpr milliseconds kTimeout{300};

TEST_F(LoadFaults, DeadlinesAreKeptWhereverTheCallIs) {
  constexpr int kCalls = 5;
  CreateTable("n int");
  const auto worst = [&](const char* where, const std::function<void()>& call, milliseconds timeout = kTimeout) {
    milliseconds most{0};
    for (int i = 0; i < kCalls; ++i) {
      const auto start = Now();
      try {
        call();
        ADD_FAILURE() << where << ": it ended in time";
      } catch (const DatabaseError&) {
        most = std::max(most, Since(start) - timeout - (Slack(start) - kPromise));
      }
    }
    std::cout << where << ": at most " << most.count() << " ms late" << std::endl;
    RecordProperty(where, static_cast<int>(most.count()));
    EXPECT_LT(most, kPromise) << where;
  };
  const CallOptions options{.timeout = kTimeout};
  {
    const auto connector = Connect(Config(1));
    Transaction holder = connector->begin_transaction();
    holder.execute("SELECT 1");
    worst("queued", [&] { connector->execute("INSERT INTO " + name() + " VALUES (1)", {}, options); });
    holder.rollback();
  }
  const auto connector = Connect(Config(3));
  worst("reading", [&] { connector->execute("SELECT pg_sleep(20)", {}, options); });
  worst("writing", [&] { connector->execute("INSERT INTO " + name() + " SELECT 1 FROM pg_sleep(20)", {}, options); });
  // Not a query for which PostgreSQL would write machine code first: nothing stops it while it does.
  worst("computing", [&] { connector->execute("DO $$ BEGIN LOOP PERFORM 1; END LOOP; END $$", {}, options); });
  worst("streaming", [&] {
    RowStream stream = connector->execute_stream("SELECT generate_series(1, 1000000000)", {}, options);
    while (stream.next_batch()) {
    }
  });
  worst("stalled", [&] {
    RowStream stream = connector->execute_stream("SELECT generate_series(1, 1000000000)", {}, options);
    static_cast<void>(stream.next_batch());
    std::this_thread::sleep_for(kTimeout);  // a reader that does something else
    while (stream.next_batch()) {
    }
  });
  worst("in a transaction", [&] {
    Transaction transaction = connector->begin_transaction();
    transaction.execute("SELECT pg_sleep(20)", {}, options);
  });
  constexpr milliseconds kCommitTimeout{1000};
  ConnectionConfig config = Faulty(2);
  config.timeout_ms = static_cast<int>(kCommitTimeout.count());
  const auto committing = Connect(config);
  worst(
      "committing",
      [&] {
        proxy().Heal();
        Transaction transaction = committing->begin_transaction();
        transaction.execute("INSERT INTO " + name() + " VALUES (1)");
        proxy().Add({.statement = "^COMMIT", .act = FaultAct::kBlackHole});
        transaction.commit();
      },
      kCommitTimeout);
}

TEST_F(LoadFaults, ADeadlockStormEndsAndEveryTransferHappensOnce) {
  PostgresCluster cluster({.settings = {{"deadlock_timeout", "20ms"}}});
  ConnectionConfig config = Config(8);
  config.host = cluster.host();
  config.port = cluster.port();
  const auto connector = Connect(config);
  cluster.Exec(
      "SET ROLE app; CREATE TABLE t (id int PRIMARY KEY, hits int NOT NULL DEFAULT 0); "
      "INSERT INTO t SELECT generate_series(1, 4)");
  constexpr int kThreads = 8;
  constexpr int kTimes = 20;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(static_cast<unsigned>(t));
      for (int i = 0; i < kTimes; ++i) {
        connector->run_transaction(
            [&](Transaction& transaction) {
              for (int k = 0; k < 3; ++k) {
                transaction.execute("UPDATE t SET hits = hits + 1 WHERE id = ?", {1 + static_cast<int>(random() % 4)});
              }
            },
            {}, {.max_attempts = 100, .initial_delay_ms = 1, .max_delay_ms = 100});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(cluster.Scalar("SELECT sum(hits) FROM t"), std::to_string(kThreads * kTimes * 3));
}

TEST_F(LoadFaults, AHotRowUnderSerializableIsCountedExactly) {
  CreateTable("n int");
  Sql("INSERT INTO " + name() + " VALUES (0)");
  const auto connector = Connect(Config(6));
  constexpr int kThreads = 6;
  constexpr int kTimes = 20;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < kTimes; ++i) {
        connector->run_transaction(
            [&](Transaction& transaction) {
              const int n = transaction.execute("SELECT n FROM " + name()).rows()[0]["n"].as<int>();
              transaction.execute("UPDATE " + name() + " SET n = ?", {n + 1});
            },
            {.isolation_level = IsolationLevel::kSerializable},
            {.max_attempts = 100, .initial_delay_ms = 1, .max_delay_ms = 50});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Number("SELECT n FROM " + name()), kThreads * kTimes);
}

// An HTTP/2 connection that says hello and nothing more.
int IdleConnection(int port) {
  const int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const timeval limit{30, 0};
  setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  const std::string hello("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 33);  // and empty SETTINGS
  char answer = 0;
  if (connect(connection, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
      send(connection, hello.data(), hello.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(hello.size()) &&
      recv(connection, &answer, 1, 0) == 1) {
    return connection;
  }
  close(connection);
  return -1;
}

TEST_F(LoadFaults, ThousandsOfIdleConnectionsHurtNobody) {
  int wanted = Thorough() ? 10'000 : 1'000;
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  wanted = std::min(wanted, static_cast<int>(files.rlim_cur) - 500);  // the gateway inherits the limit
  const auto before_them = Connect();
  const std::string& gateway = Gateway().address();
  const int port = std::stoi(gateway.substr(gateway.rfind(':') + 1));
  const long before = ResidentMib();
  std::vector<int> connections;
  for (int i = 0; i < wanted; ++i) {
    const int connection = IdleConnection(port);
    if (connection < 0) break;
    connections.push_back(connection);
  }
  EXPECT_EQ(static_cast<int>(connections.size()), wanted);
  const long grown = ResidentMib() - before;
  RecordProperty("mib", static_cast<int>(grown));
  EXPECT_LT(grown * 1024 / std::max(1, wanted), 128) << "KiB for each";
  ExpectWorks(*before_them);
  // A new client gives each attempt to connect little time, so it may need several while the gateway is busy.
  EXPECT_TRUE(WaitUntil(kSoon, [&] {
    try {
      ExpectWorks(*Connect());
      return true;
    } catch (const DatabaseConnectionError&) {
      return false;
    }
  }));
  for (const int connection : connections) close(connection);
  ExpectWorks(*before_them);
}

}  // namespace
}  // namespace engine::db::test

// Faults under load, and what must hold all the same: what was acknowledged is there exactly once, what is said to be
// undone is not there, the bank's total is constant, and no backend is left over.
#include <atomic>
#include <future>
#include <mutex>
#include <random>
#include <set>
#include <thread>

#include "tests/integration/integration_test.h"

namespace engine::db::test {
namespace {

class Chaos : public IntegrationTest {
 protected:
  // Runs `work(thread, connector)` over and over on `threads` threads while `disturb` runs on this one.
  template <typename Work, typename Disturb>
  void RunUnder(int threads, seconds time, const ConnectionConfig& config, Work&& work, Disturb&& disturb) {
    const auto connector = Connect(config);
    std::atomic<bool> done = false;
    std::vector<std::thread> workers;
    workers.reserve(threads);
    for (int t = 0; t < threads; ++t) {
      workers.emplace_back([&, t] {
        while (!done) work(t, *connector);
      });
    }
    const auto start = Now();
    while (Since(start) < time) disturb();
    done = true;
    for (std::thread& worker : workers) worker.join();
  }
  void KillOne() const {
    std::this_thread::sleep_for(milliseconds(40));  // the pace of the faults; nothing depends on it
    Postgres().Exec(
        "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity WHERE application_name = '" + name() +
        "' ORDER BY random() LIMIT 1) AS victim");
  }
};

constexpr RetryConfig kPatient{.max_attempts = 20, .initial_delay_ms = 1, .max_delay_ms = 50};

TEST_F(Chaos, AcknowledgedWritesAreThereExactlyOnceAlthoughBackendsAreKilled) {
  CreateTable("id bigint, how text");  // no key: a repeated write would show
  std::atomic<int64_t> next = 0;
  std::mutex mutex;
  std::set<int64_t> acknowledged;
  std::set<int64_t> undone;
  std::atomic<int> unknown = 0;
  RunUnder(
      6, seconds(4), Config(4, kPatient),
      [&](int thread, PostgresSyncConnector& connector) {
        const int64_t id = ++next;
        const std::string insert = "INSERT INTO " + name() + " VALUES (?, ?)";
        try {
          if (thread % 2 == 0) {
            connector.execute(insert, {id, "autocommit"});
          } else {
            Transaction transaction = connector.begin_transaction();
            transaction.execute(insert, {id, "transaction"});
            transaction.execute("SELECT 1");
            transaction.commit();
          }
          const std::lock_guard lock(mutex);
          acknowledged.insert(id);
        } catch (const DatabaseError& error) {
          if (error.outcome() == Outcome::kUnknown) {
            ++unknown;
          } else {
            EXPECT_TRUE(error.outcome() == Outcome::kNotExecuted || error.outcome() == Outcome::kRolledBack)
                << to_string(error.outcome()) << ": " << error.what();
            const std::lock_guard lock(mutex);
            undone.insert(id);
          }
        }
      },
      [&] { KillOne(); });
  const pqxx::result rows = Postgres().Exec("SELECT id, count(*) FROM " + name() + " GROUP BY id");
  std::set<int64_t> there;
  for (const auto& row : rows) {
    EXPECT_EQ(row[1].as<int>(), 1) << "row " << row[0].c_str() << " was written more than once";
    there.insert(row[0].as<int64_t>());
  }
  for (const int64_t id : acknowledged) EXPECT_EQ(there.count(id), 1U) << "acknowledged, and lost: " << id;
  for (const int64_t id : undone) EXPECT_EQ(there.count(id), 0U) << "said to be undone, and there: " << id;
  EXPECT_GT(acknowledged.size(), 50U);
  RecordProperty("unknown", unknown.load());
}

TEST_F(Chaos, TheBanksTotalIsConstant) {
  CreateTable("id int PRIMARY KEY, balance int");
  Sql("INSERT INTO " + name() + " SELECT i, 100 FROM generate_series(1, 10) i");
  std::atomic<int> transfers = 0;
  std::atomic<int> reads = 0;
  RunUnder(
      5, seconds(4), Config(4, kPatient),
      [&](int thread, PostgresSyncConnector& connector) {
        thread_local std::mt19937 random(static_cast<unsigned>(thread) + 17);
        try {
          if (thread < 2) {
            const Result total = connector.execute("SELECT sum(balance) AS total FROM " + name());
            EXPECT_EQ(total.rows()[0]["total"].as<int>(), 1000);
            ++reads;
            return;
          }
          const int from = 1 + static_cast<int>(random() % 10);
          const int to = 1 + static_cast<int>(random() % 10);
          connector.run_transaction([&](Transaction& transaction) {
            transaction.execute("UPDATE " + name() + " SET balance = balance - 1 WHERE id = ?", {from});
            transaction.execute("UPDATE " + name() + " SET balance = balance + 1 WHERE id = ?", {to});
          });
          ++transfers;
        } catch (const DatabaseError&) {  // a fault hit it: that is allowed, money made or lost is not
        }
      },
      [&] { KillOne(); });
  EXPECT_EQ(Number("SELECT sum(balance) FROM " + name()), 1000);
  EXPECT_GT(transfers, 20);
  EXPECT_GT(reads, 20);
}

TEST_F(Chaos, DeadlinesAndCancelsUnderLoadHitOnlyTheirOwn) {
  CreateTable("n int");
  std::atomic<int> timed_out = 0;
  std::atomic<int> fine = 0;
  RunUnder(
      8, seconds(4), Config(3),
      [&](int thread, PostgresSyncConnector& connector) {
        try {
          switch (thread % 4) {
            case 0:
              connector.execute("SELECT pg_sleep(0.02)", {}, {.timeout = milliseconds(15)});
              break;
            case 1:
              connector.execute("INSERT INTO " + name() + " SELECT 1 FROM pg_sleep(0.02)", {},
                                {.timeout = milliseconds(15)});
              break;
            case 2:
              EXPECT_EQ(connector.execute("SELECT 5 AS n").rows()[0]["n"].as<int>(), 5);
              ++fine;
              break;
            default:
              connector.execute("INSERT INTO " + name() + " VALUES (2)");
              ++fine;
          }
        } catch (const DatabaseTimeoutError& error) {
          EXPECT_LT(thread % 4, 2) << "a bystander was hit: " << error.what();
          ++timed_out;
        } catch (const DatabaseError& error) {
          ADD_FAILURE() << "thread " << thread << ": " << error.sqlstate() << " " << error.reason() << " "
                        << error.what();
        }
      },
      [] { std::this_thread::sleep_for(milliseconds(50)); });
  EXPECT_GT(timed_out, 10);
  EXPECT_GT(fine, 10);
  EXPECT_TRUE(WaitForBackends(0));
}

TEST_F(Chaos, TransactionsQueueUpForAFewBackends) {
  CreateTable("n int");
  const auto connector = ConnectAsync(Config(3));
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      std::vector<std::future<AsyncTransaction>> begun;
      begun.reserve(25);
      for (int i = 0; i < 25; ++i) begun.push_back(connector->async_begin_transaction().future());
      for (auto& one : begun) {
        AsyncTransaction transaction = one.get();
        sync_wait(transaction.async_execute("INSERT INTO " + name() + " VALUES (1)"));
        sync_wait(transaction.async_commit());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Rows(), 100);
}

TEST_F(Chaos, ClosingWithAFullQueue) {
  for (int round = 0; round < 5; ++round) {
    const auto connector = ConnectAsync(Config(1));
    std::vector<std::future<Result>> results;
    results.reserve(100);
    for (int i = 0; i < 100; ++i) {
      results.push_back(
          connector->async_execute(i % 2 == 0 ? "SELECT pg_sleep(0.01)" : "DO $$ BEGIN PERFORM 1; END $$").future());
    }
    sync_wait(connector->async_close());
    for (auto& result : results) {
      try {
        result.get();
      } catch (const DatabaseConnectionError&) {  // it was still waiting
      }
    }
    EXPECT_TRUE(WaitForBackends(0));
  }
}

TEST_F(Chaos, ClientsThatVanishUnderLoad) {
  CreateTable("n int");
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 10; ++i) {
        // Room for a transaction and a stream that nobody reads, beside the statements; no pool is shared.
        auto connector = ConnectAsync(Config(4 + t));
        std::vector<std::future<Result>> results;
        results.reserve(20);
        for (int k = 0; k < 20; ++k) {
          results.push_back(connector->async_execute("SELECT ?::int FROM pg_sleep(0.005)", {k}).future());
          results.push_back(connector->async_execute("INSERT INTO " + name() + " VALUES (?)", {k}).future());
        }
        auto begun = connector->async_begin_transaction().future();
        AsyncRowStream stream = connector->async_execute_stream("SELECT generate_series(1, 1000000)");
        if ((t + i) % 2 == 0) results.front().wait();
        connector.reset();
        for (auto& result : results) {
          try {
            result.get();
          } catch (const DatabaseConnectionError&) {
          }
        }
        try {
          begun.get();
        } catch (const DatabaseError&) {
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(WaitForBackends(0));
  EXPECT_EQ(Connect()->execute("SELECT 1 AS n").rows()[0]["n"].as<int>(), 1);
}

}  // namespace
}  // namespace engine::db::test

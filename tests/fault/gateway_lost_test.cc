// The gateway is killed (SIGKILL) and started again at its address: while clients work, and at the moments that matter.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <future>
#include <iostream>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "engine_db/postgres_connector.h"
#include "tests/fault/ledger.h"
#include "tests/fault/rig.h"
#include "tests/support/wait.h"

namespace engine::db::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kPoolSize = 6;

class GatewayLost : public testing::Test {
 protected:
  void SetUp() override { ledger_.emplace(rig_.postgres()); }

  [[nodiscard]] std::unique_ptr<PostgresSyncConnector> Connect(milliseconds timeout = seconds(60)) {
    ConnectionConfig config = rig_.Config(kPoolSize);
    config.timeout_ms = static_cast<int>(timeout.count());
    auto connector = std::make_unique<PostgresSyncConnector>(config, rig_.Gateway());
    connector->connect();
    return connector;
  }

  // Begins and inserts.
  Transaction Insert(PostgresSyncConnector& connector, int64_t operation) {
    Transaction transaction = connector.begin_transaction();
    transaction.execute(Ledger::kInsert, {operation, "note"});
    return transaction;
  }

  // Commits, and kills the gateway when the fault has happened to its COMMIT.
  Verdict CommitWhileTheGatewayDies(Transaction& transaction, const FaultRule& rule) {
    const FaultProxy::RuleId id = rig_.proxy().Add(rule);
    auto verdict = std::async(std::launch::async, [&] { return Commit(transaction); });
    EXPECT_TRUE(rig_.proxy().WaitForFired(id));
    rig_.ReplaceGateway(SIGKILL);
    rig_.proxy().Remove(id);
    return verdict.get();
  }

  static Verdict Commit(Transaction& transaction) {
    try {
      transaction.commit();
      return Verdict::kAcknowledged;
    } catch (const DatabaseError& error) {
      return VerdictOf(error);
    }
  }

  [[nodiscard]] int64_t Count(int64_t operation) {
    return std::stoll(
        rig_.postgres().Scalar("SELECT count(*) FROM ledger WHERE operation = " + std::to_string(operation)));
  }

  // Until it is destroyed, every COMMIT waits in PostgreSQL that has inserted.
  class Gate {
   public:
    explicit Gate(const PostgresCluster& postgres) : holder_(postgres.Superuser()), hold_(holder_) {
      hold_.exec("SELECT pg_advisory_xact_lock(4711)");
      postgres.Exec(
          "CREATE FUNCTION wait_at_gate() RETURNS trigger LANGUAGE plpgsql AS"
          " $$ BEGIN PERFORM pg_advisory_xact_lock(4711); RETURN NULL; END $$;"
          "CREATE CONSTRAINT TRIGGER gate AFTER INSERT ON ledger DEFERRABLE INITIALLY DEFERRED"
          " FOR EACH ROW EXECUTE FUNCTION wait_at_gate()");
    }

   private:
    pqxx::connection holder_;
    pqxx::work hold_;
  };

  FaultRig rig_;
  std::optional<Ledger> ledger_;
};

TEST_F(GatewayLost, ACommitThatPostgresqlHasDoneSucceeds) {
  const auto connector = Connect();
  Transaction transaction = Insert(*connector, 1);
  EXPECT_NE(transaction.recovery_token(), "");
  EXPECT_EQ(CommitWhileTheGatewayDies(
                transaction, {.statement = "^COMMIT", .point = FaultPoint::kBeforeReply, .act = FaultAct::kBlackHole}),
            Verdict::kAcknowledged);
  EXPECT_EQ(Count(1), 1);
}

TEST_F(GatewayLost, ACommitThatNeverReachedPostgresqlIsRolledBack) {
  const auto connector = Connect();
  Transaction transaction = Insert(*connector, 1);
  EXPECT_EQ(
      CommitWhileTheGatewayDies(
          transaction, {.statement = "^COMMIT", .point = FaultPoint::kBeforeRequest, .act = FaultAct::kBlackHole}),
      Verdict::kRolledBack);
  EXPECT_EQ(Count(1), 0);
}

// PostgreSQL still thinks that the transaction is open: nobody may say that it is rolled back before it is.
TEST_F(GatewayLost, ACommitIsUnknownWhileItMayStillArrive) {
  const auto connector = Connect(seconds(2));
  Transaction transaction = Insert(*connector, 1);
  const FaultProxy::RuleId id = rig_.proxy().Add({.statement = "^COMMIT",
                                                  .point = FaultPoint::kBeforeRequest,
                                                  .act = FaultAct::kBlackHole,
                                                  .server_learns = false});
  auto verdict = std::async(std::launch::async, [&] { return Commit(transaction); });
  EXPECT_TRUE(rig_.proxy().WaitForFired(id));
  rig_.ReplaceGateway(SIGKILL);
  EXPECT_EQ(verdict.get(), Verdict::kUnknown);
  rig_.postgres().Exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_xid IS NOT NULL");
  Verdict later = Verdict::kUnknown;
  EXPECT_TRUE(WaitUntil(
      seconds(30), [&] { return (later = Commit(transaction)) != Verdict::kUnknown; }, milliseconds(50)));
  EXPECT_EQ(later, Verdict::kRolledBack);
  EXPECT_EQ(Count(1), 0);
}

// The second waits behind the first in the gateway, and ends by its own deadline.
TEST_F(GatewayLost, ACommitThatWasRepeatedBeforeIsFoundOutToo) {
  const auto connector = Connect(seconds(1));
  std::optional<Gate> gate(rig_.postgres());
  Transaction transaction = Insert(*connector, 1);
  Transaction other = Insert(*connector, 2);
  for (Transaction* each : {&transaction, &transaction, &other, &other}) EXPECT_EQ(Commit(*each), Verdict::kUnknown);
  rig_.ReplaceGateway(SIGKILL);
  EXPECT_EQ(Commit(transaction), Verdict::kUnknown) << "nothing may be said while it is in progress";
  gate.reset();
  Verdict later = Verdict::kUnknown;
  EXPECT_TRUE(WaitUntil(
      seconds(30), [&] { return (later = Commit(transaction)) != Verdict::kUnknown; }, milliseconds(50)));
  EXPECT_EQ(later, Verdict::kAcknowledged);
  EXPECT_EQ(Count(1), 1);
  EXPECT_TRUE(WaitUntil(seconds(30), [&] { return Count(2) == 1; }));
  try {
    other.rollback();
    ADD_FAILURE() << "it is committed";
  } catch (const DatabaseError& error) {
    EXPECT_EQ(error.outcome(), Outcome::kCommitted);
  }
}

// Its text is no write's; and others on the link have shown that the gateway tells tokens.
TEST_F(GatewayLost, ACommitOfAReadThatWroteIsFoundOut) {
  rig_.postgres().Exec(
      "SET ROLE app;"
      "CREATE FUNCTION audit() RETURNS bigint LANGUAGE sql AS"
      " $$ INSERT INTO ledger (operation) VALUES (2) RETURNING operation $$;"
      "CREATE VIEW audited AS SELECT audit()");
  const auto connector = Connect();
  Transaction writing = Insert(*connector, 1);
  writing.commit();
  Transaction reading = connector->begin_transaction();
  reading.execute("SELECT * FROM audited");
  EXPECT_EQ(CommitWhileTheGatewayDies(
                reading, {.statement = "^COMMIT", .point = FaultPoint::kBeforeReply, .act = FaultAct::kBlackHole}),
            Verdict::kAcknowledged);
  EXPECT_EQ(Count(2), 1);
}

TEST_F(GatewayLost, BeforeTheCommitItIsRolledBack) {
  const auto connector = Connect();
  Transaction transaction = Insert(*connector, 1);
  rig_.ReplaceGateway(SIGKILL);
  EXPECT_EQ(Commit(transaction), Verdict::kRolledBack);
  EXPECT_EQ(Count(1), 0);
  // And the connector goes on as if nothing had been.
  connector->execute(Ledger::kInsert, {2, "note"});
  EXPECT_EQ(Count(2), 1);
}

TEST_F(GatewayLost, RunTransactionRunsAgainWhatWasRolledBack) {
  const auto connector = Connect();
  int runs = 0;
  connector->run_transaction([&](Transaction& transaction) {
    transaction.execute(Ledger::kInsert, {1, "note"});
    if (++runs == 1) rig_.ReplaceGateway(SIGKILL);
  });
  EXPECT_EQ(runs, 2);
  EXPECT_EQ(Count(1), 1);
}

// As an engine asks that has kept the token and crashed itself.
TEST_F(GatewayLost, AnotherConnectorIsToldByTheToken) {
  std::string committed;
  std::string rolled_back;
  {
    const auto connector = Connect();
    Transaction first = Insert(*connector, 1);
    committed = first.recovery_token();
    Transaction second = Insert(*connector, 2);
    rolled_back = second.recovery_token();
    first.commit();
  }
  rig_.ReplaceGateway(SIGKILL);
  const auto connector = Connect();
  EXPECT_EQ(connector->transaction_outcome(committed), Outcome::kCommitted);
  EXPECT_EQ(connector->transaction_outcome(rolled_back), Outcome::kRolledBack);
  EXPECT_THROW(connector->transaction_outcome("no token"), DatabaseRequestError);
  Transaction open = Insert(*connector, 3);
  EXPECT_THROW(connector->transaction_outcome(open.recovery_token(), {.timeout = milliseconds(500)}),
               DatabaseTimeoutError);
}

// Clients write and read without pause; the gateway dies under them again and again.
TEST_F(GatewayLost, UnderLoadNothingIsLostOrDoneTwice) {
  constexpr int kThreads = 5;
  constexpr int kKills = 5;
  std::atomic<bool> stopping = false;
  std::atomic<int> done = 0;
  std::atomic<int> reads_failed = 0;
  std::atomic<int> unknown_commits = 0;
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      const auto connector = Connect();
      for (int n = i; !stopping; ++n) {
        if (n % 4 == 3) {  // a read, which nothing stops
          try {
            connector->execute("SELECT count(*) FROM ledger", {}, {.idempotent = true});
          } catch (const DatabaseError&) {
            ++reads_failed;
          }
          continue;
        }
        const int64_t operation = ledger_->Next();
        const bool commits = n % 4 != 0;
        bool committing = false;
        try {
          if (commits) {
            Transaction transaction = Insert(*connector, operation);
            committing = true;
            transaction.commit();
          } else {
            connector->execute(Ledger::kInsert, {operation, "note"}, {.exactly_once = true});
          }
          ledger_->Note(operation, Verdict::kAcknowledged, commits ? "commit" : "exactly once");
          ++done;
        } catch (const DatabaseError& error) {
          const Verdict verdict = commits && !committing ? Verdict::kRolledBack : VerdictOf(error);
          if (commits && verdict == Verdict::kUnknown) ++unknown_commits;
          ledger_->Note(operation, verdict, (commits ? "commit: " : "exactly once: ") + std::string(error.what()));
        }
      }
    });
  }
  std::minstd_rand random(4);
  for (int kill = 0; kill < kKills; ++kill) {
    const int before = done;
    EXPECT_TRUE(WaitUntil(seconds(60), [&] { return done > before + 20; })) << "work goes on after " << kill;
    std::this_thread::sleep_for(milliseconds(random() % 50));  // somewhere in the middle of something
    rig_.ReplaceGateway(SIGKILL);
  }
  const int before = done;
  EXPECT_TRUE(WaitUntil(seconds(60), [&] { return done > before + 20; }));
  stopping = true;
  for (std::thread& thread : threads) thread.join();

  EXPECT_EQ(reads_failed, 0);
  EXPECT_EQ(unknown_commits, 0) << "a lost commit is found out";
  const Audit audit = ledger_->Check();
  EXPECT_TRUE(audit.ok());
  EXPECT_THAT(audit.violations, testing::IsEmpty());
  std::cout << audit.operations << " operations, " << audit.acknowledged << " acknowledged, " << audit.unknown
            << " unknown (" << audit.unknown_applied << " of them there)\n";
}

}  // namespace
}  // namespace engine::db::test

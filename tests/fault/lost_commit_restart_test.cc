// A COMMIT whose answer is lost while PostgreSQL goes down is found out where that can be known, and unknown elsewhere.
#include <future>

#include "tests/fault/contract_fault_test.h"

namespace engine::db::test {
namespace {

// PostgreSQL goes down while a COMMIT is under way. What was written a moment ago has reached its log only if somebody
// committed meanwhile: nothing else writes it out here.
class LostCommitAcrossARestart : public testing::Test {
 protected:
  using StopMode = PostgresCluster::StopMode;

  void SetUp() override {
    cluster_.Exec("CREATE TABLE t (n int); GRANT ALL ON t TO app");
    connector_.connect();
  }
  [[nodiscard]] ConnectionConfig Config() const {
    return {.host = proxy_.host(),
            .port = proxy_.port(),
            .user = "app",
            .password = cluster_.password(),
            .dbname = "app",
            .max_pool_size = 3,
            .timeout_ms = 60000};
  }
  // One row more, in a transaction.
  void Insert() {
    connector_.begin();
    connector_.execute("INSERT INTO t VALUES (1)");
    xid_ = cluster_.Scalar("SELECT backend_xid FROM pg_stat_activity WHERE backend_xid IS NOT NULL");
    ASSERT_NE(xid_, "");
  }
  // Its COMMIT falls into a black hole.
  void LoseTheCommit(FaultPoint point) {
    const auto rule = proxy_.Add({.statement = "^COMMIT", .point = point, .act = FaultAct::kBlackHole});
    committing_ = std::async(std::launch::async, [this] {
      try {
        connector_.commit();
        return Outcome::kCommitted;
      } catch (const DatabaseError& error) {
        return error.outcome();
      }
    });
    ASSERT_TRUE(proxy_.WaitForFired(rule));
    proxy_.Refuse(true);
  }
  void LoseACommit(FaultPoint point) {
    ASSERT_NO_FATAL_FAILURE(Insert());
    LoseTheCommit(point);
  }
  Outcome OutcomeOnceTheServerIsReachable() {
    proxy_.Heal();
    return committing_.get();
  }
  std::string Rows() { return cluster_.Scalar("SELECT count(*) FROM t"); }

  PostgresCluster cluster_{
      {.settings = {{"wal_writer_delay", "10s"}, {"wal_level", "minimal"}, {"max_wal_senders", "0"}}}};
  FaultProxy proxy_{cluster_.host(), cluster_.port()};
  GatewayProcess gateway_;
  PostgresSyncConnector connector_{Config(), {.address = gateway_.address()}};
  std::string xid_;
  std::future<Outcome> committing_;
};

TEST_F(LostCommitAcrossARestart, IsFoundOutAfterAnOrderlyOne) {
  LoseACommit(FaultPoint::kBeforeReply);
  cluster_.Restart(StopMode::kFast);
  EXPECT_EQ(OutcomeOnceTheServerIsReachable(), Outcome::kCommitted);
  EXPECT_EQ(Rows(), "1");
  LoseACommit(FaultPoint::kBeforeRequest);
  cluster_.Restart(StopMode::kFast);
  EXPECT_EQ(OutcomeOnceTheServerIsReachable(), Outcome::kRolledBack);
  EXPECT_EQ(Rows(), "1");
}

TEST_F(LostCommitAcrossARestart, ThatNeverReachedTheServerIsRolledBack) {
  LoseACommit(FaultPoint::kBeforeRequest);
  cluster_.Restart(StopMode::kImmediate);
  EXPECT_EQ(OutcomeOnceTheServerIsReachable(), Outcome::kRolledBack);
  EXPECT_EQ(Rows(), "0");
}

TEST_F(LostCommitAcrossARestart, IsFoundOutAfterACrashWhenALaterOneWasAnswered) {
  PostgresSyncConnector other(Config(), {.address = gateway_.address()});
  other.connect();
  Insert();
  other.run_transaction([](Transaction& transaction) { transaction.execute("INSERT INTO t VALUES (2)"); });
  LoseTheCommit(FaultPoint::kBeforeReply);
  cluster_.Restart(StopMode::kImmediate);
  EXPECT_EQ(OutcomeOnceTheServerIsReachable(), Outcome::kCommitted);
  EXPECT_EQ(Rows(), "2");
}

// PostgreSQL's own record says that the id is committed, but can't say whether it is the same transaction's.
TEST_F(LostCommitAcrossARestart, IsUnknownAfterACrashWhenNoLaterOneWasAnswered) {
  LoseACommit(FaultPoint::kBeforeReply);
  cluster_.Restart(StopMode::kImmediate);
  EXPECT_EQ(OutcomeOnceTheServerIsReachable(), Outcome::kUnknown);
  EXPECT_EQ(Rows(), "1");
}

// The crash takes the id with it, somebody else gets it and commits, and then comes a crash or a checkpoint, and
// nothing shows any more that it was given out twice.
TEST_F(LostCommitAcrossARestart, IsNotTakenForAnotherTransactionWithTheSameId) {
  for (const bool another_crash : {true, false}) {
    LoseACommit(FaultPoint::kBeforeRequest);
    cluster_.Restart(StopMode::kImmediate);
    std::string reused;
    for (int i = 0; i < 100 && reused != xid_; ++i) reused = cluster_.Scalar("SELECT pg_current_xact_id()");
    ASSERT_EQ(reused, xid_) << "the id was not given out again: this test shows nothing";
    if (another_crash) {
      cluster_.Restart(StopMode::kImmediate);
    } else {
      cluster_.Exec("CHECKPOINT");
    }
    const Outcome outcome = OutcomeOnceTheServerIsReachable();
    EXPECT_TRUE(outcome == Outcome::kUnknown || outcome == Outcome::kRolledBack) << to_string(outcome);
    EXPECT_EQ(Rows(), "0");
  }
}

}  // namespace
}  // namespace engine::db::test

// The link to PostgreSQL falls silent, at every point of a statement's life.
#include <future>
#include <memory>
#include <thread>

#include "tests/fault/contract_fault_test.h"
#include "tests/fault/link_fault_test.h"

namespace engine::db::test {
namespace {

class Silence : public LinkFaults {
 protected:
  static constexpr milliseconds kDeadline{600};
};

TEST_F(Silence, WhileConnectingEndsWithTheDeadline) {
  for (const auto trigger : {FaultTrigger::kConnect, FaultTrigger::kStartup, FaultTrigger::kPassword}) {
    proxy().Add({.trigger = trigger, .times = kAlways, .act = FaultAct::kBlackHole});
    ConnectionConfig config = Faulty(2, kRetry);
    config.timeout_ms = static_cast<int>(kDeadline.count());
    PostgresSyncConnector connector(config, At(Gateway()));
    const auto start = Now();
    const auto error = Catch([&] { connector.connect(); });
    EXPECT_LT(Since(start), kDeadline + Slack(start));
    EXPECT_EQ(error.outcome(), Outcome::kNotExecuted) << error.reason() << " " << error.what();
    proxy().Heal();
    // Its deadline may be too near for a loaded machine.
    EXPECT_TRUE(WaitUntil(kSoon, [&] {
      try {
        connector.connect();
        return true;
      } catch (const DatabaseError&) {
        return false;
      }
    }));
    connector.execute("SELECT 1", {}, {.timeout = seconds(10)});
    connector.close();
    EXPECT_TRUE(WaitForBackends(0)) << "the next one finds no pool";
  }
}

// The login worked; what the server is asked then, it does not answer, although its kernel goes on acknowledging.
class SilenceAfterTheLogin : public ContractFaultTest {};

TEST_F(SilenceAfterTheLogin, EndsConnectWithTheDeadline) {
  proxy().Add({.statement = "server_version", .times = kAlways, .act = FaultAct::kBlackHole});
  v1::ConnectRequest request = ConnectTo();
  request.mutable_config()->set_host(proxy().host());
  request.mutable_config()->set_port(proxy().port());
  request.mutable_config()->set_timeout_ms(600);
  const auto start = Now();
  const Failure failure = ExpectFailure(Call(&Stub::Connect, request).status, grpc::StatusCode::UNAVAILABLE,
                                        v1::ERROR_KIND_CONNECTION, "UNREACHABLE");
  EXPECT_LT(Since(start), milliseconds(600) + Slack(start));
  EXPECT_EQ(failure.error.outcome(), v1::OUTCOME_NOT_EXECUTED);
  EXPECT_THAT(failure.message, testing::HasSubstr("has not answered since"));
  proxy().Heal();
  EXPECT_TRUE(Execute(Open(request), "SELECT 1").ok());
}

// A target whose server answers no question, and another whose server takes no cancel request, are nobody else's
// trouble, and don't keep the gateway from stopping.
class SilentTargets : public Silence {
 protected:
  // More than the gateway has threads for any one thing.
  static constexpr int kMany = 20;

  // By name, which has to be looked up.
  void ExpectOthersWork() {
    ConnectionConfig healthy = Config(2, kRetry);
    healthy.host = "localhost";
    healthy.timeout_ms = 5000;
    PostgresSyncConnector other(healthy, At(*gateway_));
    other.connect();
    ExpectWorks(other);
    // Its cancel requests go out: otherwise the transaction would have lost its link.
    Transaction transaction = other.begin_transaction();
    transaction.savepoint("s");
    static_cast<void>(Catch([&] { transaction.execute("SELECT pg_sleep(60)", {}, {.timeout = milliseconds(300)}); }));
    transaction.rollback_to("s");
    transaction.commit();
    other.close();
  }

  void SetUp() override { gateway_ = StartGateway({{"ENGINE_DB_DRAIN_GRACE", "2s"}}); }

  std::unique_ptr<GatewayProcess> gateway_;
};

TEST_F(SilentTargets, ThatAnswerNoQuestion) {
  proxy().Add({.statement = "server_version", .times = kAlways, .act = FaultAct::kBlackHole});
  ConnectionConfig config = Faulty(2, kRetry);
  config.timeout_ms = 1000;
  std::vector<std::future<void>> connecting;
  for (int i = 0; i < kMany; ++i) {
    config.max_pool_size = 1 + i;  // a pool each
    connecting.push_back(std::async(std::launch::async, [this, config] {
      PostgresSyncConnector connector(config, At(*gateway_));
      static_cast<void>(Catch([&] { connector.connect(); }));
    }));
  }
  for (auto& one : connecting) one.get();
  ExpectOthersWork();
  EXPECT_EQ(gateway_->Terminate(seconds(15)), 0);
}

TEST_F(SilentTargets, ThatTakeNoCancelRequest) {
  ConnectionConfig config = Faulty(kMany, kRetry);
  PostgresAsyncConnector connector(config, At(*gateway_));
  sync_wait(connector.async_connect());
  proxy().Add({.trigger = FaultTrigger::kCancel, .times = kAlways, .act = FaultAct::kBlackHole});
  std::vector<std::future<Result>> calls;
  for (int i = 0; i < kMany; ++i) {
    calls.push_back(
        connector.async_execute("DO $$ BEGIN PERFORM pg_sleep(2); END $$", {}, {.timeout = milliseconds(300)})
            .future());
  }
  for (auto& call : calls) static_cast<void>(Catch([&] { call.get(); }));
  ExpectOthersWork();
  EXPECT_EQ(gateway_->Terminate(seconds(15)), 0);
  EXPECT_TRUE(WaitForBackends(0));
}

TEST_F(Silence, WhileReconnectingEndsWithTheDeadline) {
  const auto connector = Connect(Faulty(2, kRetry));
  for (const auto trigger : {FaultTrigger::kConnect, FaultTrigger::kStartup, FaultTrigger::kPassword}) {
    proxy().Add({.trigger = trigger, .times = kAlways, .act = FaultAct::kBlackHole});
    CutAll();
    for (const std::string& sql : {std::string("SELECT 1"), "INSERT INTO " + name() + " VALUES (1)"}) {
      const auto start = Now();
      const auto error = Catch([&] { connector->execute(sql, {}, {.timeout = kDeadline}); });
      EXPECT_LT(Since(start), kDeadline + Slack(start));
      EXPECT_EQ(error.outcome(), Outcome::kNotExecuted) << error.reason() << " " << error.what();
    }
    proxy().Heal();
    connector->execute("SELECT 1", {}, {.timeout = seconds(10)});
  }
  EXPECT_EQ(Rows(), 0);
}

TEST_F(Silence, WhileAStatementRunsEndsWithTheDeadline) {
  const auto connector = Connect(Faulty(3, kRetry));
  int there = 0;
  for (const FaultPoint point : {FaultPoint::kBeforeRequest, FaultPoint::kAfterRequest, FaultPoint::kBeforeReply}) {
    for (const bool server_learns : {true, false}) {
      const FaultRule rule{.statement = "41",
                           .times = kAlways,
                           .point = point,
                           .act = FaultAct::kBlackHole,
                           .server_learns = server_learns};
      proxy().Add(rule);
      auto start = Now();
      static_cast<void>(Catch([&] { connector->execute("SELECT 41 AS n", {}, {.timeout = kDeadline}); }));
      EXPECT_LT(Since(start), kDeadline + Slack(start)) << "a read";

      start = Now();
      const auto error =
          Catch([&] { connector->execute("INSERT INTO " + name() + " VALUES (41)", {}, {.timeout = kDeadline}); });
      EXPECT_LT(Since(start), kDeadline + Slack(start)) << "a write";
      const bool runs = point != FaultPoint::kBeforeRequest;
      ExpectTruth(error, runs);
      proxy().Heal();
      there += runs ? 1 : 0;
      EXPECT_TRUE(WaitUntil(kSoon, [&] { return Rows() == there; })) << Rows();
      ExpectWorks(*connector);
    }
  }
}

TEST_F(Silence, InATransactionEndsWithTheDeadlineAndRollsBack) {
  const auto connector = Connect(Faulty(2, kRetry));
  connector->begin();
  connector->execute(Insert(), {1});
  proxy().Add({.statement = "41", .act = FaultAct::kBlackHole});
  const auto start = Now();
  const auto error = Catch([&] { connector->execute("SELECT 41", {}, {.timeout = kDeadline}); });
  EXPECT_LT(Since(start), kDeadline + Slack(start));
  EXPECT_NE(error.outcome(), Outcome::kCommitted);
  connector->rollback();
  proxy().Heal();
  EXPECT_TRUE(WaitForBackends(0, "state <> 'idle'"));
  EXPECT_EQ(Rows(), 0);
  ExpectWorks(*connector);
}

TEST_F(Silence, AtCommitEndsWithTheDeadlineAndTellsTheTruth) {
  int there = 0;
  for (const FaultPoint point : {FaultPoint::kBeforeRequest, FaultPoint::kAfterRequest, FaultPoint::kBeforeReply}) {
    for (const bool server_learns : {true, false}) {
      ConnectionConfig config = Faulty(2, kRetry);
      config.timeout_ms = 1000;
      const auto connector = Connect(config);
      connector->begin();
      connector->execute(Insert(), {1});
      proxy().Add(
          {.statement = "^COMMIT", .point = point, .act = FaultAct::kBlackHole, .server_learns = server_learns});
      const auto start = Now();
      const bool runs = point != FaultPoint::kBeforeRequest;
      try {
        connector->commit();
        EXPECT_TRUE(runs);
      } catch (const DatabaseError& error) {
        ExpectTruth(error, runs);
      }
      EXPECT_LT(Since(start), milliseconds(1000) + Slack(start));
      proxy().Heal();
      there += runs ? 1 : 0;
      EXPECT_TRUE(WaitForBackends(0, "state <> 'idle'"));
      EXPECT_TRUE(WaitUntil(kSoon, [&] { return Rows() == there; })) << Rows();
      connector->close();
    }
  }
}

TEST_F(Silence, OfTheWholeNetworkEndsEveryCallWithItsDeadline) {
  const auto connector = Connect(Faulty(4, kRetry));
  proxy().BlackHoleAll(/*server_learns=*/false);
  std::vector<std::future<void>> calls;
  for (int i = 0; i < 12; ++i) {
    calls.push_back(std::async(std::launch::async, [&, i] {
      const auto start = Now();
      static_cast<void>(Catch([&] {
        connector->execute(i % 2 == 0 ? "SELECT 1" : "INSERT INTO " + name() + " VALUES (1)", {},
                           {.timeout = kDeadline});
      }));
      EXPECT_LT(Since(start), kDeadline + Slack(start));
    }));
  }
  for (auto& call : calls) call.get();
  proxy().Heal();
  EXPECT_TRUE(WaitUntil(kSoon, [&] {
    try {
      ExpectWorks(*connector);
      return true;
    } catch (const DatabaseConnectionError&) {
      return false;
    }
  }));
}

}  // namespace
}  // namespace engine::db::test

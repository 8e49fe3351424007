// The link to PostgreSQL breaks, falls silent or slows down, at every point of a statement's life.
#include <future>
#include <thread>

#include "tests/fault/contract_fault_test.h"
#include "tests/fault/fault_test.h"

namespace engine::db::test {
namespace {

constexpr RetryConfig kRetry{.max_attempts = 5, .initial_delay_ms = 1, .max_delay_ms = 50};

struct Break {
  const char* name;
  FaultPoint point;
  FaultAct act;
  // Whether the server runs the statement (to its end): before the client is told, or at least before long.
  bool runs;
};

class BrokenLink : public FaultTest, public testing::WithParamInterface<Break> {
 protected:
  void SetUp() override { CreateTable("n int"); }
  [[nodiscard]] std::string Insert() const { return "INSERT INTO " + name() + " VALUES (?)"; }
  FaultProxy::RuleId BreakAt(const std::string& statement) {
    return proxy().Add({.statement = statement, .point = GetParam().point, .act = GetParam().act, .bytes = 7});
  }
  // The row is there if the server has run the statement; it takes its time where nobody waited for it.
  void ExpectRowsOfOne() const {
    if (GetParam().runs) {
      EXPECT_TRUE(WaitUntil(kSoon, [&] { return Rows() == 1; })) << Rows();
    } else {
      EXPECT_TRUE(WaitForBackends(0, "state <> 'idle'"));
      EXPECT_EQ(Rows(), 0);
    }
  }
};

TEST_P(BrokenLink, AReadIsRepeated) {
  const auto connector = Connect(Faulty(2, kRetry));
  const auto rule = BreakAt("41");
  const Result result = connector->execute("SELECT 41 AS n");
  EXPECT_EQ(result.rows()[0]["n"].as<int>(), 41);
  EXPECT_EQ(result.attempts(), 2U);
  EXPECT_EQ(proxy().Fired(rule), 1);
}

TEST_P(BrokenLink, AWriteIsNotRepeatedAndItsOutcomeIsTheTruth) {
  const auto connector = Connect(Faulty(2, kRetry));
  const auto rule = BreakAt("^INSERT");
  const auto error = Catch([&] { connector->execute(Insert(), {1}); });
  EXPECT_EQ(proxy().Fired(rule), 1);
  ExpectTruth(error, GetParam().runs);
  EXPECT_FALSE(error.retryable());
  ExpectRowsOfOne();
  ExpectWorks(*connector);
}

TEST_P(BrokenLink, ATransactionIsLostAndRolledBack) {
  const auto connector = Connect(Faulty(2, kRetry));
  connector->begin();
  connector->execute("SELECT 1");
  const auto rule = BreakAt("^INSERT");
  const auto error = Catch<DatabaseTransactionError>([&] { connector->execute(Insert(), {1}); });
  EXPECT_EQ(error.outcome(), Outcome::kRolledBack);
  EXPECT_EQ(error.reason(), "TRANSACTION_LOST");
  EXPECT_EQ(proxy().Fired(rule), 1);
  EXPECT_EQ(Catch<DatabaseTransactionError>([&] { connector->commit(); }).outcome(), Outcome::kRolledBack);
  EXPECT_TRUE(WaitForBackends(0, "state <> 'idle'"));
  EXPECT_EQ(Rows(), 0);
  ExpectWorks(*connector);
}

TEST_P(BrokenLink, ACommitsOutcomeIsTheTruth) {
  const auto connector = Connect(Faulty(2, kRetry));
  connector->begin();
  connector->execute(Insert(), {1});
  const auto rule = BreakAt("^COMMIT");
  if (GetParam().runs) {
    connector->commit();  // whose answer is found out
  } else {
    EXPECT_EQ(Catch<DatabaseTransactionError>([&] { connector->commit(); }).outcome(), Outcome::kRolledBack);
  }
  EXPECT_EQ(proxy().Fired(rule), 1);
  ExpectRowsOfOne();
}

TEST_P(BrokenLink, AnAtomicBatchIsCommittedOnce) {
  const auto connector = Connect(Faulty(2, kRetry));
  const auto rule = BreakAt("^COMMIT");
  // Whose answer is found out; and which is run again where nothing is left of it.
  connector->execute_batch({{Insert(), {{1}}}, {"SELECT 1"}}, {.atomic = true});
  EXPECT_EQ(proxy().Fired(rule), 1);
  EXPECT_EQ(Rows(), 1);
  ExpectWorks(*connector);
}

TEST_P(BrokenLink, RunTransactionRepeatsWhatWasRolledBackAndNothingElse) {
  const auto connector = Connect(Faulty(2, kRetry));
  const auto rule = BreakAt("^COMMIT");
  connector->run_transaction([&](Transaction& transaction) { transaction.execute(Insert(), {1}); });
  EXPECT_EQ(proxy().Fired(rule), 1);
  EXPECT_EQ(Rows(), 1);
}

INSTANTIATE_TEST_SUITE_P(
    At, BrokenLink,
    testing::Values(Break{"ResetBeforeTheRequest", FaultPoint::kBeforeRequest, FaultAct::kCut, false},
                    Break{"ClosedBeforeTheRequest", FaultPoint::kBeforeRequest, FaultAct::kClose, false},
                    Break{"ResetWithinTheRequest", FaultPoint::kInRequest, FaultAct::kCut, false},
                    Break{"ResetAfterTheRequest", FaultPoint::kAfterRequest, FaultAct::kCut, true},
                    Break{"ResetBeforeTheReply", FaultPoint::kBeforeReply, FaultAct::kCut, true},
                    Break{"ClosedBeforeTheReply", FaultPoint::kBeforeReply, FaultAct::kClose, true},
                    Break{"ResetWithinTheReply", FaultPoint::kInReply, FaultAct::kCut, true}),
    [](const auto& one) { return std::string(one.param.name); });

class LinkFaults : public FaultTest {
 protected:
  void SetUp() override { CreateTable("n int"); }
  [[nodiscard]] std::string Insert() const { return "INSERT INTO " + name() + " VALUES (?)"; }
};

TEST_F(LinkFaults, ALinkThatBreaksAfterTheReplyIsSwappedSilently) {
  const auto connector = Connect(Faulty(1));
  for (int i = 0; i < 5; ++i) {
    const auto rule = proxy().Add({.statement = "^INSERT", .point = FaultPoint::kAfterReply});
    connector->execute(Insert(), {i});
    ASSERT_TRUE(proxy().WaitForFired(rule));
    ASSERT_TRUE(WaitUntil(kSoon, [&] { return proxy().open_links() == 0; }));
  }
  EXPECT_EQ(Rows(), 5);
}

TEST_F(LinkFaults, AReadThatFellSilentDoesNotKeepItsBackend) {
  const auto connector = Connect(Faulty(1, kRetry));
  proxy().Add({.statement = "41", .act = FaultAct::kBlackHole});
  static_cast<void>(Catch([&] { connector->execute("SELECT 41", {}, {.timeout = milliseconds(300)}); }));
  connector->execute("SELECT 1", {}, {.timeout = seconds(20)});
}

TEST_F(LinkFaults, AStreamThatBreaksInItsMiddleSaysHowManyRowsCame) {
  const auto connector = Connect(Faulty(2, kRetry));
  proxy().Add({.statement = "generate_series", .point = FaultPoint::kInReply, .bytes = 1'000'000});
  RowStream stream = connector->execute_stream("SELECT n, repeat('x', 100) FROM generate_series(1, 1000000) n");
  uint64_t rows = 0;
  const auto error = Catch<DatabaseConnectionError>([&] {
    while (const auto batch = stream.next_batch()) rows += batch->size();
  });
  EXPECT_GT(rows, 1000U);
  EXPECT_EQ(error.rows_delivered(), rows);
  EXPECT_FALSE(error.retryable());
  EXPECT_EQ(stream.summary(), nullptr);
}

TEST_F(LinkFaults, ReadsThatShareABrokenPipelineAreAllAnswered) {
  ConnectionConfig config = Faulty(2, {.max_attempts = 20, .initial_delay_ms = 1, .max_delay_ms = 50});
  const auto connector = ConnectAsync(config);
  const auto rule =
      proxy().Add({.statement = "::int", .skip = 40, .times = 5, .point = FaultPoint::kInReply, .bytes = 20});
  std::vector<std::future<Result>> results;
  results.reserve(500);
  for (int i = 0; i < 500; ++i) {
    results.push_back(connector->async_execute("SELECT ?::int AS n, repeat('x', 100)", {i}).future());
  }
  for (int i = 0; i < 500; ++i) EXPECT_EQ(results[static_cast<size_t>(i)].get().rows()[0]["n"].as<int>(), i);
  EXPECT_GE(proxy().Fired(rule), 1);
}

TEST_F(LinkFaults, ALateCancelRequestHitsNobodyElse) {
  // The request is on its way for longer than its statement runs, and the backend is in demand.
  const auto connector = Connect(Faulty(1));
  for (int i = 0; i < 5; ++i) {
    const auto rule =
        proxy().Add({.trigger = FaultTrigger::kCancel, .act = FaultAct::kDelay, .delay = milliseconds(40)});
    try {
      connector->execute("INSERT INTO " + name() + " SELECT 1 FROM pg_sleep(0.06)", {}, {.timeout = milliseconds(30)});
    } catch (const DatabaseTimeoutError&) {  // or its result: it was done before the request came
    }
    connector->execute("INSERT INTO " + name() + " SELECT 2 FROM pg_sleep(0.1)");
    EXPECT_EQ(proxy().Fired(rule), 1);
  }
  EXPECT_EQ(Number("SELECT count(*) FROM " + name() + " WHERE n = 2"), 5);
}

TEST_F(LinkFaults, ALostCancelRequestDoesNotKeepTheCaller) {
  const auto connector = Connect(Faulty(1, kRetry));
  for (const FaultAct act : {FaultAct::kCut, FaultAct::kBlackHole}) {
    proxy().Add({.trigger = FaultTrigger::kCancel, .act = act});
    const auto start = Now();
    const auto error = Catch<DatabaseTimeoutError>([&] {
      connector->execute("INSERT INTO " + name() + " SELECT 1 FROM pg_sleep(3)", {}, {.timeout = milliseconds(300)});
    });
    EXPECT_LT(Since(start), milliseconds(300) + kSlack);
    EXPECT_NE(error.outcome(), Outcome::kCommitted);
    ExpectWorks(*connector);
    proxy().Heal();
  }
}

class LostCancelRequest : public ContractFaultTest {};

// It stood behind the cancelled one in the same pipeline. Nobody waits for the end of that.
TEST_F(LostCancelRequest, DoesNotKeepTheReadBehindTheCancelledOne) {
  proxy().Add({.trigger = FaultTrigger::kCancel, .times = kAlways, .act = FaultAct::kBlackHole});
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + seconds(60));
  const auto stream = stub().Session(&context);
  const std::string connection = OpenFaulty(1, 2);
  milliseconds best = seconds(60);
  for (int round = 0; round < 5; ++round) {
    v1::SessionRequest request;
    for (const char* sql : {"SELECT pg_sleep(2)", "SELECT 1"}) {
      v1::SessionCall& call = *request.add_calls();
      call.set_correlation_id(static_cast<uint64_t>(request.calls_size()));
      call.mutable_execute()->set_connection_id(connection);
      call.mutable_execute()->set_sql(sql);
    }
    v1::SessionCall& cancel = *request.add_calls();
    cancel.set_correlation_id(1);
    cancel.mutable_cancel();
    const auto start = Now();
    ASSERT_TRUE(stream->Write(request));
    v1::SessionResponse response;
    for (int replies = 0; replies < 2; replies += response.replies_size()) {
      ASSERT_TRUE(stream->Read(&response));
      for (const v1::SessionReply& reply : response.replies()) {
        EXPECT_EQ(reply.has_execute(), reply.correlation_id() == 2) << reply.ShortDebugString();
      }
    }
    best = std::min(best, Since(start));
  }
  EXPECT_LT(best, milliseconds(300)) << "less than the patience with the backend whose cancel request was lost";
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
  proxy().Heal();
}

TEST_F(LinkFaults, ASlowLinkIsCorrectAndKeepsDeadlines) {
  const auto connector = Connect(Faulty(1));
  proxy().Add({.statement = "41", .act = FaultAct::kSlow, .bytes_per_second = 1024});
  connector->execute("SELECT 41");
  EXPECT_EQ(connector->execute("SELECT repeat('x', 1500) AS x").rows()[0]["x"].as<std::string>(),
            std::string(1500, 'x'));
  const auto start = Now();
  const auto error = Catch<DatabaseTimeoutError>(
      [&] { connector->execute("SELECT repeat('x', 100000)", {}, {.timeout = milliseconds(400)}); });
  EXPECT_LT(Since(start), milliseconds(400) + kSlack);
  EXPECT_NE(error.outcome(), Outcome::kCommitted);
  CutAll();
  ExpectWorks(*connector);
}

TEST_F(LinkFaults, SlicesOfOneByteAreCorrect) {
  const auto connector = Connect(Faulty(1));
  proxy().Add({.statement = "41", .act = FaultAct::kSlow, .slice_bytes = 1});
  connector->execute("SELECT 41");
  connector->begin();
  connector->execute(Insert(), {1});
  connector->commit();
  EXPECT_EQ(connector->execute("SELECT ?::text AS x", {std::string(20000, 'y')}).rows()[0]["x"].as<std::string>(),
            std::string(20000, 'y'));
  int64_t rows = 0;
  for (const Row row : connector->execute_stream("SELECT n, NULL, 'text' || n FROM generate_series(1, 2000) n")) {
    EXPECT_EQ(row[0].as<int64_t>(), ++rows);
  }
  EXPECT_EQ(rows, 2000);
  EXPECT_EQ(Rows(), 1);
}

// --- A link that falls silent

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
    EXPECT_LT(Since(start), kDeadline + kSlack);
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
  EXPECT_LT(Since(start), milliseconds(600) + kSlack);
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
      EXPECT_LT(Since(start), kDeadline + kSlack);
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
      EXPECT_LT(Since(start), kDeadline + kSlack) << "a read";

      start = Now();
      const auto error =
          Catch([&] { connector->execute("INSERT INTO " + name() + " VALUES (41)", {}, {.timeout = kDeadline}); });
      EXPECT_LT(Since(start), kDeadline + kSlack) << "a write";
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
  EXPECT_LT(Since(start), kDeadline + kSlack);
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
      EXPECT_LT(Since(start), milliseconds(1000) + kSlack);
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
      EXPECT_LT(Since(start), kDeadline + kSlack);
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

// --- What a server says

class ServerErrors : public LinkFaults {};

TEST_F(ServerErrors, ABusyServerIsAskedAgain) {
  for (const std::string code : {"53300", "57P03"}) {
    const auto connector = Connect(Faulty(2, {.max_attempts = 10, .initial_delay_ms = 1, .max_delay_ms = 50}));
    const auto rule = proxy().Add({.trigger = FaultTrigger::kStartup,
                                   .times = 3,
                                   .act = FaultAct::kError,
                                   .error = {.severity = "FATAL", .sqlstate = code}});
    CutAll();
    connector->execute(Insert(), {1});
    EXPECT_EQ(proxy().Fired(rule), 3) << code;
    connector->close();
  }
  EXPECT_EQ(Rows(), 2);
}

TEST_F(ServerErrors, ARefusedLoginIsNotAskedAgainAndAgain) {
  for (const std::string code : {"28P01", "28000", "3D000"}) {
    const auto connector = Connect(Faulty(2, {.max_attempts = 10, .initial_delay_ms = 1, .max_delay_ms = 50}));
    const auto rule = proxy().Add({.trigger = FaultTrigger::kPassword,
                                   .times = kAlways,
                                   .act = FaultAct::kError,
                                   .error = {.severity = "FATAL", .sqlstate = code}});
    CutAll();
    const auto error = Catch<DatabaseConnectionError>([&] { connector->execute(Insert(), {1}); });
    EXPECT_EQ(error.sqlstate(), code);
    EXPECT_EQ(error.outcome(), Outcome::kNotExecuted);
    EXPECT_LE(proxy().Fired(rule), 2) << "the secret may be read again, once";
    proxy().Heal();
    ExpectWorks(*connector);
    connector->close();
  }
  EXPECT_EQ(Rows(), 0);
}

TEST_F(ServerErrors, AnUnknownCompletionAtCommitIsNeverARollback) {
  for (const std::string code : {"40003", "08007"}) {
    const auto connector = Connect(Faulty(2, kRetry));
    connector->begin();
    connector->execute(Insert(), {1});
    proxy().Add({.statement = "^COMMIT",
                 .point = FaultPoint::kBeforeReply,
                 .act = FaultAct::kError,
                 .error = {.sqlstate = code}});
    try {
      connector->commit();
    } catch (const DatabaseError& error) {
      ExpectTruth(error, true);
    }
    connector->close();
  }
  EXPECT_EQ(Rows(), 2);
}

TEST_F(ServerErrors, AnAdministratorsCommandAfterAWriteLeavesItsOutcomeOpen) {
  const auto connector = Connect(Faulty(2, kRetry));
  proxy().Add({.statement = "^INSERT",
               .point = FaultPoint::kBeforeReply,
               .act = FaultAct::kError,
               .error = {.severity = "FATAL", .sqlstate = "57P01"}});
  ExpectTruth(Catch([&] { connector->execute(Insert(), {1}); }), true);
  EXPECT_EQ(Rows(), 1);
  ExpectWorks(*connector);
}

TEST_F(ServerErrors, ASerializationFailureOfAnAutocommittedWriteIsRepeated) {
  const auto connector = Connect(Faulty(2, kRetry));
  for (const std::string code : {"40001", "40P01"}) {
    const auto rule =
        proxy().Add({.statement = "^INSERT", .times = 2, .act = FaultAct::kError, .error = {.sqlstate = code}});
    EXPECT_EQ(connector->execute(Insert(), {1}).attempts(), 3U);
    EXPECT_EQ(proxy().Fired(rule), 2);
  }
  EXPECT_EQ(Rows(), 2);
}

TEST_F(ServerErrors, RowDataInAnErrorStaysInside) {
  const auto connector = Connect(Faulty(2));
  proxy().Add({.statement = "^INSERT",
               .act = FaultAct::kError,
               .error = {.sqlstate = "23505",
                         .message = "duplicate key value violates unique constraint \"one\"",
                         .detail = "Key (n)=(canary-8812) already exists.",
                         .context = "COPY canary-8812",
                         .table_name = "t",
                         .constraint_name = "one",
                         .source_file = "nbtinsert.c",
                         .source_function = "_bt_check_unique"}});
  const auto error = Catch<DatabaseExecutionError>([&] { connector->execute(Insert(), {1}); });
  EXPECT_EQ(error.sqlstate(), "23505");
  EXPECT_EQ(error.constraint_name(), "one");
  EXPECT_THAT(std::string(error.what()) + error.hint() + Gateway().Log() + Gateway().Metrics(),
              testing::Not(testing::HasSubstr("canary-8812")));
}

}  // namespace
}  // namespace engine::db::test

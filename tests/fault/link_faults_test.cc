// The link to PostgreSQL breaks or slows down, at every point of a statement's life.
#include <future>
#include <thread>

#include "tests/fault/contract_fault_test.h"
#include "tests/fault/fault_test.h"
#include "tests/fault/link_fault_test.h"

namespace engine::db::test {
namespace {

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
    EXPECT_LT(Since(start), milliseconds(300) + Slack(start));
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
  EXPECT_LT(best, milliseconds(300)) << "less than the time limit for the backend whose cancel request was lost";
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
  EXPECT_LT(Since(start), milliseconds(400) + Slack(start));
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

}  // namespace
}  // namespace engine::db::test

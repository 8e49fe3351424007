// What a call is told is what happened, also where two things happen at once: a result that is too large and a link
// that breaks, a deadline and an attempt that is in doubt, a lease that runs out while a COMMIT is asked about.
#include <future>

#include "tests/fault/contract_fault_test.h"

namespace engine::db::test {
namespace {

using grpc::StatusCode;

class ToldOutcomes : public ContractFaultTest {
 protected:
  void SetUp() override { CreateTable("n int"); }
  // More rows than a unary call returns.
  [[nodiscard]] std::string Large() const {
    return "INSERT INTO " + name() + " SELECT generate_series(1, 20000) RETURNING n";
  }
  [[nodiscard]] std::string Insert() const { return "INSERT INTO " + name() + " VALUES (1)"; }
  [[nodiscard]] std::string BeginReplayed(const std::string& connection) {
    v1::TransactionOptions options;
    options.set_replay(true);
    return Begin(connection, options).response.transaction_id();
  }
  [[nodiscard]] v1::ExecuteRequest Request(const std::string& connection, const std::string& sql) const {
    v1::ExecuteRequest request;
    request.set_connection_id(connection);
    request.set_sql(sql);
    return request;
  }
};

TEST_F(ToldOutcomes, OfATransactionInOneCallWhoseResultIsTooLarge) {
  const std::string connection = OpenFaulty(3);
  v1::ExecuteRequest exactly_once = Request(connection, Large());
  exactly_once.set_exactly_once(true);
  v1::ExecuteRequest idempotent = Request(connection, Large());
  idempotent.set_idempotency_key(name());
  v1::ExecuteRequest in_one_call = Request(connection, Large());
  in_one_call.mutable_begin();
  in_one_call.set_commit(true);
  v1::ExecuteRequest begins = Request(connection, Large());
  begins.mutable_begin();
  v1::ExecuteRequest ends = Request(connection, Large());
  ends.set_transaction_id(Begin(connection).response.transaction_id());
  ends.set_commit(true);
  for (const v1::ExecuteRequest& request : {exactly_once, idempotent, in_one_call, begins, ends}) {
    const Failure failure = ExpectFailure(Call(&Stub::Execute, request).status, StatusCode::RESOURCE_EXHAUSTED,
                                          v1::ERROR_KIND_EXECUTION, "RESULT_TOO_LARGE");
    EXPECT_EQ(failure.error.outcome(), v1::OUTCOME_ROLLED_BACK) << request.ShortDebugString();
    EXPECT_TRUE(WaitForBackends(0, "state = 'active'"));
    EXPECT_EQ(Rows(), 0);
  }
  v1::ExecuteBatchRequest batch;
  batch.set_connection_id(connection);
  batch.set_atomic(true);
  batch.add_statements()->set_sql(Large());
  EXPECT_EQ(Decode(Call(&Stub::ExecuteBatch, batch).status).error.outcome(), v1::OUTCOME_ROLLED_BACK);
  EXPECT_EQ(Rows(), 0);
}

TEST_F(ToldOutcomes, OfAWriteWhoseResultIsTooLargeAndWhoseLinkBreaks) {
  const std::string connection = OpenFaulty(1);
  const auto rule =
      proxy().Add({.statement = "^INSERT", .point = FaultPoint::kInReply, .act = FaultAct::kCut, .bytes = 200'000});
  const Failure failure = Decode(Call(&Stub::Execute, Request(connection, Large())).status);
  EXPECT_EQ(proxy().Fired(rule), 1);
  EXPECT_EQ(failure.error.outcome(), v1::OUTCOME_UNKNOWN) << failure.error.ShortDebugString();
}

// What took effect, and is not remembered, can't be run again.
TEST_F(ToldOutcomes, OfAReplayedTransactionInWhichAResultWasTooLarge) {
  const std::string connection = OpenFaulty(3);
  const std::string transaction = BeginReplayed(connection);
  ASSERT_TRUE(ExecuteIn(connection, transaction, Insert()).ok());
  const std::string large =
      "INSERT INTO " + name() + " SELECT 1 FROM generate_series(1, 9000) RETURNING repeat('x', 1000)";
  const Failure failure = Decode(ExecuteIn(connection, transaction, large).status);
  EXPECT_EQ(failure.error.reason(), "RESULT_TOO_LARGE") << failure.error.ShortDebugString();
  TerminateBackends("state LIKE 'idle in transaction%'");
  const auto committed = Commit(connection, transaction);
  const int rows = Rows();
  if (committed.ok()) {
    EXPECT_TRUE(rows == 9001 || rows == 1) << rows;
    EXPECT_EQ(rows, failure.error.transaction_state() == v1::TRANSACTION_STATE_OPEN ? 9001 : 1);
  } else {
    EXPECT_EQ(Decode(committed.status).error.outcome(), v1::OUTCOME_ROLLED_BACK);
    EXPECT_EQ(rows, 0);
  }
}

TEST_F(ToldOutcomes, OfABatchOfOneThatIsRunAgain) {
  const std::string connection = OpenFaulty(3);
  v1::ExecuteBatchRequest batch;
  batch.set_connection_id(connection);
  batch.add_statements()->set_sql("SELECT n FROM " + name());
  for (const FaultPoint point : {FaultPoint::kBeforeRequest, FaultPoint::kBeforeReply}) {
    const auto rule = Fault("^SELECT n", point);
    const auto answer = Call(&Stub::ExecuteBatch, batch);
    EXPECT_EQ(proxy().Fired(rule), 1);
    ASSERT_TRUE(answer.ok()) << answer.status.error_message();
    ASSERT_EQ(answer.response.results_size(), 1);
    EXPECT_FALSE(answer.response.results(0).has_error()) << answer.response.ShortDebugString();
    EXPECT_EQ(answer.response.results(0).response().columns_size(), 1);
    EXPECT_EQ(answer.response.attempts(), 2U);
  }
  // Of those that stay failed, each says so by itself.
  const auto rule = Fault("^SELECT n", FaultPoint::kBeforeReply, FaultAct::kCut, /*times=*/3);
  const auto answer = Call(&Stub::ExecuteBatch, batch);
  EXPECT_EQ(proxy().Fired(rule), 3);
  ASSERT_TRUE(answer.ok()) << answer.status.error_message();
  EXPECT_EQ(answer.response.results(0).error().reason(), "LINK_LOST") << answer.response.ShortDebugString();
}

// The first attempt is in doubt; the second one ends before its key could show what became of that.
TEST_F(ToldOutcomes, OfAnIdempotentCallThatIsStoppedInItsSecondAttempt) {
  ASSERT_TRUE(Call(&Stub::Execute,
                   [&] {
                     v1::ExecuteRequest first = Request(OpenFaulty(1), "SELECT 1");
                     first.set_idempotency_key(name() + "-table");
                     return first;
                   }())
                  .ok());
  const std::string connection = OpenFaulty(3);
  v1::ExecuteRequest request = Request(connection, Insert());
  request.set_idempotency_key(name());
  request.set_timeout_ms(1000);
  // The mark, which the fate is asked by, is lost as well.
  const auto commit = Fault("^COMMIT", FaultPoint::kBeforeReply);
  const auto asked = Fault("pg_xact_status", FaultPoint::kBeforeRequest, FaultAct::kError, kAlways);
  const auto second = proxy().Add(
      {.statement = "INTO engine_db.calls", .skip = 1, .point = FaultPoint::kBeforeReply, .act = FaultAct::kBlackHole});
  const auto answer = Call(&Stub::Execute, request);
  EXPECT_EQ(proxy().Fired(commit), 1);
  ASSERT_FALSE(answer.ok());
  const Failure failure = Decode(answer.status);
  EXPECT_EQ(failure.error.outcome(), v1::OUTCOME_UNKNOWN) << failure.error.ShortDebugString();
  static_cast<void>(asked);
  static_cast<void>(second);
  proxy().Heal();
  EXPECT_EQ(Rows(), 1);
}

TEST_F(ToldOutcomes, OfACommitWhoseLeaseRunsOutWhileItIsAskedAbout) {
  const std::string connection = OpenFaulty(3);
  v1::TransactionOptions options;
  options.set_max_duration_ms(700);
  const std::string transaction = Begin(connection, options).response.transaction_id();
  ASSERT_TRUE(ExecuteIn(connection, transaction, Insert()).ok());
  const auto rule = proxy().Add({.statement = "^COMMIT",
                                 .point = FaultPoint::kBeforeReply,
                                 .act = FaultAct::kDelay,
                                 .delay = milliseconds(3000)});
  v1::CommitRequest request;
  request.set_connection_id(connection);
  request.set_transaction_id(transaction);
  request.set_timeout_ms(300);
  EXPECT_EQ(Decode(Call(&Stub::Commit, request).status).error.outcome(), v1::OUTCOME_UNKNOWN);
  EXPECT_EQ(proxy().Fired(rule), 1);
  // Before and after the lease has run out, and when the answer has come.
  for (const auto end = Now() + milliseconds(4500); Now() < end;) {
    const auto again = Call(&Stub::Commit, request);
    if (again.ok()) continue;
    const Failure failure = Decode(again.status);
    EXPECT_EQ(failure.error.outcome(), v1::OUTCOME_UNKNOWN) << failure.error.ShortDebugString();
  }
  EXPECT_TRUE(Commit(connection, transaction).ok());
  EXPECT_EQ(Rows(), 1);
}

// Cancelled or ended, it would show as committed what no standby has.
TEST_F(ToldOutcomes, OfACommitThatWaitsForAStandby) {
  PostgresCluster cluster;
  FaultProxy link(cluster.host(), cluster.port());
  cluster.Exec("SET ROLE app; CREATE TABLE t (n int)");
  const auto waiting = [&] {
    return std::stoi(cluster.Scalar("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"));
  };
  v1::ConnectRequest to = ConnectTo();
  to.mutable_config()->set_host(link.host());
  to.mutable_config()->set_port(link.port());
  const std::string connection = Open(to);
  cluster.Exec("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
  cluster.Exec("SELECT pg_reload_conf()");
  ASSERT_TRUE(WaitUntil(kSoon, [&] { return cluster.Scalar("SHOW synchronous_standby_names") == "nobody"; }));

  std::vector<std::string> transactions;
  for (const bool cut : {false, true}) {
    const std::string transaction = Begin(connection).response.transaction_id();
    transactions.push_back(transaction);
    ASSERT_TRUE(ExecuteIn(connection, transaction, "INSERT INTO t VALUES (1)").ok());
    v1::ExecuteRequest request = Request(connection, "INSERT INTO t VALUES (2)");
    request.set_transaction_id(transaction);
    request.set_commit(true);
    request.set_timeout_ms(1500);
    auto answer = std::async(std::launch::async, [&] { return Call(&Stub::Execute, request); });
    const int before = static_cast<int>(transactions.size()) - 1;
    ASSERT_TRUE(WaitUntil(kSoon, [&] { return waiting() == before + 1; }));
    if (cut) link.CutAll();
    const Failure failure = Decode(answer.get().status);
    EXPECT_EQ(failure.error.outcome(), v1::OUTCOME_UNKNOWN) << failure.error.ShortDebugString();
    EXPECT_EQ(waiting(), before + 1) << "it goes on";
  }
  cluster.Exec("ALTER SYSTEM RESET synchronous_standby_names");
  cluster.Exec("SELECT pg_reload_conf()");
  for (const std::string& transaction : transactions) {
    const auto committed = Commit(connection, transaction);
    EXPECT_TRUE(committed.ok()) << committed.status.error_message();
  }
  EXPECT_EQ(cluster.Scalar("SELECT count(*) FROM t"), "4");
  Close(connection);
}

TEST_F(ToldOutcomes, OfALostTransactionThatCouldBeRunAgain) {
  const std::string connection = OpenFaulty(3);
  const std::string transaction = BeginReplayed(connection);
  ASSERT_TRUE(ExecuteIn(connection, transaction, Insert()).ok());
  TerminateBackends("state = 'idle in transaction'");
  v1::GetTransactionOutcomeRequest request;
  request.set_connection_id(connection);
  request.set_transaction_id(transaction);
  request.set_timeout_ms(2000);
  const auto outcome = Call(&Stub::GetTransactionOutcome, request);
  ASSERT_TRUE(outcome.ok()) << outcome.status.error_message();
  EXPECT_EQ(outcome.response.outcome(), v1::OUTCOME_ROLLED_BACK);
  EXPECT_EQ(Decode(Commit(connection, transaction).status).error.outcome(), v1::OUTCOME_ROLLED_BACK);
  EXPECT_EQ(Rows(), 0);
}

}  // namespace
}  // namespace engine::db::test

// What is run again, how soon, how often; and what is learnt for the next call.
#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "server/base/failure.h"
#include "server/call/retry_budget.h"
#include "tests/unit/call/call_rig.h"

namespace engine::db::test {
namespace {

using absl::Milliseconds;
using absl::Seconds;
using ::testing::Contains;
using ::testing::Each;
using ::testing::Not;

// As PostgreSQL reports that a prepared statement's result would have other columns by now.
absl::Status StalePlan() {
  return WithFailure(SqlError("0A000"), [](Failure& failure) {
    failure.code = absl::StatusCode::kAborted;
    failure.reason = Reason::kStalePlan;
    failure.cause = Cause::kStalePlan;
    failure.outcome = Outcome::kNotExecuted;
    failure.retryable = true;
  });
}

class RetryTest : public CallRig {
 protected:
  void RetryAtOnce() { target_settings_.retry.initial_delay = absl::ZeroDuration(); }
};

// --- how soon and how often

TEST_F(RetryTest, ItWaitsNoLongerThanTheBackoffsBound) {
  target_settings_.retry.max_attempts = 4;
  std::set<int64_t> waits;
  for (int i = 0; i < 30; ++i) {
    for (int failures = 0; failures < 3; ++failures) server_.Once("UPDATE t", Answer::Fails("40001"));
    const CallRecord& call = Start(Autocommit("UPDATE t SET n = 1"));
    Pass(Milliseconds(50 + 100 + 200));
    EXPECT_EQ(Told(call), "OK");
    EXPECT_EQ(call.end->attempts, 4);
    waits.insert(AnsweredAfterMs(call));
  }
  EXPECT_GT(waits.size(), 5U);  // they do not come back together
}

TEST_F(RetryTest, AfterTheLastAttemptTheFailureIsTold) {
  server_.Always("UPDATE t", Answer::Fails("40001"));
  const CallRecord& call = Start(Autocommit("UPDATE t SET n = 1"));
  Pass(Seconds(1));
  EXPECT_EQ(Told(call), "ABORTED 40001 ROLLED_BACK retryable");
  EXPECT_EQ(call.end->attempts, 3);
}

TEST_F(RetryTest, NoAttemptBeginsAfterTheTimeForRetries) {
  target_settings_.retry.max_attempts = 10;
  target_settings_.retry.budget = Milliseconds(100);
  server_.Always("UPDATE t", Answer::Fails("40001").After(Milliseconds(60)));
  const CallRecord& call = Start(Autocommit("UPDATE t SET n = 1"));
  Pass(Seconds(2));
  EXPECT_EQ(Told(call), "ABORTED 40001 ROLLED_BACK retryable");
  EXPECT_EQ(call.end->attempts, 2);
  EXPECT_LE(AnsweredAfterMs(call), 160);
}

TEST_F(RetryTest, AServerInTroubleIsSpared) {
  RetryAtOnce();
  server_.Always("SELECT n FROM t", Answer::LosesLink());
  int retried = 0;
  for (int i = 0; i < 140; ++i) {
    CallPlan plan = Autocommit("SELECT n FROM t");
    plan.retry.max_attempts = 2;
    const CallRecord& call = Run(std::move(plan));
    EXPECT_EQ(Told(call), "UNAVAILABLE LINK_LOST ROLLED_BACK retryable");
    retried += call.end->attempts - 1;
  }
  EXPECT_EQ(retried, 127);  // 100 in hand, and one for every five of 139 calls
  // What only got in another transaction's way is not the server's trouble.
  server_.Once("UPDATE t", Answer::Fails("40001"));
  EXPECT_EQ(Told(Run(Autocommit("UPDATE t SET n = 1"))), "OK");
}

TEST(RetryBudgetTest, HasAHundredInHandAndOneForFiveCalls) {
  call::RetryBudget budget;
  budget.CallStarted();
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(budget.Spend());
  EXPECT_FALSE(budget.Spend());
  for (int i = 0; i < 4; ++i) budget.CallStarted();
  EXPECT_FALSE(budget.Spend());
  for (int i = 0; i < 2; ++i) budget.CallStarted();
  EXPECT_TRUE(budget.Spend());
  EXPECT_FALSE(budget.Spend());
}

// --- what is mended by its failure

TEST_F(RetryTest, AStalePlanIsMendedOnceAndAtOnce) {
  target();
  server_.Once("UPDATE t", Answer::Fails(StalePlan()));
  CallPlan plan = Autocommit("UPDATE t SET n = 1");
  plan.retry.max_attempts = 1;
  const CallRecord& call = Run(std::move(plan));
  EXPECT_EQ(Told(call), "OK");
  EXPECT_EQ(AnsweredAfterMs(call), 0);
  EXPECT_EQ(call.end->attempts, 2);
  EXPECT_THAT(TakeLog(), Contains("1 (forget prepared)"));
}

TEST_F(RetryTest, AStalePlanThatIsStaleAgainIsTold) {
  server_.Always("UPDATE t", Answer::Fails(StalePlan()));
  const CallRecord& call = Run(Autocommit("UPDATE t SET n = 1"));
  EXPECT_EQ(Told(call), "ABORTED STALE_PLAN NOT_EXECUTED retryable");
  EXPECT_EQ(call.end->attempts, 2);
}

// A function may run a prepared statement of the session's own, and meet it in the middle of its caller's result.
TEST_F(RetryTest, AStalePlanAfterRowsIsTold) {
  Answer fails = Answer::Rows({{"n"}}, {{"1"}, {"2"}});
  fails.error = StalePlan();
  server_.Once("SELECT n FROM t", fails);
  const CallRecord& stream = Run(Stream("SELECT n FROM t"));
  EXPECT_EQ(Told(stream), "ABORTED STALE_PLAN NOT_EXECUTED");
  EXPECT_EQ(stream.streamed_rows, 2U);
  EXPECT_EQ(stream.end->attempts, 1);
}

TEST_F(RetryTest, AStalePlanInATransactionIsTold) {
  const std::string transaction = Begin();
  server_.Once("UPDATE t", Answer::Fails(StalePlan()));
  EXPECT_EQ(Told(Run(In(transaction, "UPDATE t SET n = 1"))), "ABORTED STALE_PLAN NOT_EXECUTED retryable FAILED");
}

TEST_F(RetryTest, AServerThatTakesNoWritesIsLookedUpAgainOnce) {
  target();
  server_.SetReadOnly(true);
  server_.Once("UPDATE t", Answer::Fails("25006"));
  CallPlan plan = Autocommit("UPDATE t SET n = 1");
  plan.retry.max_attempts = 1;
  const CallRecord& call = Run(std::move(plan));
  EXPECT_EQ(Told(call), "OK");
  EXPECT_EQ(AnsweredAfterMs(call), 0);
  EXPECT_THAT(TakeLog(), ElementsAre("1 UPDATE t SET n = 1", "1 (close)", "2 UPDATE t SET n = 1"));
  server_.Always("UPDATE t", Answer::Fails("25006"));
  EXPECT_EQ(Told(Run(Autocommit("UPDATE t SET n = 1"))), "UNAVAILABLE 25006 NOT_EXECUTED retryable");
}

TEST_F(RetryTest, ARoleThatMayNotWriteIsToldSo) {
  server_.Always("UPDATE t", Answer::Fails("25006"));
  const CallRecord& call = Run(Autocommit("UPDATE t SET n = 1"));
  EXPECT_EQ(Told(call), "FAILED_PRECONDITION 25006 NOT_EXECUTED");
  EXPECT_EQ(call.end->attempts, 1);
}

// --- writes that the text does not show

TEST_F(RetryTest, AHiddenWriteIsRunAsAWriteAndRemembered) {
  server_.Once("SELECT n FROM v", Answer::Fails("25006"));
  const CallRecord& call = Run(Autocommit("SELECT n FROM v"));
  EXPECT_EQ(Told(call), "OK");
  EXPECT_EQ(call.end->attempts, 2);
  EXPECT_EQ(AnsweredAfterMs(call), 0);
  TakeLog();
  const CallRecord& next = Run(Autocommit("SELECT n FROM v"));
  EXPECT_EQ(next.end->attempts, 1);
  EXPECT_THAT(TakeLog(), Not(Contains("1 (guard)")));
}

TEST_F(RetryTest, AHiddenWriteIsNeverRunTwice) {
  server_.Once("SELECT n FROM v", Answer::Fails("25006"));
  server_.Once("SELECT n FROM v", Answer::LosesLink());
  const CallRecord& call = Run(Autocommit("SELECT n FROM v"));
  EXPECT_EQ(Told(call), "UNKNOWN LINK_LOST UNKNOWN");
  EXPECT_EQ(call.end->attempts, 2);
}

TEST_F(RetryTest, AHiddenWriteThatIsToRunExactlyOnceBecomesATransaction) {
  server_.Once("SELECT n FROM v", Answer::Fails("25006"));
  CallPlan plan = Autocommit("SELECT n FROM v");
  plan.exactly_once = true;
  EXPECT_EQ(Told(Run(std::move(plan))), "OK COMMITTED");
  const std::vector<std::string> log = TakeLog();
  const auto begin = std::find(log.begin(), log.end(), "1 BEGIN");
  EXPECT_THAT(std::vector<std::string>(begin, std::min(begin + 5, log.end())),
              ElementsAre("1 BEGIN", "1 (stop preparing)", "1 SELECT n FROM v", "1 (mark)", "1 COMMIT"));
}

TEST_F(RetryTest, ARefusedWriteAfterRowsIsNotRunAgain) {
  Answer fails = Answer::Rows({{"n"}}, {{"1"}, {"2"}});
  fails.error = SqlError("25006");
  server_.Once("SELECT m FROM v", fails);
  const CallRecord& call = Run(Stream("SELECT m FROM v"));
  EXPECT_EQ(Told(call), "FAILED_PRECONDITION 25006 NOT_EXECUTED");
  EXPECT_EQ(call.end->attempts, 1);
}

// --- idempotency keys

TEST_F(RetryTest, AKeysPhasesAreSentOneAfterTheOther) {
  server_.Always("UPDATE t", Answer::Command("UPDATE 1").After(Milliseconds(10)));
  server_.Always("INSERT INTO keys", Answer::Command("INSERT 0 1").After(Milliseconds(10)));
  const CallRecord& call = Start(WithKey("UPDATE t SET n = 1", [] { return true; }));
  Pass(Milliseconds(9));
  EXPECT_THAT(TakeLog(), ElementsAre("1 BEGIN", "1 INSERT INTO keys VALUES (1)", "1 (mark)"));
  Pass(Milliseconds(1));
  EXPECT_THAT(TakeLog(), ElementsAre("1 UPDATE t SET n = 1"));
  Pass(Milliseconds(10));
  EXPECT_EQ(Told(call), "OK COMMITTED");
  EXPECT_THAT(TakeLog(), ElementsAre("1 UPDATE keys SET response = 2", "1 COMMIT"));
}

TEST_F(RetryTest, AKeyThatWasTakenBeforeRunsNothing) {
  EXPECT_EQ(Told(Run(WithKey("UPDATE t SET n = 1", [] { return false; }))), "OK COMMITTED");
  EXPECT_THAT(TakeLog(), Not(Contains("1 UPDATE t SET n = 1")));
}

TEST_F(RetryTest, ACommitThatNobodyKnowsOfIsShownByItsKey) {
  RetryAtOnce();
  server_.Once("COMMIT", Answer::LosesLink());
  NextFate(CommitFate::kUnknown);
  int attempts = 0;
  const CallRecord& call = Run(WithKey("UPDATE t SET n = 1", [&] { return ++attempts == 1; }));
  EXPECT_EQ(Told(call), "OK COMMITTED");
  EXPECT_EQ(call.end->attempts, 2);
  EXPECT_THAT(server_.LogOf(2), Not(Contains("UPDATE t SET n = 1 ...")));
}

TEST_F(RetryTest, AnAttemptThatMayHaveBeenCommittedKeepsTheCallInDoubt) {
  RetryAtOnce();
  server_.Once("COMMIT", Answer::LosesLink());
  NextFate(CommitFate::kUnknown);
  server_.Once("INSERT INTO keys", Answer::Command("INSERT 0 1"));
  server_.Always("INSERT INTO keys", Answer::Fails("42501"));
  EXPECT_EQ(Told(Run(WithKey("UPDATE t SET n = 1", [] { return true; }))), "PERMISSION_DENIED 42501 UNKNOWN");
}

TEST_F(RetryTest, AFailureBeforeTheNextPhaseUndoesTheCall) {
  server_.Once("UPDATE t", Answer::Fails("23505"));
  EXPECT_EQ(Told(Run(WithKey("UPDATE t SET n = 1", [] { return true; }))), "ALREADY_EXISTS 23505 ROLLED_BACK");
  EXPECT_THAT(TakeLog(), Not(Contains("1 COMMIT")));
}

// --- batches

TEST_F(RetryTest, EachStatementOfABatchFailsOnItsOwn) {
  server_.Once("UPDATE b", Answer::Fails("23505"));
  const CallRecord& call = Run(Batch({"UPDATE a SET n = 1", "UPDATE b SET n = 1", "UPDATE c SET n = 1"}));
  EXPECT_EQ(Told(call), "OK");
  EXPECT_THAT(call.failures, ElementsAre("", "ALREADY_EXISTS 23505 ROLLED_BACK", ""));
}

TEST_F(RetryTest, NoneOfABatchIsRunAgainWhenItsLinkIsLost) {
  server_.Once("UPDATE b", Answer::LosesLink());
  const CallRecord& call = Run(Batch({"UPDATE a SET n = 1", "UPDATE b SET n = 1", "UPDATE c SET n = 1"}));
  EXPECT_EQ(Told(call), "UNKNOWN LINK_LOST UNKNOWN");
  EXPECT_THAT(call.failures, ElementsAre("", "UNKNOWN LINK_LOST UNKNOWN", "UNKNOWN LINK_LOST UNKNOWN"));
  EXPECT_EQ(call.end->attempts, 1);
}

TEST_F(RetryTest, ABatchOfReadsIsRunAgain) {
  RetryAtOnce();
  server_.Once("SELECT n FROM b", Answer::LosesLink());
  const CallRecord& call = Run(Batch({"SELECT n FROM a", "SELECT n FROM b"}));
  EXPECT_EQ(Told(call), "OK");
  EXPECT_EQ(call.end->attempts, 2);
  EXPECT_THAT(call.failures, Each(""));
}

}  // namespace
}  // namespace engine::db::test

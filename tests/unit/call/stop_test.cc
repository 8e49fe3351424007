// Deadlines and stops, in every state of a call: exact to the millisecond.
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/call/call_rig.h"

namespace engine::db::test {
namespace {

using absl::Milliseconds;
using absl::Seconds;

constexpr absl::Duration kTimeout = Milliseconds(250);
constexpr char kLate[] = "DEADLINE_EXCEEDED DEADLINE_EXCEEDED NOT_EXECUTED";
constexpr char kLateRolledBack[] = "DEADLINE_EXCEEDED DEADLINE_EXCEEDED ROLLED_BACK";
constexpr char kLateInDoubt[] = "DEADLINE_EXCEEDED DEADLINE_EXCEEDED UNKNOWN";

struct StopCase {
  StopReason reason;
  std::string told;  // without the outcome
};

std::vector<StopCase> Stops() {
  return {{StopReason::kCancelled, "CANCELLED CANCELLED "},
          {StopReason::kAdmin, "CANCELLED CANCELLED_BY_OPERATOR "},
          {StopReason::kConnectionClosed, "CANCELLED CONNECTION_CLOSED "},
          {StopReason::kDraining, "UNAVAILABLE DRAINING "},
          {StopReason::kTransactionExpired, "ABORTED TRANSACTION_EXPIRED "},
          {StopReason::kRolledBack, "ABORTED TRANSACTION_ROLLED_BACK "}};
}

class StopTest : public CallRig {
 protected:
  // The pool's only backend is held by a statement that never ends.
  void FillPool() {
    target_settings_.max_pool_size = 1;
    server_.Always("UPDATE hog", Answer::Never());
    Run(Autocommit("UPDATE hog SET n = 1"));
  }
  // A transaction that has written, so that it has a mark.
  std::string Written(v1::TransactionOptions options = {}) {
    std::string transaction = Begin(std::move(options));
    EXPECT_EQ(Told(Run(In(transaction, "UPDATE t SET n = 1"))), "OK OPEN");
    TakeLog();
    return transaction;
  }
};

// --- deadlines

TEST_F(StopTest, ADeadlineThatHasPassedAlreadyIsToldAtOnce) {
  target();
  const CallRecord& call = Start(Autocommit("UPDATE t SET n = 1"), absl::ZeroDuration());
  EXPECT_EQ(Told(call), kLate);
  EXPECT_THAT(TakeLog(), IsEmpty());
}

TEST_F(StopTest, ADeadlineInThePoolsQueueIsKeptToTheMillisecond) {
  FillPool();
  for (const char* sql : {"UPDATE t SET n = 1", "SELECT n FROM t"}) {
    const CallRecord& call = Start(Autocommit(sql), kTimeout);
    Pass(kTimeout - Milliseconds(1));
    EXPECT_EQ(Told(call), "open") << sql;
    Pass(Milliseconds(1));
    EXPECT_EQ(Told(call), "DEADLINE_EXCEEDED POOL_WAIT_TIMEOUT NOT_EXECUTED retryable") << sql;
    EXPECT_FALSE(Lives(call)) << sql;
  }
}

TEST_F(StopTest, ADeadlineInTheTransactionsQueueIsKeptToTheMillisecond) {
  const std::string transaction = Begin();
  server_.Always("UPDATE slow", Answer::Never());
  const CallRecord& running = Start(In(transaction, "UPDATE slow SET n = 1"));
  const CallRecord& call = Start(In(transaction, "UPDATE t SET n = 1"), kTimeout);
  Pass(kTimeout - Milliseconds(1));
  EXPECT_EQ(Told(call), "open");
  Pass(Milliseconds(1));
  EXPECT_EQ(Told(call), std::string(kLate) + " OPEN");
  EXPECT_EQ(Told(running), "open");
  EXPECT_THAT(TakeLog(), ElementsAre("1 UPDATE slow SET n = 1", "1 (mark)"));
}

TEST_F(StopTest, ASharedReadIsAnsweredAtItsDeadlineAndCancelled) {
  server_.Always("SELECT n FROM t", Answer::Never());
  const CallRecord& call = Start(Autocommit("SELECT n FROM t"), kTimeout);
  Pass(kTimeout - Milliseconds(1));
  EXPECT_EQ(Told(call), "open");
  Pass(Milliseconds(1));
  EXPECT_EQ(Told(call), kLate);
  EXPECT_THAT(TakeLog(), ElementsAre("1 (guard)", "1 SELECT n FROM t", "1 (detach)", "1 (cancel)"));
}

TEST_F(StopTest, AStatementIsCancelledAtItsDeadlineAndAnsweredWhenTheServerReacts) {
  server_.Always("UPDATE slow", Answer::Never());
  server_.SetCancels(Cancels::kTaken, Milliseconds(30));
  const CallRecord& call = Start(Autocommit("UPDATE slow SET n = 1"), kTimeout);
  Pass(kTimeout - Milliseconds(1));
  EXPECT_THAT(TakeLog(), ElementsAre("1 UPDATE slow SET n = 1"));
  Pass(Milliseconds(1));
  EXPECT_THAT(TakeLog(), ElementsAre("1 (cancel)"));
  Pass(Milliseconds(29));
  EXPECT_EQ(Told(call), "open");
  Pass(Milliseconds(1));
  EXPECT_EQ(Told(call), kLateRolledBack);
  EXPECT_EQ(AnsweredAfterMs(call), 280);
}

TEST_F(StopTest, AServerThatIgnoresACancelLosesItsLinkAfterAHundredMilliseconds) {
  server_.Always("UPDATE slow", Answer::Never());
  server_.SetCancels(Cancels::kIgnored);
  const CallRecord& call = Start(Autocommit("UPDATE slow SET n = 1"), kTimeout);
  Pass(kTimeout + Milliseconds(99));
  EXPECT_EQ(Told(call), "open");
  Pass(Milliseconds(1));
  EXPECT_EQ(Told(call), kLateInDoubt);
  EXPECT_EQ(AnsweredAfterMs(call), 350);
  EXPECT_THAT(TakeLog(), ElementsAre("1 UPDATE slow SET n = 1", "1 (cancel)", "1 (close)"));
}

TEST_F(StopTest, AStatementThatEndsWhileItIsCancelledHasWorked) {
  server_.Always("UPDATE slow", Answer::Never());
  server_.SetCancels(Cancels::kIgnored);
  const CallRecord& call = Start(Autocommit("UPDATE slow SET n = 1"), kTimeout);
  Pass(kTimeout + Milliseconds(60));
  server_.backend(1)->Finish(Answer::Command("UPDATE 1", 1));
  Settle();
  EXPECT_EQ(Told(call), "OK");
  EXPECT_EQ(AnsweredAfterMs(call), 310);
}

TEST_F(StopTest, ACancelThatComesTooLateForTheStatementStopsItsOwnTransaction) {
  server_.Always("UPDATE slow", Answer::Never());
  server_.SetCancels(Cancels::kIgnored);
  const CallRecord& call = Start(OwnTransaction("UPDATE slow SET n = 1"), kTimeout);
  Pass(kTimeout);
  server_.backend(1)->Finish(Answer::Command("UPDATE 1", 1));
  Settle();
  EXPECT_EQ(Told(call), kLateRolledBack);
  EXPECT_THAT(TakeLog(), ElementsAre("1 BEGIN", "1 UPDATE slow SET n = 1", "1 (mark)", "1 (cancel)", "1 ROLLBACK"));
}

TEST_F(StopTest, ADeadlineWhileBackingOffTellsTheLastFailure) {
  target_settings_.retry.initial_delay = target_settings_.retry.max_delay = absl::Hours(100'000);
  server_.Always("UPDATE t", Answer::Fails("40001"));
  const CallRecord& call = Start(Autocommit("UPDATE t SET n = 1"), kTimeout);
  Pass(kTimeout - Milliseconds(1));
  EXPECT_EQ(Told(call), "open");
  Pass(Milliseconds(1));
  EXPECT_EQ(Told(call), "ABORTED 40001 ROLLED_BACK retryable");
  EXPECT_EQ(call.end->attempts, 1);
}

TEST_F(StopTest, ADeadlineWhileATransactionIsRunAgainIsKeptToTheMillisecond) {
  target_settings_.retry.initial_delay = absl::ZeroDuration();
  v1::TransactionOptions options;
  options.set_replay(true);
  const std::string transaction = Written(options);
  server_.Once("UPDATE u", Answer::Fails("40001"));
  server_.Always("UPDATE t", Answer::Never());
  const CallRecord& call = Start(In(transaction, "UPDATE u SET n = 1"), kTimeout);
  Pass(kTimeout - Milliseconds(1));
  EXPECT_EQ(Told(call), "open");
  Pass(Milliseconds(1));
  EXPECT_EQ(Told(call), std::string(kLateRolledBack) + " LOST");
  EXPECT_EQ(open_transactions(), 0U);
  Pass(Seconds(1));
  EXPECT_FALSE(Lives(call));
}

TEST_F(StopTest, ACommitAnsweredShortlyAfterTheDeadlineIsTold) {
  const std::string transaction = Written();
  server_.Once("COMMIT", Answer::Command("COMMIT").After(Milliseconds(349)));
  const CallRecord& call = Start(Commit(transaction), kTimeout);
  Pass(Seconds(1));
  EXPECT_EQ(Told(call), "OK COMMITTED");
  EXPECT_EQ(AnsweredAfterMs(call), 349);
  EXPECT_THAT(TakeLog(), ElementsAre("1 COMMIT"));
}

TEST_F(StopTest, ACommitIsNeverCancelledAndItsCallerIsAnsweredInDoubt) {
  const std::string transaction = Written();
  server_.Once("COMMIT", Answer::Never());
  const CallRecord& call = Start(Commit(transaction), kTimeout);
  Pass(kTimeout + Milliseconds(99));
  EXPECT_EQ(Told(call), "open");
  Pass(Milliseconds(1));
  EXPECT_EQ(Told(call), kLateInDoubt);
  EXPECT_TRUE(Lives(call));
  Pass(Seconds(10) - Milliseconds(1));
  EXPECT_THAT(TakeLog(), ElementsAre("1 COMMIT"));
  NextFate(CommitFate::kCommitted);
  Pass(Milliseconds(1));  // the link is given up, and the server is asked
  EXPECT_THAT(TakeLog(), ElementsAre("1 (close)"));
  EXPECT_FALSE(Lives(call));
  EXPECT_EQ(call.answers, 1);
  EXPECT_EQ(Told(Run(Commit(transaction))), "OK COMMITTED");
}

TEST_F(StopTest, ACommitThatOutlivesItsCallerIsToldToWhoeverRepeatsIt) {
  const std::string transaction = Written();
  server_.Once("COMMIT", Answer::Command("COMMIT").After(Seconds(5)));
  const CallRecord& call = Start(Commit(transaction), kTimeout);
  Pass(Seconds(1));
  EXPECT_EQ(Told(call), kLateInDoubt);
  const CallRecord& repeated = Start(Commit(transaction));
  Pass(Seconds(3));
  EXPECT_EQ(Told(repeated), "open");
  Pass(Seconds(1));
  EXPECT_EQ(Told(repeated), "OK COMMITTED");
  EXPECT_EQ(AnsweredAfterMs(repeated), 4'000);
}

TEST_F(StopTest, WhoWaitsBehindACommitThatGoesOnIsInDoubtToo) {
  const std::string transaction = Written();
  server_.Once("COMMIT", Answer::Never());
  Start(Commit(transaction), kTimeout);
  const CallRecord& repeated = Start(Commit(transaction), kTimeout);
  Pass(kTimeout);
  EXPECT_EQ(Told(repeated), kLateInDoubt);
}

TEST_F(StopTest, ADeadlineWhileTheServerIsAskedLeavesAHundredMilliseconds) {
  const std::string transaction = Written();
  server_.Once("COMMIT", Answer::LosesLink());
  FatesOtherwise(CommitFate::kInProgress);
  const CallRecord& call = Start(Commit(transaction), kTimeout);
  Pass(kTimeout + Milliseconds(99));
  EXPECT_EQ(Told(call), "open");
  Pass(Milliseconds(1));
  EXPECT_EQ(Told(call), kLateInDoubt);
  EXPECT_TRUE(Lives(call));
  FatesOtherwise(CommitFate::kCommitted);
  Pass(Seconds(1));
  EXPECT_FALSE(Lives(call));
  EXPECT_EQ(Told(Run(Commit(transaction))), "OK COMMITTED");
}

TEST_F(StopTest, WhatTheServerTellsWithinAHundredMillisecondsIsTold) {
  const std::string transaction = Written();
  server_.Once("COMMIT", Answer::LosesLink());
  FatesOtherwise(CommitFate::kInProgress);
  const CallRecord& call = Start(Commit(transaction), kTimeout);
  Pass(kTimeout);
  FatesOtherwise(CommitFate::kCommitted);
  Pass(Milliseconds(100));
  EXPECT_EQ(Told(call), "OK COMMITTED");
  EXPECT_EQ(AnsweredAfterMs(call), 310);  // the looks come after 10, 30, 70, 150 and 310 ms
}

// --- other reasons

TEST_F(StopTest, AStopInThePoolsQueueIsToldAtOnce) {
  FillPool();
  for (const StopCase& stop : Stops()) {
    const CallRecord& call = Run(Autocommit("UPDATE t SET n = 1"));
    Stop(call, stop.reason);
    EXPECT_EQ(Told(call), stop.told + "NOT_EXECUTED");
    Settle();
    EXPECT_FALSE(Lives(call));
  }
}

TEST_F(StopTest, AStopInTheTransactionsQueueIsToldAtOnce) {
  const std::string transaction = Begin();
  server_.Always("UPDATE slow", Answer::Never());
  Run(In(transaction, "UPDATE slow SET n = 1"));
  for (const StopCase& stop : Stops()) {
    const CallRecord& call = Run(In(transaction, "UPDATE t SET n = 1"));
    Stop(call, stop.reason);
    EXPECT_EQ(Told(call), stop.told + "NOT_EXECUTED OPEN");
  }
}

TEST_F(StopTest, AStopOfARunningWriteIsToldWhenTheServerHasCancelledIt) {
  server_.Always("UPDATE slow", Answer::Never());
  server_.SetCancels(Cancels::kTaken, Milliseconds(20));
  for (const StopCase& stop : Stops()) {
    const CallRecord& call = Run(Autocommit("UPDATE slow SET n = 1"));
    Stop(call, stop.reason);
    Pass(Milliseconds(20));
    EXPECT_EQ(Told(call), stop.told + "ROLLED_BACK");
    EXPECT_EQ(AnsweredAfterMs(call), 20);
  }
}

TEST_F(StopTest, AStopOfASharedReadIsToldAtOnce) {
  server_.Always("SELECT n FROM t", Answer::Never());
  for (const StopCase& stop : Stops()) {
    const CallRecord& call = Run(Autocommit("SELECT n FROM t"));
    Stop(call, stop.reason);
    EXPECT_EQ(Told(call), stop.told + "NOT_EXECUTED");
    Pass(Seconds(1));
  }
}

TEST_F(StopTest, AStopOfACommitIsToldWhenItEndsOrInDoubt) {
  for (const StopCase& stop : Stops()) {
    const std::string committed = Written();
    server_.Once("COMMIT", Answer::Command("COMMIT").After(Milliseconds(50)));
    const CallRecord& ends = Run(Commit(committed));
    Stop(ends, stop.reason);
    Pass(Milliseconds(50));
    EXPECT_EQ(Told(ends), "OK COMMITTED");

    const std::string stuck = Written();
    server_.Once("COMMIT", Answer::Never());
    const CallRecord& hangs = Run(Commit(stuck));
    Stop(hangs, stop.reason);
    Pass(Milliseconds(100));
    EXPECT_EQ(Told(hangs), stop.told + "UNKNOWN");
    EXPECT_EQ(AnsweredAfterMs(hangs), 100);
    Pass(Seconds(10));  // then its link is given up
  }
}

TEST_F(StopTest, TheFirstReasonCounts) {
  server_.Always("UPDATE slow", Answer::Never());
  server_.SetCancels(Cancels::kTaken, Milliseconds(20));
  const CallRecord& call = Start(Autocommit("UPDATE slow SET n = 1"), Milliseconds(10));
  Pass(Milliseconds(5));
  Stop(call, StopReason::kAdmin);
  Pass(Milliseconds(10));
  Stop(call, StopReason::kDraining);
  Pass(Seconds(1));
  EXPECT_EQ(Told(call), "CANCELLED CANCELLED_BY_OPERATOR ROLLED_BACK");
  EXPECT_EQ(call.answers, 1);
}

TEST_F(StopTest, ClosingAConnectionStopsItsCallsAndRollsItsTransactionsBack) {
  const std::string transaction = Written();
  server_.Always("UPDATE slow", Answer::Never());
  const CallRecord& call = Run(Autocommit("UPDATE slow SET n = 1"));
  CallPlan other_plan = Autocommit("UPDATE slow SET n = 2");
  other_plan.connection_id = "c-2";
  const CallRecord& other = Run(std::move(other_plan));
  TakeLog();
  EXPECT_EQ(shard_.CloseConnection(1, kConnection), 1U);
  Settle();
  EXPECT_EQ(Told(call), "CANCELLED CONNECTION_CLOSED ROLLED_BACK");
  EXPECT_EQ(Told(other), "open");
  EXPECT_EQ(open_transactions(), 0U);
  EXPECT_THAT(server_.LogOf(1), ::testing::Contains("ROLLBACK"));
}

TEST_F(StopTest, ShuttingDownAnswersEverybody) {
  const std::string idle = Written();
  const std::string committing = Written();
  server_.Always("UPDATE slow", Answer::Never());
  server_.Once("COMMIT", Answer::Never());
  const CallRecord& write = Run(Autocommit("UPDATE slow SET n = 1"));
  const CallRecord& commit = Run(Commit(committing));
  shard_.StopAll();
  Settle();
  EXPECT_EQ(Told(write), "UNAVAILABLE DRAINING ROLLED_BACK");
  EXPECT_EQ(Told(Run(Commit(idle))), "FAILED_PRECONDITION TRANSACTION_ROLLED_BACK ROLLED_BACK");
  Pass(Milliseconds(100));
  EXPECT_EQ(Told(commit), "UNAVAILABLE DRAINING UNKNOWN");
}

TEST_F(StopTest, WhatIsClearedNeverRunsAgain) {
  server_.Always("UPDATE slow", Answer::Never());
  const CallRecord& call = Run(Autocommit("UPDATE slow SET n = 1"));
  shard_.Clear();
  Settle();
  EXPECT_EQ(Told(call), "UNAVAILABLE DRAINING UNKNOWN");
}

}  // namespace
}  // namespace engine::db::test

// COMMIT: what is asked before it, what becomes of one whose answer is lost or late, and what its caller is told.
#include <string>
#include <utility>

#include "server/postgres/sqlstate.h"
#include "server/postgres/transaction_mark.h"
#include "tests/unit/call/call_rig.h"

namespace engine::db::test {
namespace {

using absl::Milliseconds;
using absl::Minutes;
using absl::Seconds;
using ::testing::SizeIs;

constexpr char kInDoubt[] = "UNKNOWN COMMIT_IN_DOUBT UNKNOWN";
constexpr char kLost[] = "ABORTED TRANSACTION_LOST ROLLED_BACK retryable";

class CommitTest : public CallRig {
 protected:
  CommitTest() { target_settings_.retry.initial_delay = absl::ZeroDuration(); }

  std::string Written() {
    std::string transaction = Begin();
    EXPECT_EQ(Told(Run(In(transaction, "UPDATE t SET n = 1"))), "OK OPEN");
    TakeLog();
    return transaction;
  }
};

// --- the mark

TEST_F(CommitTest, TheMarkIsAskedForBehindTheFirstWrite) {
  const std::string transaction = Begin();
  const CallRecord& write = Run(In(transaction, "UPDATE t SET n = 1"));
  EXPECT_EQ(Token(write), "700.00000001.1000.7");
  EXPECT_THAT(TakeLog(), ElementsAre("1 UPDATE t SET n = 1", "1 (mark)"));
  EXPECT_EQ(Token(Run(In(transaction, "UPDATE t SET n = 2"))), "700.00000001.1000.7");
  EXPECT_THAT(TakeLog(), ElementsAre("1 UPDATE t SET n = 2"));
  Run(Commit(transaction));
  EXPECT_THAT(TakeLog(), ElementsAre("1 COMMIT"));
}

TEST_F(CommitTest, TheMarkIsAskedForUntilThereIsAnId) {
  SetTransactionId(0);
  const std::string transaction = Begin();
  EXPECT_EQ(Token(Run(In(transaction, "SELECT n FROM t"))), "");
  EXPECT_THAT(TakeLog(), ElementsAre("1 SELECT n FROM t", "1 (mark)"));
  SetTransactionId(701);
  EXPECT_EQ(Token(Run(In(transaction, "SELECT n FROM t"))), "701.00000001.1000.7");
  EXPECT_THAT(TakeLog(), ElementsAre("1 SELECT n FROM t", "1 (mark)"));
  Run(In(transaction, "SELECT n FROM t"));
  EXPECT_THAT(TakeLog(), ElementsAre("1 SELECT n FROM t"));
}

TEST_F(CommitTest, AReadOnlyTransactionHasNoMark) {
  v1::TransactionOptions options;
  options.set_read_only(true);
  const std::string transaction = Begin(options);
  Run(In(transaction, "SELECT n FROM t"));
  Run(Commit(transaction));
  EXPECT_THAT(TakeLog(), ElementsAre("1 SELECT n FROM t", "1 COMMIT"));
}

TEST_F(CommitTest, WhatTakesNoSnapshotLeavesTheMarkForCommit) {
  const std::string transaction = Begin();
  EXPECT_EQ(Token(Run(In(transaction, "NOTIFY news"))), postgres::kUnmarkedToken);
  EXPECT_THAT(TakeLog(), ElementsAre("1 NOTIFY news"));
  server_.Once("SELECT pg_catalog.pg_current_xact_id", Answer::Rows({{"id"}}, {}).After(Milliseconds(10)));
  const CallRecord& commit = Start(Commit(transaction));
  Pass(Milliseconds(9));
  EXPECT_THAT(TakeLog(), ElementsAre("1 (mark)"));
  Pass(Milliseconds(1));
  EXPECT_THAT(TakeLog(), ElementsAre("1 COMMIT"));
  EXPECT_EQ(Told(commit), "OK COMMITTED");
}

TEST_F(CommitTest, CommitWaitsForTheAnswersOfWritesAndOfTheMark) {
  server_.Always("UPDATE t", Answer::Command("UPDATE 1").After(Milliseconds(10)));
  const CallRecord& call = Start(OwnTransaction("UPDATE t SET n = 1"));
  Pass(Milliseconds(9));
  EXPECT_THAT(TakeLog(), ElementsAre("1 BEGIN", "1 UPDATE t SET n = 1", "1 (mark)"));
  Pass(Milliseconds(1));
  EXPECT_THAT(TakeLog(), ElementsAre("1 COMMIT"));
  EXPECT_EQ(Told(call), "OK COMMITTED");
}

TEST_F(CommitTest, CommitGoesAlongWhereNothingCanHaveBeenWritten) {
  server_.Always("SELECT n FROM t", Answer::Rows({{"n"}}, {{"1"}}).After(Milliseconds(10)));
  CallPlan plan = OwnTransaction("SELECT n FROM t");
  plan.begin->set_read_only(true);
  const CallRecord& call = Start(std::move(plan));
  Settle();
  EXPECT_THAT(TakeLog(), ElementsAre("1 BEGIN READ ONLY", "1 SELECT n FROM t", "1 COMMIT"));
  Pass(Milliseconds(10));
  EXPECT_EQ(Told(call), "OK COMMITTED");
}

TEST_F(CommitTest, RollbackGoesAloneAndNeedsNoMark) {
  const std::string transaction = Begin();
  CallPlan plan = In(transaction, "UPDATE t SET n = 1");
  plan.ending = call::Ending::kRollback;
  EXPECT_EQ(Told(Run(std::move(plan))), "OK ROLLED_BACK");
  EXPECT_THAT(TakeLog(), ElementsAre("1 UPDATE t SET n = 1", "1 ROLLBACK"));
}

TEST_F(CommitTest, AServerBeforeVersion13HasNoMarks) {
  server_info_.version_number = 120'000;
  const std::string transaction = Begin();
  Run(In(transaction, "UPDATE t SET n = 1"));
  EXPECT_THAT(TakeLog(), ElementsAre("1 UPDATE t SET n = 1"));
  server_.Once("COMMIT", Answer::LosesLink());
  EXPECT_EQ(Told(Run(Commit(transaction))), std::string(kInDoubt) + " LOST");
  EXPECT_THAT(questions(), IsEmpty());
}

// --- a failed COMMIT

TEST_F(CommitTest, CommitOfAFailedTransactionIsARollbackAndAnError) {
  const std::string transaction = Written();
  server_.Once("UPDATE t", Answer::Fails("22012"));
  Run(In(transaction, "UPDATE t SET n = 1/0"));
  EXPECT_EQ(Told(Run(Commit(transaction))), "ABORTED TRANSACTION_FAILED ROLLED_BACK ROLLED_BACK");
  EXPECT_EQ(Told(Run(Commit(transaction))), "FAILED_PRECONDITION TRANSACTION_ROLLED_BACK ROLLED_BACK");
}

TEST_F(CommitTest, AStatementThatFailsIsNotCommitted) {
  server_.Once("UPDATE t", Answer::Fails("22012"));
  EXPECT_EQ(Told(Run(OwnTransaction("UPDATE t SET n = 1/0"))), "INVALID_ARGUMENT 22012 ROLLED_BACK");
  EXPECT_THAT(TakeLog(), ElementsAre("1 BEGIN", "1 UPDATE t SET n = 1/0", "1 (mark)", "1 ROLLBACK"));
}

// --- a lost answer

TEST_F(CommitTest, ALostAnswerIsAskedForAndToldAsCommitted) {
  const std::string transaction = Written();
  server_.Once("COMMIT", Answer::LosesLink());
  NextFate(CommitFate::kCommitted);
  EXPECT_EQ(Told(Run(Commit(transaction))), "OK COMMITTED");
  ASSERT_THAT(questions(), SizeIs(1));
  EXPECT_EQ(questions()[0].mark.xid, 700U);
  EXPECT_TRUE(questions()[0].end_backend);
  EXPECT_EQ(Told(Run(Commit(transaction))), "OK COMMITTED");
}

TEST_F(CommitTest, ALostAnswerIsAskedForAndToldAsRolledBack) {
  const std::string transaction = Written();
  server_.Once("COMMIT", Answer::LosesLink());
  NextFate(CommitFate::kAborted);
  EXPECT_EQ(Told(Run(Commit(transaction))), std::string(kLost) + " LOST");
  EXPECT_EQ(Told(Run(Commit(transaction))), "ABORTED TRANSACTION_LOST ROLLED_BACK");
}

TEST_F(CommitTest, ALostAnswerThatNobodyKnowsStaysInDoubt) {
  const std::string transaction = Written();
  server_.Once("COMMIT", Answer::LosesLink());
  NextFate(CommitFate::kUnknown);
  EXPECT_EQ(Told(Run(Commit(transaction))), std::string(kInDoubt) + " LOST");
  for (int i = 0; i < 2; ++i) EXPECT_EQ(Told(Run(Commit(transaction))), kInDoubt);
  EXPECT_EQ(Told(Run(Rollback(transaction))), kInDoubt);
  EXPECT_EQ(Told(Run(AskOutcome(transaction))), kInDoubt);
}

TEST_F(CommitTest, AServerThatIsAwayIsAskedUntilItIsBack) {
  const std::string transaction = Written();
  server_.Once("COMMIT", Answer::LosesLink(SqlError("57P01")));
  FatesOtherwise(postgres::ConnectFailed("scripted", "refused", ""));
  const CallRecord& commit = Start(Commit(transaction), Minutes(5));
  Pass(Seconds(30));
  EXPECT_EQ(Told(commit), "open");
  FatesOtherwise(CommitFate::kCommitted);
  Pass(Milliseconds(500));
  EXPECT_EQ(Told(commit), "OK COMMITTED");
}

TEST_F(CommitTest, TheServerIsAskedForAMinute) {
  const std::string transaction = Written();
  server_.Once("COMMIT", Answer::LosesLink());
  FatesOtherwise(CommitFate::kInProgress);
  const CallRecord& commit = Start(Commit(transaction), Minutes(5));
  Pass(Minutes(1) - Milliseconds(1));
  EXPECT_EQ(Told(commit), "open");
  Pass(Milliseconds(1));
  EXPECT_EQ(Told(commit), std::string(kInDoubt) + " LOST");
  EXPECT_EQ(AnsweredAfterMs(commit), 60'000);
}

TEST_F(CommitTest, OneThatHasWrittenNothingIsInNoDoubt) {
  SetTransactionId(0);
  const std::string transaction = Written();
  server_.Once("COMMIT", Answer::LosesLink());
  EXPECT_EQ(Told(Run(Commit(transaction))), std::string(kLost) + " LOST");
  EXPECT_THAT(questions(), IsEmpty());
}

TEST_F(CommitTest, ACommitThatWasNotSentIsNotInDoubt) {
  const std::string transaction = Written();
  server_.backend(1)->LoseLink();
  EXPECT_EQ(Told(Run(Commit(transaction))), "ABORTED TRANSACTION_LOST ROLLED_BACK LOST");
  EXPECT_THAT(questions(), IsEmpty());
}

TEST_F(CommitTest, ALinkThatBreaksBeforeCommitRollsItsTransactionBack) {
  server_.Once("UPDATE t", Answer::LosesLink());
  CallPlan plan = OwnTransaction("UPDATE t SET n = 1");
  plan.retry.max_attempts = 1;
  EXPECT_EQ(Told(Run(std::move(plan))), "UNAVAILABLE LINK_LOST ROLLED_BACK retryable");
  EXPECT_THAT(questions(), IsEmpty());
}

// --- a late answer

TEST_F(CommitTest, ASlowCommitIsLookedAtAfterTwoSeconds) {
  const std::string transaction = Written();
  server_.Once("COMMIT", Answer::Never());
  NextFate(CommitFate::kCommitted);
  const CallRecord& commit = Start(Commit(transaction));
  Pass(Milliseconds(1'999));
  EXPECT_THAT(questions(), IsEmpty());
  Pass(Milliseconds(1));
  EXPECT_EQ(Told(commit), "OK COMMITTED");
  EXPECT_EQ(AnsweredAfterMs(commit), 2'000);
  ASSERT_THAT(questions(), SizeIs(1));
  EXPECT_FALSE(questions()[0].end_backend);
  EXPECT_THAT(TakeLog(), ElementsAre("1 COMMIT", "1 (close)"));
}

TEST_F(CommitTest, ASlowCommitThatStillRunsIsWaitedFor) {
  const std::string transaction = Written();
  server_.Once("COMMIT", Answer::Command("COMMIT").After(Seconds(20)));
  FatesOtherwise(CommitFate::kInProgress);
  const CallRecord& commit = Start(Commit(transaction));
  Pass(Seconds(20));
  EXPECT_EQ(Told(commit), "OK COMMITTED");
  EXPECT_EQ(AnsweredAfterMs(commit), 20'000);
  EXPECT_THAT(TakeLog(), ElementsAre("1 COMMIT"));
}

TEST_F(CommitTest, ASlowCommitThatNobodyKnowsOfIsWaitedFor) {
  const std::string transaction = Written();
  server_.Once("COMMIT", Answer::Command("COMMIT").After(Seconds(20)));
  FatesOtherwise(CommitFate::kUnknown);
  const CallRecord& commit = Start(Commit(transaction));
  Pass(Seconds(20));
  EXPECT_EQ(Told(commit), "OK COMMITTED");
  EXPECT_THAT(questions(), SizeIs(1));
}

TEST_F(CommitTest, ASlowCommitThatTheServerHasUndoneIsTold) {
  const std::string transaction = Written();
  server_.Once("COMMIT", Answer::Never());
  NextFate(CommitFate::kAborted);
  const CallRecord& commit = Start(Commit(transaction));
  Pass(Seconds(2));
  EXPECT_EQ(Told(commit), std::string(kLost) + " LOST");
}

// --- exactly once

TEST_F(CommitTest, ACallsOwnTransactionIsRunAgainWhenItsCommitWasUndone) {
  server_.Once("COMMIT", Answer::LosesLink());
  NextFate(CommitFate::kAborted);
  const CallRecord& call = Run(OwnTransaction("UPDATE t SET n = 1"));
  EXPECT_EQ(Told(call), "OK COMMITTED");
  EXPECT_EQ(call.end->attempts, 2);
}

TEST_F(CommitTest, ACallsOwnTransactionIsNotRunAgainWhileItsCommitIsInDoubt) {
  server_.Once("COMMIT", Answer::LosesLink());
  NextFate(CommitFate::kUnknown);
  const CallRecord& call = Run(OwnTransaction("UPDATE t SET n = 1"));
  EXPECT_EQ(Told(call), kInDoubt);
  EXPECT_EQ(call.end->attempts, 1);
}

TEST_F(CommitTest, ACallsOwnTransactionIsNotRunAgainWhenItWasCommitted) {
  server_.Once("COMMIT", Answer::LosesLink());
  NextFate(CommitFate::kCommitted);
  const CallRecord& call = Run(OwnTransaction("UPDATE t SET n = 1"));
  EXPECT_EQ(Told(call), "OK COMMITTED");
  EXPECT_EQ(call.end->attempts, 1);
}

TEST_F(CommitTest, EachAttemptIsAskedAboutByItsOwnMark) {
  server_.Once("COMMIT", Answer::LosesLink());
  server_.Once("COMMIT", Answer::LosesLink());
  NextFate(CommitFate::kAborted);
  NextFate(CommitFate::kCommitted);
  NextTransactionId(700);
  NextTransactionId(701);
  EXPECT_EQ(Told(Run(OwnTransaction("UPDATE t SET n = 1"))), "OK COMMITTED");
  ASSERT_THAT(questions(), SizeIs(2));
  EXPECT_EQ(questions()[0].mark.xid, 700U);
  EXPECT_EQ(questions()[1].mark.xid, 701U);
}

// --- effects elsewhere

TEST_F(CommitTest, WhatMayHaveTakenEffectElsewhereIsNeverCalledRolledBack) {
  SetSurroundings({.foreign = Elsewhere::kAtCommit, .functions = Elsewhere::kNothing});
  const std::string transaction = Written();
  server_.Once("COMMIT", Answer::LosesLink());
  NextFate(CommitFate::kAborted);
  EXPECT_EQ(Told(Run(Commit(transaction))), "UNKNOWN EFFECTS_ELSEWHERE UNKNOWN LOST");
  EXPECT_EQ(Told(Run(Commit(transaction))), "UNKNOWN EFFECTS_ELSEWHERE UNKNOWN");
}

TEST_F(CommitTest, ACommitThatFailsAfterForeignServersHaveCommittedIsInDoubt) {
  SetSurroundings({.foreign = Elsewhere::kAtCommit, .functions = Elsewhere::kNothing});
  const std::string transaction = Written();
  server_.Once("COMMIT", Answer::Fails("40001"));
  EXPECT_EQ(Told(Run(Commit(transaction))), "ABORTED 40001 UNKNOWN ROLLED_BACK");
  EXPECT_EQ(Told(Run(Commit(transaction))), "UNKNOWN EFFECTS_ELSEWHERE UNKNOWN");
}

TEST_F(CommitTest, WhatWaitsForCommitElsewhereIsRolledBackWithALostStatement) {
  SetSurroundings({.foreign = Elsewhere::kAtCommit, .functions = Elsewhere::kNothing});
  const std::string transaction = Written();
  server_.Once("UPDATE t", Answer::LosesLink());
  EXPECT_EQ(Told(Run(In(transaction, "UPDATE t SET n = 2"))), "ABORTED TRANSACTION_LOST ROLLED_BACK LOST");
}

TEST_F(CommitTest, WhatActsElsewhereAtOnceIsInDoubtWhenTheLinkIsLost) {
  SetSurroundings({.foreign = Elsewhere::kAtOnce, .functions = Elsewhere::kNothing});
  const std::string transaction = Written();
  server_.Once("UPDATE t", Answer::LosesLink());
  EXPECT_EQ(Told(Run(In(transaction, "UPDATE t SET n = 2"))), "UNKNOWN EFFECTS_ELSEWHERE UNKNOWN LOST");
}

}  // namespace
}  // namespace engine::db::test

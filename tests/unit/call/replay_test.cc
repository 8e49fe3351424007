// Transactions that were lost or had to give way and are run again from their beginning.
#include <string>

#include "tests/unit/call/call_rig.h"

namespace engine::db::test {
namespace {

using absl::Milliseconds;
using ::testing::Contains;
using ::testing::SizeIs;

class ReplayTest : public CallRig {
 protected:
  ReplayTest() { target_settings_.retry.initial_delay = absl::ZeroDuration(); }

  // With one statement behind it.
  std::string Replayable() {
    v1::TransactionOptions options;
    options.set_replay(true);
    std::string transaction = Begin(options);
    EXPECT_EQ(Told(Run(In(transaction, "UPDATE a SET n = 1"))), "OK OPEN");
    TakeLog();
    return transaction;
  }
};

TEST_F(ReplayTest, AConflictRunsTheTransactionAgainUnseen) {
  const std::string transaction = Replayable();
  server_.Once("UPDATE b", Answer::Fails("40001"));
  const CallRecord& call = Run(In(transaction, "UPDATE b SET n = 1"));
  EXPECT_EQ(Told(call), "OK OPEN");
  EXPECT_EQ(call.end->attempts, 2);
  EXPECT_THAT(TakeLog(), ElementsAre("1 UPDATE b SET n = 1", "1 ROLLBACK", "1 DISCARD SEQUENCES", "1 BEGIN",
                                     "1 UPDATE a SET n = 1", "1 (mark)", "1 UPDATE b SET n = 1"));
  EXPECT_EQ(Told(Run(Commit(transaction))), "OK COMMITTED");
}

TEST_F(ReplayTest, ALostLinkRunsTheTransactionAgainOnAnotherBackend) {
  const std::string transaction = Replayable();
  server_.Once("UPDATE b", Answer::LosesLink());
  EXPECT_EQ(Told(Run(In(transaction, "UPDATE b SET n = 1"))), "OK OPEN");
  EXPECT_THAT(server_.LogOf(2), Contains("UPDATE b SET n = 1"));
  TakeLog();
  EXPECT_EQ(Told(Run(Commit(transaction))), "OK COMMITTED");
  EXPECT_THAT(TakeLog(), ElementsAre("2 COMMIT"));
}

TEST_F(ReplayTest, OtherResultsEndItWithTheFirstFailure) {
  const std::string transaction = Replayable();
  server_.Once("UPDATE b", Answer::Fails("40001"));
  server_.Once("UPDATE a", Answer::Command("UPDATE 2", 2));
  EXPECT_EQ(Told(Run(In(transaction, "UPDATE b SET n = 1"))), "ABORTED 40001 ROLLED_BACK retryable LOST");
  EXPECT_EQ(open_transactions(), 0U);
  EXPECT_EQ(Told(Run(Commit(transaction))), "ABORTED TRANSACTION_LOST ROLLED_BACK");
}

TEST_F(ReplayTest, ARunThatIsLostIsTriedOnceMore) {
  const std::string transaction = Replayable();
  server_.Once("UPDATE b", Answer::Fails("40001"));
  server_.Once("UPDATE a", Answer::LosesLink());
  const CallRecord& call = Run(In(transaction, "UPDATE b SET n = 1"));
  EXPECT_EQ(Told(call), "OK OPEN");
  EXPECT_EQ(call.end->attempts, 3);
}

TEST_F(ReplayTest, TheAttemptsAreThoseOfTheCall) {
  const std::string transaction = Replayable();
  server_.Always("UPDATE b", Answer::Fails("40P01"));
  const CallRecord& call = Run(In(transaction, "UPDATE b SET n = 1"));
  EXPECT_EQ(Told(call), "ABORTED 40P01 ROLLED_BACK retryable FAILED");
  EXPECT_EQ(call.end->attempts, 3);
}

TEST_F(ReplayTest, WithoutAskingForItNothingIsRunAgain) {
  const std::string transaction = Begin();
  server_.Once("UPDATE b", Answer::Fails("40001"));
  EXPECT_EQ(Told(Run(In(transaction, "UPDATE b SET n = 1"))), "ABORTED 40001 ROLLED_BACK retryable FAILED");
  EXPECT_THAT(TakeLog(), ElementsAre("1 UPDATE b SET n = 1", "1 (mark)"));
}

TEST_F(ReplayTest, ACommitThatWasUndoneRunsTheTransactionAgain) {
  const std::string transaction = Replayable();
  server_.Once("COMMIT", Answer::LosesLink());
  NextFate(CommitFate::kAborted);
  const CallRecord& commit = Run(Commit(transaction));
  EXPECT_EQ(Told(commit), "OK COMMITTED");
  EXPECT_EQ(commit.end->attempts, 2);
}

// A former fault: what was found out about the first COMMIT was believed of the second one too.
TEST_F(ReplayTest, ACommitThatIsLostTwiceIsAskedAboutTwice) {
  const std::string transaction = Replayable();
  server_.Once("COMMIT", Answer::LosesLink());
  server_.Once("COMMIT", Answer::LosesLink());
  NextFate(CommitFate::kAborted);
  NextFate(CommitFate::kCommitted);
  SetTransactionId(701);  // of the second run
  EXPECT_EQ(Told(Run(Commit(transaction))), "OK COMMITTED");
  ASSERT_THAT(questions(), SizeIs(2));
  EXPECT_EQ(questions()[0].mark.xid, 700U);
  EXPECT_EQ(questions()[1].mark.xid, 701U);
}

TEST_F(ReplayTest, ACommitThatIsInDoubtIsNotRunAgain) {
  const std::string transaction = Replayable();
  server_.Once("COMMIT", Answer::LosesLink());
  NextFate(CommitFate::kUnknown);
  const CallRecord& commit = Run(Commit(transaction));
  EXPECT_EQ(Told(commit), "UNKNOWN COMMIT_IN_DOUBT UNKNOWN LOST");
  EXPECT_EQ(commit.end->attempts, 1);
}

TEST_F(ReplayTest, AnAnswerThatFailedAfterItsStatementHadWorkedEndsThePossibility) {
  result_limits_.rows = 1;
  const std::string transaction = Replayable();
  server_.Once("SELECT n FROM big", Answer::Rows({{"n"}}, {{"1"}, {"2"}}));
  server_.SetCancels(Cancels::kIgnored);
  EXPECT_EQ(Told(Run(In(transaction, "SELECT n FROM big"))), "RESOURCE_EXHAUSTED RESULT_TOO_LARGE - OPEN");
  server_.Once("UPDATE b", Answer::Fails("40001"));
  EXPECT_EQ(Told(Run(In(transaction, "UPDATE b SET n = 1"))), "ABORTED 40001 ROLLED_BACK retryable FAILED");
}

TEST_F(ReplayTest, RowsThatWereHandedOnAreNotTakenBack) {
  const std::string transaction = Replayable();
  Answer breaks = Answer::Rows({{"n"}}, {{"1"}, {"2"}});
  breaks.breaks_link = true;
  server_.Once("SELECT n FROM big", breaks);
  const CallRecord& stream = Run(StreamIn(transaction, "SELECT n FROM big"));
  EXPECT_EQ(Told(stream), "ABORTED TRANSACTION_LOST ROLLED_BACK LOST");
  EXPECT_EQ(stream.streamed_rows, 2U);
  EXPECT_EQ(stream.end->attempts, 1);
}

TEST_F(ReplayTest, WhatActsElsewhereAtOnceIsNotRunAgain) {
  SetSurroundings({.foreign = Elsewhere::kAtOnce, .functions = Elsewhere::kNothing});
  const std::string transaction = Replayable();
  server_.Once("UPDATE b", Answer::Fails("40001"));
  EXPECT_EQ(Run(In(transaction, "UPDATE b SET n = 1")).end->attempts, 1);
}

TEST_F(ReplayTest, WhileItIsRunAgainItCountsAsOpen) {
  const std::string transaction = Replayable();
  server_.Once("UPDATE b", Answer::Fails("40001"));
  server_.Once("UPDATE a", Answer::Command("UPDATE").After(Milliseconds(100)));
  const CallRecord& call = Start(In(transaction, "UPDATE b SET n = 1"));
  const CallRecord& waiting = Start(In(transaction, "UPDATE c SET n = 1"), Milliseconds(50));
  Pass(Milliseconds(50));
  EXPECT_EQ(Told(waiting), "DEADLINE_EXCEEDED DEADLINE_EXCEEDED NOT_EXECUTED OPEN");
  Pass(Milliseconds(50));
  EXPECT_EQ(Told(call), "OK OPEN");
}

}  // namespace
}  // namespace engine::db::test

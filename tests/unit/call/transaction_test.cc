// An open transaction: its lease and idle time to the millisecond, the order of its calls, streams that nobody reads,
// and what is remembered of it when it has ended.
#include <string>
#include <utility>

#include "server/base/failure.h"
#include "server/call/tombstones.h"
#include "tests/unit/call/call_rig.h"

namespace engine::db::test {
namespace {

using absl::Milliseconds;
using absl::Seconds;
using ::testing::Contains;
using ::testing::Not;

constexpr char kExpired[] = "FAILED_PRECONDITION TRANSACTION_EXPIRED ROLLED_BACK";

class TransactionTest : public CallRig {
 protected:
  static v1::TransactionOptions Idle(uint32_t ms) {
    v1::TransactionOptions options;
    options.set_idle_timeout_ms(ms);
    return options;
  }
  static v1::TransactionOptions Lease(uint32_t ms) {
    v1::TransactionOptions options;
    options.set_max_duration_ms(ms);
    return options;
  }
  // A stream whose reader takes one message and then no more.
  CallRecord& StalledStream(const std::string& transaction) {
    server_.Always("SELECT n FROM big", Answer::Rows({{"n"}}, {{"1"}, {"2"}, {"3"}, {"4"}}));
    CallRecord& stream = Start(StreamIn(transaction, "SELECT n FROM big"));
    Stall(stream);
    Settle();
    EXPECT_EQ(Told(stream), "open");
    EXPECT_EQ(stream.streamed_rows, 1U);
    return stream;
  }
};

// --- lease and idle time

TEST_F(TransactionTest, AnIdleOneExpiresToTheMillisecond) {
  const std::string transaction = Begin(Idle(1'500));
  Pass(Milliseconds(1'499));
  EXPECT_EQ(open_transactions(), 1U);
  EXPECT_THAT(TakeLog(), IsEmpty());
  Pass(Milliseconds(1));
  EXPECT_EQ(open_transactions(), 0U);
  EXPECT_THAT(TakeLog(), ElementsAre("1 ROLLBACK"));
  EXPECT_EQ(Told(Run(In(transaction, "UPDATE t SET n = 1"))), kExpired);
  EXPECT_EQ(Told(Run(Commit(transaction))), kExpired);
  EXPECT_EQ(Told(Run(Rollback(transaction))), "OK EXPIRED");
}

TEST_F(TransactionTest, EachCallBeginsTheIdleTimeAnew) {
  const std::string transaction = Begin(Idle(1'000));
  server_.Always("UPDATE slow", Answer::Command("UPDATE 1").After(Seconds(3)));
  Pass(Milliseconds(999));
  const CallRecord& call = Start(In(transaction, "UPDATE slow SET n = 1"));
  Pass(Seconds(3));
  EXPECT_EQ(Told(call), "OK OPEN");
  Pass(Milliseconds(999));
  EXPECT_EQ(open_transactions(), 1U);
  Pass(Milliseconds(1));
  EXPECT_EQ(open_transactions(), 0U);
}

TEST_F(TransactionTest, KeepAliveBeginsTheIdleTimeAnewAndNotTheLease) {
  v1::TransactionOptions options = Idle(1'000);
  options.set_max_duration_ms(2'500);
  const std::string transaction = Begin(options);
  for (int i = 0; i < 2; ++i) {
    Pass(Milliseconds(999));
    const absl::StatusOr<v1::TransactionStatus> status = target().KeepAlive(transaction, kConnection);
    ASSERT_TRUE(status.ok());
    EXPECT_EQ(status->idle_left_ms(), 1'000U);
    EXPECT_EQ(status->lease_left_ms(), 2'500U - 999U * static_cast<uint32_t>(i + 1));
  }
  Pass(Milliseconds(501));
  EXPECT_EQ(open_transactions(), 1U);
  Pass(Milliseconds(1));
  EXPECT_EQ(open_transactions(), 0U);
  EXPECT_EQ(Describe(target().KeepAlive(transaction, kConnection).status()), kExpired);
}

TEST_F(TransactionTest, ALeaseThatRunsOutCancelsTheStatementThatRuns) {
  const std::string transaction = Begin(Lease(2'000));
  server_.Always("UPDATE slow", Answer::Never());
  Pass(Milliseconds(500));
  const CallRecord& call = Start(In(transaction, "UPDATE slow SET n = 1"));
  const CallRecord& waiting = Start(In(transaction, "UPDATE t SET n = 1"));
  Pass(Milliseconds(1'499));
  EXPECT_EQ(Told(call), "open");
  EXPECT_THAT(TakeLog(), Not(Contains("1 (cancel)")));
  Pass(Milliseconds(1));
  EXPECT_EQ(Told(call), "ABORTED TRANSACTION_EXPIRED ROLLED_BACK FAILED");
  EXPECT_EQ(Told(waiting), kExpired);
  EXPECT_EQ(open_transactions(), 0U);
}

TEST_F(TransactionTest, ALeaseThatRunsOutLetsCommitEnd) {
  const std::string transaction = Begin(Lease(2'000));
  Run(In(transaction, "UPDATE t SET n = 1"));
  server_.Once("COMMIT", Answer::Command("COMMIT").After(Milliseconds(50)));
  Pass(Milliseconds(1'980));
  const CallRecord& call = Start(Commit(transaction));
  Pass(Seconds(1));
  EXPECT_EQ(Told(call), "OK COMMITTED");
  EXPECT_EQ(Told(Run(Commit(transaction))), "OK COMMITTED");
}

TEST_F(TransactionTest, TheSettingsLimitWhatItsCallerDoesNot) {
  settings_.limits.transaction_idle = Seconds(3);
  settings_.limits.transaction_lifetime = Seconds(5);
  const std::string transaction = Begin();
  const absl::StatusOr<v1::TransactionStatus> status = target().KeepAlive(transaction, kConnection);
  ASSERT_TRUE(status.ok());
  EXPECT_EQ(status->idle_left_ms(), 3'000U);
  EXPECT_EQ(status->lease_left_ms(), 5'000U);
}

TEST_F(TransactionTest, ItEndsWithItsSessionUnlessItOutlivesIt) {
  const auto begin = [&](bool outlives) {
    CallPlan plan = MakePlan();
    plan.session = 5;
    plan.begin.emplace().set_outlives_session(outlives);
    return Run(std::move(plan)).end->transaction->transaction_id();
  };
  const std::string bound = begin(false);
  const std::string free = begin(true);
  shard_.EndSession(5);
  Settle();
  EXPECT_EQ(Told(Run(In(bound, "UPDATE t SET n = 1"))), "FAILED_PRECONDITION TRANSACTION_ROLLED_BACK ROLLED_BACK");
  EXPECT_EQ(Told(Run(In(free, "UPDATE t SET n = 1"))), "OK OPEN");
}

// --- handles

TEST_F(TransactionTest, ItIsUnknownOnAnotherConnection) {
  const std::string transaction = Begin();
  CallPlan plan = Commit(transaction);
  plan.connection_id = "c-2";
  EXPECT_EQ(Told(Run(std::move(plan))), "FAILED_PRECONDITION UNKNOWN_TRANSACTION NOT_EXECUTED");
  EXPECT_EQ(Told(Run(Commit(transaction))), "OK COMMITTED");
  plan = Commit(transaction);
  plan.connection_id = "c-2";
  EXPECT_EQ(Told(Run(std::move(plan))), "FAILED_PRECONDITION UNKNOWN_TRANSACTION NOT_EXECUTED");
}

TEST_F(TransactionTest, OneOfAnEarlierRunOfTheGatewayIsInDoubt) {
  const std::string handle = call::HandleMaker().Make("t");
  EXPECT_EQ(Told(Run(Commit(handle))), "FAILED_PRECONDITION UNKNOWN_TRANSACTION UNKNOWN");
}

// --- its calls

TEST_F(TransactionTest, CallsRunOneAfterTheOther) {
  const std::string transaction = Begin();
  server_.Always("UPDATE", Answer::Command("UPDATE 1").After(Milliseconds(10)));
  const CallRecord& first = Start(In(transaction, "UPDATE a SET n = 1"));
  const CallRecord& second = Start(In(transaction, "UPDATE b SET n = 1"));
  const CallRecord& commit = Start(Commit(transaction));
  Pass(Milliseconds(9));
  EXPECT_THAT(TakeLog(), ElementsAre("1 UPDATE a SET n = 1", "1 (mark)"));
  Pass(Milliseconds(10));
  EXPECT_EQ(Told(first), "OK OPEN");
  EXPECT_THAT(TakeLog(), ElementsAre("1 UPDATE b SET n = 1"));
  Pass(Milliseconds(10));
  EXPECT_EQ(Told(second), "OK OPEN");
  EXPECT_EQ(Told(commit), "OK COMMITTED");
  EXPECT_THAT(TakeLog(), ElementsAre("1 COMMIT"));
}

TEST_F(TransactionTest, NothingIsSentWhileACancelRequestMayStillHit) {
  const std::string transaction = Begin();
  server_.Always("UPDATE slow", Answer::Command("UPDATE 1").After(Milliseconds(110)));
  server_.SetCancels(Cancels::kIgnored, Milliseconds(60));
  const CallRecord& late = Start(In(transaction, "UPDATE slow SET n = 1"), Milliseconds(100));
  const CallRecord& next = Start(In(transaction, "UPDATE t SET n = 1"));
  Pass(Milliseconds(110));
  EXPECT_EQ(Told(late), "OK OPEN");
  TakeLog();
  Pass(Milliseconds(49));
  EXPECT_THAT(TakeLog(), IsEmpty());
  Pass(Milliseconds(1));
  EXPECT_THAT(TakeLog(), ElementsAre("1 UPDATE t SET n = 1"));
  EXPECT_EQ(Told(next), "OK OPEN");
}

TEST_F(TransactionTest, AFailedOneTakesOnlyWhatEndsOrMendsIt) {
  const std::string transaction = Begin();
  server_.Once("UPDATE t", Answer::Fails("22012"));
  EXPECT_EQ(Told(Run(In(transaction, "UPDATE t SET n = 1/0"))), "INVALID_ARGUMENT 22012 ROLLED_BACK FAILED");
  EXPECT_EQ(Told(Run(In(transaction, "UPDATE t SET n = 1"))), "FAILED_PRECONDITION 25P02 NOT_EXECUTED FAILED");
  EXPECT_EQ(Told(Run(In(transaction, "ROLLBACK TO SAVEPOINT s"))), "OK OPEN");
  EXPECT_EQ(Told(Run(Commit(transaction))), "OK COMMITTED");
}

TEST_F(TransactionTest, OneThatIsLostWhileIdleIsToldByTheNextCall) {
  const std::string transaction = Begin();
  server_.backend(1)->LoseLink();
  Settle();
  EXPECT_EQ(Told(Run(In(transaction, "UPDATE t SET n = 1"))), "ABORTED TRANSACTION_LOST ROLLED_BACK LOST");
  EXPECT_EQ(open_transactions(), 0U);
  const std::string other = Begin();
  server_.backend(server_.opened())->LoseLink();
  EXPECT_EQ(Told(Run(Rollback(other))), "OK ROLLED_BACK");
}

TEST_F(TransactionTest, AsksItsOutcomeWithoutTheServer) {
  const std::string transaction = Begin();
  EXPECT_EQ(Told(Run(AskOutcome(transaction))), "OK OPEN");
  EXPECT_THAT(TakeLog(), IsEmpty());
  server_.backend(1)->LoseLink();
  EXPECT_EQ(Told(Run(AskOutcome(transaction))), "ABORTED TRANSACTION_LOST ROLLED_BACK LOST");
}

// --- streams that nobody reads

TEST_F(TransactionTest, WhoWaitsBehindAStreamThatNobodyReadsIsRefusedAfterHalfASecond) {
  const std::string transaction = Begin();
  StalledStream(transaction);
  Pass(Milliseconds(200));
  const CallRecord& statement = Start(In(transaction, "UPDATE t SET n = 1"));
  const CallRecord& commit = Start(Commit(transaction));
  const CallRecord& question = Start(AskOutcome(transaction));
  Pass(Milliseconds(299));
  EXPECT_EQ(Told(statement), "open");
  Pass(Milliseconds(1));
  EXPECT_EQ(Told(statement), "FAILED_PRECONDITION STREAM_OPEN NOT_EXECUTED OPEN");
  EXPECT_EQ(Told(commit), "FAILED_PRECONDITION STREAM_OPEN NOT_EXECUTED OPEN");
  EXPECT_EQ(Told(question), "OK OPEN");
  const CallRecord& later = Run(In(transaction, "UPDATE t SET n = 1"));
  EXPECT_EQ(Told(later), "FAILED_PRECONDITION STREAM_OPEN NOT_EXECUTED OPEN");
}

TEST_F(TransactionTest, AReaderWhoGoesOnInTimeKeepsNobodyOut) {
  const std::string transaction = Begin();
  CallRecord& stream = StalledStream(transaction);
  const CallRecord& statement = Start(In(transaction, "UPDATE t SET n = 1"));
  Pass(Milliseconds(499));
  ReadOn(stream);
  Settle();
  EXPECT_EQ(Told(stream), "OK OPEN");
  EXPECT_EQ(stream.streamed_rows, 4U);
  EXPECT_EQ(Told(statement), "OK OPEN");
}

TEST_F(TransactionTest, ARollbackEndsAStreamThatNobodyReads) {
  const std::string transaction = Begin();
  CallRecord& stream = StalledStream(transaction);
  const CallRecord& rollback = Start(Rollback(transaction));
  Pass(Milliseconds(499));
  EXPECT_EQ(Told(stream), "open");
  Pass(Milliseconds(1));
  EXPECT_EQ(Told(stream), "ABORTED TRANSACTION_ROLLED_BACK ROLLED_BACK FAILED");
  EXPECT_EQ(stream.streamed_rows, 1U);
  EXPECT_EQ(Told(rollback), "OK ROLLED_BACK");
}

TEST_F(TransactionTest, AStreamThatIsStoppedTellsThatRowsAreMissing) {
  const std::string transaction = Begin();
  CallRecord& stream = StalledStream(transaction);
  server_.SetCancels(Cancels::kIgnored);
  Stop(stream, StopReason::kCancelled);
  Settle();
  EXPECT_EQ(Told(stream), "CANCELLED CANCELLED - OPEN");
  EXPECT_EQ(FailureOf(stream.end->status).phase, Phase::kStreaming);
  EXPECT_EQ(Told(Run(Commit(transaction))), "OK COMMITTED");
}

// --- tombstones

TEST_F(TransactionTest, ARepeatedCommitGetsTheFirstAnswer) {
  const std::string transaction = Begin();
  EXPECT_EQ(Told(Run(Commit(transaction))), "OK COMMITTED");
  TakeLog();
  EXPECT_EQ(Told(Run(Commit(transaction))), "OK COMMITTED");
  EXPECT_EQ(Told(Run(AskOutcome(transaction))), "OK COMMITTED");
  EXPECT_EQ(Told(Run(Rollback(transaction))), "FAILED_PRECONDITION TRANSACTION_COMMITTED NOT_EXECUTED");
  EXPECT_EQ(Told(Run(In(transaction, "UPDATE t SET n = 1"))), "FAILED_PRECONDITION TRANSACTION_COMMITTED NOT_EXECUTED");
  EXPECT_THAT(TakeLog(), IsEmpty());
}

TEST_F(TransactionTest, ACommitAfterARollbackIsRefused) {
  const std::string transaction = Begin();
  EXPECT_EQ(Told(Run(Rollback(transaction))), "OK ROLLED_BACK");
  EXPECT_EQ(Told(Run(Rollback(transaction))), "OK ROLLED_BACK");
  EXPECT_EQ(Told(Run(Commit(transaction))), "FAILED_PRECONDITION TRANSACTION_ROLLED_BACK ROLLED_BACK");
  EXPECT_EQ(Told(Run(AskOutcome(transaction))), "OK ROLLED_BACK");
}

TEST_F(TransactionTest, ItIsRememberedForTenMinutes) {
  const std::string transaction = Begin();
  Run(Commit(transaction));
  Pass(call::kTombstoneLifetime);
  Run(Commit(Begin()));
  EXPECT_EQ(Told(Run(Commit(transaction))), "OK COMMITTED");
  Pass(Milliseconds(1));
  Run(Commit(Begin()));
  EXPECT_EQ(Told(Run(Commit(transaction))), "FAILED_PRECONDITION UNKNOWN_TRANSACTION NOT_EXECUTED");
}

TEST(TombstonesTest, TheOldestGoesWhenThereAreTooMany) {
  call::Tombstones tombstones;
  const absl::Time now = absl::UnixEpoch();
  for (size_t i = 0; i < call::kMaxTombstones; ++i) {
    tombstones.Bury(std::to_string(i), {.connection_id = "c", .doubt = absl::OkStatus()}, now);
  }
  EXPECT_NE(tombstones.Find("0", "c"), nullptr);
  tombstones.Bury("more", {.connection_id = "c", .doubt = absl::OkStatus()}, now);
  EXPECT_EQ(tombstones.Find("0", "c"), nullptr);
  EXPECT_NE(tombstones.Find("1", "c"), nullptr);
  EXPECT_NE(tombstones.Find("more", "c"), nullptr);
  EXPECT_EQ(tombstones.Find("more", "other"), nullptr);
}

}  // namespace
}  // namespace engine::db::test

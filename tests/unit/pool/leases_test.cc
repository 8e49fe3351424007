// Who gets which backend, and how a lease ends.
#include <utility>

#include "tests/unit/pool/pool_test.h"

namespace engine::db::test {
namespace {

using pool::Purpose;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class LeasesTest : public PoolTest {};

TEST_F(LeasesTest, AnIdleBackendIsGrantedAtOnce) {
  OpenBackends(1);
  Asker& one = Ask("one");
  EXPECT_TRUE(one.lease.held());
  EXPECT_EQ(Counts().leased, 1U);
  one.lease.Release();
  EXPECT_EQ(Counts().idle, 1U);
  EXPECT_THAT(Sent(1), IsEmpty()) << "a clean backend needs nothing";
}

TEST_F(LeasesTest, WaitersAreServedInTheOrderOfTheirComing) {
  settings_.max_pool_size = 1;
  OpenBackends(1);
  Asker& holder = Ask("holder");
  Asker& first = Ask("first", Purpose::kReads);
  Asker& second = Ask("second", Purpose::kTransaction, 1);
  Ask("third");
  EXPECT_EQ(Counts().waiting, 3U);
  holder.lease.Release();
  EXPECT_THAT(Served(), ElementsAre("holder", "first"));
  loop_.RunDue();
  first.lease.Release();
  EXPECT_THAT(Served(), ElementsAre("second"));
  loop_.RunDue();
  second.lease.Release();
  EXPECT_THAT(Served(), ElementsAre("third"));
}

TEST_F(LeasesTest, TransactionsLeaveOneBackendToOthers) {
  settings_.max_pool_size = 3;
  OpenBackends(3);
  Asker& one = Ask("one", Purpose::kTransaction, 1);
  Ask("two", Purpose::kTransaction, 2);
  Ask("three", Purpose::kTransaction, 3);
  EXPECT_THAT(Served(), ElementsAre("one", "two"));
  EXPECT_EQ(Counts().idle, 1U);
  Asker& other = Ask("other");
  EXPECT_THAT(Served(), ElementsAre("other"));
  other.lease.Release();
  EXPECT_THAT(Served(), IsEmpty());
  one.lease.Release();
  EXPECT_THAT(Served(), ElementsAre("three"));
}

TEST_F(LeasesTest, APoolOfOneTakesTransactionsToo) {
  settings_.max_pool_size = 1;
  OpenBackends(1);
  EXPECT_TRUE(Ask("one", Purpose::kTransaction, 1).lease.held());
}

TEST_F(LeasesTest, ReadsAreGuardedAndOthersAreNot) {
  OpenBackends(1);
  Asker& reads = Ask("reads", Purpose::kReads);
  loop_.RunDue();
  EXPECT_THAT(Sent(1), ElementsAre(kGuardOn));
  reads.lease.Release();
  Asker& again = Ask("again", Purpose::kReads);
  EXPECT_THAT(Sent(1), IsEmpty()) << "it stays guarded";
  again.lease.Release();
  Ask("writes");
  EXPECT_THAT(Sent(1), ElementsAre(kGuardOff));
  loop_.RunDue();
}

TEST_F(LeasesTest, TheOneInTheRightModeIsTaken) {
  OpenBackends(2);
  Asker& reads = Ask("reads", Purpose::kReads);
  loop_.RunDue();
  reads.lease.Release();
  loop_.RunDue();
  server_.ClearLog();
  Ask("reads", Purpose::kReads);
  Ask("writes");
  EXPECT_THAT(server_.Log(), IsEmpty());
  EXPECT_EQ(Counts().leased, 2U);
}

TEST_F(LeasesTest, AGuardThatFailedClosesTheBackend) {
  OpenBackends(1);
  server_.Once(kGuardOn, Answer::Fails("42501"));
  Asker& reads = Ask("reads", Purpose::kReads);
  loop_.RunDue();
  reads.lease.Release();
  EXPECT_EQ(Counts().open, 0U);
}

TEST_F(LeasesTest, SequencesAreForgottenBetweenOwners) {
  OpenBackends(1);
  Asker& ada = Ask("ada");
  ada.lease.ShieldSequences(1, /*reads=*/true);
  EXPECT_THAT(Sent(1), IsEmpty()) << "nobody's yet";
  Run(ada.lease, "INSERT INTO t VALUES (1)", 1);
  loop_.RunDue();
  ada.lease.Release();
  EXPECT_THAT(Sent(1), ElementsAre("INSERT INTO t VALUES (1)"));

  Asker& again = Ask("again");
  again.lease.ShieldSequences(1, /*reads=*/false);
  EXPECT_THAT(Sent(1), IsEmpty()) << "they are its own, and it does not look at them";
  again.lease.ShieldSequences(1, /*reads=*/true);
  EXPECT_THAT(Sent(1), ElementsAre("DISCARD SEQUENCES"));
  Run(again.lease, "INSERT INTO t VALUES (2)", 1);
  loop_.RunDue();
  again.lease.Release();
  (void)Sent(1);

  Asker& bob = Ask("bob");
  bob.lease.ShieldSequences(2, /*reads=*/false);
  EXPECT_THAT(Sent(1), ElementsAre("DISCARD SEQUENCES"));
  loop_.RunDue();
}

TEST_F(LeasesTest, AReadAmongOthersForgetsThemInOneGoWithTheGuard) {
  settings_.max_pool_size = 1;
  OpenBackends(1);
  Asker& writes = Ask("writes");
  Run(writes.lease, "INSERT INTO t VALUES (1)");
  loop_.RunDue();
  writes.lease.Release();
  (void)Sent(1);
  Read("read", "SELECT 1");
  EXPECT_THAT(Sent(1), ElementsAre("DISCARD SEQUENCES ...", kGuardOn, "SELECT 1"));
  loop_.RunDue();
}

TEST_F(LeasesTest, TellsWhenNothingIsInFlightAnyMore) {
  OpenBackends(1);
  server_.Always("SELECT", Answer::Command("SELECT 1").After(absl::Milliseconds(10)));
  Asker& one = Ask("one");
  int drained = 0;
  Run(one.lease, "SELECT 1");
  one.lease.OnDrained([&] { ++drained; });
  Pass(absl::Milliseconds(9));
  EXPECT_EQ(drained, 0);
  Pass(absl::Milliseconds(1));
  EXPECT_EQ(drained, 1);
  Run(one.lease, "SELECT 2");
  one.lease.OnDrained([&] { ++drained; });
  loop_.RunDue();
  server_.backend(1)->LoseLink();
  EXPECT_EQ(drained, 2) << "or when it is lost";
  Run(one.lease, "SELECT 3");
  one.lease.OnDrained([&] { ++drained; });
  one.lease.Release();
  loop_.RunDue();
  EXPECT_EQ(drained, 2) << "but not after the release";
}

TEST_F(LeasesTest, OneWhoseServerHasHungUpIsReplacedWithoutAWord) {
  OpenBackends(2);
  server_.backend(1)->HangUp();
  server_.backend(2)->HangUp();
  Asker& one = Ask("one");
  EXPECT_NE(one.ticket, 0U);
  loop_.RunDue();
  EXPECT_THAT(Served(), ElementsAre("one"));
  EXPECT_EQ(one.lease.backend().pid(), 1'003);
}

TEST_F(LeasesTest, ALostBackendStaysItsHoldersUntilItIsGivenBack) {
  settings_.max_pool_size = 1;
  OpenBackends(1);
  Asker& one = Ask("one");
  Ask("two");
  (void)Served();
  server_.backend(1)->LoseLink();
  loop_.RunDue();
  EXPECT_TRUE(one.lease.held());
  EXPECT_FALSE(one.lease.backend().usable());
  EXPECT_THAT(Served(), IsEmpty());
  one.lease.Release();
  loop_.RunDue();
  EXPECT_THAT(Served(), ElementsAre("two"));
  EXPECT_EQ(server_.opened(), 2U);
}

TEST_F(LeasesTest, ALostIdleBackendGoes) {
  OpenBackends(1);
  server_.backend(1)->LoseLink();
  EXPECT_EQ(Counts().open, 0U);
}

TEST_F(LeasesTest, AMovedLeaseHoldsWhatTheOtherHeld) {
  OpenBackends(2);
  Asker& one = Ask("one");
  Asker& two = Ask("two");
  one.lease = std::move(two.lease);
  EXPECT_FALSE(two.lease.held());
  EXPECT_TRUE(one.lease.held());
  EXPECT_EQ(Counts().leased, 1U);
  {
    const pool::Lease ends = std::move(one.lease);
    EXPECT_EQ(Counts().leased, 1U);
  }
  EXPECT_EQ(Counts().leased, 0U);
}

TEST_F(LeasesTest, TooManyWaitersAreRefusedAtOnce) {
  settings_.max_pool_size = 1;
  max_waiters_ = 2;
  OpenBackends(1);
  Asker& holder = Ask("holder");
  Run(holder.lease, "SELECT 1");
  loop_.RunDue();
  Ask("one");
  Read("two");
  const Asker& three = Ask("three");
  Read("four");
  EXPECT_THAT(Served(), ElementsAre("holder", "three: POOL_EXHAUSTED", "four: POOL_EXHAUSTED"));
  EXPECT_THAT(three.error.message(),
              HasSubstr("too many calls wait for a backend (limit 2): pool test has 1 of 1 backends in use (0 by "
                        "transactions), 0 idle, 0 being opened, 2 calls waiting; oldest holders: a statement for 0 "
                        "(fingerprint "));
  EXPECT_TRUE(FailureOf(three.error).retryable);
  EXPECT_EQ(FailureOf(three.error).retry_after, absl::Milliseconds(100));
}

TEST_F(LeasesTest, WhoeverWithdrawsHearsNothing) {
  settings_.max_pool_size = 1;
  OpenBackends(1);
  Asker& holder = Ask("holder");
  const Asker& one = Ask("one");
  Ask("two");
  (void)Served();
  pool_->Withdraw(one.ticket);
  pool_->Withdraw(0);
  EXPECT_EQ(Counts().waiting, 1U);
  holder.lease.Release();
  EXPECT_THAT(Served(), ElementsAre("two"));
  pool_->Withdraw(one.ticket);  // once more
  EXPECT_EQ(Counts().leased, 1U);
}

TEST_F(LeasesTest, OneWhoseBackendIsBeingOpenedMayWithdrawToo) {
  MakePool();
  server_.NextOpening({.status = {}, .takes = absl::Milliseconds(10)});
  const Asker& one = Ask("one");
  pool_->Withdraw(one.ticket);
  Pass(absl::Milliseconds(10));
  EXPECT_THAT(Served(), IsEmpty());
  EXPECT_EQ(Counts().idle, 1U);
}

TEST_F(LeasesTest, WhoeverIsLateIsToldWhoHasTheBackends) {
  settings_.max_pool_size = 1;
  OpenBackends(1);
  Ask("holder", Purpose::kTransaction, 1);
  const Asker& late = Ask("late");
  Pass(absl::Milliseconds(1'500));
  const absl::Status status = pool_->WithdrawLate(late.ticket, absl::Milliseconds(1'500));
  EXPECT_EQ(ReasonOf(status), Reason::kPoolWaitTimeout);
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(status.message(), HasSubstr("no backend became free within 1.5s: pool test has 1 of 1 backends in use (1 "
                                          "by transactions), 0 idle, 0 being opened, 0 calls waiting; oldest holders: "
                                          "a transaction for 1.5s"));
  EXPECT_EQ(FailureOf(status).outcome, Outcome::kNotExecuted);
}

TEST_F(LeasesTest, ClosingFailsWaitersAtOnceAndLeasesLater) {
  OpenBackends(2);
  Asker& one = Ask("one");
  Asker& two = Ask("two");
  Ask("three");
  Read("four");
  (void)Served();
  pool_->Close();
  EXPECT_THAT(Served(), ElementsAre("four: CONNECTION_CLOSED", "three: CONNECTION_CLOSED"));
  EXPECT_EQ(Counts().open, 2U);
  EXPECT_TRUE(one.lease.backend().usable());
  one.lease.Release();
  two.lease.Release();
  EXPECT_EQ(Counts().open, 0U);
  Ask("five");
  Read("six");
  EXPECT_THAT(Served(), ElementsAre("five: CONNECTION_CLOSED", "six: CONNECTION_CLOSED"));
  pool_->Close();  // once more
}

TEST_F(LeasesTest, RetiredBackendsCloseWhenNobodyUsesThem) {
  settings_.max_pool_size = 3;
  OpenBackends(2);
  Asker& holder = Ask("holder");
  server_.NextOpening({.status = {}, .takes = absl::Milliseconds(10)});
  pool_->RetireBackends();
  EXPECT_EQ(Counts().open, 1U) << "the idle one is gone";
  holder.lease.Release();
  EXPECT_EQ(Counts().open, 0U);
}

TEST_F(LeasesTest, OneThatIsBeingOpenedIsRetiredToo) {
  MakePool();
  server_.NextOpening({.status = {}, .takes = absl::Milliseconds(10)});
  Asker& one = Ask("one");
  pool_->RetireBackends();
  Pass(absl::Milliseconds(10));
  EXPECT_EQ(server_.opened(), 2U);
  EXPECT_EQ(one.lease.backend().pid(), 1'002);
}

TEST_F(LeasesTest, BrokenLinksLeaveTheLeases) {
  OpenBackends(1);
  Asker& one = Ask("one");
  pool_->BreakLinks();
  EXPECT_TRUE(one.lease.held());
  EXPECT_FALSE(one.lease.backend().usable());
  one.lease.Release();
  EXPECT_EQ(Counts().open, 0U);
}

TEST_F(LeasesTest, AWaiterMayAskForMoreFromItsCallback) {
  OpenBackends(2);
  (void)pool_->Acquire(Purpose::kAutocommit, 0, ManyAttempts(), [&](absl::StatusOr<pool::Lease> lease) {
    askers_.emplace_back().lease = *std::move(lease);
    Ask("inner");
  });
  EXPECT_THAT(Served(), ElementsAre("inner"));
  EXPECT_EQ(Counts().leased, 2U);
}

}  // namespace
}  // namespace engine::db::test

// No owner's transactions keep the others out.
#include <utility>

#include "tests/unit/pool/pool_test.h"

namespace engine::db::test {
namespace {

using pool::Purpose;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr pool::OwnerId kAda = 1;
constexpr pool::OwnerId kBob = 2;

// Five backends: transactions may hold four, and one of several owners three.
class OwnersTest : public PoolTest {
 protected:
  OwnersTest() {
    settings_.max_pool_size = 5;
    OpenBackends(5);
    pool_->AddOwner();
    pool_->AddOwner();
  }
  Asker& Begin(std::string name, pool::OwnerId owner) { return Ask(std::move(name), Purpose::kTransaction, owner); }
};

TEST_F(OwnersTest, OneOfSeveralIsHeldBackAtThreeQuarters) {
  Asker& first = Begin("a1", kAda);
  Begin("a2", kAda);
  Begin("a3", kAda);
  const Asker& held_back = Begin("a4", kAda);
  EXPECT_NE(held_back.ticket, 0U);
  EXPECT_EQ(Counts().idle, 2U);
  EXPECT_EQ(Counts().waiting, 0U) << "it waits for itself";
  Begin("b1", kBob);
  EXPECT_THAT(Served(), ElementsAre("a1", "a2", "a3", "b1"));
  Asker& other = Ask("a's statement", Purpose::kAutocommit, kAda);
  EXPECT_TRUE(other.lease.held());
  other.lease.Release();
  (void)Served();
  first.lease.Release();
  EXPECT_THAT(Served(), IsEmpty()) << "not from within the release";
  loop_.RunDue();
  EXPECT_THAT(Served(), ElementsAre("a4"));
}

TEST_F(OwnersTest, OneAloneHasThemAll) {
  pool_->RemoveOwner();
  for (int i = 0; i < 4; ++i) Begin("a", kAda);
  EXPECT_THAT(Served(), ElementsAre("a", "a", "a", "a"));
}

TEST_F(OwnersTest, WhoeverIsHeldBackGetsMoreWhenTheOthersAreGone) {
  for (int i = 0; i < 4; ++i) Begin("a", kAda);
  EXPECT_THAT(Served(), ElementsAre("a", "a", "a"));
  pool_->RemoveOwner();
  loop_.RunDue();
  EXPECT_THAT(Served(), ElementsAre("a"));
}

TEST_F(OwnersTest, TheDeadlineOfOneHeldBackSaysWhy) {
  for (int i = 0; i < 3; ++i) Begin("a", kAda);
  const Asker& late = Begin("late", kAda);
  const absl::Status status = pool_->WithdrawLate(late.ticket, absl::Milliseconds(200));
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(ReasonOf(status), Reason::kTransactionShareExhausted);
  EXPECT_THAT(status.message(),
              HasSubstr("the connection has 3 transactions open, which is its share of the pool while others use it"));
  EXPECT_EQ(FailureOf(status).outcome, Outcome::kNotExecuted);
  EXPECT_EQ(FailureOf(status).phase, Phase::kQueued);
  EXPECT_TRUE(FailureOf(status).retryable);
  askers_.front().lease.Release();
  loop_.RunDue();
  EXPECT_FALSE(late.answered);
}

TEST_F(OwnersTest, AWithdrawnWaitersPlaceGoesToTheNext) {
  Begin("b", kBob);
  Begin("b", kBob);
  Begin("a", kAda);
  Begin("a", kAda);
  const Asker& in_line = Begin("a3", kAda);  // all four are in use
  const Asker& held_back = Begin("a4", kAda);
  EXPECT_EQ(Counts().waiting, 1U);
  pool_->Withdraw(in_line.ticket);
  loop_.RunDue();
  EXPECT_EQ(Counts().waiting, 1U);
  (void)Served();
  askers_.front().lease.Release();
  loop_.RunDue();
  EXPECT_THAT(Served(), ElementsAre("a4"));
  EXPECT_TRUE(held_back.answered);
}

TEST_F(OwnersTest, ATransactionThatIsRunAgainKeepsItsPlace) {
  Asker& again = Begin("a1", kAda);
  Begin("a2", kAda);
  Begin("a3", kAda);
  Begin("a4", kAda);
  (void)Served();
  again.lease.ReleaseBackend();
  EXPECT_FALSE(again.lease.held());
  loop_.RunDue();
  EXPECT_THAT(Served(), IsEmpty());
  Asker& replay = Begin("replay", 0);
  EXPECT_THAT(Served(), ElementsAre("replay"));
  again.lease.TakeBackend(std::move(replay.lease));
  EXPECT_TRUE(again.lease.held());
  loop_.RunDue();
  EXPECT_THAT(Served(), IsEmpty());
  again.lease.Release();
  loop_.RunDue();
  EXPECT_THAT(Served(), ElementsAre("a4"));
}

TEST_F(OwnersTest, APlaceWithoutABackendIsGivenBackWithItsLease) {
  Asker& again = Begin("a1", kAda);
  Begin("a2", kAda);
  Begin("a3", kAda);
  Begin("a4", kAda);
  (void)Served();
  again.lease.ReleaseBackend();
  again.lease = pool::Lease();
  loop_.RunDue();
  EXPECT_THAT(Served(), ElementsAre("a4"));
}

TEST_F(OwnersTest, ClosingAnswersThoseHeldBack) {
  for (int i = 0; i < 4; ++i) Begin("a", kAda);
  (void)Served();
  pool_->Close();
  EXPECT_THAT(Served(), ElementsAre("a: CONNECTION_CLOSED"));
  askers_.front().lease.Release();
  loop_.RunDue();
  EXPECT_THAT(Served(), IsEmpty());
}

class CrowdedOwnersTest : public OwnersTest {
 protected:
  CrowdedOwnersTest() {
    pool_->Close();
    pool_.reset();
    max_waiters_ = 2;
    pool_metrics_.reset();
    OpenBackends(5);
    pool_->AddOwner();
    pool_->AddOwner();
  }
};

TEST_F(CrowdedOwnersTest, TooManyWhoAreHeldBackAreRefusedAndKeepNobodyElseOut) {
  for (int i = 0; i < 5; ++i) Begin("a", kAda);
  EXPECT_THAT(Served(), ElementsAre("a", "a", "a"));
  const Asker& refused = Begin("a6", kAda);
  EXPECT_THAT(Served(), ElementsAre("a6: TRANSACTION_SHARE_EXHAUSTED"));
  EXPECT_EQ(refused.error.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(refused.error.message(), HasSubstr("too many calls wait for one of them to end (limit 2)"));
  EXPECT_EQ(FailureOf(refused.error).retry_after, absl::Milliseconds(100));
  Begin("b", kBob);
  EXPECT_THAT(Served(), ElementsAre("b"));
  Begin("b", kBob);  // in line, since four are in use
  Begin("b", kBob);
  EXPECT_THAT(Served(), IsEmpty());
  Ask("c");
  EXPECT_THAT(Served(), ElementsAre("c: POOL_EXHAUSTED"));
}

}  // namespace
}  // namespace engine::db::test

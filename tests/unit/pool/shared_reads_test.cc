// Reads of several callers in one pipeline.
#include <string>
#include <vector>

#include "tests/unit/pool/pool_test.h"

namespace engine::db::test {
namespace {

using pool::Purpose;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// SELECT n takes n milliseconds.
class SharedReadsTest : public PoolTest {
 protected:
  explicit SharedReadsTest(int max_pool_size = 1) {
    settings_.max_pool_size = max_pool_size;
    server_.Otherwise([](const std::string& text) {
      if (!text.starts_with("SELECT ") || text[7] < '0' || text[7] > '9')
        return Answer::Command(text.substr(0, text.find(' ')));
      return Answer::Command("SELECT 1").After(absl::Milliseconds(std::stod(text.substr(7))));
    });
  }
  static absl::Duration Just(int milliseconds) { return absl::Milliseconds(milliseconds) - absl::Nanoseconds(1); }
};

class OneBackendTest : public SharedReadsTest {
 protected:
  OneBackendTest() { OpenBackends(1); }
};

class TwoBackendsTest : public SharedReadsTest {
 protected:
  TwoBackendsTest() : SharedReadsTest(2) {}
};

TEST_F(OneBackendTest, TheyStandInLineBehindTheGuard) {
  Read("one", "SELECT 1");
  Read("two", "SELECT 2");
  EXPECT_EQ(Counts().shared, 1U);
  EXPECT_EQ(Counts().waiting, 0U);
  EXPECT_THAT(Sent(1), ElementsAre(kGuardOn, "SELECT 1", "SELECT 2"));
  Pass(absl::Milliseconds(1));
  EXPECT_THAT(Served(), ElementsAre("one"));
  Pass(absl::Milliseconds(2));
  EXPECT_THAT(Served(), ElementsAre("two"));
  EXPECT_EQ(Counts().idle, 1U);
  Read("three", "SELECT 1");
  EXPECT_THAT(Sent(1), ElementsAre("SELECT 1")) << "the guard is still there";
  Pass(absl::Milliseconds(1));
}

TEST_F(OneBackendTest, ALineHasAnEnd) {
  shared_reads_.depth = 2;
  pool_.reset();
  pool_metrics_.reset();
  OpenBackends(1);
  Read("one");
  Read("two");
  const Reader& three = Read("three");
  EXPECT_TRUE(three.read.queued);
  EXPECT_EQ(pool::Pool::BackendPid(three.read), 0);
  EXPECT_EQ(Counts().waiting, 1U);
  Pass(absl::Milliseconds(1));
  EXPECT_THAT(Served(), ElementsAre("one"));
  EXPECT_TRUE(three.read.queued) << "a place in line is given when the backend is free, or another asks";
  Read("four");
  EXPECT_FALSE(three.read.queued);
  Pass(absl::Milliseconds(9));
  EXPECT_THAT(Served(), ElementsAre("two", "three", "four"));
}

TEST_F(OneBackendTest, SharingMayBeForbidden) {
  shared_reads_.enabled = false;
  pool_.reset();
  pool_metrics_.reset();
  OpenBackends(1);
  Read("one");
  const Reader& two = Read("two");
  EXPECT_TRUE(two.read.queued);
  Pass(absl::Milliseconds(2));
  EXPECT_THAT(Served(), ElementsAre("one", "two"));
}

TEST_F(OneBackendTest, WhoeverWaitsForABackendOfItsOwnIsNotKeptWaitingByMoreReads) {
  Read("one", "SELECT 3");
  Asker& writer = Ask("writer");
  const Reader& two = Read("two");
  EXPECT_TRUE(two.read.queued);
  Pass(absl::Milliseconds(3));
  EXPECT_THAT(Served(), ElementsAre("one", "writer"));
  EXPECT_TRUE(two.read.queued);
  writer.lease.Release();
  Pass(absl::Milliseconds(1));
  EXPECT_THAT(Served(), ElementsAre("two"));
}

TEST_F(OneBackendTest, OneThatFailsIsTheOnlyOne) {
  server_.Once("SELECT 1", Answer::Fails("22012"));
  Read("one", "SELECT 1");
  Read("two", "SELECT 2");
  Pass(absl::Milliseconds(2));
  EXPECT_THAT(Served(), ElementsAre("one: 22012", "two"));
}

TEST_F(OneBackendTest, ALostBackendEndsThemAll) {
  Read("one", "SELECT 1");
  Read("two", "SELECT 2");
  loop_.RunDue();
  server_.backend(1)->LoseLink();
  EXPECT_THAT(Served(), ElementsAre("one: LINK_LOST", "two: LINK_LOST"));
  EXPECT_EQ(Counts().open, 0U);
}

TEST_F(OneBackendTest, WithoutAGuardNothingIsProven) {
  server_.Once(kGuardOn, Answer::Fails("42501"));
  Read("one", "SELECT 1");
  Pass(absl::Milliseconds(1));
  EXPECT_THAT(Served(), ElementsAre("one"));
  EXPECT_EQ(Counts().open, 0U);
}

TEST_F(OneBackendTest, ASettingThatChangedAllTheSameIsResetAfterwards) {
  Answer answer = Answer::Command("SELECT 1");
  answer.changes_settings = true;
  server_.Once("SELECT 1", answer);
  Read("one", "SELECT 1");
  loop_.RunDue();
  EXPECT_EQ(Counts().idle, 1U);
  EXPECT_THAT(Sent(1),
              ElementsAre(kGuardOn, "SELECT 1", "(reset)", "(new seed)", "(start preparing)", "(accept settings)"));
}

TEST_F(OneBackendTest, ARetiredBackendEndsItsReadsFirst) {
  Read("one", "SELECT 1");
  loop_.RunDue();
  pool_->RetireBackends();
  const Reader& two = Read("two", "SELECT 2");
  EXPECT_TRUE(two.read.queued);
  Pass(absl::Milliseconds(1));
  EXPECT_THAT(Served(), ElementsAre("one"));
  Pass(absl::Milliseconds(2));
  EXPECT_THAT(Served(), ElementsAre("two"));
  EXPECT_EQ(server_.opened(), 2U);
}

TEST_F(OneBackendTest, APausedOneIsResumed) {
  Reader& one = Read("one", "SELECT 1");
  pool_->ResumeRead(one.read);
  EXPECT_THAT(Sent(1), ElementsAre(kGuardOn, "SELECT 1", "(resume)"));
  EXPECT_EQ(pool::Pool::BackendPid(one.read), 1'001);
  Pass(absl::Milliseconds(1));
  EXPECT_EQ(pool::Pool::BackendPid(one.read), 0);
  pool_->ResumeRead(one.read);
}

TEST_F(OneBackendTest, WhereEveryBackendIsSlowTheyStayInLine) {
  Read("slow", "SELECT 50");
  Read("quick", "SELECT 1");
  Pass(absl::Milliseconds(50));
  EXPECT_THAT(Served(), ElementsAre("slow"));
  EXPECT_THAT(Sent(1), ElementsAre(kGuardOn, "SELECT 50", "SELECT 1")) << "none was moved";
  Pass(absl::Milliseconds(1));
  EXPECT_THAT(Served(), ElementsAre("quick"));
}

// --- two backends

TEST_F(TwoBackendsTest, IdleBackendsComeFirstInLaterRounds) {
  OpenBackends(2);
  const Reader& one = Read("one", "SELECT 4");
  loop_.RunDue();
  const Reader& two = Read("two", "SELECT 4");
  EXPECT_NE(pool::Pool::BackendPid(one.read), pool::Pool::BackendPid(two.read));
  Pass(absl::Milliseconds(4));
}

TEST_F(TwoBackendsTest, ThoseOfOneRoundLeaveTogetherWhileTheyAreShort) {
  OpenBackends(2);
  std::vector<int> pids;
  for (int i = 0; i < 9; ++i) pids.push_back(pool::Pool::BackendPid(Read("read", "SELECT 0").read));
  const int first = pids.front();
  EXPECT_THAT(pids, ElementsAre(first, first, first, first, first, first, first, first, 2'003 - first));
  loop_.RunDue();
  EXPECT_EQ(Served().size(), 9U);
}

TEST_F(TwoBackendsTest, LongOnesAreSpread) {
  OpenBackends(2);
  for (int i = 0; i < 16; ++i) {  // the mean takes some to find out
    Read("read", "SELECT 4");
    Pass(absl::Milliseconds(4));
  }
  const Reader& one = Read("one", "SELECT 4");
  const Reader& two = Read("two", "SELECT 4");
  EXPECT_NE(pool::Pool::BackendPid(one.read), pool::Pool::BackendPid(two.read));
  Pass(absl::Milliseconds(4));
}

TEST_F(TwoBackendsTest, ThoseBehindASlowOneAreMovedAfterFiveMilliseconds) {
  OpenBackends(2);
  Read("slow", "SELECT 100");
  const Reader& quick = Read("quick", "SELECT 1");
  const Reader& quick_too = Read("quick too", "SELECT 1");
  const int first = pool::Pool::BackendPid(quick.read);
  Pass(Just(5));
  EXPECT_EQ(pool::Pool::BackendPid(quick.read), first);
  Pass(absl::Nanoseconds(1));
  EXPECT_EQ(pool::Pool::BackendPid(quick.read), 2'003 - first);
  EXPECT_EQ(pool::Pool::BackendPid(quick_too.read), 2'003 - first);
  Pass(absl::Milliseconds(2));
  EXPECT_THAT(Served(), ElementsAre("quick", "quick too")) << "in the order of their coming";
  Pass(absl::Milliseconds(93));
  EXPECT_THAT(Served(), ElementsAre("slow"));
  // The server runs the two there as well, for nobody.
  EXPECT_THAT(Sent(static_cast<size_t>(first - 1'000)),
              ElementsAre(kGuardOn, "SELECT 100", "SELECT 1", "SELECT 1", "(detach)", "(detach)"));
  Pass(absl::Milliseconds(2));
  EXPECT_EQ(Counts().idle, 2U);
}

TEST_F(TwoBackendsTest, OrToOneThatIsOpenedForThem) {
  OpenBackends(1);
  Read("slow", "SELECT 100");
  Read("quick", "SELECT 1");
  Pass(absl::Milliseconds(5));
  EXPECT_EQ(server_.opened(), 2U);
  Pass(absl::Milliseconds(1));
  EXPECT_THAT(Served(), ElementsAre("quick"));
  Pass(absl::Milliseconds(100));
}

TEST_F(TwoBackendsTest, AnAbandonedOneInTheQueueIsForgotten) {
  MakePool();
  server_.NextOpening({.status = {}, .takes = absl::Milliseconds(10)});
  Reader& one = Read("one");
  pool_->AbandonRead(one.read);
  pool_->AbandonRead(one.read);
  Pass(absl::Milliseconds(20));
  EXPECT_THAT(Served(), IsEmpty());
  EXPECT_EQ(Counts().idle, 1U);
}

TEST_F(TwoBackendsTest, AnAbandonedOneThatRunsIsCancelledAndThoseBehindItAreBroughtAway) {
  OpenBackends(2);
  Reader& slow = Read("slow", "SELECT 1000");
  const Reader& quick = Read("quick", "SELECT 1");
  const int first = pool::Pool::BackendPid(quick.read);
  Pass(absl::Milliseconds(1));
  pool_->AbandonRead(slow.read);
  EXPECT_EQ(pool::Pool::BackendPid(quick.read), 2'003 - first);
  Pass(absl::Milliseconds(1));
  EXPECT_THAT(Served(), ElementsAre("quick"));
  EXPECT_THAT(Sent(static_cast<size_t>(first - 1'000)),
              ElementsAre(kGuardOn, "SELECT 1000", "SELECT 1", "(detach)", "(detach)", "(cancel)", "(sync)"));
  EXPECT_EQ(Counts().idle, 2U);
}

TEST_F(TwoBackendsTest, OneThatIsNotStoppedWithinHalfASecondCostsItsBackend) {
  server_.SetCancels(Cancels::kIgnored);
  OpenBackends(1);
  Reader& slow = Read("slow", "SELECT 100000");
  loop_.RunDue();
  pool_->AbandonRead(slow.read);
  Pass(Just(500));
  EXPECT_EQ(Counts().open, 1U);
  Pass(absl::Nanoseconds(1));
  EXPECT_EQ(Counts().open, 0U);
  EXPECT_THAT(Served(), IsEmpty());
}

TEST_F(TwoBackendsTest, AnAbandonedOneAmongOthersIsOnlyForgotten) {
  OpenBackends(1);
  Read("one", "SELECT 3");
  Reader& two = Read("two", "SELECT 1");
  loop_.RunDue();
  pool_->AbandonRead(two.read);
  Pass(absl::Milliseconds(4));
  EXPECT_THAT(Served(), ElementsAre("one"));
  EXPECT_THAT(Sent(1), ElementsAre(kGuardOn, "SELECT 3", "SELECT 1", "(detach)"));
  EXPECT_EQ(Counts().idle, 1U);
}

TEST_F(TwoBackendsTest, WhereAllAreAbandonedASlowOneIsStopped) {
  OpenBackends(2);
  Read("slow", "SELECT 8");
  Reader& behind = Read("behind", "SELECT 1000");
  const size_t first = static_cast<size_t>(pool::Pool::BackendPid(behind.read) - 1'000);
  Pass(absl::Milliseconds(5));  // it was moved, and is run there as well
  pool_->AbandonRead(behind.read);
  loop_.RunDue();
  (void)Sent(first);
  Pass(absl::Milliseconds(3));
  EXPECT_THAT(Served(), ElementsAre("slow"));
  EXPECT_THAT(Sent(first), IsEmpty());
  Pass(absl::Milliseconds(10));
  EXPECT_THAT(Sent(first), ElementsAre("(cancel)", "(sync)"));
  EXPECT_EQ(Counts().idle, 2U);
}

TEST_F(TwoBackendsTest, AReadThatEndsAsItIsAbandonedHasEnded) {
  OpenBackends(1);
  Reader& one = Read("one", "SELECT 1");
  Pass(absl::Milliseconds(1));
  pool_->AbandonRead(one.read);
  EXPECT_THAT(Served(), ElementsAre("one"));
  EXPECT_THAT(Sent(1), ElementsAre(kGuardOn, "SELECT 1"));
}

TEST_F(TwoBackendsTest, WhenThePoolClosesThoseUnderWayFail) {
  OpenBackends(1);
  Read("one", "SELECT 1");
  loop_.RunDue();
  pool_->Close();
  EXPECT_THAT(Served(), ElementsAre("one: LINK_LOST"));
}

TEST_F(TwoBackendsTest, TheEmptiestStopsTakingReadsForWhoeverWaits) {
  OpenBackends(2);
  Read("a1", "SELECT 4");
  loop_.RunDue();
  Read("b1", "SELECT 4");
  Read("b2", "SELECT 4");
  loop_.RunDue();
  Ask("writer");
  Read("c", "SELECT 1");
  Pass(absl::Milliseconds(4));
  EXPECT_THAT(Served(), ElementsAre("a1", "writer", "b1"));
  Pass(absl::Milliseconds(4));
  EXPECT_THAT(Served(), ElementsAre("b2"));
  Pass(absl::Milliseconds(1));
  EXPECT_THAT(Served(), ElementsAre("c"));
}

}  // namespace
}  // namespace engine::db::test

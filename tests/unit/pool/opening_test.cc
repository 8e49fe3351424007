// How backends come and go when nothing is wrong with those that are there.
#include <cstdio>
#include <fstream>
#include <string>

#include "absl/synchronization/notification.h"
#include "server/postgres/sqlstate.h"
#include "tests/unit/pool/pool_test.h"

namespace engine::db::test {
namespace {

using pool::Purpose;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class OpeningTest : public PoolTest {
 protected:
  static Opening Unreachable() { return {.status = postgres::ConnectFailed("test", "refused", ""), .takes = {}}; }
  static Opening Refused(const std::string& sqlstate) {
    return {.status = postgres::ConnectFailed("test", "FATAL:  " + sqlstate + ": no", ""), .takes = {}};
  }
  static pool::RetryLimits Attempts(int attempts) {
    pool::RetryLimits retry_limits;
    retry_limits.max_attempts = attempts;
    return retry_limits;
  }
};

TEST_F(OpeningTest, AsManyAreOpenedAsAreWantedAndNoMoreThanMayBe) {
  MakePool();
  Ask("one");
  loop_.RunDue();
  EXPECT_EQ(server_.opened(), 1U);
  Ask("two");
  Ask("three");
  loop_.RunDue();
  EXPECT_EQ(server_.opened(), 2U);
  EXPECT_THAT(Served(), ElementsAre("one", "two"));
}

TEST_F(OpeningTest, TheMinimumIsOpenedAtOnceAndKept) {
  settings_.min_pool_size = 2;
  settings_.max_pool_size = 4;
  MakePool().Start();
  loop_.RunDue();
  EXPECT_EQ(Counts().idle, 2U);
  server_.backend(1)->LoseLink();
  loop_.RunDue();
  EXPECT_EQ(Counts().idle, 1U);
  Pass(absl::Minutes(1));
  EXPECT_EQ(Counts().idle, 2U) << "looked after once a minute";
}

TEST_F(OpeningTest, SurplusOnesCloseAfterFiveIdleMinutes) {
  settings_.min_pool_size = 1;
  settings_.max_pool_size = 4;
  MakePool().Start();
  loop_.RunDue();
  OpenBackends(3);
  Asker& busy = Ask("busy");
  Pass(absl::Minutes(5) - absl::Milliseconds(1));
  EXPECT_EQ(Counts().open, 3U);
  Pass(absl::Milliseconds(1));
  EXPECT_EQ(Counts().open, 1U) << "two were idle";
  busy.lease.Release();
  Pass(absl::Minutes(30));
  EXPECT_EQ(Counts().open, 1U);
}

TEST_F(OpeningTest, AnUnreachableServerIsTriedAsOftenAsTheWaiterWants) {
  MakePool();
  for (int i = 0; i < 3; ++i) server_.NextOpening(Unreachable());
  Ask("patient", Purpose::kAutocommit, 0, Attempts(4));
  Ask("impatient", Purpose::kAutocommit, 0, Attempts(2));
  loop_.RunDue();
  EXPECT_EQ(server_.opened(), 2U) << "one for each who waits, and each failure counts for both";
  EXPECT_THAT(Served(), ElementsAre("impatient: UNREACHABLE"));
  Pass(absl::Milliseconds(999));
  EXPECT_EQ(server_.opened(), 3U) << "for the one that is left";
  Pass(absl::Milliseconds(1));
  EXPECT_THAT(Served(), ElementsAre("patient"));
}

TEST_F(OpeningTest, BetweenTwoOpeningsIsHalfASecondAtMost) {
  MakePool();
  for (int i = 0; i < 3; ++i) server_.NextOpening(Unreachable());
  Ask("patient", Purpose::kAutocommit, 0, Attempts(4));
  Pass(absl::Milliseconds(499));
  EXPECT_EQ(server_.opened(), 1U);
  Pass(absl::Milliseconds(1));
  EXPECT_EQ(server_.opened(), 2U);
  Pass(absl::Milliseconds(499));
  EXPECT_EQ(server_.opened(), 2U);
  Pass(absl::Milliseconds(501));
  EXPECT_EQ(server_.opened(), 4U);
  EXPECT_THAT(Served(), ElementsAre("patient"));
}

TEST_F(OpeningTest, AWaiterHearsOfTheLastAttemptItWants) {
  MakePool();
  for (int i = 0; i < 3; ++i) server_.NextOpening(Unreachable());
  Ask("patient", Purpose::kAutocommit, 0, Attempts(3));
  Pass(absl::Milliseconds(999));
  EXPECT_THAT(Served(), IsEmpty());
  Pass(absl::Milliseconds(1));
  EXPECT_THAT(Served(), ElementsAre("patient: UNREACHABLE"));
}

TEST_F(OpeningTest, AWaiterHearsOfItWhenItsTimeIsOver) {
  MakePool();
  for (int i = 0; i < 9; ++i) server_.NextOpening(Unreachable());
  pool::RetryLimits retry_limits = ManyAttempts();
  retry_limits.until = loop_.Now() + absl::Milliseconds(700);
  Ask("waiter", Purpose::kAutocommit, 0, retry_limits);
  Pass(absl::Milliseconds(999));
  EXPECT_THAT(Served(), IsEmpty());
  Pass(absl::Milliseconds(1));
  EXPECT_THAT(Served(), ElementsAre("waiter: UNREACHABLE"));
}

TEST_F(OpeningTest, ReadsHaveTheSameLimits) {
  MakePool();
  for (int i = 0; i < 2; ++i) server_.NextOpening(Unreachable());
  Reader& reader = readers_.emplace_back(*this, "read", "SELECT 1");
  reader.read.retry_limits = Attempts(2);
  EXPECT_TRUE(pool_->RunRead(reader.read).ok());
  Pass(absl::Milliseconds(499));
  EXPECT_THAT(Served(), IsEmpty());
  Pass(absl::Milliseconds(1));
  EXPECT_THAT(Served(), ElementsAre("read: UNREACHABLE"));
  EXPECT_FALSE(reader.read.queued);
}

TEST_F(OpeningTest, ARefusalThatStaysIsToldAtOnce) {
  MakePool();
  server_.NextOpening(Refused("28P01"));
  Ask("waiter");
  loop_.RunDue();
  EXPECT_THAT(Served(), ElementsAre("waiter: 28P01"));
}

TEST_F(OpeningTest, WhileThereAreOtherBackendsNobodyHearsOfAFailure) {
  OpenBackends(1);
  server_.NextOpening(Refused("28P01"));
  Asker& holder = Ask("holder");
  Ask("waiter");
  loop_.RunDue();
  EXPECT_EQ(server_.opened(), 2U);
  EXPECT_THAT(Served(), ElementsAre("holder"));
  holder.lease.Release();
  EXPECT_THAT(Served(), ElementsAre("waiter"));
}

TEST_F(OpeningTest, WhoeverIsLateHearsWhyNoneCouldBeOpened) {
  MakePool();
  server_.NextOpening(Unreachable());
  const Asker& late = Ask("late");
  Pass(absl::Milliseconds(100));
  EXPECT_EQ(ReasonOf(pool_->WithdrawLate(late.ticket, absl::Milliseconds(100))), Reason::kUnreachable);
  Asker& next = Ask("next");
  Pass(absl::Milliseconds(400));
  EXPECT_TRUE(next.lease.held());
  next.lease.backend().Close();
  next.lease.Release();
  EXPECT_EQ(ReasonOf(pool_->WaitTimeout(absl::Milliseconds(1))), Reason::kPoolWaitTimeout) << "it is forgotten";
}

TEST_F(OpeningTest, ALoginTakesSoLongAtMost) {
  settings_.connect_timeout = absl::Milliseconds(300);
  MakePool();
  server_.NextOpening({.status = {}, .takes = absl::Seconds(9)});
  Ask("waiter", Purpose::kAutocommit, 0, Attempts(1));
  Pass(absl::Milliseconds(299));
  EXPECT_THAT(Served(), IsEmpty());
  Pass(absl::Milliseconds(1));
  EXPECT_THAT(Served(), ElementsAre("waiter: UNREACHABLE"));
}

TEST_F(OpeningTest, ClosingEndsWhatIsBeingOpened) {
  MakePool();
  server_.NextOpening({.status = {}, .takes = absl::Seconds(1)});
  Ask("waiter");
  pool_->Close();
  EXPECT_THAT(Served(), ElementsAre("waiter: CONNECTION_CLOSED"));
  EXPECT_EQ(Counts().opening, 0U);
  Pass(absl::Seconds(2));
  EXPECT_EQ(server_.opened(), 1U);
}

class PasswordFileTest : public OpeningTest {
 protected:
  PasswordFileTest() : path_(::testing::TempDir() + "/engine_db_pool_test_password") {
    settings_.password_file = path_;
    settings_.max_pool_size = 1;
    Write("old");
    MakePool();
  }
  ~PasswordFileTest() override { std::remove(path_.c_str()); }

  void Write(const std::string& password) { std::ofstream(path_) << password << "\n"; }
  // Waits until what the executor has been given is done.
  void ReadFiles() {
    absl::Notification read;
    executor_.Run([&] { read.Notify(); });
    read.WaitForNotification();
    loop_.RunDue();
  }

 private:
  const std::string path_;
};

TEST_F(PasswordFileTest, IsReadForEachOpening) {
  Asker& one = Ask("one");
  EXPECT_EQ(Counts().opening, 1U);
  EXPECT_EQ(server_.opened(), 0U);
  ReadFiles();
  EXPECT_TRUE(one.lease.held());
  one.lease.backend().Close();
  one.lease.Release();
  Write("new");
  Ask("two");
  ReadFiles();
  EXPECT_THAT(server_.passwords(), ElementsAre("old", "new"));
  EXPECT_THAT(Served(), ElementsAre("one", "two"));
}

TEST_F(PasswordFileTest, TheFirstRefusalMayBeOfAnOldOneAndIsNotTold) {
  server_.NextOpening(Refused("28P01"));
  Ask("waiter");
  ReadFiles();
  EXPECT_THAT(Served(), IsEmpty());
  Write("new");
  Pass(absl::Milliseconds(500));
  ReadFiles();
  EXPECT_THAT(Served(), ElementsAre("waiter"));
  EXPECT_THAT(server_.passwords(), ElementsAre("old", "new"));
}

TEST_F(PasswordFileTest, TheSecondRefusalIsTold) {
  server_.NextOpening(Refused("28P01"));
  server_.NextOpening(Refused("28P01"));
  Ask("waiter");
  ReadFiles();
  Pass(absl::Milliseconds(500));
  ReadFiles();
  EXPECT_THAT(Served(), ElementsAre("waiter: 28P01"));
}

TEST_F(PasswordFileTest, OneThatIsGoneIsTold) {
  settings_.password_file += "_missing";
  const Asker& waiter = Ask("waiter");
  ReadFiles();
  EXPECT_TRUE(waiter.answered);
  EXPECT_EQ(waiter.error.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Counts().opening, 0U);
}

TEST_F(PasswordFileTest, ClosingWhileItIsReadOpensNothing) {
  Ask("waiter");
  pool_->Close();
  ReadFiles();
  EXPECT_EQ(server_.opened(), 0U);
  EXPECT_EQ(Counts().opening, 0U);
}

TEST_F(PasswordFileTest, APoolThatIsGoneIsNotTold) {
  Ask("waiter");
  pool_->Close();
  pool_.reset();
  ReadFiles();
  EXPECT_EQ(server_.opened(), 0U);
}

}  // namespace
}  // namespace engine::db::test

#include "server/loop/event_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "server/loop/clock.h"
#include "server/loop/loop_thread.h"
#include "server/loop/weak_self.h"
#include "tests/support/manual_clock.h"

namespace engine::db::loop {
namespace {

using test::ManualClock;
using ::testing::ElementsAre;

class EventLoopTest : public ::testing::Test {
 protected:
  EventLoop::Task Say(const std::string& what) {
    return [this, what] { said_.push_back(what); };
  }

  ManualClock clock_;
  EventLoop loop_{clock_};
  std::vector<std::string> said_;
};

TEST_F(EventLoopTest, TasksRunInTheOrderOfPosting) {
  loop_.Post(Say("first"));
  loop_.Post(Say("second"));
  loop_.RunDue();
  EXPECT_THAT(said_, ElementsAre("first", "second"));
}

TEST_F(EventLoopTest, ATaskPostedByATaskRunsInTheNextRound) {
  loop_.Post([this] {
    loop_.Post(Say("next round"));
    loop_.RunAtEndOfRound(Say("end of round"));
    said_.push_back("task");
  });
  loop_.RunDue();
  EXPECT_THAT(said_, ElementsAre("task", "end of round", "next round"));
}

TEST_F(EventLoopTest, TheEndOfARoundIsAskedForOnceEachTime) {
  loop_.RunAtEndOfRound([this] {
    said_.push_back("end");
    loop_.RunAtEndOfRound(Say("end of the round after"));
  });
  loop_.RunDue();
  EXPECT_THAT(said_, ElementsAre("end", "end of the round after"));
  loop_.RunDue();
  EXPECT_EQ(said_.size(), 2U);
}

TEST_F(EventLoopTest, TheLoopIsKnownWhileItRuns) {
  EXPECT_EQ(EventLoop::Current(), nullptr);
  EventLoop* current = nullptr;
  loop_.Post([&] { current = EventLoop::Current(); });
  loop_.RunDue();
  EXPECT_EQ(current, &loop_);
  EXPECT_EQ(EventLoop::Current(), nullptr);
}

// --- timers

TEST_F(EventLoopTest, ATimerRunsAtItsMillisecondAndNotBefore) {
  Timer timer(loop_);
  timer.SetAfter(absl::Milliseconds(250), Say("timer"));
  clock_.Advance(loop_, absl::Milliseconds(249));
  EXPECT_THAT(said_, ElementsAre());
  EXPECT_TRUE(timer.is_set());
  clock_.Advance(loop_, absl::Milliseconds(1));
  EXPECT_THAT(said_, ElementsAre("timer"));
  EXPECT_FALSE(timer.is_set());
}

TEST_F(EventLoopTest, TimersRunInTheOrderOfTheirTimes) {
  Timer late(loop_);
  Timer early(loop_);
  Timer also_early(loop_);
  late.SetAfter(absl::Milliseconds(3), Say("late"));
  early.SetAfter(absl::Milliseconds(2), Say("early"));
  also_early.SetAfter(absl::Milliseconds(2), Say("as early, set later"));
  clock_.Turn(absl::Milliseconds(3));
  loop_.RunDue();
  EXPECT_THAT(said_, ElementsAre("early", "as early, set later", "late"));
}

TEST_F(EventLoopTest, EachTimerFindsTheTimeForWhichItWasSet) {
  const absl::Time start = loop_.Now();
  std::vector<absl::Duration> times;
  Timer timer(loop_);
  std::function<void()> again = [&] {
    times.push_back(loop_.Now() - start);
    if (times.size() < 3) timer.SetAfter(absl::Milliseconds(10), again);
  };
  timer.SetAfter(absl::Milliseconds(10), again);
  clock_.Advance(loop_, absl::Seconds(1));
  EXPECT_THAT(times, ElementsAre(absl::Milliseconds(10), absl::Milliseconds(20), absl::Milliseconds(30)));
  EXPECT_EQ(loop_.Now() - start, absl::Seconds(1));
}

TEST_F(EventLoopTest, SettingATimerAgainReplacesWhatWasSet) {
  Timer timer(loop_);
  timer.SetAfter(absl::Milliseconds(1), Say("replaced"));
  timer.SetAfter(absl::Milliseconds(2), Say("timer"));
  clock_.Advance(loop_, absl::Seconds(1));
  EXPECT_THAT(said_, ElementsAre("timer"));
}

TEST_F(EventLoopTest, ATimerThatIsCancelledOrDestroyedDoesNotRun) {
  Timer cancelled(loop_);
  cancelled.SetAfter(absl::Milliseconds(1), Say("cancelled"));
  std::optional<Timer> destroyed(std::in_place, loop_);
  destroyed->SetAfter(absl::Milliseconds(1), Say("destroyed"));
  cancelled.Cancel();
  destroyed.reset();
  EXPECT_EQ(loop_.NextTimer(), absl::InfiniteFuture());
  clock_.Advance(loop_, absl::Seconds(1));
  EXPECT_THAT(said_, ElementsAre());
}

TEST_F(EventLoopTest, ATimerMayCancelDestroyAndSetTimersWithinItsTask) {
  Timer other(loop_);
  auto self = std::make_unique<Timer>(loop_);
  other.SetAfter(absl::Milliseconds(2), Say("other"));
  self->SetAfter(absl::Milliseconds(1), [&] {
    EXPECT_FALSE(self->is_set());
    self->Cancel();
    self.reset();
    other.Cancel();
    said_.push_back("self");
  });
  clock_.Advance(loop_, absl::Seconds(1));
  EXPECT_THAT(said_, ElementsAre("self"));
}

TEST_F(EventLoopTest, ATimerForATimeThatHasPassedRunsAtOnce) {
  Timer timer(loop_);
  timer.SetAt(loop_.Now() - absl::Seconds(1), Say("timer"));
  loop_.RunDue();
  EXPECT_THAT(said_, ElementsAre("timer"));
}

// --- destroying

TEST_F(EventLoopTest, DestroyLaterDestroysAtTheEndOfTheRound) {
  struct Noisy {
    explicit Noisy(std::vector<std::string>& out) : said(out) {}
    ~Noisy() { said.push_back("destroyed"); }
    std::vector<std::string>& said;
  };
  loop_.Post([this] {
    loop_.DestroyLater(std::make_unique<Noisy>(said_));
    said_.push_back("still within");
  });
  loop_.Post(Say("same round"));
  loop_.RunDue();
  EXPECT_THAT(said_, ElementsAre("still within", "same round", "destroyed"));
}

}  // namespace
}  // namespace engine::db::loop

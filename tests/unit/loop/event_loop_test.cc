#include "server/loop/event_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "server/loop/clock.h"
#include "server/loop/loop_thread.h"
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

// --- sockets

// Two ends of a socket.
class Ends {
 public:
  Ends() {
    std::array<int, 2> fds{};
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds.data()), 0);
    here_ = fds[0];
    there_ = fds[1];
  }
  ~Ends() {
    close(here_);
    close(there_);
  }
  Ends(const Ends&) = delete;
  Ends& operator=(const Ends&) = delete;

  [[nodiscard]] int here() const { return here_; }
  void SendFromThere() const { EXPECT_EQ(write(there_, "x", 1), 1); }
  void HangUpThere() const { shutdown(there_, SHUT_RDWR); }

 private:
  int here_ = -1;
  int there_ = -1;
};

TEST_F(EventLoopTest, AWatchTellsWhatItIsFor) {
  const Ends ends;
  std::vector<uint32_t> seen;
  loop_.Watch(ends.here(), EPOLLIN, [&](uint32_t events) { seen.push_back(events); });
  loop_.RunDue();
  EXPECT_TRUE(seen.empty());
  ends.SendFromThere();
  loop_.RunDue();
  EXPECT_THAT(seen, ElementsAre(EPOLLIN));
  loop_.ChangeWatch(ends.here(), EPOLLOUT);
  loop_.RunDue();
  EXPECT_THAT(seen, ElementsAre(EPOLLIN, EPOLLOUT));
  loop_.ChangeWatch(ends.here(), 0);
  loop_.RunDue();
  EXPECT_EQ(seen.size(), 2U);
  loop_.Unwatch(ends.here());
}

TEST_F(EventLoopTest, AHangUpIsToldWhateverIsWatchedFor) {
  const Ends ends;
  uint32_t seen = 0;
  loop_.Watch(ends.here(), 0, [&](uint32_t events) {
    seen = events;
    loop_.Unwatch(ends.here());
  });
  ends.HangUpThere();
  loop_.RunDue();
  EXPECT_NE(seen & EPOLLHUP, 0U);
}

TEST_F(EventLoopTest, AWatchMayBeTakenAwayWithinItsCallback) {
  const Ends ends;
  const auto held = std::make_shared<std::string>("still there");
  ends.SendFromThere();
  loop_.Watch(ends.here(), EPOLLIN, [this, &ends, held](uint32_t) {
    loop_.Unwatch(ends.here());
    loop_.Unwatch(ends.here());
    said_.push_back(*held);  // the callback lives until it returns
  });
  loop_.RunDue();
  loop_.RunDue();
  EXPECT_THAT(said_, ElementsAre("still there"));
  EXPECT_EQ(held.use_count(), 1);
}

// Both are ready in the same round. The first callback closes the other's descriptor, and the kernel gives its number to
// a new one: what was ready was not that.
TEST_F(EventLoopTest, AnEventForAClosedDescriptorIsNotToldToItsSuccessor) {
  auto first = std::make_unique<Ends>();
  auto second = std::make_unique<Ends>();
  std::unique_ptr<Ends> successor;
  int told_to_old = 0;
  int told_to_new = 0;
  const auto replace = [&](std::unique_ptr<Ends>& other) {
    ++told_to_old;
    if (successor != nullptr) return;
    const int number = other->here();
    loop_.Unwatch(number);
    other.reset();
    successor = std::make_unique<Ends>();
    ASSERT_EQ(successor->here(), number);
    loop_.Watch(number, EPOLLIN, [&](uint32_t) { ++told_to_new; });
  };
  loop_.Watch(first->here(), EPOLLIN, [&](uint32_t) {
    replace(second);
    loop_.Unwatch(first->here());
  });
  loop_.Watch(second->here(), EPOLLIN, [&](uint32_t) {
    replace(first);
    loop_.Unwatch(second->here());
  });
  first->SendFromThere();
  second->SendFromThere();
  loop_.RunDue();
  EXPECT_EQ(told_to_old, 1);
  EXPECT_EQ(told_to_new, 0);
  successor->SendFromThere();
  loop_.RunDue();
  EXPECT_GE(told_to_new, 1);
  loop_.Unwatch(successor->here());
}

// --- the end

TEST_F(EventLoopTest, AMailboxDropsWhatComesAfterTheLoopsEnd) {
  auto loop = std::make_unique<EventLoop>(clock_);
  const std::shared_ptr<EventLoop::Mailbox> mailbox = loop->mailbox();
  mailbox->Post(Say("in time"));
  loop->RunDue();
  loop.reset();
  const auto held = std::make_shared<int>();
  mailbox->Post([held] { FAIL(); });
  EXPECT_THAT(said_, ElementsAre("in time"));
  EXPECT_EQ(held.use_count(), 1);
}

TEST_F(EventLoopTest, StopLetsRunWhatWasPosted) {
  std::thread runner([this] { loop_.Run(); });
  loop_.Post([this] { loop_.Post(Say("posted by a task")); });
  loop_.Stop();
  runner.join();
  EXPECT_THAT(said_, ElementsAre("posted by a task"));
}

TEST_F(EventLoopTest, ATaskThatIsDroppedAtTheEndMayPostAndOwnTimers) {
  auto loop = std::make_unique<EventLoop>(clock_);
  struct PostsAtItsEnd {
    explicit PostsAtItsEnd(EventLoop& l) : loop(l) {}
    ~PostsAtItsEnd() {
      loop.Post([] { FAIL(); });
    }
    EventLoop& loop;
  };
  loop->Post([held = std::make_unique<PostsAtItsEnd>(*loop)] { FAIL(); });
  auto owned = std::make_unique<Timer>(*loop);
  Timer& timer = *owned;
  timer.SetAfter(absl::Seconds(1), [timer = std::move(owned)] { FAIL(); });
  Timer outlives(*loop);
  outlives.SetAfter(absl::Seconds(1), [] { FAIL(); });
  loop.reset();
  EXPECT_FALSE(outlives.is_set());
}

TEST(LoopThreadTest, PostAndWaitRunsOnTheLoopsThread) {
  const SteadyClock clock;
  LoopThread thread("a-loop", clock);
  EventLoop* current = nullptr;
  thread.loop().PostAndWait([&] { current = EventLoop::Current(); });
  EXPECT_EQ(current, &thread.loop());
}

TEST(LoopThreadTest, TimersRunByTheRealClockToo) {
  const SteadyClock clock;
  LoopThread thread("a-loop", clock);
  const absl::Time start = clock.Now();
  absl::Notification done;
  std::optional<Timer> timer;
  thread.loop().Post([&] {
    timer.emplace(thread.loop());
    timer->SetAfter(absl::Milliseconds(5), [&] { done.Notify(); });
  });
  done.WaitForNotification();
  EXPECT_GE(clock.Now() - start, absl::Milliseconds(5));
  thread.loop().PostAndWait([&] { timer.reset(); });
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

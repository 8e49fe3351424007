#include "server/loop/blocking_executor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "server/loop/clock.h"
#include "server/loop/event_loop.h"
#include "server/loop/loop_thread.h"
#include "server/loop/weak_self.h"
#include "tests/support/manual_clock.h"

namespace engine::db::loop {
namespace {

using ::testing::ElementsAre;

TEST(BlockingExecutor, ATaskThatTakesLongKeepsNoLaterOneWaiting) {
  BlockingExecutor executor("test", 2);
  absl::Notification second_ran;
  absl::Notification first_ran;
  executor.Run([&] {
    second_ran.WaitForNotification();
    first_ran.Notify();
  });
  executor.Run([&] { second_ran.Notify(); });
  first_ran.WaitForNotification();
}

TEST(BlockingExecutor, NoMoreThreadsThanAllowedRunAtOnce) {
  BlockingExecutor executor("test", 3);
  std::atomic<int> running = 0;
  std::atomic<int> most = 0;
  absl::BlockingCounter left(50);
  for (int i = 0; i < 50; ++i) {
    executor.Run([&] {
      const int now = ++running;
      int seen = most;
      while (now > seen && !most.compare_exchange_weak(seen, now)) {
      }
      --running;
      left.DecrementCount();
    });
  }
  left.Wait();
  EXPECT_LE(most, 3);
}

TEST(BlockingExecutor, StopWaitsForWhatIsQueuedAndDropsWhatComesLater) {
  BlockingExecutor executor("test", 1);
  std::vector<std::string> said;
  absl::Notification go;
  executor.Run([&] { go.WaitForNotification(); });
  executor.Run([&] { said.emplace_back("queued"); });
  go.Notify();
  executor.Stop();
  executor.Run([&] { said.emplace_back("later"); });
  executor.Stop();
  EXPECT_THAT(said, ElementsAre("queued"));
}

TEST(BlockingExecutor, RunAndTellBringsTheResultBackToTheLoop) {
  const SteadyClock clock;
  LoopThread thread("a-loop", clock);
  BlockingExecutor executor("test", 1);
  absl::Notification told;
  EventLoop* loop_of_work = &thread.loop();
  std::unique_ptr<int> result;
  executor.RunAndTell(
      thread.loop(),
      [&] {
        loop_of_work = EventLoop::Current();
        return std::make_unique<int>(42);
      },
      [&](std::unique_ptr<int> value) {
        EXPECT_EQ(EventLoop::Current(), &thread.loop());
        result = std::move(value);
        told.Notify();
      });
  told.WaitForNotification();
  EXPECT_EQ(loop_of_work, nullptr);
  EXPECT_EQ(*result, 42);
}

TEST(BlockingExecutor, RunAndTellDropsTheResultWhenTheLoopOrTheObjectIsGone) {
  struct Asker {
    WeakSelf<Asker> self{this};
  };
  const test::ManualClock clock;
  auto loop = std::make_unique<EventLoop>(clock);
  auto asker = std::make_unique<Asker>();
  BlockingExecutor executor("test", 1);
  absl::Notification go;
  const auto ask = [&] {
    executor.RunAndTell(
        *loop, [] { return 0; }, asker->self.Bind([](Asker&, int) { FAIL(); }));
  };
  ask();
  executor.Run([&] { go.WaitForNotification(); });
  ask();
  asker.reset();
  loop->RunDue();
  loop.reset();
  go.Notify();
  executor.Stop();
}

TEST(SteadyClock, GoesWithTheSystemsTime) {
  const SteadyClock clock;
  EXPECT_LT(absl::AbsDuration(clock.Now() - absl::Now()), absl::Seconds(1));
  const absl::Time before = clock.Now();
  EXPECT_GE(clock.Now(), before);
}

}  // namespace
}  // namespace engine::db::loop

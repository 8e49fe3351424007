#include "server/loop/weak_self.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>

#include "server/loop/event_loop.h"
#include "tests/support/manual_clock.h"

namespace engine::db::loop {
namespace {

struct Counter {
  int count = 0;
  WeakSelf<Counter> self{this};
};

TEST(WeakSelf, ABoundCallbackRunsWhileTheObjectIsThere) {
  Counter counter;
  auto add = counter.self.Bind(
      [](Counter& self, int a, const std::string& b) { self.count += a + static_cast<int>(b.size()); });
  add(1, "ab");
  add(1, "");
  EXPECT_EQ(counter.count, 4);
}

TEST(WeakSelf, ABoundCallbackIsNothingWhenTheObjectIsGone) {
  std::optional<Counter> counter(std::in_place);
  bool called = false;
  auto callback = counter->self.Bind([&called](Counter&) { called = true; });
  counter.reset();
  callback();
  EXPECT_FALSE(called);
}

TEST(WeakSelf, ArgumentsThatCanOnlyBeMovedAreMoved) {
  Counter counter;
  auto take = counter.self.Bind([](Counter& self, std::unique_ptr<int> value) { self.count = *value; });
  take(std::make_unique<int>(7));
  EXPECT_EQ(counter.count, 7);
}

// A Task keeps two pointers' worth without an allocation: what runs once a round must not need one.
TEST(WeakSelf, ACallbackWithoutCapturesIsTwoPointers) {
  Counter counter;
  auto callback = counter.self.Bind([](Counter& self) { ++self.count; });
  static_assert(sizeof(callback) == 2 * sizeof(void*));
  static_assert(std::is_nothrow_move_constructible_v<decltype(callback)>);
}

TEST(WeakSelf, AnObjectThatIsDestroyedLaterHearsNothingAfterItsEnd) {
  const test::ManualClock clock;
  EventLoop loop(clock);
  auto owned = std::make_unique<Counter>();
  int* count = nullptr;
  auto callback = owned->self.Bind([&count](Counter& self) { count = &++self.count; });
  loop.DestroyLater(std::move(owned));
  callback();
  ASSERT_NE(count, nullptr);
  EXPECT_EQ(*count, 1);
  loop.RunDue();
  count = nullptr;
  callback();
  EXPECT_EQ(count, nullptr);
}

TEST(WeakSelf, ABoundCallbackMayBeDestroyedOnAnotherThread) {
  auto counter = std::make_unique<Counter>();
  std::thread other([callback = counter->self.Bind([](Counter&) {})]() mutable { auto dropped = std::move(callback); });
  counter.reset();
  other.join();
}

}  // namespace
}  // namespace engine::db::loop

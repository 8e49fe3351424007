#include "engine_db/async.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace engine::db {
namespace {

std::exception_ptr failure() { return std::make_exception_ptr(std::runtime_error("failed")); }

Async<int> plus_one(Async<int> operation) { co_return co_await operation + 1; }

TEST(US004Async, ACallbackGetsTheValue) {
  AsyncPromise<int> promise;
  int got = 0;
  promise.async().then([&](Completion<int> done) { got = std::move(done).value(); });
  EXPECT_EQ(got, 0);
  promise.complete(7);
  EXPECT_EQ(got, 7);
}

TEST(US004Async, ACallbackOnOneThatHasEndedRunsAtOnce) {
  int got = 0;
  Async<int>::completed(7).then([&](Completion<int> done) { got = std::move(done).value(); });
  EXPECT_EQ(got, 7);
}

TEST(US004Async, ACallbackGetsTheError) {
  bool failed = false;
  Async<int>::completed(failure()).then([&](const Completion<int>& done) {
    failed = !done.ok() && done.error() != nullptr;
    EXPECT_THROW(static_cast<void>(done.value()), std::runtime_error);
  });
  EXPECT_TRUE(failed);
}

TEST(US004Async, AFutureGetsTheValueOrTheError) {
  AsyncPromise<std::string> promise;
  std::future<std::string> future = promise.async().future();
  std::thread producer([&] { promise.complete(std::string("done")); });
  EXPECT_EQ(future.get(), "done");
  producer.join();
  EXPECT_THROW(Async<void>::completed(failure()).future().get(), std::runtime_error);
}

TEST(US004Async, ACoroutineGetsTheValueOrTheError) {
  AsyncPromise<int> promise;
  Async<int> sum = plus_one(promise.async());
  promise.complete(41);
  EXPECT_EQ(sync_wait(std::move(sum)), 42);
  EXPECT_THROW(sync_wait(plus_one(Async<int>::completed(failure()))), std::runtime_error);
}

TEST(US004Async, ItIsTakenOnlyOnce) {
  Async<int> operation = Async<int>::completed(1);
  EXPECT_EQ(operation.future().get(), 1);
  EXPECT_THROW(static_cast<void>(operation.future()), std::logic_error);
  EXPECT_THROW(operation.then([](const Completion<int>&) {}), std::logic_error);
}

TEST(US004Async, MovingValuesNeedNoCopies) {
  Async<std::unique_ptr<int>> operation = Async<std::unique_ptr<int>>::completed(std::make_unique<int>(3));
  EXPECT_EQ(*sync_wait(std::move(operation)), 3);
}

TEST(US004Async, ABrokenPromiseIsAnError) {
  Async<int> operation = AsyncPromise<int>().async();
  EXPECT_THROW(sync_wait(std::move(operation)), std::future_error);
}

TEST(US004Async, ACoroutinesLocalsAreGoneWhenItsEndIsTold) {
  bool destroyed = false;
  struct Local {
    bool& destroyed;
    ~Local() { destroyed = true; }
  };
  AsyncPromise<void> gate;
  const auto coroutine = [](Async<void> wait, bool& flag) -> Async<void> {
    const Local local{flag};
    co_await wait;
  };
  bool destroyed_at_end = false;
  coroutine(gate.async(), destroyed).then([&](const Completion<void>&) { destroyed_at_end = destroyed; });
  EXPECT_FALSE(destroyed);
  gate.complete(std::monostate{});
  EXPECT_TRUE(destroyed_at_end);
}

// Producer and consumer race for real; no end may be lost, whichever way it is taken.
TEST(US004Async, NoEndIsLostBetweenThreads) {
  constexpr int kRounds = 3000;
  std::atomic<int> sum = 0;
  for (int i = 0; i < kRounds; ++i) {
    std::vector<AsyncPromise<int>> promises(4);
    std::vector<Async<int>> asyncs;
    asyncs.reserve(promises.size());
    for (auto& promise : promises) asyncs.push_back(promise.async());
    std::thread producer([&] {
      for (auto& promise : promises) promise.complete(1);
    });
    asyncs[0].then([&](Completion<int> done) { sum += std::move(done).value(); });
    std::future<int> future = asyncs[1].future();
    Async<int> coroutine = plus_one(std::move(asyncs[2]));
    sum += sync_wait(std::move(asyncs[3]));
    sum += future.get();
    sum += sync_wait(std::move(coroutine));
    producer.join();
  }
  EXPECT_EQ(sum, kRounds * 5);
}

}  // namespace
}  // namespace engine::db

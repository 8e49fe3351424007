// So many calls in flight, each followed by the next as soon as it is answered.
#ifndef ENGINE_DB_TESTS_BENCHMARK_CLOSED_LOOP_H_
#define ENGINE_DB_TESTS_BENCHMARK_CLOSED_LOOP_H_

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <random>
#include <semaphore>
#include <utility>
#include <vector>

#include "engine_db/async.h"
#include "tests/benchmark/measurement.h"

namespace engine::db::bench {

using Random = std::minstd_rand;

// 1 to `last`.
inline int64_t RandomUpTo(int64_t last, Random& random) {
  return std::uniform_int_distribution<int64_t>(1, last)(random);
}

// Runs `width` chains of asynchronous calls: `call(Random&)` starts one and returns its Async. Blocks until the time is
// over and the last answer has come; then throws the first error, if there was one.
template <typename Call>
class ClosedLoop {
 public:
  ClosedLoop(int width, Call call) : call_(std::move(call)), chains_(static_cast<size_t>(width)) {
    for (size_t i = 0; i < chains_.size(); ++i) chains_[i].random.seed(static_cast<unsigned>(i + 1));
  }

  Contender::Work Run(double seconds) {
    const auto begin = Clock::now();
    end_ = begin + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
    for (Chain& chain : chains_) Next(chain);
    for (size_t i = 0; i < chains_.size(); ++i) ended_.acquire();
    if (error_) std::rethrow_exception(error_);
    Contender::Work work{.seconds = std::chrono::duration<double>(Clock::now() - begin).count()};
    for (const Chain& chain : chains_) work.operations += static_cast<double>(chain.done);
    return work;
  }

 private:
  using Clock = std::chrono::steady_clock;

  struct alignas(64) Chain {  // a cache line each: chains may run on several of gRPC's threads
    Random random;
    uint64_t done = 0;
  };

  void Next(Chain& chain) {
    if (Clock::now() >= end_) return ended_.release();
    call_(chain.random).then([this, &chain](const auto& completion) {
      if (!completion.ok()) return Fail(completion.error());
      ++chain.done;
      Next(chain);
    });
  }

  void Fail(std::exception_ptr error) {
    {
      const std::scoped_lock lock(mutex_);
      if (!error_) error_ = std::move(error);
    }
    ended_.release();
  }

  Call call_;
  std::vector<Chain> chains_;
  Clock::time_point end_;
  std::counting_semaphore<> ended_{0};
  std::mutex mutex_;
  std::exception_ptr error_;
};

// The same with threads: `call(Random&)` blocks.
Contender::Work RunThreads(int count, double seconds, const std::function<void(Random&)>& call);

}  // namespace engine::db::bench

#endif  // ENGINE_DB_TESTS_BENCHMARK_CLOSED_LOOP_H_

#include "tests/benchmark/closed_loop.h"

#include <future>

namespace engine::db::bench {

Contender::Work RunThreads(int count, double seconds, const std::function<void(Random&)>& call) {
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  const auto end = begin + std::chrono::duration<double>(seconds);
  std::vector<std::future<uint64_t>> threads;
  threads.reserve(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) {
    threads.push_back(std::async(std::launch::async, [&call, end, i] {
      Random random(static_cast<unsigned>(i + 1));
      uint64_t done = 0;
      for (; Clock::now() < end; ++done) call(random);
      return done;
    }));
  }
  Contender::Work work;
  for (auto& thread : threads) work.operations += static_cast<double>(thread.get());
  work.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  return work;
}

}  // namespace engine::db::bench

#include "tests/support/machine_delay.h"

#include <algorithm>
#include <deque>
#include <mutex>
#include <thread>

namespace engine::db::test {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kEvery{5};
// A thread that sleeps is woken by so much later on any machine.
constexpr milliseconds kUsual{1};
// A call passes through the test, the gateway, PostgreSQL and back: each of them may be kept waiting.
constexpr int kProcessesInTurn = 3;
// No test measures longer than this.
constexpr std::chrono::minutes kRemembered{2};

class DelayMeter {
 public:
  DelayMeter() : thread_([this] { Run(); }) { thread_.detach(); }

  [[nodiscard]] Clock::duration LateSince(Clock::time_point start) {
    const std::lock_guard lock(mutex_);
    Clock::duration late{};
    for (const Delay& delay : delays_) {
      if (delay.at > start) late += delay.late;
    }
    // It may be late just now.
    return late + std::max(Clock::duration{}, Clock::now() - due_ - kUsual);
  }

 private:
  struct Delay {
    Clock::time_point at;
    Clock::duration late;
  };

  [[noreturn]] void Run() {
    for (;;) {
      Clock::time_point due;
      {
        const std::lock_guard lock(mutex_);
        due = due_ = Clock::now() + kEvery;
      }
      std::this_thread::sleep_until(due);
      const Clock::time_point now = Clock::now();
      if (now - due <= kUsual) continue;
      const std::lock_guard lock(mutex_);
      delays_.push_back({now, now - due});
      while (now - delays_.front().at > kRemembered) delays_.pop_front();
    }
  }

  std::mutex mutex_;
  std::deque<Delay> delays_;
  Clock::time_point due_ = Clock::now();
  std::thread thread_;
};

// Begins with the process, and is never destroyed: its thread has no end.
DelayMeter& meter = *new DelayMeter;

}  // namespace

milliseconds Slack(Clock::time_point start) {
  return kPromise + std::chrono::duration_cast<milliseconds>(kProcessesInTurn * meter.LateSince(start));
}

}  // namespace engine::db::test

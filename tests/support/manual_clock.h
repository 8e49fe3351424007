// A clock that a test turns by hand.
#ifndef ENGINE_DB_TESTS_SUPPORT_MANUAL_CLOCK_H_
#define ENGINE_DB_TESTS_SUPPORT_MANUAL_CLOCK_H_

#include <algorithm>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/loop/clock.h"
#include "server/loop/event_loop.h"

namespace engine::db::test {

// Any thread. Stands still at the same time of day in every test until it is turned.
class ManualClock final : public loop::Clock {
 public:
  [[nodiscard]] absl::Time Now() const override {
    absl::MutexLock lock(&mutex_);
    return now_;
  }

  // Runs nothing: timers that are due by then find themselves late, as on a machine that stood still.
  void Turn(absl::Duration by) {
    absl::MutexLock lock(&mutex_);
    now_ += by;
  }

  // Lets time pass on a loop that the calling thread made: every timer runs at the very time for which it was set, and
  // all that follows from it at that time, before the clock goes on.
  void Advance(loop::EventLoop& loop, absl::Duration by) {
    const absl::Time end = Now() + by;
    loop.RunDue();
    while (loop.NextTimer() <= end) {
      Turn(std::max(absl::ZeroDuration(), loop.NextTimer() - Now()));
      loop.RunDue();
    }
    Turn(end - Now());
  }

 private:
  mutable absl::Mutex mutex_;
  absl::Time now_ ABSL_GUARDED_BY(mutex_) = absl::FromUnixSeconds(1'700'000'000);
};

}  // namespace engine::db::test

#endif  // ENGINE_DB_TESTS_SUPPORT_MANUAL_CLOCK_H_

// What time it is, for deadlines, timers and durations. Given to whatever needs it, so that tests turn it by hand
// (tests/support/manual_clock.h).
#ifndef ENGINE_DB_SERVER_LOOP_CLOCK_H_
#define ENGINE_DB_SERVER_LOOP_CLOCK_H_

#include "absl/time/time.h"

namespace engine::db::loop {

// Any thread.
class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual absl::Time Now() const = 0;
};

// The system's time when the clock was made, and from then on as much more as has passed. It never jumps when the
// system's clock is set, as absl::Now() does, which would end every call at once, or none.
class SteadyClock final : public Clock {
 public:
  SteadyClock();
  [[nodiscard]] absl::Time Now() const override;

 private:
  const absl::Time began_;
  const absl::Duration steady_began_;  // since the steady clock's epoch
};

}  // namespace engine::db::loop

#endif  // ENGINE_DB_SERVER_LOOP_CLOCK_H_

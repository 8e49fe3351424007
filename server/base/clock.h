// The gateway's one clock.
#ifndef ENGINE_DB_SERVER_BASE_CLOCK_H_
#define ENGINE_DB_SERVER_BASE_CLOCK_H_

#include "absl/time/time.h"

namespace engine::db {

// For deadlines, timers and durations: the system's time when the process began, and from then on as much more as has
// passed. It never jumps when the system's clock is set, as absl::Now() does, which would end every call at once, or
// none. Any thread may call it.
[[nodiscard]] absl::Time Now();

}  // namespace engine::db

#endif  // ENGINE_DB_SERVER_BASE_CLOCK_H_

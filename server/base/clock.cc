#include "server/base/clock.h"

#include <chrono>

#include "absl/time/clock.h"

namespace engine::db {

absl::Time Now() {
  using Steady = std::chrono::steady_clock;
  static const absl::Time began = absl::Now();
  static const Steady::time_point steady_began = Steady::now();
  return began + absl::FromChrono(Steady::now() - steady_began);
}

}  // namespace engine::db

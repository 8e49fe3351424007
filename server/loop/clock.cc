#include "server/loop/clock.h"

#include <chrono>

#include "absl/time/clock.h"

namespace engine::db::loop {
namespace {

absl::Duration SteadyNow() { return absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch()); }

}  // namespace

SteadyClock::SteadyClock() : began_(absl::Now()), steady_began_(SteadyNow()) {}

absl::Time SteadyClock::Now() const { return began_ + (SteadyNow() - steady_began_); }

}  // namespace engine::db::loop

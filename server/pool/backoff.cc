#include "server/pool/backoff.h"

#include <algorithm>
#include <cmath>

#include "absl/random/distributions.h"

namespace engine::db::pool {

absl::Duration BackoffDelay(const config::RetrySettings& settings, int failures, absl::BitGenRef random) {
  const double growth = std::pow(settings.multiplier, std::min(failures - 1, 64));
  const absl::Duration bound = std::min(settings.max_delay, settings.initial_delay * growth);
  return bound * absl::Uniform(random, 0.0, 1.0);
}

}  // namespace engine::db::pool

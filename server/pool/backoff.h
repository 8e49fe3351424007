// How long to wait before trying again.
#ifndef ENGINE_DB_SERVER_POOL_BACKOFF_H_
#define ENGINE_DB_SERVER_POOL_BACKOFF_H_

#include "absl/random/bit_gen_ref.h"
#include "absl/time/time.h"
#include "server/config/target.h"

namespace engine::db::pool {

// Exponential with full jitter: a random time up to min(max_delay, initial_delay * multiplier^(failures-1)), so that
// callers who failed together do not come back together. `failures` is at least 1.
[[nodiscard]] absl::Duration BackoffDelay(const config::RetrySettings& settings, int failures, absl::BitGenRef random);

}  // namespace engine::db::pool

#endif  // ENGINE_DB_SERVER_POOL_BACKOFF_H_

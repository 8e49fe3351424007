// What the pool says of itself: the answer to "why is the pool exhausted?".
#ifndef ENGINE_DB_SERVER_POOL_REPORT_H_
#define ENGINE_DB_SERVER_POOL_REPORT_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/pool/slots.h"

namespace engine::db::pool {

// Counts for listings and errors.
struct PoolCounts {
  size_t max_size = 0, open = 0, opening = 0, idle = 0, leased = 0, shared = 0, waiting = 0;
};

[[nodiscard]] PoolCounts CountsOf(const Slots& slots, size_t max_size, size_t waiting);

// "pool p has 10 of 10 backends in use (8 by transactions), ..., 3 calls waiting; oldest holders: a transaction for
// 12.3s (fingerprint a1b2c3), ..."
[[nodiscard]] std::string DescribeUse(std::string_view pool, const PoolCounts& counts, size_t transactions,
                                      const Slots& slots, absl::Time now);

// The errors of those who want a backend. `use` is DescribeUse().

[[nodiscard]] absl::Status PoolClosed();
// More than `limit` would wait.
[[nodiscard]] absl::Status PoolExhausted(size_t limit, std::string_view use);
// The deadline passed after `waited`.
[[nodiscard]] absl::Status PoolWaitTimeout(absl::Duration waited, std::string_view use);
// The deadline passed while the owner's open transactions were as many as it may have, while others use the pool.
[[nodiscard]] absl::Status ShareExhausted(size_t share);
// Too many calls, `limit`, wait for one of those transactions to end already.
[[nodiscard]] absl::Status TooManyWaitForShare(size_t share, size_t limit);

}  // namespace engine::db::pool

#endif  // ENGINE_DB_SERVER_POOL_REPORT_H_

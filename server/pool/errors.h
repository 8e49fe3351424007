// The errors of those who wait for a backend.
#ifndef ENGINE_DB_SERVER_POOL_ERRORS_H_
#define ENGINE_DB_SERVER_POOL_ERRORS_H_

#include <cstddef>

#include "absl/status/status.h"

namespace engine::db::pool {

// The deadline passed while the owner's open transactions were as many as it may have, while others use the pool.
[[nodiscard]] absl::Status NoPlaceInTime(size_t share);
// Too many calls, `limit`, wait for that already.
[[nodiscard]] absl::Status TooManyWaitForPlace(size_t share, size_t limit);

}  // namespace engine::db::pool

#endif  // ENGINE_DB_SERVER_POOL_ERRORS_H_

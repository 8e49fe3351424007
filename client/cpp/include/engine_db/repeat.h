// When a failed transaction is run again. For the connectors' own use.
#ifndef ENGINE_DB_REPEAT_H_
#define ENGINE_DB_REPEAT_H_

#include <chrono>
#include <optional>

#include "engine_db/async.h"
#include "engine_db/config.h"
#include "engine_db/error.h"

namespace engine::db::internal {

// How long to wait before the next attempt of a transaction when `attempt`, counted from 1, failed with `error`, and
// the first one began at `began`. Nothing when it must not be repeated: its effects are not known to be undone, or it
// would fail again.
[[nodiscard]] std::optional<std::chrono::milliseconds> pause_before_repeating(
    const RetryConfig& retry, int attempt, std::chrono::steady_clock::time_point began, const DatabaseError& error);

// A random time up to `longest`: transactions that collided come back at different times ("full jitter").
[[nodiscard]] std::chrono::milliseconds random_pause(std::chrono::milliseconds longest);

// Done after so long, on one of gRPC's threads.
Async<void> after(std::chrono::milliseconds pause);

}  // namespace engine::db::internal

#endif  // ENGINE_DB_REPEAT_H_

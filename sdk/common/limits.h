// The contract's limits, as the gateway and the clients check them. The Python package has its own list, which
// tests/python/rules_agree_test.py compares with this one.
#ifndef ENGINE_DB_SDK_COMMON_LIMITS_H_
#define ENGINE_DB_SDK_COMMON_LIMITS_H_

#include <cstddef>

namespace engine::db::limits {

// A connection's settings.
inline constexpr size_t kMaxHostBytes = 255;
inline constexpr size_t kMaxNameBytes = 63;  // PostgreSQL's NAMEDATALEN - 1: it would cut a longer one off
inline constexpr size_t kMaxPasswordBytes = size_t{16} << 10;  // cloud services give tokens of several KiB as passwords
inline constexpr int kMaxPoolSize = 1'000;
inline constexpr int kMaxTimeoutMs = 86'400'000;
inline constexpr int kMaxAttempts = 100;
inline constexpr int kMaxInitialDelayMs = 60'000;
inline constexpr int kMaxMaxDelayMs = 600'000;
inline constexpr double kMaxMultiplier = 10.0;
// max_delay_ms where it is not set; initial_delay_ms where that is more.
inline constexpr int kDefaultMaxDelayMs = 2'000;

// A statement.
inline constexpr size_t kMaxStatementBytes = size_t{1} << 20;
inline constexpr int kMaxParameters = 65'535;  // PostgreSQL's protocol counts them in 16 bits
inline constexpr size_t kMaxTypeNameBytes = 128;
inline constexpr size_t kMaxIdempotencyKeyBytes = 200;

// A message.
inline constexpr size_t kMaxMessageBytes = size_t{4} << 20;
inline constexpr size_t kMaxCallsInMessage = 1'024;
inline constexpr size_t kMaxRunsInBatch = 10'000;

}  // namespace engine::db::limits

#endif  // ENGINE_DB_SDK_COMMON_LIMITS_H_

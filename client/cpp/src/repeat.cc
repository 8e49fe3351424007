#include "engine_db/repeat.h"

#include <grpcpp/alarm.h>

#include <algorithm>
#include <memory>
#include <random>
#include <utility>
#include <variant>

namespace engine::db::internal {

std::optional<std::chrono::milliseconds> pause_before_repeating(const RetryConfig& retry, int attempt,
                                                                const DatabaseError& error) {
  if (!error.retryable() || attempt >= retry.max_attempts) return std::nullopt;
  // "Full jitter": those who collided come back at different times.
  thread_local std::minstd_rand random{std::random_device{}()};
  std::uniform_int_distribution<int64_t> up_to(0, retry.max_delay_before(attempt + 1).count());
  return std::max(std::chrono::milliseconds(up_to(random)), error.info().retry_after);
}

Async<void> after(std::chrono::milliseconds pause) {
  AsyncPromise<void> promise;
  Async<void> done = promise.async();
  // The callback is what keeps the alarm, until it has run. std::function wants to copy.
  auto alarm = std::make_shared<grpc::Alarm>();
  auto kept = std::make_shared<AsyncPromise<void>>(std::move(promise));
  grpc::Alarm& set = *alarm;
  set.Set(std::chrono::system_clock::now() + pause, [alarm, kept](bool /*ok*/) mutable {
    const auto keep = std::move(alarm);
    kept->complete(std::monostate{});
  });
  return done;
}

}  // namespace engine::db::internal

#include "engine_db/repeat.h"

#include <grpcpp/alarm.h>

#include <algorithm>
#include <memory>
#include <random>
#include <utility>
#include <variant>

#include "engine_db/reasons.h"

namespace engine::db::internal {

std::optional<std::chrono::milliseconds> pause_before_repeating(const RetryConfig& retry, int attempt,
                                                                std::chrono::steady_clock::time_point began,
                                                                const DatabaseError& error) {
  const bool nothing_left = error.outcome() != Outcome::kUnknown && error.outcome() != Outcome::kCommitted;
  const bool failed_as_a_whole = error.kind() == ErrorKind::kTransaction && error.retryable();
  // A statement of it was lost with the gateway; its Begin was, or its backend.
  const bool lost = error.reason() == reasons::kGatewayLost || error.reason() == reasons::kTransactionLost;
  if (!nothing_left || !(failed_as_a_whole || lost) || attempt >= retry.max_attempts) return std::nullopt;
  const std::chrono::milliseconds pause =
      std::max(random_pause(retry.max_delay_before(attempt + 1)), error.info().retry_after);
  if (retry.budget_ms == 0) return pause;
  const auto elapsed = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began);
  const std::chrono::milliseconds left = std::chrono::milliseconds(retry.budget_ms) - elapsed;
  if (left <= std::chrono::milliseconds(0)) return std::nullopt;
  return std::min(pause, left);
}

std::chrono::milliseconds random_pause(std::chrono::milliseconds longest) {
  thread_local std::minstd_rand random{std::random_device{}()};
  return std::chrono::milliseconds(std::uniform_int_distribution<int64_t>(0, longest.count())(random));
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

// The one answer of a call.
#ifndef ENGINE_DB_SERVER_GATEWAY_ANSWER_H_
#define ENGINE_DB_SERVER_GATEWAY_ANSWER_H_

#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/base/failure.h"
#include "server/loop/clock.h"
#include "server/observe/metrics.h"

namespace engine::db::gateway {

// Told once how a call ended. On an event loop, or at once when the request is refused; must not block.
using Done = absl::AnyInvocable<void(const absl::Status&)>;

// Counts a call and answers it, once. Belongs to whatever the call is waiting for: any thread, one at a time.
class Answer {
 public:
  // `counted` may be null. `clock` must outlive the call.
  Answer(const observe::MethodMetrics* counted, const loop::Clock& clock, Done done)
      : counted_(counted), clock_(&clock), arrived_(clock.Now()), done_(std::move(done)) {}

  void operator()(const absl::Status& status) {
    if (counted_ != nullptr) {
      const ErrorKind kind = status.ok() ? ErrorKind::kUnspecified : FailureOf(status).kind;
      counted_->Finished(clock_->Now() - arrived_, kind);
    }
    std::exchange(done_, nullptr)(status);
  }

  [[nodiscard]] absl::Time arrived() const { return arrived_; }

 private:
  const observe::MethodMetrics* counted_;
  const loop::Clock* clock_;
  absl::Time arrived_;
  Done done_;
};

}  // namespace engine::db::gateway

#endif  // ENGINE_DB_SERVER_GATEWAY_ANSWER_H_

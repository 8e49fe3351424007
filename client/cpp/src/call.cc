#include "client/cpp/src/call.h"

#include "client/cpp/src/session.h"

namespace engine::db::internal {

void Call::continue_as(Call& next) const {
  next.timeout = timeout;
  next.stop = stop;
  next.outcome_if_lost = outcome_if_lost;
  next.phase = phase;
  next.if_lost = if_lost;
  next.max_attempts = max_attempts;
  next.deadline_ = deadline_;
  next.attempts_ = attempts_;
  next.may_have_run_ = may_have_run_;
}

void Call::end_with(ErrorInfo info) {
  if (may_have_run_ && (info.outcome == Outcome::kNotExecuted || info.outcome == Outcome::kRolledBack)) {
    info.outcome = outcome_if_lost;
    info.retryable = info.retryable && outcome_if_lost != Outcome::kUnknown;
  }
  fail(std::move(info));
}

void Call::Canceller::operator()() const {
  if (const auto live = session.lock()) live->cancel(id);
}

}  // namespace engine::db::internal

#include "server/pool/opener.h"

#include <algorithm>
#include <utility>

#include "server/base/failure.h"
#include "server/observe/log.h"
#include "server/pool/backoff.h"

namespace engine::db::pool {
namespace {

// Between two tries to reach a server that is away.
constexpr absl::Duration kLongestDelay = absl::Milliseconds(500);

}  // namespace

Opener::Opener(loop::EventLoop& loop, loop::BlockingExecutor& executor, postgres::BackendFactory& backends,
               const config::TargetSettings& settings, observe::PoolMetrics& metrics, Slots& slots, Events events)
    : loop_(loop),
      executor_(executor),
      backends_(backends),
      settings_(settings),
      metrics_(metrics),
      slots_(slots),
      events_(std::move(events)),
      retry_timer_(loop) {}

bool Opener::Open() {
  if (stopped_ || !has_room()) return false;
  if (loop_.Now() < failures_.next_attempt_at) {
    if (!retry_timer_.is_set()) retry_timer_.SetAt(failures_.next_attempt_at, [this] { events_.changed(); });
    return false;
  }
  if (settings_.password_file.empty()) {
    Connect(settings_.password);
    return true;
  }
  // Read each time: a rotated password is found without a restart.
  slots_.Reserve();
  auto connect = self_.Bind([](Opener& self, absl::StatusOr<std::string> password) {
    self.slots_.Unreserve();
    if (!self.stopped_) self.Connect(std::move(password));
  });
  executor_.RunAndTell(
      loop_, [settings = settings_] { return settings.ReadPassword(); }, std::move(connect));
  return true;
}

void Opener::OpenMinimum() {
  while (slots_.size() < static_cast<size_t>(settings_.min_pool_size) && Open()) {
  }
}

void Opener::Stop() {
  stopped_ = true;
  retry_timer_.Cancel();
}

void Opener::Connect(absl::StatusOr<std::string> password) {
  if (!password.ok()) {
    OnFailed(password.status());
    return;
  }
  Slot& slot = slots_.Add();
  postgres::Backend::Events events;
  events.opened = [this, &slot](const absl::Status& status) { OnOpened(slot, status); };
  events.drained = [this, &slot] { events_.drained(slot); };
  events.lost = [this, &slot](const absl::Status& status) { events_.lost(slot, status); };
  slot.backend = backends_.Open(*std::move(password), loop_.Now() + settings_.ConnectTimeout(), std::move(events));
}

void Opener::OnOpened(Slot& slot, const absl::Status& status) {
  if (!status.ok()) {
    slots_.Close(slot, observe::CloseReason::kLost);
    OnFailed(status);
    return;
  }
  failures_ = {};
  metrics_.opened.Increment();
  if (slot.retired) {
    slots_.Close(slot, observe::CloseReason::kRetired);
  } else {
    slots_.Become(slot, SlotState::kIdle);
  }
  events_.changed();
}

void Opener::OnFailed(const absl::Status& status) {
  ++failures_.count;
  failures_.last = status;
  metrics_.open_failures.Increment();
  const Failure failure = FailureOf(status);
  observe::LogWarning("can't open a backend", {{"pool", metrics_.name()},
                                               {"reason", NameOf(failure.reason)},
                                               {"sqlstate", failure.sqlstate},
                                               {"failures", failures_.count}});
  // One at a time tries for all who wait: the delay spares nobody, it only keeps them waiting when the server is back.
  failures_.next_attempt_at =
      loop_.Now() + std::min(kLongestDelay, BackoffDelay(settings_.retry, failures_.count, random_));
  // The file may have been about to change when it was read: nobody hears of the first refusal.
  const bool may_be_old = !settings_.password_file.empty() && failure.cause == Cause::kCredentials;
  if (!may_be_old || std::exchange(failures_.may_have_been_old_secret, true)) events_.failed(status);
  events_.changed();
}

}  // namespace engine::db::pool

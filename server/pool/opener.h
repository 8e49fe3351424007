// Opens a pool's backends: with the password of the moment, and not too often while that fails.
#ifndef ENGINE_DB_SERVER_POOL_OPENER_H_
#define ENGINE_DB_SERVER_POOL_OPENER_H_

#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/random/random.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/config/target.h"
#include "server/loop/blocking_executor.h"
#include "server/loop/event_loop.h"
#include "server/loop/weak_self.h"
#include "server/observe/metrics.h"
#include "server/pool/slots.h"
#include "server/postgres/backend.h"

namespace engine::db::pool {

// Loop thread only.
class Opener {
 public:
  struct Events {
    // A backend was opened, or could not be, or may be tried again.
    absl::AnyInvocable<void()> changed;
    // It could not be, and those who wait are to hear why; before `changed`.
    absl::AnyInvocable<void(const absl::Status&)> failed;
    // Of any backend that was opened.
    absl::AnyInvocable<void(Slot&)> drained;
    absl::AnyInvocable<void(Slot&, const absl::Status&)> lost;
  };

  // The executor reads the password's file.
  Opener(loop::EventLoop& loop, loop::BlockingExecutor& executor, postgres::BackendFactory& backends,
         const config::TargetSettings& settings, observe::PoolMetrics& metrics, Slots& slots, Events events);

  // Begins to open a backend; false when there is no room, or after a failure it is too early.
  bool Open();
  // As many as the settings want to be there always.
  void OpenMinimum();
  // Opens no more.
  void Stop();

  [[nodiscard]] bool has_room() const { return slots_.size() < static_cast<size_t>(settings_.max_pool_size); }
  // Why the last attempt failed; OK when it did not.
  [[nodiscard]] const absl::Status& last_failure() const { return failures_.last; }

 private:
  // Since a backend was last opened.
  struct Failures {
    int count = 0;
    bool may_have_been_old_secret = false;  // one of them
    absl::Status last;
    absl::Time next_attempt_at = absl::InfinitePast();
  };

  void Connect(absl::StatusOr<std::string> password);
  void OnOpened(Slot& slot, const absl::Status& status);
  void OnFailed(const absl::Status& status);

  loop::EventLoop& loop_;
  loop::BlockingExecutor& executor_;
  postgres::BackendFactory& backends_;
  const config::TargetSettings& settings_;
  observe::PoolMetrics& metrics_;
  Slots& slots_;
  Events events_;
  Failures failures_;
  bool stopped_ = false;
  absl::BitGen random_;
  loop::Timer retry_timer_;
  loop::WeakSelf<Opener> self_{this};
};

}  // namespace engine::db::pool

#endif  // ENGINE_DB_SERVER_POOL_OPENER_H_

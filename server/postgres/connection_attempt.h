// The time until a backend has its connection: the host's name, the login, pipeline mode.
#ifndef ENGINE_DB_SERVER_POSTGRES_CONNECTION_ATTEMPT_H_
#define ENGINE_DB_SERVER_POSTGRES_CONNECTION_ATTEMPT_H_

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/loop/blocking_executor.h"
#include "server/loop/event_loop.h"
#include "server/loop/weak_self.h"
#include "server/postgres/connect_parameters.h"
#include "server/postgres/libpq_types.h"

namespace engine::db::postgres {

// Loop thread only. Begins when it is made; is given up when it is destroyed.
class ConnectionAttempt {
 public:
  // Gets a connection that is non-blocking and in pipeline mode, or what ConnectFailed() says. Told once, never from
  // within the constructor; may destroy the attempt.
  using Callback = absl::AnyInvocable<void(absl::StatusOr<ConnectionPtr>)>;

  // The loop and the executor, which looks up host names, must outlive it.
  ConnectionAttempt(loop::EventLoop& loop, loop::BlockingExecutor& executor, ConnectParameters parameters,
                    absl::Time deadline, Callback done);
  ~ConnectionAttempt();
  ConnectionAttempt(const ConnectionAttempt&) = delete;
  ConnectionAttempt& operator=(const ConnectionAttempt&) = delete;

 private:
  void Resolve();
  void Start();
  void Continue();
  void OnConnected();
  // Whether another connection is made instead, since what this one is like is known now.
  [[nodiscard]] bool ConnectsAgain();
  void Fail(const char* message);
  void End(absl::StatusOr<ConnectionPtr> result);
  void Watch(uint32_t events);
  void Unwatch();
  static void OnNotice(void* self, const PGresult* notice);

  loop::EventLoop& loop_;
  loop::BlockingExecutor& executor_;
  ConnectParameters parameters_;
  Callback done_;
  loop::Timer deadline_;
  ConnectionPtr connection_;
  int watched_fd_ = -1;
  loop::WeakSelf<ConnectionAttempt> self_;
};

}  // namespace engine::db::postgres

#endif  // ENGINE_DB_SERVER_POSTGRES_CONNECTION_ATTEMPT_H_

// The control plane's way to a server: libpqxx, for a few plain questions.
#ifndef ENGINE_DB_SERVER_POSTGRES_CONTROL_CONNECTION_H_
#define ENGINE_DB_SERVER_POSTGRES_CONTROL_CONNECTION_H_

#include <sys/socket.h>

#include <algorithm>
#include <exception>
#include <future>
#include <pqxx/pqxx>
#include <thread>
#include <type_traits>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/loop/clock.h"
#include "server/postgres/connect_parameters.h"
#include "server/postgres/control_link.h"
#include "server/postgres/libpq_types.h"
#include "server/postgres/sqlstate.h"

namespace engine::db::postgres {

// Breaks a link that is still in use after so long. libpqxx waits for an answer as long as the other side keeps the
// link open, and statement_timeout, tcp_user_timeout and keepalives are of no use against a server that is stopped: its
// kernel goes on acknowledging.
class LinkDeadline {
 public:
  // `fd` must stay open as long as this object is there.
  LinkDeadline(int fd, absl::Duration timeout)
      : watch_([fd, timeout, over = over_.get_future()] {
          if (over.wait_for(absl::ToChronoMilliseconds(timeout)) == std::future_status::timeout) {
            shutdown(fd, SHUT_RDWR);
          }
        }) {}
  ~LinkDeadline() {
    over_.set_value();
    watch_.join();
  }
  LinkDeadline(const LinkDeadline&) = delete;
  LinkDeadline& operator=(const LinkDeadline&) = delete;

 private:
  std::promise<void> over_;
  std::thread watch_;
};

// Connects, calls `ask(pqxx::nontransaction&)`, disconnects, and returns what that returned; within about `timeout`.
// What libpqxx throws comes back as ConnectFailed(). Blocks: for a BlockingExecutor. `ask` must leave nothing behind in
// the session, which is not the gateway's own where a pooler stands between.
template <typename Ask>
[[nodiscard]] auto WithControlConnection(ConnectParameters parameters, absl::Duration timeout, Ask&& ask)
    -> absl::StatusOr<std::invoke_result_t<Ask, pqxx::nontransaction&>> {
  const loop::SteadyClock clock;
  const absl::Time deadline = clock.Now() + timeout;
  parameters.LimitStatements(timeout);
  absl::StatusOr<ConnectionPtr> link = OpenLink(parameters, clock, deadline);
  if (!link.ok()) return link.status();
  try {
    ControlLink control(*std::move(link));
    const LinkDeadline watch(control.connection().sock(), std::max(absl::ZeroDuration(), deadline - clock.Now()));
    pqxx::nontransaction work(control.connection());
    return ask(work);
  } catch (const std::exception& error) {
    return ConnectFailed(parameters.target_name(), clock.Now() >= deadline ? kNoAnswer : error.what(),
                         parameters.error_texts().password);
  }
}

}  // namespace engine::db::postgres

#endif  // ENGINE_DB_SERVER_POSTGRES_CONTROL_CONNECTION_H_

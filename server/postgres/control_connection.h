// The control plane's way to a server: libpqxx, for a few plain questions.
#ifndef ENGINE_DB_SERVER_POSTGRES_CONTROL_CONNECTION_H_
#define ENGINE_DB_SERVER_POSTGRES_CONTROL_CONNECTION_H_

#include <sys/socket.h>

#include <algorithm>
#include <cstdint>
#include <exception>
#include <future>
#include <pqxx/pqxx>
#include <thread>
#include <type_traits>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/postgres/connect_parameters.h"
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
// What libpqxx throws comes back as ConnectFailed(). Blocks: for a BlockingExecutor.
template <typename Ask>
[[nodiscard]] auto WithControlConnection(const ConnectParameters& parameters, absl::Duration timeout, Ask&& ask)
    -> absl::StatusOr<std::invoke_result_t<Ask, pqxx::nontransaction&>> {
  // libpq waits whole seconds, and at least two.
  const int64_t seconds = std::max<int64_t>(2, absl::ToInt64Seconds(absl::Ceil(timeout, absl::Seconds(1))));
  const absl::Time started = Now();
  try {
    pqxx::connection connection(absl::StrCat(parameters.ConnectionString(), " connect_timeout=", seconds,
                                             " tcp_user_timeout=", seconds * 1000));
    const LinkDeadline deadline(connection.sock(), std::max(absl::ZeroDuration(), started + timeout - Now()));
    pqxx::nontransaction work(connection);
    work.exec(absl::StrCat("SET statement_timeout = ", seconds * 1000));
    return ask(work);
  } catch (const std::exception& error) {
    if (Now() - started >= timeout) {
      return ConnectFailed(parameters.target_name(), "no answer within the time allowed for a question", "");
    }
    // libpqxx passes libpq's words on, without the SQLSTATE: backends, which know it, connect first.
    return ConnectFailed(parameters.target_name(), error.what(), parameters.error_texts().password);
  }
}

}  // namespace engine::db::postgres

#endif  // ENGINE_DB_SERVER_POSTGRES_CONTROL_CONNECTION_H_

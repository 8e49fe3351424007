// The control plane's way to a server: libpqxx, for a few plain questions.
#ifndef ENGINE_DB_SERVER_POSTGRES_CONTROL_CONNECTION_H_
#define ENGINE_DB_SERVER_POSTGRES_CONTROL_CONNECTION_H_

#include <algorithm>
#include <cstdint>
#include <exception>
#include <pqxx/pqxx>
#include <type_traits>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "server/postgres/connect_parameters.h"
#include "server/postgres/sqlstate.h"

namespace engine::db::postgres {

// Connects, calls `ask(pqxx::nontransaction&)`, disconnects, and returns what that returned; within about `timeout`.
// What libpqxx throws comes back as ConnectFailed(). Blocks: for a BlockingExecutor.
template <typename Ask>
[[nodiscard]] auto WithControlConnection(const ConnectParameters& parameters, absl::Duration timeout, Ask&& ask)
    -> absl::StatusOr<std::invoke_result_t<Ask, pqxx::nontransaction&>> {
  // libpq waits whole seconds, and at least two.
  const int64_t seconds = std::max<int64_t>(2, absl::ToInt64Seconds(absl::Ceil(timeout, absl::Seconds(1))));
  try {
    pqxx::connection connection(absl::StrCat(parameters.ConnectionString(), " connect_timeout=", seconds,
                                             " tcp_user_timeout=", seconds * 1000));
    pqxx::nontransaction work(connection);
    work.exec(absl::StrCat("SET statement_timeout = ", seconds * 1000));
    return ask(work);
  } catch (const std::exception& error) {
    // libpqxx passes libpq's words on, without the SQLSTATE: backends, which know it, connect first.
    return ConnectFailed(parameters.target_name(), error.what());
  }
}

}  // namespace engine::db::postgres

#endif  // ENGINE_DB_SERVER_POSTGRES_CONTROL_CONNECTION_H_

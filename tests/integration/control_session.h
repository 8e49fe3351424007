// A session as the gateway's control connections have it, for programs that know the SDK: that and the server's headers
// do not stand in one file.
#ifndef ENGINE_DB_TESTS_INTEGRATION_CONTROL_SESSION_H_
#define ENGINE_DB_TESTS_INTEGRATION_CONTROL_SESSION_H_

#include <optional>
#include <string>

namespace engine::db::test {

struct ControlTarget {
  std::string user;
  std::string dbname;
  std::string application_name;
  int port = 0;
};

// The cell that `sql` returns on 127.0.0.1 by TLS, or nothing when the login fails; in this process, with its
// environment.
[[nodiscard]] std::optional<std::string> AskControlSession(const ControlTarget& target, const std::string& password,
                                                           const std::string& sql);

}  // namespace engine::db::test

#endif  // ENGINE_DB_TESTS_INTEGRATION_CONTROL_SESSION_H_

#include "tests/integration/control_session.h"

#include "server/postgres/connect_parameters.h"
#include "server/postgres/control_connection.h"

namespace engine::db::test {

std::optional<std::string> AskControlSession(const ControlTarget& target, const std::string& password,
                                             const std::string& sql) {
  config::TargetSettings settings;
  settings.host = "127.0.0.1";
  settings.port = static_cast<uint16_t>(target.port);
  settings.user = target.user;
  settings.dbname = target.dbname;
  settings.tls_mode = v1::TLS_MODE_REQUIRE;
  settings.application_name = target.application_name;
  const auto answer = postgres::WithControlConnection(
      postgres::ConnectParameters(settings, password), absl::Seconds(10),
      [&sql](pqxx::nontransaction& work) { return work.exec(sql)[0][0].as<std::string>(); });
  return answer.ok() ? std::optional(*answer) : std::nullopt;
}

}  // namespace engine::db::test

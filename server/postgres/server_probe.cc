#include "server/postgres/server_probe.h"

#include <algorithm>
#include <cstdint>
#include <exception>
#include <pqxx/pqxx>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/postgres/sqlstate.h"

namespace engine::db::postgres {

absl::StatusOr<ServerInfo> ProbeServer(const ConnectParameters& parameters, absl::Duration timeout) {
  // libpq waits whole seconds, and at least two.
  const int64_t seconds = std::max<int64_t>(2, absl::ToInt64Seconds(absl::Ceil(timeout, absl::Seconds(1))));
  try {
    pqxx::connection connection(absl::StrCat(parameters.ConnectionString(), " connect_timeout=", seconds));
    pqxx::nontransaction work(connection);
    work.exec(absl::StrCat("SET statement_timeout = ", seconds * 1000));
    ServerInfo info;
    const pqxx::result server = work.exec(
        "SELECT current_setting('server_version'), current_setting('server_version_num')::int, pg_is_in_recovery()");
    info.version = server[0][0].as<std::string>();
    info.version_number = server[0][1].as<int>();
    info.in_recovery = server[0][2].as<bool>();
    std::vector<std::pair<uint32_t, std::string>> types;
    for (const auto& row : work.exec("SELECT oid, format_type(oid, NULL) FROM pg_type")) {
      types.emplace_back(row[0].as<uint32_t>(), row[1].as<std::string>());
    }
    info.types = std::make_shared<const TypeCatalog>(types);
    return info;
  } catch (const std::exception& error) {
    // libpqxx passes libpq's words on, without the SQLSTATE: backends, which know it, connect first.
    return ConnectFailed(parameters.target_name(), error.what());
  }
}

}  // namespace engine::db::postgres

#include "server/postgres/server_probe.h"

#include <cstdint>
#include <pqxx/pqxx>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/postgres/control_connection.h"
#include "server/postgres/pooler.h"

namespace engine::db::postgres {

namespace {

// Whether the role may ask all that a mark asks; else commits in doubt stay in doubt.
void LookForMarks(pqxx::nontransaction& work, ServerInfo& info) {
  try {
    const pqxx::result system = work.exec(absl::StrCat("SELECT system_identifier, ", ForeignPartSql(), ", ",
                                                       CallsFunctionsSql(), " FROM pg_control_system()"));
    info.system_identifier = static_cast<uint64_t>(system[0][0].as<int64_t>());
  } catch (const pqxx::sql_error&) {
    info.system_identifier = 0;
  }
}

void LookAround(pqxx::nontransaction& work, ServerInfo& info) {
  try {
    const pqxx::result found =
        work.exec(absl::StrCat("SELECT ", ForeignSurroundingsSql(), ", ", FunctionSurroundingsSql()));
    info.surroundings = {.foreign = ElsewhereOf(found[0][0].as<int>(0)),
                         .functions = ElsewhereOf(found[0][1].as<int>(0))};
  } catch (const pqxx::sql_error&) {
    // Where nobody may look, anything may be.
    info.surroundings = {.foreign = Elsewhere::kAtOnce, .functions = Elsewhere::kAtOnce};
  }
}

}  // namespace

absl::StatusOr<ServerInfo> ProbeServer(const ConnectParameters& parameters, absl::Duration timeout) {
  absl::Status fit = absl::OkStatus();
  absl::StatusOr<ServerInfo> probed = WithControlConnection(parameters, timeout, [&](pqxx::nontransaction& work) {
    ServerInfo info;
    fit = CheckPooler(parameters, work);
    if (!fit.ok()) return info;
    const pqxx::result server = work.exec(
        "SELECT current_setting('server_version'), current_setting('server_version_num')::int, pg_is_in_recovery()");
    info.version = server[0][0].as<std::string>();
    info.version_number = server[0][1].as<int>();
    info.in_recovery = server[0][2].as<bool>();
    LookForMarks(work, info);
    LookAround(work, info);
    std::vector<std::pair<uint32_t, std::string>> types;
    // As in ConnectParameters::AdaptTo: names need not be UTF-8.
    work.exec(
        "SELECT set_config('client_encoding', 'SQL_ASCII', false) WHERE current_setting('server_encoding') = "
        "'SQL_ASCII'");
    for (const auto& row : work.exec("SELECT oid, format_type(oid, NULL) FROM pg_type")) {
      types.emplace_back(row[0].as<uint32_t>(), row[1].as<std::string>());
    }
    info.types = std::make_shared<const TypeCatalog>(types);
    return info;
  });
  if (!fit.ok()) return fit;
  return probed;
}

}  // namespace engine::db::postgres

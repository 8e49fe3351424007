// The first look at a server, over libpqxx: blocking, rare, and plain to read.
#ifndef ENGINE_DB_SERVER_POSTGRES_SERVER_PROBE_H_
#define ENGINE_DB_SERVER_POSTGRES_SERVER_PROBE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/postgres/connect_parameters.h"
#include "server/postgres/elsewhere.h"
#include "server/postgres/type_catalog.h"

namespace engine::db::postgres {

// What a server says of itself.
struct ServerInfo {
  std::string version;     // "15.18 (Debian 15.18-0+deb12u1)"
  int version_number = 0;  // 150018
  bool in_recovery = false;
  uint64_t system_identifier = 0;            // which cluster it is, standbys included; 0: not known
  Surroundings surroundings;                 // of the database
  std::shared_ptr<const TypeCatalog> types;  // shared with the results that are being encoded while a newer one comes
};

// Connects, asks, disconnects; within about `timeout`. Blocks: for a BlockingExecutor. Errors are those of
// ConnectFailed() and CheckPooler().
[[nodiscard]] absl::StatusOr<ServerInfo> ProbeServer(const ConnectParameters& parameters, absl::Duration timeout);

}  // namespace engine::db::postgres

#endif  // ENGINE_DB_SERVER_POSTGRES_SERVER_PROBE_H_

// The gateway's settings: defaults, then the configuration file, then ENGINE_DB_* environment variables, then the
// command line.
#ifndef ENGINE_DB_SERVER_CONFIG_SETTINGS_H_
#define ENGINE_DB_SERVER_CONFIG_SETTINGS_H_

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "sdk/common/limits.h"
#include "sdk/common/reference.h"
#include "server/config/listen_address.h"
#include "server/config/target.h"
#include "server/observe/log.h"

namespace engine::db::config {

// Mutual TLS on the gateway's TCP listeners: PEM files.
struct ServerTls {
  std::string certificate;  // the gateway's, with the chain above it
  std::string key;          // its private key
  std::string client_ca;    // who signs the certificates that clients must show
};

// Bounds on what callers may use. Past one, a call fails at once with an error that names it.
struct Limits {
  int request_bytes = static_cast<int>(limits::kMaxMessageBytes);
  int statement_bytes = 1 << 20;
  int result_rows = 10'000;    // of a unary call
  int result_bytes = 4 << 20;  // of a unary call
  int pools = 100;
  int connections = 10'000;  // handles
  int sessions = 1'000;
  int transactions = 1'000;  // open at once
  int waiters = 10'000;      // calls in the queue of one pool: several full session messages of 1,024 calls
  absl::Duration transaction_idle = absl::Seconds(60);
  absl::Duration transaction_lifetime = absl::Minutes(30);
};

// Whether reads of several callers share a backend's pipeline, and how many statements may be in one.
struct SharedReads {
  bool enabled = true;
  int depth = 16;
};

struct GatewaySettings {
  std::vector<ListenAddress> listen = {{.host = "127.0.0.1", .port = 50051, .unix_path = ""}};
  // IPv4 or "localhost". None: off.
  std::optional<ListenAddress> metrics_listen = ListenAddress{.host = "127.0.0.1", .port = 9464, .unix_path = ""};
  std::optional<ServerTls> tls;  // always there when a listener is not local
  std::map<std::string, TargetSettings, std::less<>> data_sources;
  // Who signs the databases' certificates, where a data source does not say (PEM); empty: whom the machine trusts.
  std::string database_root_certificate;
  bool allow_inline_targets = true;  // not given: true when every listener is local
  int event_loops = 1;               // not given: half of the cores, at least 1
  SharedReads shared_reads;
  Limits limits;
  absl::Duration drain_grace = absl::Seconds(20);
  observe::LogLevel log_level = observe::LogLevel::kInfo;
  // Whether PostgreSQL's errors go into the log whole, with the data in them; data sources may say otherwise.
  bool log_error_detail = false;
};

// What the command line says; what is empty leaves the environment, the file or the default in place.
struct CommandLine {
  std::string config_file;
  std::vector<std::string> listen;
  std::optional<std::string> metrics_listen;  // "" switches it off
  std::string log_level;
};

// Reads all of them and checks the whole. The error lists every fault by the name of its setting: a path in the file
// with its line
// ("dataSources.orders.maxPoolSize (line 12)"), a variable, or a flag; and never a secret.
//
// Each scalar setting of the file has a variable: "limits.waiters" is ENGINE_DB_LIMITS_WAITERS, "drainGrace" is
// ENGINE_DB_DRAIN_GRACE. ENGINE_DB_CONFIG names the file, ENGINE_DB_LISTEN may hold several addresses with commas
// between.
[[nodiscard]] absl::StatusOr<GatewaySettings> LoadSettings(
    const CommandLine& command_line, const common::Environment& environment = common::process_environment);

}  // namespace engine::db::config

#endif  // ENGINE_DB_SERVER_CONFIG_SETTINGS_H_

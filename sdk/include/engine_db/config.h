// How to reach a database, checked before anything is opened.
#ifndef ENGINE_DB_CONFIG_H_
#define ENGINE_DB_CONFIG_H_

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine_db/error.h"

namespace engine::db {

// One thing that is wrong with a configuration.
struct ConfigFault {
  // Which field, as a path: "port", "retry.max_attempts".
  std::string field;
  // What was expected, and what was found unless that is secret.
  std::string message;
};

// A configuration is wrong. what() lists every fault; field() is the first one's.
class ConfigurationError : public DatabaseRequestError {
 public:
  // `faults` must not be empty.
  explicit ConfigurationError(std::vector<ConfigFault> faults);

  [[nodiscard]] const std::vector<ConfigFault>& faults() const { return faults_; }

 private:
  std::vector<ConfigFault> faults_;
};

// What is repeated after a transient failure, and how often. The delay before attempt n is a random time up to
// min(max_delay_ms, initial_delay_ms * multiplier^(n-2)) ("full jitter").
struct RetryConfig {
  // Attempts in all, the first included: 1 (never repeat) to 100.
  int max_attempts = 3;
  // 0 to 60,000.
  int initial_delay_ms = 50;
  // initial_delay_ms to 600,000. Default: 2,000, or initial_delay_ms where that is more.
  std::optional<int> max_delay_ms = {};
  // 1.0 to 10.0.
  double multiplier = 2.0;
  // No retry begins later than so long after the call (or run_transaction): 0 to 86,400,000. 0: no limit but the call's
  // timeout, which holds anyway.
  int budget_ms = 0;

  // max_delay_ms, or what its default comes to.
  [[nodiscard]] int longest_delay_ms() const;

  // The longest wait before `attempt` (from 2 on; 0 before the first).
  [[nodiscard]] std::chrono::milliseconds max_delay_before(int attempt) const;

  // Every fault; none when it is right.
  [[nodiscard]] std::vector<ConfigFault> validate() const;

  friend bool operator==(const RetryConfig&, const RetryConfig&) = default;
};

// How the link to PostgreSQL is protected: libpq's sslmode.
enum class TlsMode {
  kDisable,     // Never TLS.
  kPrefer,      // TLS if the server offers it.
  kRequire,     // TLS or nothing, without a look at the certificate.
  kVerifyCa,    // TLS with a certificate that a trusted authority signed.
  kVerifyFull,  // The same, and the certificate names the host. Recommended.
};

// Whether the login is bound to the server's certificate, so that nobody between can relay it: libpq's channel_binding.
enum class ChannelBinding {
  kDisable,  // Never.
  kPrefer,   // Where TLS and the server allow it.
  kRequire,  // Or no login. Needs TLS.
};

// One PostgreSQL server and database, how to log in, and how large a pool to keep. Connectors with the same settings
// share one pool.
struct ConnectionConfig {
  // One host name, IP address, or the folder of a unix socket (begins with "/"). Required, at most 255 bytes.
  std::string host = {};
  // 1 to 65535.
  int port = 5432;
  // Role to log in as. Required, at most 63 bytes, without ":" and "=".
  std::string user = {};
  // Its password; may be empty where the server asks for none. Never shown in an error. At most 16,384 bytes.
  std::string password = {};
  // Database. Required, at most 63 bytes, without "=".
  std::string dbname = {};
  // Backends kept open when idle: 0 to max_pool_size.
  int min_pool_size = 0;
  // Backends at most: 1 to 1000.
  int max_pool_size = 10;
  // How long connecting may take, and a statement whose call names no timeout: 1 to 86,400,000.
  int timeout_ms = 30000;
  // How long one login may take: 0 to 86,400,000. 0: timeout_ms.
  int connect_timeout_ms = 0;
  TlsMode tls_mode = TlsMode::kPrefer;
  ChannelBinding channel_binding = ChannelBinding::kPrefer;
  // What pg_stat_activity shows. At most 63 bytes. Empty: the gateway's own name.
  std::string application_name = {};
  RetryConfig retry = {};

  // Every fault at once; none when it is right.
  [[nodiscard]] std::vector<ConfigFault> validate() const;

  // From texts, as environment variables and pipeline files have them. Keys are the fields' names ("port", "tls_mode"
  // and "channel_binding" with libpq's words such as "verify-full", "retry.max_attempts"); what is left out keeps its
  // default. Throws ConfigurationError with every fault: a missing, unknown or wrong field, a text that is no number.
  [[nodiscard]] static ConnectionConfig from_map(const std::map<std::string, std::string>& settings);

  // From "postgresql://user:password@host:port/dbname?sslmode=…" (or "postgres://"), percent-encoded where needed;
  // after "?" come settings as in from_map(), and what libpq and its kin have for them: "sslmode", "ssl=true",
  // "connect_timeout" (in seconds), "connection_limit". "sslrootcert" can only be "system": the gateway's configuration
  // names the authorities. Of other parameters that hosting providers hand out the fault says what to do instead.
  // `user` and `password` replace the URL's unless empty. Throws ConfigurationError, which never shows the URL.
  [[nodiscard]] static ConnectionConfig from_url(std::string_view url, std::string_view user = {},
                                                 std::string_view password = {});
  // The same with settings as in from_map(), which replace the URL's.
  [[nodiscard]] static ConnectionConfig from_url(std::string_view url,
                                                 const std::map<std::string, std::string>& settings);

  friend bool operator==(const ConnectionConfig&, const ConnectionConfig&) = default;
};

// A target named in the gateway's own configuration, so that the caller need not know its password.
struct DataSource {
  // 1 to 63 bytes.
  std::string name;
  friend bool operator==(const DataSource&, const DataSource&) = default;
};

// What a connector connects to.
using ConnectTarget = std::variant<DataSource, ConnectionConfig>;

// Throws ConfigurationError with every fault of `target`, or returns.
void require_valid(const ConnectTarget& target);

}  // namespace engine::db

#endif  // ENGINE_DB_CONFIG_H_

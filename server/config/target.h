// The settings of one PostgreSQL target, checked.
#ifndef ENGINE_DB_SERVER_CONFIG_TARGET_H_
#define ENGINE_DB_SERVER_CONFIG_TARGET_H_

#include <cstdint>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/db/v1/config.pb.h"
#include "server/config/fault.h"

namespace engine::db::config {

// How often and how fast a failed call is repeated, where it may be repeated at all. Ranges as in v1::RetrySettings.
struct RetrySettings {
  int max_attempts = 3;  // the first included
  absl::Duration initial_delay = absl::Milliseconds(50);
  absl::Duration max_delay = absl::Seconds(2);
  double multiplier = 2.0;
  absl::Duration budget = absl::InfiniteDuration();  // since the call began

  friend bool operator==(const RetrySettings&, const RetrySettings&) = default;
  template <typename H>
  friend H AbslHashValue(H state, const RetrySettings& s) {
    return H::combine(std::move(state), s.max_attempts, s.initial_delay, s.max_delay, s.multiplier, s.budget);
  }
};

// Where a pool's backends lead and how large it is. Comes from ValidateTarget or a data source, and is not changed
// afterwards. Ranges and defaults as in v1::ConnectionConfig.
//
// Usable as a key: equal settings, the password included, mean the same pool.
struct TargetSettings {
  std::string data_source;  // its name in the gateway's configuration; empty for a target that a caller spelled out
  std::string host;         // a name, an IP address, or the folder of a unix socket ("/…")
  uint16_t port = 5432;
  std::string user;
  std::string password;       // as given; use ReadPassword()
  std::string password_file;  // data sources only: where the password is, instead
  std::string dbname;
  int min_pool_size = 0;
  int max_pool_size = 10;
  absl::Duration timeout = absl::Seconds(30);
  absl::Duration connect_timeout = absl::ZeroDuration();            // 0: timeout; use ConnectTimeout()
  v1::TlsMode tls_mode = v1::TLS_MODE_PREFER;                       // never UNSPECIFIED
  v1::ChannelBinding channel_binding = v1::CHANNEL_BINDING_PREFER;  // never UNSPECIFIED
  std::string tls_root_certificate;                                 // a file; empty for what the machine trusts
  std::string tls_certificate;  // data sources only: a file, with which the gateway itself logs in; may be empty
  std::string tls_key;          // the file of its key
  std::string application_name = "engine-db-gateway";
  RetrySettings retry;
  std::optional<bool> log_error_detail;  // nothing: as GatewaySettings says
  bool hide_raised_messages = false;     // data sources only

  // The data source's name, so that callers who know only the name learn no more; else user@host:port/dbname, which is
  // no secret. For logs, metrics and errors.
  [[nodiscard]] std::string DisplayName() const;

  // tls_mode and channel_binding in libpq's words: "verify-full", "require".
  [[nodiscard]] const char* SslMode() const;
  [[nodiscard]] const char* ChannelBinding() const;

  // How long one login may take.
  [[nodiscard]] absl::Duration ConnectTimeout() const {
    return connect_timeout == absl::ZeroDuration() ? timeout : connect_timeout;
  }

  // Whether the server's certificate is held against an authority's.
  [[nodiscard]] bool VerifiesServer() const {
    return tls_mode == v1::TLS_MODE_VERIFY_CA || tls_mode == v1::TLS_MODE_VERIFY_FULL;
  }

  // The password; of a password_file, its content at this moment without the line end, so that a rotated one is found
  // by asking again. Reads a small file: not on an event loop. FAILED_PRECONDITION, kind CONNECTION, when the file
  // can't be read.
  [[nodiscard]] absl::StatusOr<std::string> ReadPassword() const;

  friend bool operator==(const TargetSettings&, const TargetSettings&) = default;
  template <typename H>
  friend H AbslHashValue(H state, const TargetSettings& s) {
    return H::combine(std::move(state), s.data_source, s.host, s.port, s.user, s.password, s.password_file, s.dbname,
                      s.min_pool_size, s.max_pool_size, s.timeout, s.connect_timeout, static_cast<int>(s.tls_mode),
                      static_cast<int>(s.channel_binding), s.tls_root_certificate, s.tls_certificate, s.tls_key,
                      s.application_name, s.retry, s.log_error_detail, s.hide_raised_messages);
  }
  // The display name, so that a test's failure shows no password.
  friend std::ostream& operator<<(std::ostream& out, const TargetSettings& s) { return out << s.DisplayName(); }
};

// Checks what a caller sent and fills in the defaults. InvalidRequest names every fault by its path below `path`
// ("config" → "config.port"), never a value of a text field.
[[nodiscard]] absl::StatusOr<TargetSettings> ValidateTarget(const v1::ConnectionConfig& config, std::string_view path);

// The same for retry settings; what is not set is as in `defaults`, and a max_delay that is not set is at least
// initial_delay.
[[nodiscard]] absl::StatusOr<RetrySettings> ValidateRetry(const v1::RetrySettings& retry, std::string_view path,
                                                          const RetrySettings& defaults);

// The settings in force as ConnectResponse tells them: everything but the password.
[[nodiscard]] v1::ConnectionConfig ToProto(const TargetSettings& target);

// ValidateTarget's work: appends the faults, whose fields are the contract's names ("port", "retry.multiplier"). The
// result means something only when none was added.
[[nodiscard]] TargetSettings CheckTarget(const v1::ConnectionConfig& config, std::vector<Fault>& faults);

}  // namespace engine::db::config

#endif  // ENGINE_DB_SERVER_CONFIG_TARGET_H_

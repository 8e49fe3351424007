// postgresql://user:password@host:port/database?sslmode=…
#ifndef ENGINE_DB_SERVER_CONFIG_DATABASE_URL_H_
#define ENGINE_DB_SERVER_CONFIG_DATABASE_URL_H_

#include <string>
#include <string_view>
#include <vector>

#include "engine/db/v1/config.pb.h"

namespace engine::db::config {

// The parts of a URL, not yet checked; a part that the URL leaves out is not set.
struct DatabaseUrl {
  v1::ConnectionConfig config;
  // Files of this machine.
  std::string tls_root_certificate;
  std::string tls_certificate;
  std::string tls_key;
};

// Takes libpq's form, with percent-encoding and an IPv6 host in brackets. Its parameters are the contract's fields
// ("max_pool_size", "retry.max_attempts") and the names that libpq and other drivers have for them: sslmode, ssl=true,
// sslrootcert, sslcert, sslkey, connect_timeout (seconds), connection_limit. For other parameters that hosting
// providers put into their URLs, the fault says what to do instead; one that asks for what the gateway does anyway is no
// fault. Appends the faults, which quote nothing of the URL; a missing host, user or database is not among them. The SDK
// and the Python package read the same URLs the same way (tests/unit/config/urls.txt).
[[nodiscard]] DatabaseUrl ParseDatabaseUrl(std::string_view url, std::vector<std::string>& faults);

// libpq's word ("verify-full") as a mode; TLS_MODE_UNSPECIFIED for one that does not exist, "allow" included.
[[nodiscard]] v1::TlsMode ParseTlsMode(std::string_view word);

// libpq's word ("require") as a mode; CHANNEL_BINDING_UNSPECIFIED for one that does not exist.
[[nodiscard]] v1::ChannelBinding ParseChannelBinding(std::string_view word);

// The words, for messages.
inline constexpr char kChannelBindingWords[] = "disable, prefer or require";
inline constexpr char kTlsModeWords[] = "disable, prefer, require, verify-ca or verify-full";

}  // namespace engine::db::config

#endif  // ENGINE_DB_SERVER_CONFIG_DATABASE_URL_H_

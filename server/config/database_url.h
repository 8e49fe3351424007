// postgresql://user:password@host:port/database?sslmode=…
#ifndef ENGINE_DB_SERVER_CONFIG_DATABASE_URL_H_
#define ENGINE_DB_SERVER_CONFIG_DATABASE_URL_H_

#include <string>
#include <string_view>
#include <vector>

#include "engine/db/v1/config.pb.h"

namespace engine::db::config {

// What a URL says, not yet checked; a part that it leaves out is not set.
struct DatabaseUrl {
  v1::ConnectionConfig config;
  // Files of this machine.
  std::string tls_root_certificate;
  std::string tls_certificate;
  std::string tls_key;
};

// Takes libpq's form, with percent-encoding and an IPv6 host in brackets; as parameters the contract's fields
// ("max_pool_size", "retry.max_attempts") and what libpq and its kin have for them: sslmode, ssl=true, sslrootcert,
// sslcert, sslkey, connect_timeout (seconds), connection_limit. Of others that hosting providers hand out it says what
// to do instead, unless they ask for what is so anyway. Appends what is wrong, in words that quote nothing of the URL.
// A host, user or database that is missing is not its business. The SDK and the Python package read the same URLs the
// same way (tests/unit/config/urls.txt).
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

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
  std::string tls_root_certificate;
};

// Takes libpq's form, with percent-encoding, an IPv6 host in brackets, and of libpq's parameters host, port, user,
// password, dbname, sslmode, sslrootcert, application_name and connect_timeout (seconds). Appends what is wrong, in
// words that quote nothing of the URL. A host, user or database that is missing is not its business.
[[nodiscard]] DatabaseUrl ParseDatabaseUrl(std::string_view url, std::vector<std::string>& faults);

// libpq's word ("verify-full") as a mode; TLS_MODE_UNSPECIFIED for one that does not exist, "allow" included.
[[nodiscard]] v1::TlsMode ParseTlsMode(std::string_view word);

// The words, for messages.
inline constexpr char kTlsModeWords[] = "disable, prefer, require, verify-ca or verify-full";

}  // namespace engine::db::config

#endif  // ENGINE_DB_SERVER_CONFIG_DATABASE_URL_H_

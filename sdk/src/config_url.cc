// ConnectionConfig::from_url.
#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine_db/config.h"

namespace engine::db {
namespace {

// Parameters that have no meaning here, unless they say what is so anyway. As in the gateway's reader and Python's
// (tests/unit/config/urls.txt).
struct Refused {
  std::string_view name;
  std::string_view harmless;
  std::string_view advice;
};
constexpr std::string_view kLeaveOut = "has no meaning for the gateway: leave it out";
constexpr std::string_view kSearchPath =
    "can't be given in a URL: set it for the role (ALTER ROLE name IN DATABASE name SET search_path = ...)";
constexpr std::string_view kOwnCertificate =
    "is for a data source of the gateway, which has the files (tlsCertificate, tlsKey)";
constexpr std::array kRefused = {
    Refused{"options", "",
            "can't be given in a URL: set them for the role (ALTER ROLE name IN DATABASE name SET ...); a CockroachDB "
            "cluster is named in front of the database (cluster.database), and a Neon endpoint is known by its host "
            "name"},
    Refused{"schema", "", kSearchPath},
    Refused{"currentSchema", "", kSearchPath},
    Refused{"search_path", "", kSearchPath},
    Refused{"pgbouncer", "false",
            "a pooler in transaction mode can't stand behind the gateway: give the direct address"},
    Refused{"target_session_attrs", "any", "can only be any: name the server that is meant as the host"},
    Refused{"hostaddr", "", "give the address as the host"},
    Refused{"gssencmode", "disable", "can only be disable: links are protected by TLS (sslmode)"},
    Refused{"sslaccept", "", "use sslmode"},
    Refused{"sslrootcert", "system",
            "can only be system: the gateway checks the certificate, and its configuration names the authorities "
            "(databaseRootCertificate)"},
    Refused{"sslcert", "", kOwnCertificate},
    Refused{"sslkey", "", kOwnCertificate},
    Refused{"pool_timeout", "", "use timeout_ms"},
    Refused{"socket_timeout", "", "use timeout_ms"},
    Refused{"statement_timeout", "", "use timeout_ms"},
    Refused{"pool_max_conns", "", "use max_pool_size"},
    Refused{"pool_min_conns", "", "use min_pool_size"},
    Refused{"fallback_application_name", "", "use application_name"},
    Refused{"client_encoding", "UTF8", kLeaveOut},
    Refused{"keepalives", "1", kLeaveOut},
    Refused{"keepalives_idle", "", kLeaveOut},
    Refused{"keepalives_interval", "", kLeaveOut},
    Refused{"keepalives_count", "", kLeaveOut},
    Refused{"tcp_user_timeout", "", kLeaveOut},
    Refused{"load_balance_hosts", "disable", kLeaveOut},
    Refused{"sslnegotiation", "postgres", kLeaveOut},
    Refused{"sslsni", "1", kLeaveOut},
    Refused{"sslcompression", "0", kLeaveOut},
    Refused{"sslcrl", "", kLeaveOut},
    Refused{"sslpassword", "", kLeaveOut},
    Refused{"require_auth", "", kLeaveOut},
    Refused{"statement_cache_size", "", kLeaveOut},
    Refused{"uselibpqcompat", "", kLeaveOut},
};

[[noreturn]] void fail(std::string message) { throw ConfigurationError({{"url", std::move(message)}}); }

// Reads `%41` and the like; nothing when one is broken.
std::optional<std::string> percent_decoded(std::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    unsigned byte = 0;
    const char* const end = text.data() + i + 3;
    if (std::from_chars(text.data() + i + 1, end, byte, 16).ptr != end) return std::nullopt;
    decoded += static_cast<char>(byte);
    i += 2;
  }
  return decoded;
}

// Splits `text` at the first `separator`: what stands before it, and the rest, which `text` becomes. Without one,
// everything stands before.
std::string_view take_until(std::string_view& text, char separator) {
  const size_t at = text.find(separator);
  const std::string_view before = text.substr(0, at);
  text.remove_prefix(at == std::string_view::npos ? text.size() : at + 1);
  return before;
}

// In seconds, or negative or 0 for as long as it takes. What is no number stays as it is, and is refused.
std::string milliseconds(const std::string& seconds) {
  int number = 0;
  const char* const end = seconds.data() + seconds.size();
  const auto [stop, error] = std::from_chars(seconds.data(), end, number);
  if (error != std::errc() || stop != end) return "x";
  return std::to_string(1000LL * std::max(number, 0));
}

// A parameter of another name, or none, as a setting of from_map().
void put(std::map<std::string, std::string>& settings, const std::string& name, std::string value) {
  if (name == "sslmode") {
    settings["tls_mode"] = std::move(value);
  } else if (name == "ssl") {
    if (value != "true") fail("ssl can only be true: use sslmode");
    settings["tls_mode"] = "require";
  } else if (name == "connection_limit") {
    settings["max_pool_size"] = std::move(value);
  } else if (name == "connect_timeout") {
    settings["connect_timeout_ms"] = milliseconds(value);
  } else if (const auto* refused = std::ranges::find(kRefused, name, &Refused::name); refused == kRefused.end()) {
    settings[name] = std::move(value);
  } else if (value != refused->harmless) {
    fail(name + ": " + std::string(refused->advice));
  } else if (name == "sslrootcert") {
    settings["sslrootcert"] = std::move(value);
  }
}

// Throws on what is wrong with the URL as such.
std::map<std::string, std::string> settings_of_url(std::string_view url) {
  std::map<std::string, std::string> settings;
  const auto set = [&](std::string_view field, std::string_view text) {
    if (text.empty()) return;
    auto decoded = percent_decoded(text);
    if (!decoded) fail("has a broken %XX");  // in what may be a piece of a password
    put(settings, std::string(field), *std::move(decoded));
  };
  if (url.find('#') != std::string_view::npos) fail("has no \"#\" unless percent-encoded (%23)");
  std::string_view query = url;
  std::string_view path = take_until(query, '?');
  std::string_view authority = take_until(path, '/');
  if (const size_t at = authority.rfind('@'); at != std::string_view::npos) {
    std::string_view login = authority.substr(0, at);
    authority.remove_prefix(at + 1);
    set("user", take_until(login, ':'));
    set("password", login);
  }
  if (authority.starts_with('[')) {  // An IPv6 address.
    authority.remove_prefix(1);
    set("host", take_until(authority, ']'));
    if (authority.starts_with(':')) authority.remove_prefix(1);
  } else {
    set("host", take_until(authority, ':'));
  }
  set("port", authority);
  set("dbname", path);
  while (!query.empty()) {
    std::string_view value = take_until(query, '&');
    set(take_until(value, '='), value);
  }
  if (settings.erase("sslrootcert") > 0 && settings["tls_mode"] != "verify-full") {
    fail("sslrootcert=system needs sslmode=verify-full");
  }
  return settings;
}

// Where an "@" stands behind the first of "/?#", that is more likely a piece of the password than what it looks like.
void explain_at(std::string_view url) {
  const size_t end = url.find_first_of("/?#");
  if (end == std::string_view::npos || url.find('@', end) == std::string_view::npos) return;
  const std::string encoded = url[end] == '/' ? "%2F" : url[end] == '?' ? "%3F" : "%23";
  fail(std::string("has a \"") + url[end] + "\" in front of an \"@\": in a user name or password it is written " +
       encoded + " (and an \"@\" that stands elsewhere %40)");
}

bool has_at_in_path(std::string_view url) {
  const size_t slash = url.find_first_of("/?#");
  if (slash == std::string_view::npos || url[slash] != '/') return false;
  return url.substr(slash, url.find_first_of("?#", slash) - slash).find('@') != std::string_view::npos;
}

}  // namespace

ConnectionConfig ConnectionConfig::from_url(std::string_view url, std::string_view user, std::string_view password) {
  std::map<std::string, std::string> login;
  if (!user.empty()) login["user"] = user;
  if (!password.empty()) login["password"] = password;
  return from_url(url, login);
}

ConnectionConfig ConnectionConfig::from_url(std::string_view url, const std::map<std::string, std::string>& settings) {
  const size_t scheme_end = url.find("://");
  const std::string_view scheme = url.substr(0, scheme_end == std::string_view::npos ? 0 : scheme_end);
  if (scheme != "postgresql" && scheme != "postgres") fail("begins with postgresql:// or postgres://");
  url.remove_prefix(scheme_end + 3);
  if (has_at_in_path(url)) explain_at(url);
  try {
    auto merged = settings_of_url(url);
    for (const auto& [field, value] : settings) merged[field] = value;
    return from_map(merged);
  } catch (const ConfigurationError& error) {
    auto faults = error.faults();
    const auto beside = [&](const ConfigFault& fault) { return settings.contains(fault.field); };
    if (!std::ranges::all_of(faults, beside)) explain_at(url);
    // What stands in the wrong place of a URL may be a piece of its password: none is shown.
    for (ConfigFault& fault : faults) {
      if (beside(fault)) continue;
      fault.message = fault.message.substr(0, fault.message.find(", not "));
      if (fault.message.starts_with("is not a setting")) fault = {"url", "has an option that " + fault.message};
    }
    throw ConfigurationError(std::move(faults));
  }
}

}  // namespace engine::db

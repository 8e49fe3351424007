#include "server/config/database_url.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <iterator>
#include <limits>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/base/text.h"

namespace engine::db::config {
namespace {

bool RemovePrefix(std::string_view& text, std::string_view prefix) {
  if (text.substr(0, prefix.size()) != prefix) return false;
  text.remove_prefix(prefix.size());
  return true;
}

// The part before the first of `separators`, which is removed with it from the front of `text`.
std::string_view TakeUntil(std::string_view& text, std::string_view separators) {
  const size_t end = text.find_first_of(separators);
  const std::string_view part = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end);
  return part;
}

// abseil's HexStringToBytes has another signature in each release of Debian.
char HexDigitsToByte(std::string_view two_digits) {
  unsigned char byte = 0;
  std::from_chars(two_digits.data(), two_digits.data() + two_digits.size(), byte, 16);
  return static_cast<char>(byte);
}

std::optional<std::string> PercentDecode(std::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    if (i + 2 >= text.size() || !absl::ascii_isxdigit(static_cast<unsigned char>(text[i + 1])) ||
        !absl::ascii_isxdigit(static_cast<unsigned char>(text[i + 2]))) {
      return std::nullopt;
    }
    decoded += HexDigitsToByte(text.substr(i + 1, 2));
    i += 2;
  }
  return decoded;
}

// Parameters that mean nothing here; accepted with the value that describes what the gateway does anyway.
struct Refused {
  const char* name;
  const char* harmless;
  const char* advice;
};
constexpr char kLeaveOut[] = "has no meaning for the gateway: leave it out";
constexpr char kSearchPath[] =
    "can't be given in a URL: set it for the role (ALTER ROLE name IN DATABASE name SET search_path = ...)";
constexpr Refused kRefused[] = {
    {"options", nullptr,
     "can't be given in a URL: set them for the role (ALTER ROLE name IN DATABASE name SET ...); a CockroachDB cluster "
     "is named in front of the database (cluster.database), and a Neon endpoint is known by its host name"},
    {"schema", nullptr, kSearchPath},
    {"currentSchema", nullptr, kSearchPath},
    {"search_path", nullptr, kSearchPath},
    {"pgbouncer", "false", "a pooler in transaction mode can't stand behind the gateway: give the direct address"},
    {"target_session_attrs", "any", "can only be any: name the server that is meant as the host"},
    {"hostaddr", nullptr, "give the address as the host"},
    {"gssencmode", "disable", "can only be disable: links are protected by TLS (sslmode)"},
    {"sslaccept", nullptr, "use sslmode"},
    {"pool_timeout", nullptr, "use timeout_ms"},
    {"socket_timeout", nullptr, "use timeout_ms"},
    {"statement_timeout", nullptr, "use timeout_ms"},
    {"pool_max_conns", nullptr, "use max_pool_size"},
    {"pool_min_conns", nullptr, "use min_pool_size"},
    {"fallback_application_name", nullptr, "use application_name"},
    {"client_encoding", "UTF8", kLeaveOut},
    {"keepalives", "1", kLeaveOut},
    {"keepalives_idle", nullptr, kLeaveOut},
    {"keepalives_interval", nullptr, kLeaveOut},
    {"keepalives_count", nullptr, kLeaveOut},
    {"tcp_user_timeout", nullptr, kLeaveOut},
    {"load_balance_hosts", "disable", kLeaveOut},
    {"sslnegotiation", "postgres", kLeaveOut},
    {"sslsni", "1", kLeaveOut},
    {"sslcompression", "0", kLeaveOut},
    {"sslcrl", nullptr, kLeaveOut},
    {"sslpassword", nullptr, kLeaveOut},
    {"require_auth", nullptr, kLeaveOut},
    {"statement_cache_size", nullptr, kLeaveOut},
    {"uselibpqcompat", nullptr, kLeaveOut},
};

class Parser {
 public:
  explicit Parser(std::vector<std::string>& faults) : faults_(faults) {}

  DatabaseUrl Parse(std::string_view url) {
    if (!RemovePrefix(url, "postgresql://") && !RemovePrefix(url, "postgres://")) {
      faults_.emplace_back("must be postgresql://user:password@host:port/database");
      return {};
    }
    const size_t faults_before = faults_.size();
    std::string_view authority = TakeUntil(url, "/?#");
    const std::string_view rest = url;
    // The last "@": a password that holds one not encoded is read as it was meant.
    if (const size_t at = authority.rfind('@'); at != std::string_view::npos) {
      ParseUser(authority.substr(0, at));
      authority.remove_prefix(at + 1);
    }
    ParseHost(authority);
    std::string_view database;
    if (RemovePrefix(url, "/")) database = TakeUntil(url, "?#");
    if (!database.empty()) Set("dbname", database);
    if (RemovePrefix(url, "?")) ParseParameters(TakeUntil(url, "#"));
    if (!url.empty()) faults_.emplace_back("must not contain \"#\" unless percent-encoded (%23)");
    if (result_.tls_root_certificate == "system") {
      result_.tls_root_certificate.clear();
      if (result_.config.tls_mode() != v1::TLS_MODE_VERIFY_FULL)
        faults_.emplace_back("sslrootcert=system needs sslmode=verify-full");
    }
    const bool wrong = faults_.size() != faults_before || Contains(database, '@');
    if (wrong && Contains(rest, '@')) {
      // One cause for whatever else was found.
      faults_.resize(faults_before);
      const char* encoded = rest.front() == '/' ? "%2F" : rest.front() == '?' ? "%3F" : "%23";
      faults_.push_back(absl::StrCat("has a \"", std::string(1, rest.front()),
                                     "\" in front of an \"@\": in a user name or password it is written ", encoded,
                                     " (and an \"@\" that stands elsewhere %40)"));
    }
    return std::move(result_);
  }

 private:
  static bool Contains(std::string_view text, char c) { return text.find(c) != std::string_view::npos; }

  void ParseUser(std::string_view user) {
    const size_t colon = user.find(':');
    Set("user", user.substr(0, colon));
    if (colon != std::string_view::npos) Set("password", user.substr(colon + 1));
  }

  void ParseHost(std::string_view host) {
    std::string_view port;
    if (RemovePrefix(host, "[")) {
      const size_t close = host.find(']');
      if (close == std::string_view::npos) {
        faults_.emplace_back("has a \"[\" without \"]\" around its host");
        return;
      }
      port = host.substr(close + 1);
      host = host.substr(0, close);
      if (!port.empty() && !RemovePrefix(port, ":"))
        faults_.emplace_back("must have \":port\" or nothing after the host's \"]\"");
    } else if (const size_t colon = host.rfind(':'); colon != std::string_view::npos) {
      port = host.substr(colon + 1);
      host = host.substr(0, colon);
    }
    if (!host.empty()) Set("host", host);
    if (!port.empty()) Set("port", port);
  }

  void ParseParameters(std::string_view parameters) {
    while (!parameters.empty()) {
      std::string_view value = TakeUntil(parameters, "&");
      RemovePrefix(parameters, "&");
      const std::string_view name = TakeUntil(value, "=");
      if (!RemovePrefix(value, "=")) {
        faults_.emplace_back("has a parameter without \"=\"");
      } else {
        Set(name, value);
      }
    }
  }

  // Decodes and stores one part; an empty part counts as missing.
  void Set(std::string_view name, std::string_view encoded) {
    auto value = PercentDecode(encoded);
    if (!value) {
      faults_.emplace_back("has a \"%\" that is not followed by two hexadecimal digits");
    } else if (!value->empty() && !SetText(name, *value) && !SetNumber(name, *value) && !SetTls(name, *value)) {
      Refuse(name, *value);
    }
  }

  bool SetText(std::string_view name, const std::string& value) {
    v1::ConnectionConfig& config = result_.config;
    if (name == "host") {
      config.set_host(value);
    } else if (name == "user") {
      config.set_user(value);
    } else if (name == "password") {
      config.set_password(value);
    } else if (name == "dbname") {
      config.set_dbname(value);
    } else if (name == "application_name") {
      config.set_application_name(value);
    } else {
      return false;
    }
    return true;
  }

  bool SetNumber(std::string_view name, const std::string& value) {
    v1::ConnectionConfig& config = result_.config;
    v1::RetrySettings& retry = *config.mutable_retry();
    if (name == "retry.multiplier") {
      double number = 0;
      if (!absl::SimpleAtod(value, &number)) faults_.emplace_back("retry.multiplier must be a number");
      retry.set_multiplier(number);
      return true;
    }
    const auto set = [&](auto setter) {
      if (const auto number = Number(name, value)) setter(*number);
      return true;
    };
    if (name == "port") return set([&](int32_t n) { config.set_port(n); });
    if (name == "min_pool_size") return set([&](int32_t n) { config.set_min_pool_size(n); });
    if (name == "max_pool_size" || name == "connection_limit")
      return set([&](int32_t n) { config.set_max_pool_size(n); });
    if (name == "timeout_ms") return set([&](int32_t n) { config.set_timeout_ms(n); });
    if (name == "connect_timeout_ms") return set([&](int32_t n) { config.set_connect_timeout_ms(n); });
    if (name == "connect_timeout") {
      // Negative in libpq: as long as it takes.
      constexpr int32_t kMax = std::numeric_limits<int32_t>::max();
      return set([&](int32_t n) { config.set_connect_timeout_ms(n > kMax / 1000 ? kMax : std::max(n, 0) * 1000); });
    }
    if (name == "retry.max_attempts") return set([&](int32_t n) { retry.set_max_attempts(n); });
    if (name == "retry.initial_delay_ms") return set([&](int32_t n) { retry.set_initial_delay_ms(n); });
    if (name == "retry.max_delay_ms") return set([&](int32_t n) { retry.set_max_delay_ms(n); });
    if (name == "retry.budget_ms") return set([&](int32_t n) { retry.set_budget_ms(n); });
    return false;
  }

  bool SetTls(std::string_view name, const std::string& value) {
    v1::ConnectionConfig& config = result_.config;
    if (name == "sslmode" || name == "tls_mode") {
      config.set_tls_mode(ParseTlsMode(value));
      if (config.tls_mode() == v1::TLS_MODE_UNSPECIFIED)
        faults_.push_back(absl::StrCat(ToAbsl(name), " must be ", kTlsModeWords));
    } else if (name == "ssl") {
      if (value == "true") {
        config.set_tls_mode(v1::TLS_MODE_REQUIRE);
      } else {
        faults_.emplace_back("ssl can only be true: use sslmode");
      }
    } else if (name == "channel_binding") {
      config.set_channel_binding(ParseChannelBinding(value));
      if (config.channel_binding() == v1::CHANNEL_BINDING_UNSPECIFIED)
        faults_.push_back(absl::StrCat("channel_binding must be ", kChannelBindingWords));
    } else if (name == "sslrootcert") {
      result_.tls_root_certificate = value;
    } else if (name == "sslcert") {
      result_.tls_certificate = value;
    } else if (name == "sslkey") {
      result_.tls_key = value;
    } else {
      return false;
    }
    return true;
  }

  void Refuse(std::string_view name, const std::string& value) {
    const auto* refused =
        std::find_if(std::begin(kRefused), std::end(kRefused), [&](const Refused& r) { return name == r.name; });
    if (refused == std::end(kRefused)) {
      // Not named: with a password that should have been encoded, it may be a part of one.
      faults_.emplace_back(
          "has an unknown parameter; known are host, port, user, password, dbname, sslmode, sslrootcert, sslcert, "
          "sslkey, channel_binding, application_name, connect_timeout, min_pool_size, max_pool_size, timeout_ms, "
          "connect_timeout_ms, retry.max_attempts, retry.initial_delay_ms, retry.max_delay_ms, retry.multiplier and "
          "retry.budget_ms");
    } else if (refused->harmless == nullptr || value != refused->harmless) {
      faults_.push_back(absl::StrCat(refused->name, ": ", refused->advice));
    }
  }

  std::optional<int32_t> Number(std::string_view name, const std::string& text) {
    int32_t number = 0;
    if (absl::SimpleAtoi(text, &number)) return number;
    faults_.push_back(absl::StrCat(ToAbsl(name), " must be a whole number"));
    return std::nullopt;
  }

  std::vector<std::string>& faults_;
  DatabaseUrl result_;
};

}  // namespace

DatabaseUrl ParseDatabaseUrl(std::string_view url, std::vector<std::string>& faults) {
  return Parser(faults).Parse(url);
}

v1::ChannelBinding ParseChannelBinding(std::string_view word) {
  if (word == "disable") return v1::CHANNEL_BINDING_DISABLE;
  if (word == "prefer") return v1::CHANNEL_BINDING_PREFER;
  if (word == "require") return v1::CHANNEL_BINDING_REQUIRE;
  return v1::CHANNEL_BINDING_UNSPECIFIED;
}

v1::TlsMode ParseTlsMode(std::string_view word) {
  if (word == "disable") return v1::TLS_MODE_DISABLE;
  if (word == "prefer") return v1::TLS_MODE_PREFER;
  if (word == "require") return v1::TLS_MODE_REQUIRE;
  if (word == "verify-ca") return v1::TLS_MODE_VERIFY_CA;
  if (word == "verify-full") return v1::TLS_MODE_VERIFY_FULL;
  return v1::TLS_MODE_UNSPECIFIED;
}

}  // namespace engine::db::config

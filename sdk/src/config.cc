#include "engine_db/config.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <type_traits>
#include <utility>

namespace engine::db {
namespace {

using Faults = std::vector<ConfigFault>;

constexpr size_t kMaxHost = 255;
constexpr size_t kMaxName = 63;  // PostgreSQL's NAMEDATALEN - 1.
constexpr size_t kMaxPassword = 16 << 10;
constexpr int kMaxInitialDelay = 60'000;
constexpr int kDayMs = 86'400'000;

constexpr std::array<std::pair<std::string_view, TlsMode>, 5> kTlsModes = {{{"disable", TlsMode::kDisable},
                                                                            {"prefer", TlsMode::kPrefer},
                                                                            {"require", TlsMode::kRequire},
                                                                            {"verify-ca", TlsMode::kVerifyCa},
                                                                            {"verify-full", TlsMode::kVerifyFull}}};

std::string all_faults(const Faults& faults) {
  std::string message = "the configuration is wrong: ";
  for (size_t i = 0; i < faults.size(); ++i) {
    message += (i == 0 ? "" : "; ") + faults[i].field + ": " + faults[i].message;
  }
  return message;
}

ErrorInfo error_info(const Faults& faults) {
  ErrorInfo info;
  info.kind = ErrorKind::kInvalidRequest;
  info.outcome = Outcome::kNotExecuted;
  info.phase = Phase::kValidating;
  info.reason = "INVALID_CONFIGURATION";
  info.field = faults.front().field;
  info.message = all_faults(faults);
  return info;
}

void check_text(Faults& faults, std::string_view field, const std::string& text, size_t max, bool required) {
  if (required && text.empty()) {
    faults.push_back({std::string(field), "is required"});
  } else if (text.size() > max) {
    faults.push_back(
        {std::string(field), "has at most " + std::to_string(max) + " bytes, not " + std::to_string(text.size())});
  } else if (text.find('\0') != std::string::npos) {
    faults.push_back({std::string(field), "has no NUL bytes"});
  }
}

std::string lower(std::string_view text) {
  std::string lowered(text);
  for (char& c : lowered) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lowered;
}

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

// Whether a password may stand in a text that is shown as a name: in a URL, with or without its scheme, or in a
// connection string.
bool may_hold_password(std::string_view text) {
  const size_t colon = text.find(':');
  return contains(text, "://") || (colon != std::string_view::npos && contains(text.substr(colon), "@")) ||
         (contains(text, "=") && (contains(lower(text), "pass") || contains(lower(text), "pwd")));
}

// `refused`: characters that stand in "app:password" and in "dbname=orders password=…".
void check_name(Faults& faults, std::string_view field, const std::string& text, bool required,
                std::string_view refused) {
  const size_t before = faults.size();
  check_text(faults, field, text, kMaxName, required);
  if (faults.size() > before) return;
  if (may_hold_password(text)) {
    faults.push_back({std::string(field), "is a name, not a URL or a connection string"});
  } else if (text.find_first_of(refused) != std::string::npos ||
             (contains(refused, ":") && contains(lower(text), "%3a"))) {
    faults.push_back({std::string(field), "is a name without any of \"" + std::string(refused) +
                                              "\": host, port, user, password and dbname are settings of their own"});
  }
}

bool is_ipv6_address(const std::string& host) {
  in6_addr ignored{};
  return inet_pton(AF_INET6, host.substr(0, host.find('%')).c_str(), &ignored) == 1;
}

// Not what libpq would read as something else: several hosts ("a,b"), an abstract socket ("@…"), a URL.
void check_host(Faults& faults, const std::string& host) {
  const size_t before = faults.size();
  check_text(faults, "host", host, kMaxHost, true);
  if (faults.size() != before) return;
  bool is_host = host.front() == '/' ? !may_hold_password(host) : std::ranges::all_of(host, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("-._:%").find(c) != std::string_view::npos;
  });
  if (host.front() != '/' && contains(host, ":")) is_host = is_host && is_ipv6_address(host);
  if (is_host) return;
  faults.push_back({"host", "is one host name, an IP address (no brackets), or the folder of a unix socket"});
}

void check_range(Faults& faults, std::string_view field, int number, int min, int max, std::string_view max_name = {}) {
  if (number >= min && number <= max) return;
  std::string limit = std::to_string(max);
  if (!max_name.empty()) limit = std::string(max_name) + " (" + limit + ")";
  faults.push_back(
      {std::string(field), "is " + std::to_string(min) + " to " + limit + ", not " + std::to_string(number)});
}

// What from_map() knows about a field: how to set it from a text; an error says what was expected.
class Reader {
 public:
  explicit Reader(const std::map<std::string, std::string>& settings) : left_(settings) {}

  void text(const std::string& field, std::string& target) {
    if (auto found = take(field)) target = *std::move(found);
  }
  void integer(const std::string& field, int& target) { number(field, target, "a whole number"); }
  void real(const std::string& field, double& target) { number(field, target, "a number"); }
  void tls_mode(const std::string& field, TlsMode& target) {
    const auto found = take(field);
    if (!found) return;
    const auto* mode = std::ranges::find(kTlsModes, *found, &std::pair<std::string_view, TlsMode>::first);
    if (mode != kTlsModes.end()) {
      target = mode->second;
    } else {
      faults_.push_back({field, "is disable, prefer, require, verify-ca or verify-full, not \"" + *found + '"'});
    }
  }

  // Every fault so far, and whatever no field has taken.
  Faults finish() && {
    for (const auto& [field, value] : left_) {
      faults_.push_back(
          {field,
           "is not a setting; those are host, port, user, password, dbname, min_pool_size, max_pool_size, timeout_ms, "
           "tls_mode, application_name, retry.max_attempts, retry.initial_delay_ms, retry.max_delay_ms, "
           "retry.multiplier, retry.budget_ms"});
    }
    return std::move(faults_);
  }

 private:
  std::optional<std::string> take(const std::string& field) {
    auto node = left_.extract(field);
    if (node.empty()) return std::nullopt;
    return std::move(node.mapped());
  }

  template <typename T>
  void number(const std::string& field, T& target, std::string_view expected) {
    const auto found = take(field);
    if (!found) return;
    const char* const end = found->data() + found->size();
    T parsed{};
    const auto [stop, error] = std::from_chars(found->data(), end, parsed);
    if (error == std::errc() && stop == end) {
      target = parsed;
    } else {
      faults_.push_back({field, "is " + std::string(expected) + ", not \"" + *found + '"'});
    }
  }

  std::map<std::string, std::string> left_;
  Faults faults_;
};

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

// The settings that a URL spells, or throws.
std::map<std::string, std::string> settings_of_url(std::string_view url) {
  const auto fail = [](std::string message) { throw ConfigurationError({{"url", std::move(message)}}); };
  const size_t scheme_end = url.find("://");
  const std::string_view scheme = url.substr(0, scheme_end == std::string_view::npos ? 0 : scheme_end);
  if (scheme != "postgresql" && scheme != "postgres") fail("begins with postgresql:// or postgres://");
  url.remove_prefix(scheme_end + 3);

  std::map<std::string, std::string> settings;
  const auto set = [&](std::string_view field, std::string_view text) {
    if (text.empty()) return;
    auto decoded = percent_decoded(text);
    if (!decoded) fail("has a broken %XX");  // in what may be a piece of a password
    settings[std::string(field)] = *std::move(decoded);
  };

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
    const std::string_view field = take_until(value, '=');
    set(field == "sslmode" ? "tls_mode" : field, value);
  }
  return settings;
}

}  // namespace

ConfigurationError::ConfigurationError(std::vector<ConfigFault> faults)
    : DatabaseRequestError(error_info(faults)), faults_(std::move(faults)) {}

std::chrono::milliseconds RetryConfig::max_delay_before(int attempt) const {
  if (attempt < 2) return std::chrono::milliseconds(0);
  const double delay = initial_delay_ms * std::pow(multiplier, attempt - 2);
  return std::chrono::milliseconds(static_cast<int64_t>(std::min(delay, static_cast<double>(max_delay_ms))));
}

std::vector<ConfigFault> RetryConfig::validate() const {
  constexpr int kMaxDelay = 600'000;
  Faults faults;
  check_range(faults, "max_attempts", max_attempts, 1, 100);
  check_range(faults, "initial_delay_ms", initial_delay_ms, 0, kMaxInitialDelay);
  // One that is out of range is a fault of its own, and not this one's too.
  const int least = std::clamp(initial_delay_ms, 0, kMaxInitialDelay);
  if (max_delay_ms < least || max_delay_ms > kMaxDelay) {
    faults.push_back({"max_delay_ms", "is initial_delay_ms (" + std::to_string(least) + ") to " +
                                          std::to_string(kMaxDelay) + ", not " + std::to_string(max_delay_ms)});
  }
  if (!(multiplier >= 1.0 && multiplier <= 10.0)) {  // Not so with NaN either.
    faults.push_back({"multiplier", "is 1.0 to 10.0, not " + std::to_string(multiplier)});
  }
  check_range(faults, "budget_ms", budget_ms, 0, kDayMs);
  return faults;
}

std::vector<ConfigFault> ConnectionConfig::validate() const {
  constexpr int kMaxPool = 1000;
  Faults faults;
  check_host(faults, host);
  check_range(faults, "port", port, 1, 65535);
  check_name(faults, "user", user, true, ":=");
  check_text(faults, "password", password, kMaxPassword, false);
  check_name(faults, "dbname", dbname, true, "=");
  check_range(faults, "max_pool_size", max_pool_size, 1, kMaxPool);
  if (max_pool_size >= 1 && max_pool_size <= kMaxPool) {
    check_range(faults, "min_pool_size", min_pool_size, 0, max_pool_size, "max_pool_size");
  } else {
    check_range(faults, "min_pool_size", min_pool_size, 0, kMaxPool);
  }
  check_range(faults, "timeout_ms", timeout_ms, 1, kDayMs);
  check_name(faults, "application_name", application_name, false, "");
  for (ConfigFault& fault : retry.validate()) {
    faults.push_back({"retry." + fault.field, std::move(fault.message)});
  }
  return faults;
}

ConnectionConfig ConnectionConfig::from_map(const std::map<std::string, std::string>& settings) {
  ConnectionConfig config;
  Reader reader(settings);
  reader.text("host", config.host);
  reader.integer("port", config.port);
  reader.text("user", config.user);
  reader.text("password", config.password);
  reader.text("dbname", config.dbname);
  reader.integer("min_pool_size", config.min_pool_size);
  reader.integer("max_pool_size", config.max_pool_size);
  reader.integer("timeout_ms", config.timeout_ms);
  reader.tls_mode("tls_mode", config.tls_mode);
  reader.text("application_name", config.application_name);
  reader.integer("retry.max_attempts", config.retry.max_attempts);
  reader.integer("retry.initial_delay_ms", config.retry.initial_delay_ms);
  reader.integer("retry.max_delay_ms", config.retry.max_delay_ms);
  reader.real("retry.multiplier", config.retry.multiplier);
  reader.integer("retry.budget_ms", config.retry.budget_ms);
  // As in the gateway: a default gives way to what was asked for.
  if (!settings.contains("retry.max_delay_ms")) {
    config.retry.max_delay_ms =
        std::max(config.retry.max_delay_ms, std::clamp(config.retry.initial_delay_ms, 0, kMaxInitialDelay));
  }

  Faults faults = std::move(reader).finish();
  for (ConfigFault& fault : config.validate()) faults.push_back(std::move(fault));
  if (!faults.empty()) throw ConfigurationError(std::move(faults));
  return config;
}

ConnectionConfig ConnectionConfig::from_url(std::string_view url, std::string_view user, std::string_view password) {
  auto settings = settings_of_url(url);
  if (!user.empty()) settings["user"] = user;
  if (!password.empty()) settings["password"] = password;
  try {
    return from_map(settings);
  } catch (const ConfigurationError& error) {
    // What stands in the wrong place of a URL may be a piece of its password (an unencoded "/" or "?"): none is shown.
    Faults faults = error.faults();
    for (ConfigFault& fault : faults) {
      fault.message = fault.message.substr(0, fault.message.find(", not "));
      if (fault.message.starts_with("is not a setting")) fault = {"url", "has an option that " + fault.message};
    }
    throw ConfigurationError(std::move(faults));
  }
}

void require_valid(const ConnectTarget& target) {
  Faults faults;
  if (const auto* source = std::get_if<DataSource>(&target)) {
    check_text(faults, "data_source", source->name, kMaxName, true);
  } else {
    faults = std::get<ConnectionConfig>(target).validate();
  }
  if (!faults.empty()) throw ConfigurationError(std::move(faults));
}

}  // namespace engine::db

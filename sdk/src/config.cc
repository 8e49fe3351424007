#include "engine_db/config.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <type_traits>
#include <utility>

#include "engine_db/reasons.h"
#include "sdk/common/connection_text.h"
#include "sdk/common/limits.h"
#include "sdk/common/utf8.h"

namespace engine::db {
namespace {

using Faults = std::vector<ConfigFault>;

constexpr std::array<std::pair<std::string_view, TlsMode>, 5> kTlsModes = {{{"disable", TlsMode::kDisable},
                                                                            {"prefer", TlsMode::kPrefer},
                                                                            {"require", TlsMode::kRequire},
                                                                            {"verify-ca", TlsMode::kVerifyCa},
                                                                            {"verify-full", TlsMode::kVerifyFull}}};

constexpr std::array<std::pair<std::string_view, ChannelBinding>, 3> kChannelBindings = {
    {{"disable", ChannelBinding::kDisable},
     {"prefer", ChannelBinding::kPrefer},
     {"require", ChannelBinding::kRequire}}};

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
  info.reason = reasons::kInvalidConfiguration;
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
  } else if (!common::is_utf8(text)) {
    faults.push_back({std::string(field), "is UTF-8"});
  }
}

void check_name(Faults& faults, std::string_view field, const std::string& text, bool required,
                std::string_view refused) {
  const size_t before = faults.size();
  check_text(faults, field, text, limits::kMaxNameBytes, required);
  if (faults.size() > before) return;
  if (common::may_hold_password(text)) {
    faults.push_back({std::string(field), "is a name, not a URL or a connection string"});
  } else if (common::has_refused_character(text, refused)) {
    faults.push_back({std::string(field), "is a name without any of \"" + std::string(refused) +
                                              "\": host, port, user, password and dbname are settings of their own"});
  }
}

void check_host(Faults& faults, const std::string& host) {
  const size_t before = faults.size();
  check_text(faults, "host", host, limits::kMaxHostBytes, true);
  if (faults.size() != before) return;
  if (common::is_host(host)) return;
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
  void integer(const std::string& field, std::optional<int>& target) {
    int found = 0;
    if (number(field, found, "a whole number")) target = found;
  }
  void real(const std::string& field, double& target) { number(field, target, "a number"); }
  template <typename T, size_t N>
  void word(const std::string& field, T& target, const std::array<std::pair<std::string_view, T>, N>& words,
            std::string_view expected) {
    const auto found = take(field);
    if (!found) return;
    const auto* word = std::ranges::find(words, *found, &std::pair<std::string_view, T>::first);
    if (word != words.end()) {
      target = word->second;
    } else {
      faults_.push_back({field, "is " + std::string(expected) + ", not \"" + *found + '"'});
    }
  }

  // Every fault so far, and whatever no field has taken.
  Faults finish() && {
    for (const auto& [field, value] : left_) {
      faults_.push_back(
          {field,
           "is not a setting; those are host, port, user, password, dbname, min_pool_size, max_pool_size, timeout_ms, "
           "connect_timeout_ms, tls_mode, channel_binding, application_name, retry.max_attempts, "
           "retry.initial_delay_ms, retry.max_delay_ms, "
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
  bool number(const std::string& field, T& target, std::string_view expected) {
    const auto found = take(field);
    if (!found) return false;
    const char* const end = found->data() + found->size();
    T parsed{};
    const auto [stop, error] = std::from_chars(found->data(), end, parsed);
    if (error == std::errc() && stop == end) {
      target = parsed;
      return true;
    }
    faults_.push_back({field, "is " + std::string(expected) + ", not \"" + *found + '"'});
    return false;
  }

  std::map<std::string, std::string> left_;
  Faults faults_;
};

}  // namespace

ConfigurationError::ConfigurationError(std::vector<ConfigFault> faults)
    : DatabaseRequestError(error_info(faults)), faults_(std::move(faults)) {}

std::chrono::milliseconds RetryConfig::max_delay_before(int attempt) const {
  if (attempt < 2) return std::chrono::milliseconds(0);
  const double delay = initial_delay_ms * std::pow(multiplier, attempt - 2);
  return std::chrono::milliseconds(static_cast<int64_t>(std::min(delay, static_cast<double>(longest_delay_ms()))));
}

int RetryConfig::longest_delay_ms() const {
  // An initial delay that is out of range is a fault of its own, and not this one's too.
  return max_delay_ms.value_or(
      std::max(limits::kDefaultMaxDelayMs, std::clamp(initial_delay_ms, 0, limits::kMaxInitialDelayMs)));
}

std::vector<ConfigFault> RetryConfig::validate() const {
  Faults faults;
  check_range(faults, "max_attempts", max_attempts, 1, limits::kMaxAttempts);
  check_range(faults, "initial_delay_ms", initial_delay_ms, 0, limits::kMaxInitialDelayMs);
  const int least = std::clamp(initial_delay_ms, 0, limits::kMaxInitialDelayMs);
  const int longest = longest_delay_ms();
  if (longest < least || longest > limits::kMaxMaxDelayMs) {
    faults.push_back({"max_delay_ms", "is initial_delay_ms (" + std::to_string(least) + ") to " +
                                          std::to_string(limits::kMaxMaxDelayMs) + ", not " + std::to_string(longest)});
  }
  if (!(multiplier >= 1.0 && multiplier <= limits::kMaxMultiplier)) {  // Not so with NaN either.
    faults.push_back({"multiplier", "is 1.0 to 10.0, not " + std::to_string(multiplier)});
  }
  check_range(faults, "budget_ms", budget_ms, 0, limits::kMaxTimeoutMs);
  return faults;
}

std::vector<ConfigFault> ConnectionConfig::validate() const {
  Faults faults;
  check_host(faults, host);
  check_range(faults, "port", port, 1, 65535);
  check_name(faults, "user", user, true, ":=");
  check_text(faults, "password", password, limits::kMaxPasswordBytes, false);
  check_name(faults, "dbname", dbname, true, "=");
  check_range(faults, "max_pool_size", max_pool_size, 1, limits::kMaxPoolSize);
  if (max_pool_size >= 1 && max_pool_size <= limits::kMaxPoolSize) {
    check_range(faults, "min_pool_size", min_pool_size, 0, max_pool_size, "max_pool_size");
  } else {
    check_range(faults, "min_pool_size", min_pool_size, 0, limits::kMaxPoolSize);
  }
  check_range(faults, "timeout_ms", timeout_ms, 1, limits::kMaxTimeoutMs);
  check_range(faults, "connect_timeout_ms", connect_timeout_ms, 0, limits::kMaxTimeoutMs);
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
  reader.integer("connect_timeout_ms", config.connect_timeout_ms);
  reader.word("tls_mode", config.tls_mode, kTlsModes, "disable, prefer, require, verify-ca or verify-full");
  reader.word("channel_binding", config.channel_binding, kChannelBindings, "disable, prefer or require");
  reader.text("application_name", config.application_name);
  reader.integer("retry.max_attempts", config.retry.max_attempts);
  reader.integer("retry.initial_delay_ms", config.retry.initial_delay_ms);
  reader.integer("retry.max_delay_ms", config.retry.max_delay_ms);
  reader.real("retry.multiplier", config.retry.multiplier);
  reader.integer("retry.budget_ms", config.retry.budget_ms);

  Faults faults = std::move(reader).finish();
  for (ConfigFault& fault : config.validate()) faults.push_back(std::move(fault));
  if (!faults.empty()) throw ConfigurationError(std::move(faults));
  return config;
}

void require_valid(const ConnectTarget& target) {
  Faults faults;
  if (const auto* source = std::get_if<DataSource>(&target)) {
    check_text(faults, "data_source", source->name, limits::kMaxNameBytes, true);
  } else {
    faults = std::get<ConnectionConfig>(target).validate();
  }
  if (!faults.empty()) throw ConfigurationError(std::move(faults));
}

}  // namespace engine::db

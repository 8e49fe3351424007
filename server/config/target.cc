#include "server/config/target.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "sdk/common/connection_text.h"
#include "sdk/common/limits.h"
#include "sdk/common/reference.h"
#include "sdk/common/utf8.h"
#include "server/base/failure.h"

namespace engine::db::config {
namespace {

// Adds a fault unless `value` is within the range.
void CheckRange(const char* field, int value, int min, int max, std::vector<Fault>& faults) {
  if (value < min || value > max) {
    faults.push_back({field, absl::StrCat("must be ", min, " to ", max, ", got ", value)});
  }
}

// libpq would stop at the NUL and use the rest; the contract can't carry, nor logs show, what is not UTF-8.
bool CheckText(const char* field, const std::string& value, std::vector<Fault>& faults) {
  if (value.find('\0') != std::string::npos) {
    faults.push_back({field, "must not contain a NUL byte"});
  } else if (!common::is_utf8(value)) {
    faults.push_back({field, "must be UTF-8"});
  } else {
    return true;
  }
  return false;
}

void CheckName(const char* field, const std::string& value, std::vector<Fault>& faults) {
  if (value.empty()) {
    faults.push_back({field, "is required"});
  } else if (value.size() > limits::kMaxNameBytes) {
    faults.push_back({field, absl::StrCat("must have at most ", limits::kMaxNameBytes, " bytes, got ", value.size())});
  } else if (common::may_hold_password(value)) {
    faults.push_back({field, "must be a name, not a URL or a connection string"});
  } else {
    CheckText(field, value, faults);
  }
}

void CheckLoginName(const char* field, const std::string& value, const char* refused, std::vector<Fault>& faults) {
  const size_t before = faults.size();
  CheckName(field, value, faults);
  if (faults.size() > before) return;
  if (!common::has_refused_character(value, refused)) return;
  faults.push_back({field, absl::StrCat("must be a name without any of \"", refused,
                                        "\": host, port, user, password and dbname are fields of their own")});
}

void CheckHost(const std::string& host, std::vector<Fault>& faults) {
  if (host.empty()) {
    faults.push_back({"host", "is required: a host name, an IP address, or the folder of a unix socket"});
  } else if (host.size() > limits::kMaxHostBytes) {
    faults.push_back({"host", absl::StrCat("must have at most ", limits::kMaxHostBytes, " bytes, got ", host.size())});
  } else if (!CheckText("host", host, faults)) {
    return;
  } else if (!common::is_host(host)) {
    faults.push_back(
        {"host",
         "must be one host name, an IP address (no brackets), or the folder of a unix socket that begins with \"/\""});
  }
}

RetrySettings CheckRetry(const v1::RetrySettings& retry, const RetrySettings& defaults, std::string_view prefix,
                         std::vector<Fault>& faults) {
  std::vector<Fault> found;
  RetrySettings result = defaults;
  if (retry.has_max_attempts()) {
    CheckRange("max_attempts", retry.max_attempts(), 1, limits::kMaxAttempts, found);
    result.max_attempts = retry.max_attempts();
  }
  if (retry.has_initial_delay_ms()) {
    CheckRange("initial_delay_ms", retry.initial_delay_ms(), 0, limits::kMaxInitialDelayMs, found);
    result.initial_delay = absl::Milliseconds(retry.initial_delay_ms());
  }
  if (retry.has_max_delay_ms()) {
    const int initial_delay_ms =
        std::clamp(static_cast<int>(absl::ToInt64Milliseconds(result.initial_delay)), 0, limits::kMaxInitialDelayMs);
    if (retry.max_delay_ms() < initial_delay_ms) {
      found.push_back({"max_delay_ms", absl::StrCat("must be at least initial_delay_ms (", initial_delay_ms, "), got ",
                                                    retry.max_delay_ms())});
    } else {
      CheckRange("max_delay_ms", retry.max_delay_ms(), 0, limits::kMaxMaxDelayMs, found);
    }
    result.max_delay = absl::Milliseconds(retry.max_delay_ms());
  } else {
    result.max_delay = std::max(result.max_delay, result.initial_delay);
  }
  if (retry.has_multiplier()) {
    if (!(retry.multiplier() >= 1.0 && retry.multiplier() <= limits::kMaxMultiplier)) {  // also for NaN
      found.push_back({"multiplier", absl::StrCat("must be 1.0 to 10.0, got ", retry.multiplier())});
    }
    result.multiplier = retry.multiplier();
  }
  if (retry.has_budget_ms()) {
    CheckRange("budget_ms", retry.budget_ms(), 0, limits::kMaxTimeoutMs, found);
    result.budget = retry.budget_ms() == 0 ? absl::InfiniteDuration() : absl::Milliseconds(retry.budget_ms());
  }
  for (Fault& fault : found)
    faults.push_back({absl::StrCat(std::string(prefix), fault.field), std::move(fault.expected)});
  return result;
}

std::string Prefix(std::string_view path) { return path.empty() ? std::string() : std::string(path) + "."; }

}  // namespace

std::string TargetSettings::DisplayName() const {
  if (!data_source.empty()) return data_source;
  const bool is_ipv6 = absl::StrContains(host, ':');
  return absl::StrCat(user, "@", is_ipv6 ? "[" : "", host, is_ipv6 ? "]" : "", ":", port, "/", dbname);
}

const char* TargetSettings::SslMode() const {
  switch (tls_mode) {
    case v1::TLS_MODE_DISABLE:
      return "disable";
    case v1::TLS_MODE_REQUIRE:
      return "require";
    case v1::TLS_MODE_VERIFY_CA:
      return "verify-ca";
    case v1::TLS_MODE_VERIFY_FULL:
      return "verify-full";
    default:
      return "prefer";
  }
}

const char* TargetSettings::ChannelBinding() const {
  switch (channel_binding) {
    case v1::CHANNEL_BINDING_DISABLE:
      return "disable";
    case v1::CHANNEL_BINDING_REQUIRE:
      return "require";
    default:
      return "prefer";
  }
}

absl::StatusOr<std::string> TargetSettings::ReadPassword() const {
  if (password_file.empty()) return password;
  common::Resolved content = common::read_secret_file(password_file);
  const bool nul = content.text.find('\0') != std::string::npos;
  if (content.faults.empty() && !nul && common::is_utf8(content.text)) return std::move(content.text);
  const std::string fault = nul                      ? "it contains a NUL byte"
                            : content.faults.empty() ? "it is not UTF-8"
                                                     : content.faults.front();
  return ToStatus({.code = absl::StatusCode::kFailedPrecondition,
                   .reason = Reason::kPasswordFile,
                   .kind = ErrorKind::kConnection,
                   .phase = Phase::kConnecting,
                   .outcome = Outcome::kNotExecuted,
                   .message = absl::StrCat("the password's file of the data source cannot be used: ", fault)});
}

TargetSettings CheckTarget(const v1::ConnectionConfig& config, std::vector<Fault>& faults) {
  TargetSettings target;
  CheckHost(config.host(), faults);
  target.host = config.host();
  if (config.has_port()) {
    CheckRange("port", config.port(), 1, 65535, faults);
    target.port = static_cast<uint16_t>(config.port());
  }
  CheckLoginName("user", config.user(), ":=", faults);
  target.user = config.user();
  if (CheckText("password", config.password(), faults) && config.password().size() > limits::kMaxPasswordBytes) {
    faults.push_back({"password", absl::StrCat("must have at most ", limits::kMaxPasswordBytes, " bytes")});
  }
  target.password = config.password();
  CheckLoginName("dbname", config.dbname(), "=", faults);
  target.dbname = config.dbname();

  if (config.has_max_pool_size()) {
    CheckRange("max_pool_size", config.max_pool_size(), 1, limits::kMaxPoolSize, faults);
    target.max_pool_size = config.max_pool_size();
  }
  if (config.has_min_pool_size()) {
    if (target.max_pool_size < 1 || target.max_pool_size > limits::kMaxPoolSize) {
      CheckRange("min_pool_size", config.min_pool_size(), 0, limits::kMaxPoolSize, faults);
    } else if (config.min_pool_size() < 0) {
      faults.push_back({"min_pool_size", absl::StrCat("must be 0 to max_pool_size, got ", config.min_pool_size())});
    } else if (config.min_pool_size() > target.max_pool_size) {
      faults.push_back({"min_pool_size", absl::StrCat("must be at most max_pool_size (", target.max_pool_size,
                                                      config.has_max_pool_size() ? "" : ", the default", "), got ",
                                                      config.min_pool_size())});
    }
    target.min_pool_size = config.min_pool_size();
  }
  if (config.has_timeout_ms()) {
    CheckRange("timeout_ms", config.timeout_ms(), 1, limits::kMaxTimeoutMs, faults);
    target.timeout = absl::Milliseconds(config.timeout_ms());
  }
  CheckRange("connect_timeout_ms", config.connect_timeout_ms(), 0, limits::kMaxTimeoutMs, faults);
  target.connect_timeout = absl::Milliseconds(config.connect_timeout_ms());
  if (!v1::TlsMode_IsValid(config.tls_mode())) {
    faults.push_back({"tls_mode", absl::StrCat("must be one of TlsMode, got ", static_cast<int>(config.tls_mode()))});
  } else if (config.tls_mode() != v1::TLS_MODE_UNSPECIFIED) {
    target.tls_mode = config.tls_mode();
  }
  if (!v1::ChannelBinding_IsValid(config.channel_binding())) {
    faults.push_back({"channel_binding",
                      absl::StrCat("must be one of ChannelBinding, got ", static_cast<int>(config.channel_binding()))});
  } else if (config.channel_binding() != v1::CHANNEL_BINDING_UNSPECIFIED) {
    target.channel_binding = config.channel_binding();
  }
  if (!config.application_name().empty()) {
    CheckName("application_name", config.application_name(), faults);
    target.application_name = config.application_name();
  }
  target.retry = CheckRetry(config.retry(), RetrySettings{}, "retry.", faults);
  return target;
}

absl::StatusOr<TargetSettings> ValidateTarget(const v1::ConnectionConfig& config, std::string_view path) {
  std::vector<Fault> faults;
  TargetSettings target = CheckTarget(config, faults);
  if (faults.empty()) return target;
  for (Fault& fault : faults) fault.field.insert(0, Prefix(path));
  return FaultsError(faults);
}

absl::StatusOr<RetrySettings> ValidateRetry(const v1::RetrySettings& retry, std::string_view path,
                                            const RetrySettings& defaults) {
  std::vector<Fault> faults;
  RetrySettings settings = CheckRetry(retry, defaults, Prefix(path), faults);
  if (faults.empty()) return settings;
  return FaultsError(faults);
}

v1::ConnectionConfig ToProto(const TargetSettings& target) {
  v1::ConnectionConfig config;
  config.set_host(target.host);
  config.set_port(target.port);
  config.set_user(target.user);
  config.set_dbname(target.dbname);
  config.set_min_pool_size(target.min_pool_size);
  config.set_max_pool_size(target.max_pool_size);
  config.set_timeout_ms(static_cast<int>(absl::ToInt64Milliseconds(target.timeout)));
  config.set_connect_timeout_ms(static_cast<int>(absl::ToInt64Milliseconds(target.connect_timeout)));
  config.set_tls_mode(target.tls_mode);
  config.set_channel_binding(target.channel_binding);
  config.set_application_name(target.application_name);
  v1::RetrySettings& retry = *config.mutable_retry();
  retry.set_max_attempts(target.retry.max_attempts);
  retry.set_initial_delay_ms(static_cast<int>(absl::ToInt64Milliseconds(target.retry.initial_delay)));
  retry.set_max_delay_ms(static_cast<int>(absl::ToInt64Milliseconds(target.retry.max_delay)));
  retry.set_multiplier(target.retry.multiplier);
  const bool bounded = target.retry.budget != absl::InfiniteDuration();
  retry.set_budget_ms(bounded ? static_cast<int>(absl::ToInt64Milliseconds(target.retry.budget)) : 0);
  return config;
}

}  // namespace engine::db::config

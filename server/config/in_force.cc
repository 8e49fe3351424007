#include "server/config/in_force.h"

#include <yaml-cpp/yaml.h>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/config/setting.h"

namespace engine::db::config {
namespace {

// A part of a URL: everything but letters, digits and "-", ".", "_", "~" percent-encoded.
std::string Encoded(const std::string& text) {
  std::string encoded;
  for (const char c : text) {
    if (absl::ascii_isalnum(static_cast<unsigned char>(c)) || absl::StrContains("-._~", absl::string_view(&c, 1))) {
      encoded += c;
    } else {
      absl::StrAppend(&encoded, "%", absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad2));
    }
  }
  return encoded;
}

std::string UrlWithoutPassword(const TargetSettings& target) {
  const std::string host =
      absl::StrContains(target.host, ':') ? absl::StrCat("[", target.host, "]") : Encoded(target.host);
  return absl::StrCat("postgresql://", Encoded(target.user), "@", host, ":", target.port, "/", Encoded(target.dbname));
}

void WriteDataSource(YAML::Emitter& out, const TargetSettings& target) {
  const v1::ConnectionConfig config = ToProto(target);
  out << YAML::BeginMap;
  out << YAML::Key << "url" << YAML::Value << YAML::DoubleQuoted << UrlWithoutPassword(target);
  if (!target.password_file.empty()) {
    out << YAML::Key << "securitySchemes" << YAML::Value << YAML::BeginMap << YAML::Key << "dbAuth" << YAML::Value
        << YAML::BeginSeq << YAML::BeginMap;
    out << YAML::Key << "type" << YAML::Value << "basic";
    out << YAML::Key << "username" << YAML::Value << YAML::DoubleQuoted << target.user;
    out << YAML::Key << "password" << YAML::Value << YAML::DoubleQuoted
        << absl::StrCat("${FILE:", target.password_file, "}");
    out << YAML::EndMap << YAML::EndSeq << YAML::EndMap;
  } else {
    out << YAML::Comment(target.password.empty() ? "no password" : "with a password, which is not shown");
  }
  out << YAML::Key << "minPoolSize" << YAML::Value << config.min_pool_size();
  out << YAML::Key << "maxPoolSize" << YAML::Value << config.max_pool_size();
  out << YAML::Key << "timeoutMs" << YAML::Value << config.timeout_ms();
  out << YAML::Key << "applicationName" << YAML::Value << YAML::DoubleQuoted << target.application_name;
  out << YAML::Key << "tlsMode" << YAML::Value << target.SslMode();
  if (!target.tls_root_certificate.empty()) {
    out << YAML::Key << "tlsRootCertificate" << YAML::Value << YAML::DoubleQuoted << target.tls_root_certificate;
  }
  out << YAML::Key << "errorDetail" << YAML::Value << (target.log_error_detail.value_or(false) ? "log" : "none");
  out << YAML::Key << "raisedMessages" << YAML::Value << (target.hide_raised_messages ? "hide" : "show");
  out << YAML::Key << "retry" << YAML::Value << YAML::Flow << YAML::BeginMap;
  out << YAML::Key << "maxAttempts" << YAML::Value << config.retry().max_attempts();
  out << YAML::Key << "initialDelayMs" << YAML::Value << config.retry().initial_delay_ms();
  out << YAML::Key << "maxDelayMs" << YAML::Value << config.retry().max_delay_ms();
  out << YAML::Key << "multiplier" << YAML::Value << config.retry().multiplier();
  out << YAML::Key << "budgetMs" << YAML::Value << config.retry().budget_ms();
  out << YAML::EndMap << YAML::EndMap;
}

}  // namespace

std::string SettingsInForce(const GatewaySettings& settings) {
  const Draft draft = {.settings = settings,
                       .allow_inline_targets = settings.allow_inline_targets,
                       .tls = settings.tls.value_or(ServerTls{}),
                       .faults = {}};
  YAML::Emitter out;
  out << YAML::BeginMap;
  out << YAML::Key << "listen" << YAML::Value << YAML::Flow << YAML::BeginSeq;
  for (const ListenAddress& address : settings.listen) out << YAML::DoubleQuoted << address.ToString();
  out << YAML::EndSeq;
  std::string section;  // the one that is open; the table has each in one piece
  for (const Setting& setting : ScalarSettings()) {
    const size_t dot = setting.name.find('.');
    const std::string of = dot == std::string::npos ? "" : setting.name.substr(0, dot);
    if (of == "tls" && !settings.tls) continue;
    if (of != section) {
      if (!section.empty()) out << YAML::EndMap;
      if (!of.empty()) out << YAML::Key << of << YAML::Value << YAML::BeginMap;
      section = of;
    }
    const std::string text = setting.show(draft);
    out << YAML::Key << setting.name.substr(dot == std::string::npos ? 0 : dot + 1) << YAML::Value;
    if (text.empty()) out << YAML::DoubleQuoted;
    out << text;
  }
  if (!section.empty()) out << YAML::EndMap;
  out << YAML::Key << "dataSources" << YAML::Value << YAML::BeginMap;
  for (const auto& [name, target] : settings.data_sources) {
    out << YAML::Key << name << YAML::Value;
    WriteDataSource(out, target);
  }
  out << YAML::EndMap << YAML::EndMap;
  return out.c_str();
}

}  // namespace engine::db::config

#include "server/config/settings.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/config/setting.h"
#include "server/config/settings_file.h"

namespace engine::db::config {
namespace {

void ApplyEnvironment(const common::Environment& environment, Draft& draft) {
  if (const auto listen = environment("ENGINE_DB_LISTEN")) {
    std::vector<std::string> addresses = absl::StrSplit(*listen, ',', absl::SkipWhitespace());
    for (std::string& address : addresses) absl::StripAsciiWhitespace(&address);
    ApplyListen("ENGINE_DB_LISTEN", addresses, draft);
  }
  for (const Setting& setting : ScalarSettings()) {
    const std::string variable = setting.VariableName();
    if (const auto text = environment(variable)) ApplySetting(setting, variable, *text, draft);
  }
}

void ApplyCommandLine(const CommandLine& command_line, Draft& draft) {
  if (!command_line.listen.empty()) ApplyListen("--listen", command_line.listen, draft);
  for (const Setting& setting : ScalarSettings()) {
    if (setting.name == "metricsListen" && command_line.metrics_listen) {
      ApplySetting(setting, "--metrics-listen", *command_line.metrics_listen, draft);
    } else if (setting.name == "logLevel" && !command_line.log_level.empty()) {
      ApplySetting(setting, "--log-level", command_line.log_level, draft);
    }
  }
}

// Checks that need all settings together.
void CheckWhole(Draft& draft) {
  GatewaySettings& settings = draft.settings;
  const ServerTls& tls = draft.tls;
  const int tls_files = !tls.certificate.empty() + !tls.key.empty() + !tls.client_ca.empty();
  if (tls_files == 3) {
    settings.tls = tls;
  } else if (tls_files != 0) {
    draft.faults.push_back({"tls", "must name all of certificate, key and clientCa"});
  }
  bool all_local = true;
  for (const ListenAddress& address : settings.listen) {
    if (address.IsLocal()) continue;
    all_local = false;
    if (tls_files == 0) {
      draft.faults.push_back(
          {"listen",
           absl::StrCat(
               address.ToString(),
               " can be reached from other machines, which needs mutual TLS: set tls.certificate, tls.key and "
               "tls.clientCa (or ENGINE_DB_TLS_CERTIFICATE, ENGINE_DB_TLS_KEY and ENGINE_DB_TLS_CLIENT_CA) to PEM "
               "files, or listen on 127.0.0.1, [::1] or unix:PATH")});
    }
  }
  settings.allow_inline_targets = draft.allow_inline_targets.value_or(all_local);
  for (auto& [name, source] : settings.data_sources) {
    if (!source.log_error_detail) source.log_error_detail = settings.log_error_detail;
  }
  if (settings.limits.statement_bytes > settings.limits.request_bytes) {
    draft.faults.push_back({"limits.statementBytes", "must be at most limits.requestBytes"});
  }
  if (settings.limits.transaction_idle > settings.limits.transaction_lifetime) {
    draft.faults.push_back({"limits.transactionIdle", "must be at most limits.transactionLifetime"});
  }
}

}  // namespace

absl::StatusOr<GatewaySettings> LoadSettings(const CommandLine& command_line, const common::Environment& environment) {
  Draft draft;
  // The other half is for gRPC's threads and for PostgreSQL, which shares the machine more often than not.
  draft.settings.event_loops = std::clamp(static_cast<int>(std::thread::hardware_concurrency() / 2), 1, 64);
  std::string file = command_line.config_file;
  if (file.empty()) file = environment("ENGINE_DB_CONFIG").value_or("");
  if (!file.empty()) ReadSettingsFile(file, environment, draft);
  ApplyEnvironment(environment, draft);
  ApplyCommandLine(command_line, draft);
  CheckWhole(draft);
  if (!draft.faults.empty()) {
    return FaultsReport(absl::StrCat("the configuration", file.empty() ? "" : " ", file, " has ", draft.faults.size(),
                                     draft.faults.size() == 1 ? " fault:" : " faults:"),
                        draft.faults);
  }
  return std::move(draft.settings);
}

}  // namespace engine::db::config

// The gateway's scalar settings: one table for the configuration file, the environment and the command line.
#ifndef ENGINE_DB_SERVER_CONFIG_SETTING_H_
#define ENGINE_DB_SERVER_CONFIG_SETTING_H_

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/config/fault.h"
#include "server/config/settings.h"

namespace engine::db::config {

// Settings while they are being read: those whose default depends on others are kept apart until all are known.
struct Draft {
  GatewaySettings settings;
  std::optional<bool> allow_inline_targets;
  ServerTls tls;
  std::vector<Fault> faults;
};

// One setting.
struct Setting {
  std::string name;  // its path in the file: "limits.waiters"
  // Sets it from the text; returns what was expected when the text is not valid, else "".
  std::function<std::string(const std::string& text, Draft& draft)> apply;
  // Its value as a text that would set it.
  std::function<std::string(const Draft& draft)> show;

  // "ENGINE_DB_LIMITS_WAITERS".
  [[nodiscard]] std::string VariableName() const;
};

// Sets whether errors go into the log whole; returns what was expected when the text is not valid, else "".
template <typename Target>
std::string ApplyErrorDetail(const std::string& text, Target& target) {
  if (text != "none" && text != "log") return "must be none or log";
  target = text == "log";
  return "";
}

// All of them. "listen" is not among them, since it is a list.
[[nodiscard]] const std::vector<Setting>& ScalarSettings();

// Takes over one scalar setting, or adds a fault for `field`.
void ApplySetting(const Setting& setting, const std::string& field, const std::string& text, Draft& draft);

// Takes over the listeners, or adds a fault for `field`.
void ApplyListen(const std::string& field, const std::vector<std::string>& addresses, Draft& draft);

}  // namespace engine::db::config

#endif  // ENGINE_DB_SERVER_CONFIG_SETTING_H_

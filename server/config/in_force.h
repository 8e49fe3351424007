// The settings in force after everything was read, as --check-config prints them.
#ifndef ENGINE_DB_SERVER_CONFIG_IN_FORCE_H_
#define ENGINE_DB_SERVER_CONFIG_IN_FORCE_H_

#include <string>

#include "server/config/settings.h"

namespace engine::db::config {

// All settings, defaults included, as a configuration file. No secrets: a password shows only as given or not, or as
// the file that holds it.
[[nodiscard]] std::string SettingsInForce(const GatewaySettings& settings);

}  // namespace engine::db::config

#endif  // ENGINE_DB_SERVER_CONFIG_IN_FORCE_H_

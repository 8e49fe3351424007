// The settings as they are after everything was read, for whoever asks with --check-config.
#ifndef ENGINE_DB_SERVER_CONFIG_IN_FORCE_H_
#define ENGINE_DB_SERVER_CONFIG_IN_FORCE_H_

#include <string>

#include "server/config/settings.h"

namespace engine::db::config {

// All of them, defaults included, as a configuration file. No secrets: of a password only whether there is one, or the
// file that it is in.
[[nodiscard]] std::string SettingsInForce(const GatewaySettings& settings);

}  // namespace engine::db::config

#endif  // ENGINE_DB_SERVER_CONFIG_IN_FORCE_H_

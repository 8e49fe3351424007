// Where the gateway is.
#ifndef ENGINE_DB_GATEWAY_OPTIONS_H_
#define ENGINE_DB_GATEWAY_OPTIONS_H_

#include <string>

namespace engine::db {

// The environment's ENGINE_DB_GATEWAY, or else "127.0.0.1:50051".
[[nodiscard]] std::string default_gateway_address();

struct GatewayOptions {
  // "HOST:PORT" or "unix:PATH". A connector throws ConfigurationError for anything else.
  std::string address = default_gateway_address();
};

}  // namespace engine::db

#endif  // ENGINE_DB_GATEWAY_OPTIONS_H_

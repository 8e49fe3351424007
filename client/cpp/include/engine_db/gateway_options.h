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
  // Whether a gateway that is not there (yet) is waited for, within the timeout of connect() or of the call: it may be
  // starting at the same time as its application, or restarting (a call that it refuses while it shuts down goes to the
  // next one). Otherwise calls fail at once.
  bool wait = true;
};

}  // namespace engine::db

#endif  // ENGINE_DB_GATEWAY_OPTIONS_H_

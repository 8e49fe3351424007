// Where the gateway listens.
#ifndef ENGINE_DB_SERVER_CONFIG_LISTEN_ADDRESS_H_
#define ENGINE_DB_SERVER_CONFIG_LISTEN_ADDRESS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace engine::db::config {

// A TCP address or a unix socket.
struct ListenAddress {
  std::string host;       // TCP: an IP address without brackets, or "localhost"
  uint16_t port = 0;      // TCP: 0 picks a free one
  std::string unix_path;  // a unix socket, when not empty

  [[nodiscard]] bool IsUnix() const { return !unix_path.empty(); }
  // Whether only this machine can reach it: a unix socket or a loopback address.
  [[nodiscard]] bool IsLocal() const;
  // As gRPC takes it: "127.0.0.1:50051", "[::1]:50051", "unix:/run/engine-db.sock".
  [[nodiscard]] std::string ToString() const;

  friend bool operator==(const ListenAddress&, const ListenAddress&) = default;
};

// HOST:PORT, where HOST is an IP address ("[…]" around an IPv6 one) or "localhost", or unix:PATH. INVALID_ARGUMENT says
// what was expected.
[[nodiscard]] absl::StatusOr<ListenAddress> ParseListenAddress(std::string_view text);

}  // namespace engine::db::config

#endif  // ENGINE_DB_SERVER_CONFIG_LISTEN_ADDRESS_H_

// Serves the metrics over HTTP at /metrics, in Prometheus's text format, on two threads of its own.
#ifndef ENGINE_DB_SERVER_OBSERVE_METRICS_SERVER_H_
#define ENGINE_DB_SERVER_OBSERVE_METRICS_SERVER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "prometheus/exposer.h"
#include "prometheus/registry.h"

namespace engine::db::observe {

// Serves as long as it lives. port() may be called from any thread.
class MetricsServer {
 public:
  // Listens on `host`, an IPv4 address or "localhost", and `port`; 0 picks a free one. The registry is shared with
  // the code that counts. Fails with UNAVAILABLE when the address is in use or is not an address of this machine.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<MetricsServer>> Start(
      const std::shared_ptr<prometheus::Registry>& registry, const std::string& host, uint16_t port);

  ~MetricsServer();

  // The port that it listens on.
  [[nodiscard]] uint16_t port() const { return port_; }

 private:
  MetricsServer(std::unique_ptr<prometheus::Exposer> exposer, std::string address, uint16_t port);

  std::unique_ptr<prometheus::Exposer> exposer_;
  const std::string address_;  // numeric
  const uint16_t port_;
};

}  // namespace engine::db::observe

#endif  // ENGINE_DB_SERVER_OBSERVE_METRICS_SERVER_H_

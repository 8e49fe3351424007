#include "server/observe/metrics_server.h"

#include <exception>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace engine::db::observe {

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Start(
    const std::shared_ptr<prometheus::Registry>& registry, const std::string& host, uint16_t port) {
  // Civetweb takes numeric addresses only.
  const std::string address = host == "localhost"            ? "127.0.0.1"
                              : absl::StrContains(host, ':') ? absl::StrCat("[", host, "]")
                                                             : host;
  const std::string endpoint = absl::StrCat(address, ":", port);
  try {
    auto exposer = std::make_unique<prometheus::Exposer>(endpoint);
    exposer->RegisterCollectable(registry);
    const auto ports = exposer->GetListeningPorts();
    if (ports.empty()) return absl::UnavailableError(absl::StrCat("metrics: cannot listen on ", endpoint));
    return std::unique_ptr<MetricsServer>(new MetricsServer(std::move(exposer), static_cast<uint16_t>(ports.front())));
  } catch (const std::exception&) {  // CivetException says "null context" or the like, which helps nobody
    return absl::UnavailableError(
        absl::StrCat("metrics: cannot listen on ", endpoint, ": the address is in use, or is none of this machine's"));
  }
}

MetricsServer::MetricsServer(std::unique_ptr<prometheus::Exposer> exposer, uint16_t port)
    : exposer_(std::move(exposer)), port_(port) {}

}  // namespace engine::db::observe

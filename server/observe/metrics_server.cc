#include "server/observe/metrics_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <exception>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

namespace engine::db::observe {
namespace {

// Connects and hangs up. Blocks no longer than a refused or accepted connection to this machine takes.
void TouchPort(const std::string& address, uint16_t port) {
  sockaddr_in peer = {};
  peer.sin_family = AF_INET;
  peer.sin_port = htons(port);
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  if (inet_pton(AF_INET, address.c_str(), &peer.sin_addr) == 1) {
    (void)connect(fd, reinterpret_cast<const sockaddr*>(&peer), sizeof(peer));  // refused once it has stopped
  }
  close(fd);
}

}  // namespace

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Start(
    const std::shared_ptr<prometheus::Registry>& registry, const std::string& host, uint16_t port) {
  // Civetweb takes numeric addresses only, and Debian's knows no IPv6.
  const std::string address = host == "localhost" ? "127.0.0.1" : host;
  const std::string endpoint = absl::StrCat(address, ":", port);
  try {
    auto exposer = std::make_unique<prometheus::Exposer>(endpoint);
    exposer->RegisterCollectable(registry);
    const auto ports = exposer->GetListeningPorts();
    if (ports.empty()) return absl::UnavailableError(absl::StrCat("metrics: cannot listen on ", endpoint));
    return std::unique_ptr<MetricsServer>(
        new MetricsServer(std::move(exposer), address, static_cast<uint16_t>(ports.front())));
  } catch (const std::exception&) {  // CivetException's "null context" or the like tells a user nothing
    return absl::UnavailableError(absl::StrCat("metrics: cannot listen on ", endpoint,
                                               ": the address is in use, or is not an address of this machine"));
  }
}

MetricsServer::MetricsServer(std::unique_ptr<prometheus::Exposer> exposer, std::string address, uint16_t port)
    : exposer_(std::move(exposer)), address_(std::move(address)), port_(port) {}

MetricsServer::~MetricsServer() {
  // Civetweb's listener looks at its stop flag after a connection or after two seconds, by which the gateway's exit
  // would be late. So it gets connections until it has stopped.
  absl::Notification stopped;
  std::thread waker([&] {
    do {
      TouchPort(address_, port_);
    } while (!stopped.WaitForNotificationWithTimeout(absl::Milliseconds(10)));
  });
  exposer_.reset();
  stopped.Notify();
  waker.join();
}

}  // namespace engine::db::observe

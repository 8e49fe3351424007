#include "server/observe/metrics_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/observe/metrics.h"

namespace engine::db::observe {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// The whole answer to a GET, headers included; "" when nobody listens.
std::string Get(uint16_t port, const std::string& path) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string answer;
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) {
    const std::string request = "GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    EXPECT_EQ(send(fd, request.data(), request.size(), 0), static_cast<ssize_t>(request.size()));
    char buffer[4096];
    for (ssize_t n = 0; (n = recv(fd, buffer, sizeof(buffer), 0)) > 0;) answer.append(buffer, static_cast<size_t>(n));
  }
  close(fd);
  return answer;
}

TEST(MetricsServer, ServesTheRegistryOnAFreePort) {
  const Metrics metrics("1.2.3");
  const auto server = MetricsServer::Start(metrics.registry(), "127.0.0.1", 0);
  ASSERT_TRUE(server.ok()) << server.status();
  ASSERT_NE((*server)->port(), 0);
  EXPECT_THAT(Get((*server)->port(), "/metrics"),
              AllOf(HasSubstr("200 OK"), HasSubstr("engine_db_build_info{version=\"1.2.3\"} 1"),
                    HasSubstr("# HELP engine_db_sessions")));
  EXPECT_THAT(Get((*server)->port(), "/etc/passwd"), HasSubstr("404"));
}

TEST(MetricsServer, StopsAtOnceAndFreesThePort) {
  const Metrics metrics("0");
  auto server = MetricsServer::Start(metrics.registry(), "localhost", 0);
  ASSERT_TRUE(server.ok()) << server.status();
  const uint16_t port = (*server)->port();
  EXPECT_THAT(Get(port, "/metrics"), HasSubstr("200 OK"));
  const absl::Time before = absl::Now();
  server->reset();
  EXPECT_LT(absl::Now() - before, absl::Seconds(1));
  EXPECT_EQ(Get(port, "/metrics"), "");
}

TEST(MetricsServer, AnAddressInUseOrForeignIsAClearError) {
  const Metrics metrics("0");
  const auto first = MetricsServer::Start(metrics.registry(), "127.0.0.1", 0);
  ASSERT_TRUE(first.ok());
  const auto second = MetricsServer::Start(metrics.registry(), "127.0.0.1", (*first)->port());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("in use"));
  EXPECT_FALSE(MetricsServer::Start(metrics.registry(), "203.0.113.1", 0).ok());
}

}  // namespace
}  // namespace engine::db::observe

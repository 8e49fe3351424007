#include "tests/support/network.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <random>
#include <stdexcept>
#include <system_error>

namespace engine::db::test {
namespace {

// Owns a TCP socket.
class Socket {
 public:
  Socket() : descriptor_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (descriptor_ < 0) throw std::system_error(errno, std::generic_category(), "socket");
  }
  ~Socket() { close(descriptor_); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

bool Free(int port) {
  const Socket probe;
  // As servers do: a port whose last connection is merely waiting out its end is free.
  const int yes = 1;
  setsockopt(probe.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  const sockaddr_in address = Loopback(port);
  return bind(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
         listen(probe.get(), 1) == 0;
}

}  // namespace

int FreePort() {
  constexpr int kFirst = 20000;
  constexpr int kLast = 32000;
  std::random_device random;
  std::uniform_int_distribution<int> ports(kFirst, kLast);
  for (int attempt = 0; attempt < 100; ++attempt) {
    const int port = ports(random);
    if (Free(port)) return port;
  }
  throw std::runtime_error("no free port between 20000 and 32000");
}

HttpResponse HttpGet(const std::string& address, const std::string& path, std::chrono::milliseconds timeout) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos) throw std::runtime_error("no port in " + address);
  sockaddr_in target = Loopback(std::stoi(address.substr(colon + 1)));
  if (inet_pton(AF_INET, address.substr(0, colon).c_str(), &target.sin_addr) != 1) {
    throw std::runtime_error("not an IPv4 address: " + address);
  }
  const Socket connection;
  const timeval limit{timeout.count() / 1000, (timeout.count() % 1000) * 1000};
  setsockopt(connection.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(connection.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (connect(connection.get(), reinterpret_cast<const sockaddr*>(&target), sizeof target) != 0) {
    throw std::system_error(errno, std::generic_category(), "connect to " + address);
  }
  // HTTP/1.0: the answer ends with the connection and is never in chunks.
  const std::string request = "GET " + path + " HTTP/1.0\r\nHost: " + address + "\r\n\r\n";
  if (send(connection.get(), request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size())) {
    throw std::system_error(errno, std::generic_category(), "send to " + address);
  }
  std::string answer;
  char part[16384];
  ssize_t got = 0;
  while ((got = recv(connection.get(), part, sizeof part, 0)) > 0) answer.append(part, static_cast<size_t>(got));
  const size_t header_end = answer.find("\r\n\r\n");
  const size_t status = answer.find(' ');
  if (got < 0 || header_end == std::string::npos || status > header_end) {
    throw std::runtime_error("no HTTP answer from " + address + path);
  }
  return {std::stoi(answer.substr(status + 1)), answer.substr(header_end + 4)};
}

}  // namespace engine::db::test

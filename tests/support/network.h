// Ports and HTTP, as far as tests need them.
#ifndef ENGINE_DB_TESTS_SUPPORT_NETWORK_H_
#define ENGINE_DB_TESTS_SUPPORT_NETWORK_H_

#include <chrono>
#include <string>

namespace engine::db::test {

// A port of 127.0.0.1 on which nothing listens, below the range from which the kernel picks ports for outgoing
// connections, so that none of those takes it. Another process may still take it: the caller must be ready to try
// another port.
int FreePort();

struct HttpResponse {
  int status = 0;
  std::string body;
};

// GET http://`address``path`, address as "127.0.0.1:9464". Throws std::runtime_error when there is no answer within
// `timeout`.
HttpResponse HttpGet(const std::string& address, const std::string& path,
                     std::chrono::milliseconds timeout = std::chrono::seconds(10));

}  // namespace engine::db::test

#endif  // ENGINE_DB_TESTS_SUPPORT_NETWORK_H_

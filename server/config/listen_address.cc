#include "server/config/listen_address.h"

#include <arpa/inet.h>
#include <sys/un.h>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace engine::db::config {
namespace {

constexpr size_t kMaxUnixPathBytes = sizeof(sockaddr_un::sun_path) - 1;

bool IsIpv4(const std::string& host, in_addr& address) { return inet_pton(AF_INET, host.c_str(), &address) == 1; }
bool IsIpv6(const std::string& host, in6_addr& address) { return inet_pton(AF_INET6, host.c_str(), &address) == 1; }

absl::Status Expected() {
  return absl::InvalidArgumentError(
      "must be HOST:PORT, where HOST is an IP address or localhost and PORT is 0 to 65535 (\"127.0.0.1:50051\", "
      "\"[::1]:0\"), or unix:PATH");
}

absl::StatusOr<ListenAddress> ParseUnixPath(std::string_view path) {
  // gRPC's other way to write an absolute path begins with "//".
  while (path.starts_with("//")) path.remove_prefix(1);
  if (path.empty() || path.find('\0') != std::string_view::npos || path.size() > kMaxUnixPathBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("must be unix:PATH with 1 to ", kMaxUnixPathBytes, " bytes of path"));
  }
  ListenAddress address;
  address.unix_path = std::string(path);
  return address;
}

}  // namespace

bool ListenAddress::IsLocal() const {
  if (IsUnix() || host == "localhost") return true;
  in_addr v4;
  if (IsIpv4(host, v4)) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6;
  return IsIpv6(host, v6) && IN6_IS_ADDR_LOOPBACK(&v6);
}

std::string ListenAddress::ToString() const {
  if (IsUnix()) return absl::StrCat("unix:", unix_path);
  if (absl::StrContains(host, ':')) return absl::StrCat("[", host, "]:", port);
  return absl::StrCat(host, ":", port);
}

absl::StatusOr<ListenAddress> ParseListenAddress(std::string_view text) {
  constexpr std::string_view kUnix = "unix:";
  if (text.substr(0, kUnix.size()) == kUnix) return ParseUnixPath(text.substr(kUnix.size()));

  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return Expected();
  std::string host(text.substr(0, colon));
  const std::string digits(text.substr(colon + 1));
  int port = 0;
  // SimpleAtoi also takes signs and blanks.
  if (digits.empty() || digits.find_first_not_of("0123456789") != std::string::npos ||
      !absl::SimpleAtoi(digits, &port) || port > 65535) {
    return Expected();
  }
  in_addr v4;
  in6_addr v6;
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
    if (!IsIpv6(host, v6)) return Expected();
  } else if (host != "localhost" && !IsIpv4(host, v4)) {
    return Expected();
  }
  ListenAddress address;
  address.host = std::move(host);
  address.port = static_cast<uint16_t>(port);
  return address;
}

}  // namespace engine::db::config

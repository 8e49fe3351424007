#include "sdk/common/connection_text.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>

namespace engine::db::common {
namespace {

std::string lower(std::string_view text) {
  std::string lowered(text);
  for (char& c : lowered) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lowered;
}

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

// "::1", "fe80::1%eth0".
bool is_ipv6_address(const std::string& host) {
  in6_addr ignored{};
  return inet_pton(AF_INET6, host.substr(0, host.find('%')).c_str(), &ignored) == 1;
}

bool is_host_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || contains("-._:%", {&c, 1});
}

}  // namespace

bool may_hold_password(std::string_view text) {
  const size_t colon = text.find(':');
  return contains(text, "://") || (colon != std::string_view::npos && contains(text.substr(colon), "@")) ||
         (contains(text, "=") && (contains(lower(text), "pass") || contains(lower(text), "pwd")));
}

bool has_refused_character(std::string_view text, std::string_view refused) {
  return text.find_first_of(refused) != std::string_view::npos ||
         (contains(refused, ":") && contains(lower(text), "%3a"));
}

bool is_host(const std::string& text) {
  if (text.front() == '/') return !may_hold_password(text);
  return std::ranges::all_of(text, is_host_character) && (!contains(text, ":") || is_ipv6_address(text));
}

}  // namespace engine::db::common

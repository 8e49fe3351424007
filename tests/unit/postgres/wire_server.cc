#include "tests/unit/postgres/wire_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

#include "tests/support/postgres_messages.h"

namespace engine::db::test {
namespace {

std::string Number(uint32_t value, int bytes) {
  std::string text;
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) text += static_cast<char>(value >> shift);
  return text;
}

std::string Text(std::string_view text) { return std::string(text) + '\0'; }

}  // namespace

WireServer::WireServer() : listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (bind(listener_, generic, size) != 0 || listen(listener_, 8) != 0 || getsockname(listener_, generic, &size) != 0) {
    throw std::system_error(errno, std::generic_category(), "listen");
  }
  port_ = ntohs(address.sin_port);
}

WireServer::~WireServer() { close(listener_); }

int WireServer::Accept() const { return accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK); }

std::string WirePeer::Take() {
  std::array<char, 4096> buffer{};
  for (;;) {
    const ssize_t got = recv(fd_, buffer.data(), buffer.size(), 0);
    if (got <= 0) break;
    unread_.append(buffer.data(), static_cast<size_t>(got));
  }
  std::string taken;
  taken.swap(unread_);
  return taken;
}

std::string WirePeer::TakeTypes() {
  std::string bytes = Take();
  std::string types;
  std::string_view rest = bytes;
  while (rest.size() >= 5) {
    const size_t size = 1 + ReadUint32(rest.substr(1));
    if (rest.size() < size) break;
    types += rest.front();
    rest.remove_prefix(size);
  }
  unread_ = std::string(rest);
  return types;
}

void WirePeer::Send(std::string_view bytes) const {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0) throw std::system_error(errno, std::generic_category(), "send");
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
}

void WirePeer::HangUp() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

void WirePeer::Reset() {
  const linger at_once = {.l_onoff = 1, .l_linger = 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  HangUp();
}

std::string Parameter(std::string_view name, std::string_view value) {
  return MakeMessage('S', Text(name) + Text(value));
}

std::string Ready(char status) { return MakeMessage('Z', std::string_view(&status, 1)); }

std::string Login(uint32_t pid) {
  return MakeMessage('R', Number(0, 4)) + Parameter("server_version", "15.4") + Parameter("server_encoding", "UTF8") +
         Parameter("client_encoding", "UTF8") + Parameter("DateStyle", "ISO, MDY") + Parameter("TimeZone", "Etc/UTC") +
         Parameter("standard_conforming_strings", "on") + Parameter("in_hot_standby", "off") +
         Parameter("default_transaction_read_only", "off") + MakeMessage('K', Number(pid, 4) + Number(7, 4)) + Ready();
}

std::string ParseComplete() { return MakeMessage('1', ""); }

std::string CommandDone(std::string_view tag) {
  return MakeMessage('2', "") + MakeMessage('n', "") + MakeMessage('C', Text(tag));
}

std::string TextColumn(std::string_view name) {
  const std::string column = Text(name) + Number(0, 4) + Number(0, 2) + Number(25, 4) + Number(0xFFFF, 2) +
                             Number(0xFFFFFFFF, 4) + Number(0, 2);
  return MakeMessage('2', "") + MakeMessage('T', Number(1, 2) + column);
}

std::string TextRow(std::string_view value) {
  return MakeMessage('D', Number(1, 2) + Number(static_cast<uint32_t>(value.size()), 4) + std::string(value));
}

std::string RowsDone(std::string_view tag) { return MakeMessage('C', Text(tag)); }

}  // namespace engine::db::test

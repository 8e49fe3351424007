#include "tests/support/fault_proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "tests/support/fault_link.h"
#include "tests/support/fault_rules.h"
#include "tests/support/network.h"
#include "tests/support/wait.h"

namespace engine::db::test {
namespace {

sockaddr_in Address(const std::string& host, int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  if (inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1) {
    throw std::invalid_argument("not an IPv4 address: " + host);
  }
  return address;
}

[[noreturn]] void Throw(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

// -1 when the port is taken.
int ListenOn(const sockaddr_in& address) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener < 0) Throw("socket");
  const int yes = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 && listen(listener, 1024) == 0) {
    return listener;
  }
  const int error = errno;
  close(listener);
  errno = error;
  return -1;
}

}  // namespace

FaultProxy::FaultProxy(const std::string& host, int port)
    : rules_(std::make_unique<FaultRules>()), server_host_(host), server_port_(port) {
  static_cast<void>(Address(host, port));
  stop_event_ = eventfd(0, EFD_CLOEXEC);
  if (stop_event_ < 0) Throw("eventfd");
  Listen();
}

FaultProxy::~FaultProxy() {
  {
    const std::lock_guard lock(listen_mutex_);
    StopListening();
  }
  const std::lock_guard lock(mutex_);
  links_.clear();
  close(stop_event_);
}

void FaultProxy::Listen() {
  constexpr int kAttempts = 5;  // another process may take a port that was free
  int listener = -1;
  for (int attempt = 0; listener < 0 && attempt < kAttempts; ++attempt) {
    const int port = port_ == 0 ? FreePort() : port_;
    listener = ListenOn(Address(host_, port));
    if (listener >= 0) port_ = port;
  }
  if (listener < 0) Throw("listen");
  acceptor_ = std::thread([this, listener] { Accept(listener); });
}

void FaultProxy::StopListening() {
  if (!acceptor_.joinable()) return;
  uint64_t count = 1;
  if (write(stop_event_, &count, sizeof count) < 0) Throw("eventfd");
  acceptor_.join();
  if (read(stop_event_, &count, sizeof count) < 0) Throw("eventfd");
}

void FaultProxy::Accept(int listener) {
  for (;;) {
    std::array<pollfd, 2> watched{{{listener, POLLIN, 0}, {stop_event_, POLLIN, 0}}};
    poll(watched.data(), watched.size(), -1);
    if (watched[1].revents != 0) break;
    const int client = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) continue;
    Reap();
    const std::lock_guard lock(mutex_);
    links_.push_back(std::make_unique<FaultLink>(++accepted_, *rules_, client, Address(server_host_, server_port_)));
  }
  close(listener);
}

void FaultProxy::Reap() {
  const std::lock_guard lock(mutex_);
  links_.remove_if([](const auto& link) { return link->finished(); });
}

FaultProxy::RuleId FaultProxy::Add(const FaultRule& rule) { return rules_->Add(rule); }

void FaultProxy::Remove(RuleId id) { rules_->Remove(id); }

int FaultProxy::Fired(RuleId id) const { return rules_->Fired(id); }

bool FaultProxy::WaitForFired(RuleId id, int times, std::chrono::milliseconds timeout) const {
  return WaitUntil(timeout, [&] { return Fired(id) >= times; });
}

void FaultProxy::CutAll() {
  const std::lock_guard lock(mutex_);
  for (const auto& link : links_) link->Cut();
}

void FaultProxy::BlackHoleAll(bool server_learns) {
  Add({.trigger = FaultTrigger::kConnect,
       .times = kAlways,
       .act = FaultAct::kBlackHole,
       .server_learns = server_learns});
  const std::lock_guard lock(mutex_);
  for (const auto& link : links_) link->BlackHole(server_learns);
}

void FaultProxy::PointTo(const std::string& host, int port) {
  static_cast<void>(Address(host, port));
  const std::lock_guard lock(mutex_);
  server_host_ = host;
  server_port_ = port;
}

void FaultProxy::Refuse(bool refuse) {
  const std::lock_guard lock(listen_mutex_);
  if (refuse) {
    StopListening();
  } else if (!acceptor_.joinable()) {
    Listen();
  }
}

void FaultProxy::Heal() {
  rules_->Clear();
  Refuse(false);
  const std::lock_guard lock(mutex_);
  for (const auto& link : links_) {
    if (link->in_black_hole()) link->Cut();
  }
}

int FaultProxy::open_links() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int>(
      std::count_if(links_.begin(), links_.end(), [](const auto& link) { return link->client_open(); }));
}

std::vector<std::string> FaultProxy::Journal() const { return rules_->Journal(); }

}  // namespace engine::db::test

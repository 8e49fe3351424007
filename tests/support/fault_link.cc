#include "tests/support/fault_link.h"

#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include "tests/support/postgres_messages.h"
#include "tests/support/wait.h"

namespace engine::db::test {
namespace {

using std::chrono::milliseconds;

constexpr size_t kChunk = 65536;       // read at a time
constexpr size_t kLookedAt = 4096;     // of a message: enough for names, and for what rules look at
constexpr size_t kMaxIn = 2 * kChunk;  // bounds of what a link holds
constexpr size_t kMaxOut = 4 * kChunk;
constexpr milliseconds kFlushTime{5000};  // for what was passed on before a fault; on a loopback it takes microseconds

void SetNoDelay(int socket) {
  const int yes = 1;
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

// Whether somebody has given an order.
bool Woken(const pollfd& wake) {
  uint64_t count = 0;
  return wake.revents != 0 && read(wake.fd, &count, sizeof count) > 0;
}

}  // namespace

FaultLink::FaultLink(int number, FaultRules& rules, int client, const sockaddr_in& server)
    : number_(number), rules_(rules), server_address_(server), client_(client), wake_(eventfd(0, EFD_CLOEXEC)) {
  if (wake_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
  SetNoDelay(client_);
  thread_ = std::thread([this] { Run(); });
}

FaultLink::~FaultLink() {
  Cut();
  thread_.join();
  close(wake_);
}

void FaultLink::Command(Order order) {
  order_ = order;
  const uint64_t one = 1;
  if (write(wake_, &one, sizeof one) < 0) return;  // full: it is awake
}

void FaultLink::Run() {
  if (const auto fault = rules_.Match(FaultTrigger::kConnect, {}, {})) OnRequestFault({*fault, {}}, 0, 0);
  while (state_ == State::kServing && Clock::now() < to_server_.held_until && order_ == Order::kNone) {
    std::this_thread::sleep_for(milliseconds(1));
  }
  if (state_ == State::kServing && !ConnectToServer(server_address_)) End(Ending::kReset);
  while (state_ != State::kFinished) {
    Obey();
    switch (state_) {
      case State::kServing:
        Serve();
        break;
      case State::kDraining:
        Drain();
        break;
      case State::kBlackHole:
        WaitInBlackHole();
        break;
      case State::kFinished:
        break;
    }
  }
  if (client_ >= 0) HangUpOnClient(Ending::kReset);
  if (server_ >= 0) close(server_);
  in_black_hole_ = false;
  finished_ = true;
}

bool FaultLink::ConnectToServer(const sockaddr_in& server) {
  server_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (server_ < 0) return false;
  SetNoDelay(server_);
  return connect(server_, reinterpret_cast<const sockaddr*>(&server), sizeof server) == 0;
}

void FaultLink::Obey() {
  const Order order = order_.exchange(Order::kNone);
  switch (order) {
    case Order::kNone:
      return;
    case Order::kCut:
      if (client_ >= 0) HangUpOnClient(Ending::kReset);
      state_ = State::kFinished;
      return;
    case Order::kBlackHole:
    case Order::kSilentBlackHole:
      if (state_ != State::kServing) return;
      server_learns_ = order == Order::kBlackHole;
      state_ = State::kBlackHole;
      in_black_hole_ = true;
      return;
  }
}

void FaultLink::Serve() {
  Advance(to_server_);
  if (state_ == State::kServing) Advance(to_client_);
  if (state_ == State::kServing) Finish();
  if (state_ != State::kServing) return;

  const Clock::time_point now = Clock::now();
  Clock::time_point wake_at = now + std::chrono::hours(1);
  const auto room = [](const Flow& flow) { return !flow.ended && flow.Unread().size() < kMaxIn; };
  const auto due = [&](const Flow& flow) {
    if (flow.Unwritten().empty()) return false;
    if (flow.next_write <= now) return true;
    wake_at = std::min(wake_at, flow.next_write);
    return false;
  };
  for (const Flow* flow : {&to_server_, &to_client_}) {
    if (flow->held_until > now) wake_at = std::min(wake_at, flow->held_until);
  }
  std::array<pollfd, 3> watched{};
  watched[0] = {client_, static_cast<short>((room(to_server_) ? POLLIN : 0) | (due(to_client_) ? POLLOUT : 0)), 0};
  watched[1] = {server_, static_cast<short>((room(to_client_) ? POLLIN : 0) | (due(to_server_) ? POLLOUT : 0)), 0};
  watched[2] = {wake_, POLLIN, 0};
  for (size_t i = 0; i < 2; ++i) {
    if (watched[i].events == 0) watched[i].fd = -1;  // else its end would be told over and over
  }
  const auto timeout = std::chrono::ceil<milliseconds>(wake_at - now);
  if (poll(watched.data(), watched.size(), static_cast<int>(timeout.count())) < 0 && errno != EINTR) {
    End(Ending::kReset);
    return;
  }
  if (Woken(watched[2])) return;
  // Reading first: what came before an end is passed on.
  if ((watched[1].revents & ~POLLOUT) != 0) Read(to_client_, server_);
  if ((watched[0].revents & ~POLLOUT) != 0) Read(to_server_, client_);
  if (state_ == State::kServing && (watched[0].revents & POLLOUT) != 0) Write(to_client_, client_);
  if (state_ == State::kServing && (watched[1].revents & POLLOUT) != 0) Write(to_server_, server_);
}

// The client is gone. The server gets to the end of what it was asked, and then finds that nobody listens.
void FaultLink::Drain() {
  std::array<pollfd, 2> watched{{{server_, POLLIN, 0}, {wake_, POLLIN, 0}}};
  poll(watched.data(), watched.size(), -1);
  if (Woken(watched[1]) || watched[0].revents == 0) return;
  std::array<char, kChunk> ignored;
  const ssize_t got = recv(server_, ignored.data(), ignored.size(), MSG_DONTWAIT);
  if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) state_ = State::kFinished;
}

void FaultLink::WaitInBlackHole() {
  std::array<pollfd, 2> watched{{{client_, POLLRDHUP, 0}, {wake_, POLLIN, 0}}};
  poll(watched.data(), watched.size(), -1);
  if (Woken(watched[1]) || watched[0].revents == 0) return;
  HangUpOnClient(Ending::kOrderly);
  if (server_ < 0) {
    state_ = State::kFinished;
  } else if (server_learns_) {
    in_black_hole_ = false;
    shutdown(server_, SHUT_WR);
    state_ = State::kDraining;
  }
}

// Looks at what was read, message by message, until there is no whole message's beginning, or no room.
void FaultLink::Advance(Flow& flow) {
  while (state_ == State::kServing && !flow.Unread().empty() && flow.Unwritten().size() < kMaxOut &&
         Clock::now() >= flow.held_until) {
    if (flow.message_left == 0) {
      if (!BeginMessage(flow)) break;
      continue;
    }
    const std::string_view part = flow.Unread().substr(0, flow.message_left);
    if (flow.passing) Pass(flow, part);
    if (state_ != State::kServing) return;
    flow.in_begin += part.size();
    flow.message_left -= part.size();
    if (flow.message_left == 0 && flow.at_message_end) Happen(*std::exchange(flow.at_message_end, {}));
  }
  flow.in.erase(0, std::exchange(flow.in_begin, 0));
}

// Decides on the next message. Tells whether enough of it is there.
bool FaultLink::BeginMessage(Flow& flow) {
  const std::string_view unread = flow.Unread();
  const bool from_client = &flow == &to_server_;
  const bool untyped = from_client && mode_ == Mode::kStartup;
  const size_t header = untyped ? 4 : 5;
  uint64_t size = unread.size();
  if (mode_ != Mode::kRaw) {
    if (unread.size() >= header) {
      size = std::max<uint64_t>(ReadUint32(unread.substr(header - 4)) + (untyped ? 0 : 1), header);
    }
    if (unread.size() < std::min<uint64_t>(size, kLookedAt) || unread.size() < header) {
      if (!flow.ended) return false;
      size = unread.size();  // the rest of a message that its sender broke off
      flow.message_left = size;
      flow.passing = true;
      return true;
    }
  }
  flow.message_left = size;
  const std::string_view message = unread.substr(0, std::min<uint64_t>(size, kLookedAt));
  if (mode_ == Mode::kRaw) {
    flow.passing = true;
  } else if (untyped) {
    flow.passing = OnStartupMessage(message);
  } else if (from_client) {
    flow.passing = OnClientMessage(message, size);
  } else {
    flow.passing = OnServerMessage(message[0]);
  }
  return true;
}

void FaultLink::Pass(Flow& flow, std::string_view bytes) {
  if (!flow.budget || bytes.size() < *flow.budget) {
    flow.out.append(bytes);
    if (flow.budget) *flow.budget -= bytes.size();
    return;
  }
  flow.out.append(bytes.substr(0, *flow.budget));
  flow.budget.reset();
  Happen(*std::exchange(flow.at_budget, {}));
}

void FaultLink::Read(Flow& flow, int from) {
  std::array<char, kChunk> part;
  const ssize_t got = recv(from, part.data(), part.size(), MSG_DONTWAIT);
  if (got > 0) {
    flow.in.append(part.data(), static_cast<size_t>(got));
  } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
    flow.ended = true;
  }
}

void FaultLink::Write(Flow& flow, int to) {
  size_t size = flow.Unwritten().size();
  if (slice_bytes_ > 0) size = std::min(size, slice_bytes_);
  if (bytes_per_second_ > 0) size = std::min(size, std::max<size_t>(1, bytes_per_second_ / 20));
  const ssize_t sent = send(to, flow.Unwritten().data(), size, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0) {
    if (errno == EAGAIN || errno == EINTR) return;
    // Whoever reads is gone. A server may have said why before; reading that, and the end behind it, goes on.
    if (to == client_) End(Ending::kReset);
    flow.out.clear();
    flow.out_begin = 0;
    return;
  }
  flow.out_begin += static_cast<size_t>(sent);
  if (flow.out_begin >= kChunk || flow.Unwritten().empty()) flow.out.erase(0, std::exchange(flow.out_begin, 0));
  if (bytes_per_second_ > 0) {
    flow.next_write =
        Clock::now() + std::chrono::microseconds(1'000'000 * static_cast<uint64_t>(sent) / bytes_per_second_);
  }
}

// Passes ends on.
void FaultLink::Finish() {
  const auto done = [](const Flow& flow) { return flow.ended && flow.Unread().empty() && flow.Unwritten().empty(); };
  if (done(to_client_)) {
    if (withheld_) {
      Happen(*std::exchange(withheld_, {}));
    } else {
      End(Ending::kOrderly);
    }
  } else if (done(to_server_)) {
    HangUpOnClient(Ending::kOrderly);
    shutdown(server_, SHUT_WR);
    state_ = State::kDraining;
  }
}

void FaultLink::SlowDown(const Due& due) {
  rules_.Tell(due.fault, number_, due.statement);
  bytes_per_second_ = due.fault.rule->bytes_per_second;
  slice_bytes_ = due.fault.rule->slice_bytes;
}

void FaultLink::Happen(const Due& due) {
  const FaultRule& rule = *due.fault.rule;
  rules_.Tell(due.fault, number_, due.statement);
  switch (rule.act) {
    case FaultAct::kCut:
      Flush();
      End(Ending::kReset);
      return;
    case FaultAct::kClose:
      Flush();
      End(Ending::kOrderly);
      return;
    case FaultAct::kBlackHole:
      Flush();
      server_learns_ = rule.server_learns;
      state_ = State::kBlackHole;
      in_black_hole_ = true;
      return;
    case FaultAct::kError:
      to_client_.out += MakeErrorResponse(rule.error);
      if (rule.error.severity == "ERROR") return;
      Flush();
      End(Ending::kOrderly);
      return;
    case FaultAct::kDelay:
    case FaultAct::kSlow:
      return;
  }
}

// What was passed on before a fault arrives.
void FaultLink::Flush() {
  const Clock::time_point deadline = Clock::now() + kFlushTime;
  for (const auto& [flow, to] : {std::pair(&to_server_, server_), std::pair(&to_client_, client_)}) {
    while (to >= 0 && !flow->Unwritten().empty() && Clock::now() < deadline && order_ == Order::kNone) {
      pollfd writable{to, POLLOUT, 0};
      if (poll(&writable, 1, 100) <= 0) continue;
      const ssize_t sent = send(to, flow->Unwritten().data(), flow->Unwritten().size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent < 0 && errno != EAGAIN) break;
      if (sent > 0) flow->out_begin += static_cast<size_t>(sent);
    }
    // A reset would throw away what has not been acknowledged.
    int left = 0;
    while (to >= 0 && ioctl(to, SIOCOUTQ, &left) == 0 && left > 0 && Clock::now() < deadline &&
           order_ == Order::kNone) {
      std::this_thread::sleep_for(milliseconds(1));
    }
  }
}

void FaultLink::End(Ending how) {
  HangUpOnClient(how);
  if (server_ < 0) {
    state_ = State::kFinished;
    return;
  }
  shutdown(server_, SHUT_WR);
  state_ = State::kDraining;
}

void FaultLink::HangUpOnClient(Ending how) {
  if (client_ < 0) return;
  if (how == Ending::kReset) {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    setsockopt(client_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  } else {
    shutdown(client_, SHUT_WR);
  }
  close(client_);
  client_ = -1;
  client_open_ = false;
}

}  // namespace engine::db::test

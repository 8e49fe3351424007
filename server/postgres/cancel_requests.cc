#include "server/postgres/cancel_requests.h"

#include <libpq-fe.h>

#include <array>
#include <memory>
#include <system_error>
#include <thread>
#include <utility>

namespace engine::db::postgres {
namespace {

// To one server at once. Each makes it start a process.
constexpr size_t kMaxUnderWay = 8;
// Only a server that takes none has so many waiting: their callers have given their backends up long since.
constexpr size_t kMaxWaiting = 1'000;

}  // namespace

void CancelRequests::Send(CancelPtr cancel, loop::EventLoop::Task done) {
  if (under_way_ < kMaxUnderWay) {
    Start({std::move(cancel), std::move(done)});
  } else if (waiting_.size() < kMaxWaiting) {
    waiting_.push_back({std::move(cancel), std::move(done)});
  } else {
    loop_.Post(std::move(done));
  }
}

void CancelRequests::Start(Request request) {
  ++under_way_;
  const auto sent = std::make_shared<Request>(std::move(request));
  const auto end = [sent, on_sent = self_.Bind([](CancelRequests& self) { self.OnSent(); })]() mutable {
    sent->done();
    on_sent();
  };
  try {
    std::thread([sent, end, mailbox = loop_.mailbox()] {
      std::array<char, 256> error{};
      PQcancel(sent->cancel.get(), error.data(), error.size());
      mailbox->Post(end);
    }).detach();
  } catch (const std::system_error&) {
    loop_.Post(end);  // no thread is to be had: a request that fails
  }
}

void CancelRequests::OnSent() {
  --under_way_;
  if (waiting_.empty()) return;
  Request next = std::move(waiting_.front());
  waiting_.pop_front();
  Start(std::move(next));
}

}  // namespace engine::db::postgres

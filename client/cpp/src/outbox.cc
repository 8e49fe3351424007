#include "client/cpp/src/outbox.h"

#include "client/cpp/src/session_message.h"
#include "sdk/common/limits.h"

namespace engine::db::internal {
namespace {

// How large a message grows by gathering calls, so that the first of them need not wait long.
constexpr size_t kMaxGatheredBytes = size_t{1} << 20;

}  // namespace

uint64_t Outbox::add(uint64_t id, std::string_view body) {
  if (messages_.empty() || messages_.back().calls == limits::kMaxCallsInMessage ||
      messages_.back().bytes.size() + body.size() > kMaxGatheredBytes) {
    messages_.emplace_back();
  }
  Message& message = messages_.back();
  append_call(message.bytes, id, body);
  ++message.calls;
  return begun_ + messages_.size() - 1;
}

void Outbox::park(uint64_t id, const v1::SessionCall& call) { parked_.emplace_back(id, call); }

bool Outbox::drop_parked(uint64_t id) {
  return std::erase_if(parked_, [id](const auto& parked) { return parked.first == id; }) > 0;
}

void Outbox::clear() {
  messages_.clear();
  parked_.clear();
}

std::optional<std::string> Outbox::begin_write() {
  if (writing_ || closed_ || messages_.empty()) return std::nullopt;
  writing_ = true;
  ++begun_;
  std::string bytes = std::move(messages_.front().bytes);
  messages_.pop_front();
  return bytes;
}

}  // namespace engine::db::internal

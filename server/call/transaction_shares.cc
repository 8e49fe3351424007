#include "server/call/transaction_shares.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "server/call/errors.h"

namespace engine::db::call {

TransactionShares::TransactionShares(loop::EventLoop& loop, size_t may_hold, size_t max_waiters)
    : loop_(loop), may_hold_(may_hold), max_waiters_(max_waiters), self_(std::make_shared<TransactionShares*>(this)) {}

TransactionShares::~TransactionShares() { *self_ = nullptr; }

TransactionShares::Share::Share(Share&& other) noexcept
    : shares_(std::exchange(other.shares_, nullptr)), connection_id_(std::move(other.connection_id_)) {}

TransactionShares::Share& TransactionShares::Share::operator=(Share&& other) noexcept {
  if (this != &other) {
    GiveBack();
    shares_ = std::exchange(other.shares_, nullptr);
    connection_id_ = std::move(other.connection_id_);
  }
  return *this;
}

void TransactionShares::Share::GiveBack() {
  if (shares_ != nullptr) std::exchange(shares_, nullptr)->GiveBack(connection_id_);
}

size_t TransactionShares::share() const {
  return connections_ <= 1 ? may_hold_ : std::max<size_t>(1, may_hold_ * 3 / 4);
}

absl::StatusOr<TransactionShares::Share> TransactionShares::Take(const std::string& connection_id, CallId call,
                                                                 absl::AnyInvocable<void(Share)> start) {
  Holder& holder = holders_[connection_id];
  if (holder.held < share()) {
    ++holder.held;
    return Share(this, connection_id);
  }
  if (waiting_ >= max_waiters_) return TooManyWaitForShare(share(), max_waiters_);
  ++waiting_;
  holder.waiting.emplace(call, std::move(start));
  return Share();
}

bool TransactionShares::Withdraw(const std::string& connection_id, CallId call) {
  const auto found = holders_.find(connection_id);
  if (found == holders_.end() || found->second.waiting.erase(call) == 0) return false;
  --waiting_;
  return true;
}

void TransactionShares::ConnectionClosed() {
  --connections_;  // those who are left may hold more
  loop_.RunAtEndOfRound([self = self_] {
    if (*self != nullptr) (*self)->StartWaiters();
  });
}

// Not from within: whoever gives a share back may be in the middle of something.
void TransactionShares::GiveBack(const std::string& connection_id) {
  const auto found = holders_.find(connection_id);
  --found->second.held;
  if (!found->second.waiting.empty()) {
    loop_.RunAtEndOfRound([self = self_] {
      if (*self != nullptr) (*self)->StartWaiters();
    });
  } else if (found->second.held == 0) {
    holders_.erase(found);
  }
}

void TransactionShares::StartWaiters() {
  std::vector<std::pair<std::string, Start>> starting;
  for (auto& [connection_id, holder] : holders_) {
    while (!holder.waiting.empty() && holder.held < share()) {
      const auto first = holder.waiting.begin();
      starting.emplace_back(connection_id, std::move(first->second));
      holder.waiting.erase(first);
      --waiting_;
      ++holder.held;
    }
  }
  for (auto& [connection_id, start] : starting) start(Share(this, connection_id));
  absl::erase_if(holders_, [](const auto& entry) { return entry.second.held == 0 && entry.second.waiting.empty(); });
}

}  // namespace engine::db::call

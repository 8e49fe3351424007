#include "server/gateway/transaction_shares.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace engine::db::gateway {

TransactionShares::TransactionShares(postgres::EventLoop& loop, size_t may_hold)
    : loop_(loop), may_hold_(may_hold), self_(std::make_shared<TransactionShares*>(this)) {}

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

std::optional<TransactionShares::Share> TransactionShares::Take(const std::string& connection_id, CallId call,
                                                                absl::AnyInvocable<void(Share)> start) {
  Holder& holder = holders_[connection_id];
  if (holder.held < share()) {
    ++holder.held;
    return Share(this, connection_id);
  }
  holder.waiting.push_back(Waiter{call, std::move(start)});
  return std::nullopt;
}

bool TransactionShares::Withdraw(const std::string& connection_id, CallId call) {
  const auto found = holders_.find(connection_id);
  if (found == holders_.end()) return false;
  return std::erase_if(found->second.waiting, [call](const Waiter& waiter) { return waiter.call == call; }) > 0;
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
  std::vector<std::pair<std::string, Waiter>> starting;
  for (auto& [connection_id, holder] : holders_) {
    while (!holder.waiting.empty() && holder.held < share()) {
      starting.emplace_back(connection_id, std::move(holder.waiting.front()));
      holder.waiting.pop_front();
      ++holder.held;
    }
  }
  for (auto& [connection_id, waiter] : starting) waiter.start(Share(this, connection_id));
  absl::erase_if(holders_, [](const auto& entry) { return entry.second.held == 0 && entry.second.waiting.empty(); });
}

}  // namespace engine::db::gateway

#include "server/pool/wait_queue.h"

#include <algorithm>
#include <utility>

namespace engine::db::pool {

size_t WaitQueue::share() const {
  return owner_count_ <= 1 ? transaction_limit_ : std::max<size_t>(1, transaction_limit_ * 3 / 4);
}

bool WaitQueue::HoldsBack(Purpose purpose, OwnerId owner) const {
  if (purpose != Purpose::kTransaction || owner == 0) return false;
  const auto found = owners_.find(owner);
  return found != owners_.end() && found->second.places_taken >= share();
}

Ticket WaitQueue::Add(Waiter waiter) {
  const Ticket ticket = waiter.ticket = next_ticket_++;
  if (waiter.purpose != Purpose::kTransaction) {
    others_in_line_.push_back(std::move(waiter));
    return ticket;
  }
  if (waiter.owner != 0) {
    Owner& owner = owners_[waiter.owner];
    if (owner.places_taken >= share()) {
      owner.held_back.emplace(ticket, std::move(waiter));
      ++held_back_;
      return ticket;
    }
    ++owner.places_taken;
  }
  transactions_in_line_.push_back(std::move(waiter));
  return ticket;
}

WaitQueue::Line::const_iterator WaitQueue::Find(const Line& line, Ticket ticket) {
  const auto found = std::lower_bound(line.begin(), line.end(), ticket,
                                      [](const Waiter& waiter, Ticket wanted) { return waiter.ticket < wanted; });
  return found != line.end() && found->ticket == ticket ? found : line.end();
}

bool WaitQueue::Waits(Ticket ticket) const {
  if (Find(transactions_in_line_, ticket) != transactions_in_line_.end()) return true;
  if (Find(others_in_line_, ticket) != others_in_line_.end()) return true;
  return held_back_ > 0 && std::any_of(owners_.begin(), owners_.end(),
                                       [&](const auto& entry) { return entry.second.held_back.contains(ticket); });
}

WaitQueue::Position WaitQueue::Withdraw(Ticket ticket) {
  if (const auto found = Find(others_in_line_, ticket); found != others_in_line_.end()) {
    others_in_line_.erase(found);
    return Position::kInLine;
  }
  if (const auto found = Find(transactions_in_line_, ticket); found != transactions_in_line_.end()) {
    const OwnerId owner = found->owner;
    transactions_in_line_.erase(found);
    GiveBackPlace(owner);
    return Position::kInLine;
  }
  if (held_back_ == 0) return Position::kNone;
  for (auto it = owners_.begin(); it != owners_.end(); ++it) {
    Owner& owner = it->second;
    if (owner.held_back.erase(ticket) == 0) continue;
    --held_back_;
    if (owner.places_taken == 0 && owner.held_back.empty()) owners_.erase(it);
    return Position::kHeldBack;
  }
  return Position::kNone;
}

bool WaitQueue::NextIsTransaction() const {
  if (transactions_in_line_.empty() || transactions_ >= transaction_limit_) return false;
  return others_in_line_.empty() || transactions_in_line_.front().ticket < others_in_line_.front().ticket;
}

const Waiter* WaitQueue::Next() const {
  if (NextIsTransaction()) return &transactions_in_line_.front();
  return others_in_line_.empty() ? nullptr : &others_in_line_.front();
}

Waiter WaitQueue::Pop() {
  const bool transaction = NextIsTransaction();
  Line& line = transaction ? transactions_in_line_ : others_in_line_;
  Waiter waiter = std::move(line.front());
  line.pop_front();
  if (transaction) ++transactions_;
  return waiter;
}

void WaitQueue::GiveBackPlace(OwnerId owner) {
  const auto found = owners_.find(owner);
  if (found == owners_.end()) return;
  if (--found->second.places_taken == 0 && found->second.held_back.empty()) owners_.erase(found);
}

bool WaitQueue::AdmitHeldBack() {
  if (held_back_ == 0) return false;
  bool any = false;
  for (auto& [id, owner] : owners_) {
    while (!owner.held_back.empty() && owner.places_taken < share()) {
      const auto first = owner.held_back.begin();
      Waiter waiter = std::move(first->second);
      owner.held_back.erase(first);
      --held_back_;
      ++owner.places_taken;
      const auto behind = std::upper_bound(transactions_in_line_.begin(), transactions_in_line_.end(), waiter.ticket,
                                           [](Ticket ticket, const Waiter& other) { return ticket < other.ticket; });
      transactions_in_line_.insert(behind, std::move(waiter));
      any = true;
    }
  }
  return any;
}

std::vector<Waiter> WaitQueue::RemoveIf(absl::FunctionRef<bool(Waiter&)> matches) {
  std::vector<Waiter> removed;
  for (Line* line : {&transactions_in_line_, &others_in_line_}) {
    Line left;
    for (Waiter& waiter : *line) {
      if (!matches(waiter)) {
        left.push_back(std::move(waiter));
        continue;
      }
      if (waiter.purpose == Purpose::kTransaction) GiveBackPlace(waiter.owner);
      removed.push_back(std::move(waiter));
    }
    *line = std::move(left);
  }
  return removed;
}

std::vector<Waiter> WaitQueue::RemoveAll() {
  std::vector<Waiter> removed = RemoveIf([](Waiter&) { return true; });
  for (auto& [id, owner] : owners_) {
    for (auto& [ticket, waiter] : owner.held_back) removed.push_back(std::move(waiter));
    owner.held_back.clear();
  }
  absl::erase_if(owners_, [](const auto& entry) { return entry.second.places_taken == 0; });
  held_back_ = 0;
  return removed;
}

size_t WaitQueue::eligible() const {
  const size_t room = transaction_limit_ - std::min(transaction_limit_, transactions_);
  return others_in_line_.size() + std::min(transactions_in_line_.size(), room);
}

}  // namespace engine::db::pool

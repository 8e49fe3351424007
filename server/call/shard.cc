#include "server/call/shard.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace engine::db::call {

Target& Shard::OpenTarget(TargetId id, const config::TargetSettings& settings) {
  std::unique_ptr<Target>& target = targets_[id];
  if (target == nullptr) target = std::make_unique<Target>(*this, id, settings);
  return *target;
}

Target* Shard::FindTarget(TargetId id) {
  const auto found = targets_.find(id);
  return found == targets_.end() ? nullptr : found->second.get();
}

void Shard::CloseTarget(TargetId id) {
  Target* target = FindTarget(id);
  if (target == nullptr) return;
  target->Close();
  CollectTargets();
}

void Shard::StartCall(CallId id, Target& target, CallPlan plan) {
  ++context_.calls;
  auto owned = std::make_unique<Call>(id, target, std::move(plan));
  Call& call = *owned;
  calls_.emplace(id, std::move(owned));
  call.Start();
}

Call* Shard::FindCall(CallId id) {
  const auto found = calls_.find(id);
  return found == calls_.end() ? nullptr : found->second.get();
}

void Shard::EndCall(Call& call) {
  const auto found = calls_.find(call.id());
  if (found == calls_.end()) return;
  --context_.calls;
  std::unique_ptr<Call> ended = std::move(found->second);
  calls_.erase(found);
  loop_.DestroyLater(std::move(ended));
}

size_t Shard::CloseConnection(TargetId target_id, const std::string& connection_id) {
  Target* target = FindTarget(target_id);
  if (target == nullptr) return 0;
  std::vector<Call*> calls;
  for (const auto& [id, call] : calls_) {
    if (call->plan().connection_id == connection_id) calls.push_back(call.get());
  }
  const size_t transactions = target->AbortTransactions(
      StopReason::kConnectionClosed, [&](const Transaction& t) { return t.connection_id() == connection_id; });
  for (Call* call : calls) call->Stop(StopReason::kConnectionClosed);
  target->pool().RemoveOwner();
  return transactions;
}

void Shard::EndSession(SessionId session) {
  for (const auto& [id, target] : targets_) {
    target->AbortTransactions(StopReason::kConnectionClosed,
                              [&](const Transaction& t) { return t.session() == session; });
  }
}

void Shard::StopAll() {
  std::vector<Call*> calls;
  for (const auto& [id, call] : calls_) calls.push_back(call.get());
  for (Call* call : calls) call->Stop(StopReason::kDraining);
  for (const auto& [id, target] : targets_) {
    target->AbortTransactions(StopReason::kDraining, [](const Transaction&) { return true; });
  }
}

void Shard::GiveUpQuestions() {
  ForEachTarget([](Target& target) { target.GiveUpQuestions(); });
}

void Shard::Clear() {
  StopAll();
  for (const auto& [id, target] : targets_) target->Close();
  // What COMMIT is still waited for, nobody will learn: breaking the links ends every call.
  for (const auto& [id, target] : targets_) target->pool().BreakLinks();
  // In this order: a call has a target.
  for (auto& [id, call] : calls_) loop_.DestroyLater(std::move(call));
  calls_.clear();
  for (auto& [id, target] : targets_) loop_.DestroyLater(std::move(target));
  targets_.clear();
}

void Shard::CollectTargets() {
  if (std::exchange(collecting_, true)) return;
  // Behind what was handed to DestroyLater() just now, and may have a target.
  loop_.Post([this] {
    loop_.RunAtEndOfRound([this] {
      collecting_ = false;
      absl::erase_if(targets_, [](const auto& entry) { return entry.second->CanBeDestroyed(); });
    });
  });
}

void Shard::ForEachTarget(absl::FunctionRef<void(Target&)> visit) {
  for (const auto& [id, target] : targets_) visit(*target);
}

void Shard::ForEachCall(absl::FunctionRef<void(const Call&)> visit) const {
  std::vector<const Call*> calls;
  for (const auto& [id, call] : calls_) calls.push_back(call.get());
  std::sort(calls.begin(), calls.end(), [](const Call* a, const Call* b) { return a->started() < b->started(); });
  for (const Call* call : calls) visit(*call);
}

}  // namespace engine::db::call

#include "server/call/shard.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace engine::db::call {

Shard::Shard(size_t index, Shared& shared) : shared_(shared), thread_(absl::StrCat("loop-", index), shared.clock) {}

Shard::~Shard() = default;

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

void Shard::StartCall(CallId id, Target& target, Work work) {
  ++shared_.calls;
  auto owned = std::make_unique<StatementCall>(id, target, std::move(work));
  StatementCall& call = *owned;
  calls_.emplace(id, std::move(owned));
  call.Start();
}

StatementCall* Shard::FindCall(CallId id) {
  const auto found = calls_.find(id);
  return found == calls_.end() ? nullptr : found->second.get();
}

void Shard::EndCall(StatementCall& call) {
  const auto found = calls_.find(call.id());
  if (found == calls_.end()) return;
  --shared_.calls;
  ended_.push_back(std::move(found->second));
  calls_.erase(found);
  if (ended_.size() > 1) return;
  loop().RunAtEndOfRound([this] {
    bool closing = false;
    for (const auto& ended : ended_) {
      ended->target().CallEnded();
      closing = closing || ended->target().closing();
    }
    ended_.clear();
    if (closing) CollectTargets();
  });
}

size_t Shard::CloseConnection(TargetId target_id, const std::string& connection_id) {
  Target* target = FindTarget(target_id);
  if (target == nullptr) return 0;
  std::vector<StatementCall*> calls;
  for (const auto& [id, call] : calls_) {
    if (call->work().connection_id == connection_id) calls.push_back(call.get());
  }
  const size_t transactions = target->AbortTransactions(
      StopReason::kConnectionClosed, [&](const Transaction& t) { return t.connection_id() == connection_id; });
  for (StatementCall* call : calls) call->Stop(StopReason::kConnectionClosed);
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
  std::vector<StatementCall*> calls;
  for (const auto& [id, call] : calls_) calls.push_back(call.get());
  for (StatementCall* call : calls) call->Stop(StopReason::kDraining);
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
  ended_.clear();
  calls_.clear();
  targets_.clear();
}

void Shard::CollectTargets() {
  if (collecting_) return;
  collecting_ = true;
  loop().Post([this] {
    collecting_ = false;
    absl::erase_if(targets_, [](const auto& entry) { return entry.second->CanBeDestroyed(); });
  });
}

void Shard::ForEachTarget(absl::FunctionRef<void(Target&)> visit) {
  for (const auto& [id, target] : targets_) visit(*target);
}

void Shard::ForEachCall(absl::FunctionRef<void(const StatementCall&)> visit) const {
  std::vector<const StatementCall*> calls;
  for (const auto& [id, call] : calls_) calls.push_back(call.get());
  std::sort(calls.begin(), calls.end(),
            [](const StatementCall* a, const StatementCall* b) { return a->started() < b->started(); });
  for (const StatementCall* call : calls) visit(*call);
}

}  // namespace engine::db::call

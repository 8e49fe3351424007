#include "server/call/target.h"

#include <utility>
#include <vector>

#include "server/base/failure.h"
#include "server/call/call.h"
#include "server/call/errors.h"
#include "server/call/shard.h"
#include "server/observe/log.h"

namespace engine::db::call {

Target::Target(Shard& shard, TargetId id, const config::TargetSettings& settings)
    : shard_(shard),
      id_(id),
      settings_(settings),
      metrics_(shard.context().metrics.AddPool(settings.DisplayName())),
      pool_(shard.loop(), shard.context().executor,
            shard.context().servers.make_backends(shard.loop(), shard.context().executor, settings_), settings_,
            shard.context().settings.shared_reads, static_cast<size_t>(shard.context().settings.limits.waiters),
            *metrics_),
      server_(*this, settings_),
      resolver_(shard.loop(), shard.context(), settings_) {
  observe::LogInfo("pool opened", {{"pool", metrics_->name()}, {"max_size", settings_.max_pool_size}});
  pool_.Start();
}

Target::~Target() { observe::LogInfo("pool closed", {{"pool", metrics_->name()}}); }

loop::EventLoop& Target::loop() const { return shard_.loop(); }

Context& Target::context() const { return shard_.context(); }

// --- whom it waits for before it goes

void Target::CallStarted() {
  ++calls_;
  retry_budget_.CallStarted();
}

void Target::CallEnded() {
  --calls_;
  if (closing_) shard_.CollectTargets();
}

void Target::QuestionAsked() {
  ++questions_;
  ++context().calls;
}

void Target::QuestionAnswered() {
  --questions_;
  --context().calls;
  if (closing_) shard_.CollectTargets();
}

void Target::AskOutcome(const postgres::TransactionMark& mark, absl::Time deadline, CommitResolver::Callback callback) {
  QuestionAsked();
  // Its backend is left alone: whoever made the token up would end other people's transactions.
  resolver_.Resolve({.mark = mark, .end_backend = false}, deadline,
                    [this, callback = std::move(callback)](postgres::CommitFate fate) mutable {
                      callback(fate);
                      QuestionAnswered();
                    });
}

void Target::GiveUpQuestions() {
  server_.GiveUp();
  resolver_.GiveUp();
}

void Target::Close() {
  closing_ = true;
  AbortTransactions(StopReason::kConnectionClosed, [](const Transaction&) { return true; });
  pool_.Close();
}

// --- transactions

Transaction& Target::AddTransaction(const CallPlan& plan, pool::Lease lease, Record record) {
  std::string id = context().handles.Make("t");
  auto owned = std::make_unique<Transaction>(*this, id, plan, std::move(lease));
  Transaction& transaction = *owned;
  transaction.SetRecord(std::move(record));
  transactions_.emplace(std::move(id), std::move(owned));
  ++context().transactions;
  metrics_->transactions_open.Increment();
  if (closing_) transaction.Abort(StopReason::kConnectionClosed);
  return transaction;
}

void Target::RunInTransaction(Call& call) {
  const CallPlan& plan = call.plan();
  const absl::StatusOr<Transaction*> found = FindTransaction(plan.transaction_id, plan.connection_id);
  if (found.ok()) {
    (*found)->Enqueue(call);
    return;
  }
  // A repeated Commit or Rollback gets the answer that the first one got, or should have got.
  const Tombstone* tombstone = tombstones_.Find(plan.transaction_id, plan.connection_id);
  if (tombstone != nullptr && tombstone->doubt.ok() && plan.statements.empty()) {
    const bool committed = tombstone->state == v1::TRANSACTION_STATE_COMMITTED;
    if (plan.asks_outcome || committed == (plan.ending == Ending::kCommit)) {
      v1::TransactionStatus status;
      status.set_transaction_id(plan.transaction_id);
      status.set_state(tombstone->state);
      call.TransactionWasOver(status);
      return;
    }
  }
  call.TransactionWasOver(found.status());
}

absl::StatusOr<Transaction*> Target::FindTransaction(const std::string& id, const std::string& connection_id) {
  const auto found = transactions_.find(id);
  // Whether a handle of another connection exists is nobody's business.
  if (found != transactions_.end() && found->second->connection_id() == connection_id) return found->second.get();
  if (const Tombstone* tombstone = tombstones_.Find(id, connection_id)) {
    if (!tombstone->doubt.ok()) return tombstone->doubt;
    return WithFailure(TransactionHasEnded(tombstone->state), [&](Failure& failure) {
      failure.transaction_state = static_cast<TransactionState>(tombstone->state);
    });
  }
  const bool restarted = context().handles.IsOfAnotherInstance(id);
  return TransactionError(absl::StatusCode::kFailedPrecondition, restarted ? Outcome::kUnknown : Outcome::kNotExecuted,
                          Reason::kUnknownTransaction,
                          restarted ? "transaction_id is of an earlier run of the gateway, which was restarted: "
                                      "GetTransactionOutcome tells by its recovery_token"
                                    : "transaction_id is unknown on this connection: call Begin first");
}

absl::Status Target::WithTransactionState(const absl::Status& status, const CallPlan& plan) {
  if (plan.transaction_id.empty()) return status;
  const absl::StatusOr<Transaction*> found = FindTransaction(plan.transaction_id, plan.connection_id);
  if (!found.ok()) return status;
  return WithFailure(status, [&](Failure& failure) {
    failure.transaction_state = static_cast<TransactionState>((*found)->Status().state());
  });
}

void Target::EndTransaction(Transaction& transaction, v1::TransactionState state, const absl::Status& doubt) {
  tombstones_.Bury(transaction.id(), {transaction.connection_id(), state, doubt}, loop().Now());
  --context().transactions;
  metrics_->transactions_open.Decrement();
  const auto found = transactions_.find(transaction.id());
  std::unique_ptr<Transaction> ended = std::move(found->second);
  transactions_.erase(found);
  ended->lease().Release();
  loop().DestroyLater(std::move(ended));
  if (closing_) shard_.CollectTargets();
}

size_t Target::AbortTransactions(StopReason reason, absl::AnyInvocable<bool(const Transaction&) const> matches) {
  std::vector<std::string> ids;
  for (const auto& [id, transaction] : transactions_) {
    if (transaction->abort_reason() == StopReason::kNone && matches(*transaction)) ids.push_back(id);
  }
  for (const std::string& id : ids) {
    const auto found = transactions_.find(id);  // aborting one may end others' calls, never other transactions
    if (found != transactions_.end()) found->second->Abort(reason);
  }
  return ids.size();
}

absl::StatusOr<v1::TransactionStatus> Target::KeepAlive(const std::string& transaction_id,
                                                        const std::string& connection_id) {
  const absl::StatusOr<Transaction*> found = FindTransaction(transaction_id, connection_id);
  if (!found.ok()) return found.status();
  (*found)->KeepAlive();
  return (*found)->Status();
}

}  // namespace engine::db::call

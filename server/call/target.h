// Everything of one target, on the loop that owns it: its pool, its transactions, what is known of its server.
#ifndef ENGINE_DB_SERVER_CALL_TARGET_H_
#define ENGINE_DB_SERVER_CALL_TARGET_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/call/call_plan.h"
#include "server/call/commit_resolver.h"
#include "server/call/context.h"
#include "server/call/ids.h"
#include "server/call/learnt_statements.h"
#include "server/call/retry_budget.h"
#include "server/call/target_server.h"
#include "server/call/tombstones.h"
#include "server/call/transaction.h"
#include "server/config/target.h"
#include "server/loop/event_loop.h"
#include "server/observe/metrics.h"
#include "server/pool/pool.h"

namespace engine::db::call {

class Call;
class Shard;

// Loop thread only.
class Target {
 public:
  Target(Shard& shard, TargetId id, const config::TargetSettings& settings);
  ~Target();
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;

  // What became of a transaction of whose COMMIT nobody here knows. Calls back once, not from within; with kInProgress
  // at `deadline`.
  void AskOutcome(const postgres::TransactionMark& mark, absl::Time deadline, CommitResolver::Callback callback);
  // The gateway stops: answers whoever waits for something else than a call.
  void GiveUpQuestions();

  // Takes over the backend of a call that began a transaction, and what that has done.
  Transaction& AddTransaction(const CallPlan& plan, pool::Lease lease, Record record);
  // Hands a call to its transaction. One that has ended answers from its tombstone.
  void RunInTransaction(Call& call);
  // From the transaction: it has ended. Leaves its tombstone, whose `doubt` is what calls with the handle get where
  // nobody knows what became of it; OK where the state says it.
  void EndTransaction(Transaction& transaction, v1::TransactionState state, const absl::Status& doubt);
  // Aborts those that `matches`, and says how many.
  size_t AbortTransactions(StopReason reason, absl::AnyInvocable<bool(const Transaction&) const> matches);
  [[nodiscard]] absl::StatusOr<v1::TransactionStatus> KeepAlive(const std::string& transaction_id,
                                                                const std::string& connection_id);
  // With the state of the open transaction, if there is one, that the plan was to run in, and did not.
  [[nodiscard]] absl::Status WithTransactionState(const absl::Status& status, const CallPlan& plan);

  // No handle is left. The target goes when its last call and transaction have ended.
  void Close();
  [[nodiscard]] bool closing() const { return closing_; }
  [[nodiscard]] bool CanBeDestroyed() const {
    return closing_ && calls_ == 0 && transactions_.empty() && questions_ == 0;
  }
  void CallStarted();
  void CallEnded();
  // Of a caller that has no Call. The target stays until it is answered, and the gateway waits for it when it drains.
  void QuestionAsked();
  void QuestionAnswered();

  [[nodiscard]] Shard& shard() const { return shard_; }
  [[nodiscard]] loop::EventLoop& loop() const;
  [[nodiscard]] Context& context() const;
  [[nodiscard]] TargetId id() const { return id_; }
  [[nodiscard]] observe::PoolMetrics& metrics() const { return *metrics_; }
  [[nodiscard]] pool::Pool& pool() { return pool_; }
  [[nodiscard]] TargetServer& server() { return server_; }
  [[nodiscard]] const TargetServer& server() const { return server_; }
  [[nodiscard]] CommitResolver& resolver() { return resolver_; }
  [[nodiscard]] RetryBudget& retry_budget() { return retry_budget_; }
  [[nodiscard]] LearntStatements& learnt() { return learnt_; }
  [[nodiscard]] const auto& transactions() const { return transactions_; }

 private:
  [[nodiscard]] absl::StatusOr<Transaction*> FindTransaction(const std::string& id, const std::string& connection_id);

  Shard& shard_;
  const TargetId id_;
  const config::TargetSettings settings_;
  const std::unique_ptr<observe::PoolMetrics> metrics_;
  pool::Pool pool_;
  TargetServer server_;
  CommitResolver resolver_;
  RetryBudget retry_budget_;
  LearntStatements learnt_;
  absl::flat_hash_map<std::string, std::unique_ptr<Transaction>> transactions_;
  Tombstones tombstones_;
  size_t calls_ = 0;
  size_t questions_ = 0;
  bool closing_ = false;
};

}  // namespace engine::db::call

#endif  // ENGINE_DB_SERVER_CALL_TARGET_H_

// Everything of one target, on the loop that owns it: its pool, its transactions, what is known of its server.
#ifndef ENGINE_DB_SERVER_CALL_TARGET_H_
#define ENGINE_DB_SERVER_CALL_TARGET_H_

#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/call/commit_resolver.h"
#include "server/call/ids.h"
#include "server/call/retry_budget.h"
#include "server/call/transaction.h"
#include "server/call/work.h"
#include "server/config/settings.h"
#include "server/observe/metrics.h"
#include "server/pool/pool.h"
#include "server/postgres/server_probe.h"
#include "server/postgres/transaction_mark.h"

namespace engine::db::call {

class Shard;

// Loop thread only.
class Target {
 public:
  Target(Shard& shard, TargetId id, const config::TargetSettings& settings);
  ~Target();
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;

  // Proves that the server can be reached, and tells what it says of itself. Calls back once, at `deadline` at the
  // latest.
  using ConnectCallback = absl::AnyInvocable<void(const absl::StatusOr<postgres::ServerInfo>&)>;
  void Connect(absl::Time deadline, ConnectCallback callback);
  // What became of a transaction of whose COMMIT nobody here knows. Calls back once, not from within; with kInProgress
  // at `deadline`.
  void AskOutcome(const postgres::TransactionMark& mark, absl::Time deadline, CommitResolver::Callback callback);
  // The gateway stops: answers whoever has asked one of these.
  void GiveUpQuestions();

  // Takes over the backend of a call that began a transaction.
  Transaction& AddTransaction(const Work& work, pool::Lease lease);
  // Hands a call to its transaction. One that has ended answers from its tombstone.
  void RunInTransaction(StatementCall& call);
  // Keeps the handle's conclusion for a while, and forgets the transaction. `doubt` is what calls with the handle get
  // where nobody knows what became of it; OK where the state says it.
  void EndTransaction(Transaction& transaction, v1::TransactionState state, const absl::Status& doubt);
  // Aborts those that `matches`, and says how many.
  size_t AbortTransactions(StopReason reason, absl::AnyInvocable<bool(const Transaction&) const> matches);
  [[nodiscard]] absl::StatusOr<v1::TransactionStatus> KeepAlive(const std::string& transaction_id,
                                                                const std::string& connection_id);

  // No handle is left. The target goes when its last call and transaction have ended.
  void Close();
  [[nodiscard]] bool closing() const { return closing_; }
  [[nodiscard]] bool CanBeDestroyed() const {
    return closing_ && calls_ == 0 && transactions_.empty() && questions_ == 0;
  }
  void CallStarted() {
    ++calls_;
    retry_budget_.CallStarted();
  }
  void CallEnded() { --calls_; }

  [[nodiscard]] Shard& shard() const { return shard_; }
  [[nodiscard]] TargetId id() const { return id_; }
  [[nodiscard]] pool::Pool& pool() { return pool_; }
  [[nodiscard]] observe::PoolMetrics& metrics() const { return *metrics_; }
  // Reads the catalogue again because it lacks these types, and calls back when it has been read, by this look or by
  // one that is under way. False, and no callback, when that was tried just now: they are of a transaction that has not
  // committed.
  [[nodiscard]] bool LookUpTypes(const std::vector<uint32_t>& oids, absl::AnyInvocable<void()> callback);
  // Never null.
  [[nodiscard]] const std::shared_ptr<const postgres::TypeCatalog>& types() const { return info_.types; }
  [[nodiscard]] const postgres::ServerInfo& server() const { return info_; }
  [[nodiscard]] const auto& transactions() const { return transactions_; }
  // What the database has by which its statements may act elsewhere, as it said last.
  [[nodiscard]] const postgres::Surroundings& surroundings() const { return info_.surroundings; }
  void NoteSurroundings(const postgres::Surroundings& surroundings) { info_.surroundings = surroundings; }
  // Whether its server can be asked for the fate of a transaction.
  [[nodiscard]] bool HasMarks() const {
    return info_.version_number >= postgres::kFirstVersionWithMarks && info_.system_identifier != 0;
  }
  // Statements whose texts only read, and that the server was seen to refuse because they write.
  [[nodiscard]] bool HidesWrites(const sql::Statement& statement) const {
    return !hidden_writers_.empty() && hidden_writers_.contains(statement.fingerprint());
  }
  void NoteHiddenWrite(const sql::Statement& statement);
  // A plan was out of date: what is prepared on any backend may be. In a transaction, where it could not be prepared
  // anew, the statement is not kept prepared from now on: what its transaction does before it may be what changes its
  // meaning (in a trigger), each time.
  void NoteStalePlan(const sql::Statement* statement, bool in_transaction);
  [[nodiscard]] bool LosesPlans(const sql::Statement& statement) const {
    return !plan_losers_.empty() && plan_losers_.contains(statement.fingerprint());
  }
  // With the state of the open transaction, if there is one, that the work was to run in, and did not.
  [[nodiscard]] absl::Status WithTransactionState(const absl::Status& status, const Work& work);
  [[nodiscard]] CommitResolver& resolver() { return resolver_; }
  [[nodiscard]] RetryBudget& retry_budget() { return retry_budget_; }

 private:
  struct Tombstone {
    std::string connection_id;
    v1::TransactionState state;
    absl::Status doubt;
    absl::Time buried_at;
  };
  struct Connecting;
  using TypeLookup = std::vector<absl::AnyInvocable<void()>>;  // who waits for it

  // Of a caller that is no StatementCall. The target stays until it is answered, and the gateway waits for it when it
  // drains.
  void QuestionAsked();
  void QuestionAnswered();
  void AnswerConnect(const std::shared_ptr<Connecting>& connecting, const absl::StatusOr<postgres::ServerInfo>& info);
  void ProbeForConnects();
  // `callback` comes once, not from within.
  void Probe(absl::Duration timeout, ConnectCallback callback);
  [[nodiscard]] absl::StatusOr<Transaction*> FindTransaction(const std::string& id, const std::string& connection_id);
  [[nodiscard]] const Tombstone* FindTombstone(const std::string& id, const std::string& connection_id) const;

  Shard& shard_;
  const TargetId id_;
  const config::TargetSettings settings_;
  const std::unique_ptr<observe::PoolMetrics> metrics_;
  postgres::ServerInfo info_;
  absl::flat_hash_map<uint32_t, absl::Time> looked_up_;  // types, and when, that the catalogue turned out not to have
  std::shared_ptr<TypeLookup> type_lookup_;              // the last one, while it is under way
  absl::flat_hash_set<std::string> hidden_writers_;      // fingerprints
  absl::flat_hash_set<std::string> plan_losers_;         // fingerprints
  pool::Pool pool_;
  CommitResolver resolver_;
  RetryBudget retry_budget_;
  absl::flat_hash_map<std::string, std::unique_ptr<Transaction>> transactions_;
  absl::flat_hash_map<std::string, Tombstone> tombstones_;
  std::deque<std::string> burial_order_;
  absl::flat_hash_set<std::shared_ptr<Connecting>> connecting_;  // not answered yet
  bool probing_for_connects_ = false;
  size_t calls_ = 0;
  size_t questions_ = 0;  // and probes
  bool closing_ = false;
};

}  // namespace engine::db::call

#endif  // ENGINE_DB_SERVER_CALL_TARGET_H_

#include "server/call/target.h"

#include <algorithm>

#include "server/base/error.h"
#include "server/call/shard.h"
#include "server/call/statement_call.h"
#include "server/loop/clock.h"
#include "server/observe/log.h"
#include "server/postgres/pipeline_backend.h"
#include "server/postgres/sqlstate.h"

namespace engine::db::call {
namespace {

// How long, and how many, ended transactions are remembered, so that a repeated Commit gets the first answer.
constexpr absl::Duration kTombstoneLifetime = absl::Minutes(10);
constexpr size_t kMaxTombstones = 10'000;
constexpr size_t kMaxFingerprints = 10'000;
// For what a server is asked when somebody connects. Its answer to one may come too late for him, and not for others.
constexpr absl::Duration kProbeTime = absl::Seconds(10);
constexpr const char* kSilent = "the server took the login, and has not answered since";
// A look at the catalogue may take so long, and is not taken again for the same type within so long.
constexpr absl::Duration kTypeLookupTime = absl::Seconds(2);
constexpr absl::Duration kTypeLookupInterval = absl::Seconds(1);

}  // namespace

Target::Target(Shard& shard, TargetId id, const config::TargetSettings& settings)
    : shard_(shard),
      id_(id),
      settings_(settings),
      metrics_(shard.shared().metrics.AddPool(settings.DisplayName())),
      pool_(shard.loop(), shard.shared().executor,
            std::make_unique<postgres::PipelineBackendFactory>(shard.loop(), shard.shared().executor, settings_),
            settings_, shard.shared().settings.shared_reads,
            static_cast<size_t>(shard.shared().settings.limits.waiters), *metrics_),
      resolver_(shard.loop(), shard.shared().questions, settings_) {
  info_.types = std::make_shared<const postgres::TypeCatalog>();
  observe::LogInfo("pool opened", {{"pool", metrics_->name()}, {"max_size", settings_.max_pool_size}});
  pool_.Start();
}

Target::~Target() { observe::LogInfo("pool closed", {{"pool", metrics_->name()}}); }

// --- questions about the server

void Target::QuestionAsked() {
  ++questions_;
  ++shard_.shared().calls;
}

void Target::QuestionAnswered() {
  --questions_;
  --shard_.shared().calls;
  shard_.CollectTargets();
}

// A Connect that waits: for a backend, as proof that the server can be reached, and then for what the server says.
struct Target::Connecting {
  explicit Connecting(loop::EventLoop& loop) : timer(loop) {}

  ConnectCallback callback;
  pool::Ticket ticket = 0;
  loop::Timer timer;
  bool has_connected = false;
};

void Target::Connect(absl::Time deadline, ConnectCallback callback) {
  if (info_.version_number != 0 && pool_.Counts().open > 0) {
    callback(info_);
    return;
  }
  QuestionAsked();
  auto connecting = std::make_shared<Connecting>(shard_.loop());
  connecting_.insert(connecting);
  connecting->callback = std::move(callback);
  const absl::Time started = shard_.loop().Now();
  connecting->timer.SetAt(deadline, [this, connecting, started] {
    AnswerConnect(connecting, connecting->has_connected ? postgres::ConnectFailed(settings_.DisplayName(), kSilent, "")
                                                        : pool_.WaitTimeout(shard_.loop().Now() - started));
  });
  connecting->ticket = pool_.Acquire(pool::Purpose::kAutocommit, /*owner=*/0, {settings_.retry, started},
                                     [this, connecting](absl::StatusOr<pool::Lease> lease) {
                                       connecting->ticket = 0;
                                       if (!lease.ok()) {
                                         AnswerConnect(connecting, lease.status());
                                         return;
                                       }
                                       lease->Release();
                                       connecting->has_connected = true;
                                       ProbeForConnects();
                                     });
}

void Target::AnswerConnect(const std::shared_ptr<Connecting>& connecting,
                           const absl::StatusOr<postgres::ServerInfo>& info) {
  if (connecting_.erase(connecting) == 0) return;
  connecting->timer.Cancel();
  if (connecting->ticket != 0) pool_.Withdraw(std::exchange(connecting->ticket, 0));
  connecting->callback(info);
  QuestionAnswered();
}

// One for all that have connected.
void Target::ProbeForConnects() {
  if (std::exchange(probing_for_connects_, true)) return;
  Probe(kProbeTime, [this](const absl::StatusOr<postgres::ServerInfo>& info) {
    probing_for_connects_ = false;
    for (const auto& one : std::vector(connecting_.begin(), connecting_.end())) {
      if (one->has_connected) AnswerConnect(one, info);
    }
  });
}

void Target::Probe(absl::Duration timeout, ConnectCallback callback) {
  ++questions_;  // until it is answered the target stays
  shard_.shared().questions.Run([this, settings = settings_, timeout, callback = std::move(callback)]() mutable {
    const auto ask = [&]() -> absl::StatusOr<postgres::ServerInfo> {
      absl::StatusOr<std::string> password = settings.ReadPassword();
      if (!password.ok()) return password.status();
      return postgres::ProbeServer(postgres::ConnectParameters(settings, *std::move(password)), timeout);
    };
    shard_.loop().Post([this, info = ask(), callback = std::move(callback)]() mutable {
      if (info.ok()) info_ = *info;
      callback(info);
      --questions_;
      shard_.CollectTargets();
    });
  });
}

bool Target::LookUpTypes(const std::vector<uint32_t>& oids, absl::AnyInvocable<void()> callback) {
  const absl::Time now = shard_.loop().Now();
  absl::erase_if(looked_up_, [&](const auto& entry) { return now - entry.second > kTypeLookupInterval; });
  bool news = false;
  for (const uint32_t oid : oids) news = looked_up_.emplace(oid, now).second || news;
  if (closing_ || (!news && type_lookup_ == nullptr)) return false;
  if (!news) {  // somebody else's look is under way
    type_lookup_->push_back(std::move(callback));
    return true;
  }
  const auto lookup = std::make_shared<TypeLookup>();
  lookup->push_back(std::move(callback));
  type_lookup_ = lookup;
  Probe(kTypeLookupTime, [this, lookup](const absl::StatusOr<postgres::ServerInfo>&) {
    if (type_lookup_ == lookup) type_lookup_ = nullptr;
    for (absl::AnyInvocable<void()>& done : *lookup) done();  // without an answer, with the old catalogue
  });
  return true;
}

void Target::NoteHiddenWrite(const sql::Statement& statement) {
  if (hidden_writers_.size() >= kMaxFingerprints) hidden_writers_.clear();  // they will be seen again
  hidden_writers_.insert(statement.fingerprint());
}

void Target::NoteStalePlan(const sql::Statement* statement, bool in_transaction) {
  pool_.ForgetPlans();
  if (!in_transaction || statement == nullptr) return;
  if (plan_losers_.size() >= kMaxFingerprints) plan_losers_.clear();  // they will be seen again
  plan_losers_.insert(statement->fingerprint());
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
  for (const auto& one : std::vector(connecting_.begin(), connecting_.end())) AnswerConnect(one, Draining());
  resolver_.GiveUp();
}

// --- transactions

Transaction& Target::AddTransaction(const Work& work, pool::Lease lease) {
  std::string id = shard_.shared().handles.Make("t");
  auto owned = std::make_unique<Transaction>(*this, id, work, std::move(lease));
  Transaction& transaction = *owned;
  transactions_.emplace(std::move(id), std::move(owned));
  ++shard_.shared().transactions;
  metrics_->transactions_open.Increment();
  if (closing_) transaction.Abort(StopReason::kConnectionClosed);
  return transaction;
}

void Target::RunInTransaction(StatementCall& call) {
  const Work& work = call.work();
  const absl::StatusOr<Transaction*> found = FindTransaction(work.transaction_id, work.connection_id);
  if (found.ok()) {
    (*found)->Enqueue(call);
    return;
  }
  // A repeated Commit or Rollback gets the answer that the first one got, or should have got.
  const Tombstone* tombstone = FindTombstone(work.transaction_id, work.connection_id);
  if (tombstone != nullptr && tombstone->doubt.ok() && work.runs.empty()) {
    const bool committed = tombstone->state == v1::TRANSACTION_STATE_COMMITTED;
    if (work.asks_outcome || committed == (work.ending == Ending::kCommit)) {
      v1::TransactionStatus status;
      status.set_transaction_id(work.transaction_id);
      status.set_state(tombstone->state);
      call.TransactionWasOver(status);
      return;
    }
  }
  call.TransactionWasOver(found.status());
}

absl::StatusOr<Transaction*> Target::FindTransaction(const std::string& id, const std::string& connection_id) {
  const auto found = transactions_.find(id);
  // Whether a handle of somebody else's exists is nobody's business.
  if (found != transactions_.end() && found->second->connection_id() == connection_id) return found->second.get();
  if (const Tombstone* tombstone = FindTombstone(id, connection_id)) {
    if (!tombstone->doubt.ok()) return tombstone->doubt;
    return WithDetail(TransactionHasEnded(tombstone->state),
                      [&](v1::DatabaseError& detail) { detail.set_transaction_state(tombstone->state); });
  }
  const bool restarted = shard_.shared().handles.IsOfAnotherInstance(id);
  return TransactionError(absl::StatusCode::kFailedPrecondition,
                          restarted ? v1::OUTCOME_UNKNOWN : v1::OUTCOME_NOT_EXECUTED, "UNKNOWN_TRANSACTION",
                          restarted ? "transaction_id is of an earlier run of the gateway, which was restarted: "
                                      "GetTransactionOutcome tells by its recovery_token"
                                    : "transaction_id is unknown on this connection: call Begin first");
}

absl::Status Target::WithTransactionState(const absl::Status& status, const Work& work) {
  if (work.transaction_id.empty()) return status;
  const absl::StatusOr<Transaction*> found = FindTransaction(work.transaction_id, work.connection_id);
  if (!found.ok()) return status;
  return WithDetail(status,
                    [&](v1::DatabaseError& detail) { detail.set_transaction_state((*found)->Status().state()); });
}

const Target::Tombstone* Target::FindTombstone(const std::string& id, const std::string& connection_id) const {
  const auto found = tombstones_.find(id);
  if (found == tombstones_.end() || found->second.connection_id != connection_id) return nullptr;
  return &found->second;
}

void Target::EndTransaction(Transaction& transaction, v1::TransactionState state, const absl::Status& doubt) {
  const absl::Time now = shard_.loop().Now();
  while (!burial_order_.empty() && (burial_order_.size() >= kMaxTombstones ||
                                    now - tombstones_.at(burial_order_.front()).buried_at > kTombstoneLifetime)) {
    tombstones_.erase(burial_order_.front());
    burial_order_.pop_front();
  }
  tombstones_.emplace(transaction.id(), Tombstone{transaction.connection_id(), state, doubt, now});
  burial_order_.push_back(transaction.id());
  --shard_.shared().transactions;
  metrics_->transactions_open.Decrement();

  const auto found = transactions_.find(transaction.id());
  std::unique_ptr<Transaction> ended = std::move(found->second);
  transactions_.erase(found);
  ended->GiveUp();
  // Destroyed later: it is on the stack.
  shard_.loop().RunAtEndOfRound([ended = std::move(ended)] {});
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

void Target::Close() {
  closing_ = true;
  AbortTransactions(StopReason::kConnectionClosed, [](const Transaction&) { return true; });
  pool_.Close();
}

}  // namespace engine::db::call

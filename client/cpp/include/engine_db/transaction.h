// Transactions as objects: any number of them at once on one connector, independent of each other and of the
// connector's current transaction.
#ifndef ENGINE_DB_TRANSACTION_H_
#define ENGINE_DB_TRANSACTION_H_

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "engine_db/async.h"
#include "engine_db/batch.h"
#include "engine_db/options.h"
#include "engine_db/result.h"
#include "engine_db/row_stream.h"
#include "engine_db/value.h"

namespace engine::db {

namespace internal {
class Recovery;
class Session;

// Where a statement runs: on a session, in one of its transactions or, when the id is empty, in none.
struct Scope {
  std::shared_ptr<Session> session;
  std::string transaction_id;
  std::shared_ptr<Recovery> recovery;  // Null in none.
};

// A transaction that is open, or (with `ended`) has been or is just being ended. Shared by its handle and the operation
// that ends it.
struct OpenTransaction {
  explicit OpenTransaction(Scope s) : scope(std::move(s)) {}
  const Scope scope;
  std::atomic<bool> ended = false;
};
}  // namespace internal

// An open transaction. Move-only. Destroyed before commit() or rollback() is done, it is rolled back without waiting.
// It belongs to the connector's link to the gateway: when that breaks, the transaction is rolled back and its
// operations fail with DatabaseTransactionError. One operation at a time: a stream is read to its end, or destroyed,
// before the next one. An operation between the rows of a stream whose rest has not come yet fails with
// DatabaseTransactionError, reason() "STREAM_OPEN", as commit() does, and the transaction goes on; rollback() ends the
// stream. To run statements between the rows, collect them with execute(), or stream them outside of the transaction.
//
// When the answer to a commit is lost with the link, or with the gateway itself, the connector opens another link, as
// soon as it can, and asks PostgreSQL what became of the transaction, within the connection's timeout_ms. So commit()
// succeeds, or fails with DatabaseTransactionError and Outcome::kRolledBack. It fails with Outcome::kUnknown
// - when the time was too short: then a repeated commit() asks again;
// - when PostgreSQL can't tell any more (a failover to a standby);
// - when the transaction has no recovery_token() and may have written all the same: before PostgreSQL 13, where the
//   role may not call pg_control_system(), when the reply to a statement was lost, or when neither it nor any other
//   transaction on this link wrote anything (with TransactionOptions::read_only it is known to have written nothing);
// - with TransactionOptions::replay, unless the answer is that it is committed: the gateway may have run it anew.
// A transaction that wrote nothing counts as rolled back. NOTIFY alone does not count as writing: PostgreSQL gives such
// a transaction its id in its COMMIT only.
class AsyncTransaction {
 public:
  explicit AsyncTransaction(internal::Scope scope)
      : transaction_(std::make_shared<internal::OpenTransaction>(std::move(scope))) {}
  AsyncTransaction(AsyncTransaction&&) noexcept = default;
  AsyncTransaction& operator=(AsyncTransaction&& other) noexcept;
  AsyncTransaction(const AsyncTransaction&) = delete;
  AsyncTransaction& operator=(const AsyncTransaction&) = delete;
  ~AsyncTransaction();

  Async<Result> async_execute(std::string_view sql, const Parameters& parameters = {}, const CallOptions& options = {});
  Async<BatchResults> async_execute_batch(const Batch& batch, const CallOptions& options = {});
  AsyncRowStream async_execute_stream(std::string_view sql, const Parameters& parameters = {},
                                      const CallOptions& options = {});

  // Sets a savepoint: a letter or "_", then letters, digits and "_", at most 63.
  Async<void> async_savepoint(std::string_view name);
  // Undoes what came after the savepoint, which stays; mends a failed transaction.
  Async<void> async_rollback_to(std::string_view name);
  // Forgets the savepoint and those set after it, and keeps what came after it. One that is never released holds a lock
  // of its own until the transaction ends: thousands of them are "out of shared memory".
  Async<void> async_release_savepoint(std::string_view name);

  // When it fails with Outcome::kUnknown because of a timeout, a repeated commit tells what became of it.
  Async<void> async_commit();
  // Also right when the transaction is gone already. After a commit whose outcome is unknown it finds that out where
  // the link is lost, and fails with Outcome::kCommitted, or kUnknown when nobody can tell in time: there may be
  // nothing left to roll back.
  Async<void> async_rollback();

  // Names the transaction to PostgresSyncConnector::transaction_outcome(), also of another process: an engine that
  // wants to know the outcome after a crash of its own keeps the token before it commits. Empty while the transaction
  // has written nothing, as far as replies have come, and where the gateway can't tell (before PostgreSQL 13). With
  // TransactionOptions::replay it may change with every reply.
  [[nodiscard]] std::string recovery_token() const;

 private:
  std::shared_ptr<internal::OpenTransaction> transaction_;  // Null when moved from.
};

// The same, blocking until each operation is done.
class Transaction {
 public:
  explicit Transaction(AsyncTransaction transaction) : transaction_(std::move(transaction)) {}

  Result execute(std::string_view sql, const Parameters& parameters = {}, const CallOptions& options = {});
  BatchResults execute_batch(const Batch& batch, const CallOptions& options = {});
  RowStream execute_stream(std::string_view sql, const Parameters& parameters = {}, const CallOptions& options = {});
  void savepoint(std::string_view name);
  void rollback_to(std::string_view name);
  void release_savepoint(std::string_view name);
  void commit();
  void rollback();
  [[nodiscard]] std::string recovery_token() const { return transaction_.recovery_token(); }

 private:
  AsyncTransaction transaction_;
};

}  // namespace engine::db

#endif  // ENGINE_DB_TRANSACTION_H_

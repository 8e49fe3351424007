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
class Session;

// Where a statement runs: on a session, in one of its transactions or, when the id is empty, in none.
struct Scope {
  std::shared_ptr<Session> session;
  std::string transaction_id;
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
// operations fail with DatabaseTransactionError. One operation at a time.
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

  // When it fails with Outcome::kUnknown because of a timeout, a repeated commit tells what became of it.
  Async<void> async_commit();
  // Also right when the transaction is gone already.
  Async<void> async_rollback();

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
  void commit();
  void rollback();

 private:
  AsyncTransaction transaction_;
};

}  // namespace engine::db

#endif  // ENGINE_DB_TRANSACTION_H_

// The two interfaces through which engine-core uses its connectors. A connector stands for one database (a
// ConnectTarget) and has one current transaction.
//
// Both follow the same rules:
// - connect() opens the pool on its first call and proves that the database answers; repeating it changes nothing.
//   execute() and begin() before connect(), or after close(), fail with DatabaseConnectionError.
// - Without a transaction each statement commits by itself (autocommit). After begin(), every execute() runs in the
//   transaction until commit() or rollback(). A begin() while one is active, and a commit() or rollback() without one,
//   fail with DatabaseTransactionError.
// - A transaction in which a statement failed takes only rollback().
// - A transaction whose connection broke before commit() is lost (rolled back). Until rollback() or commit() has
//   acknowledged that, execute() and commit() fail with DatabaseTransactionError, so that nothing is committed outside
//   of the transaction that it was meant for.
// - close() rolls back an active transaction and gives the pool up. It may be repeated, and connect() may follow it.
// - Destroying a connector closes it without waiting.
//
// Errors are those of error.h.
#ifndef ENGINE_DB_CONNECTOR_H_
#define ENGINE_DB_CONNECTOR_H_

#include <functional>
#include <string_view>

#include "engine_db/async.h"
#include "engine_db/options.h"
#include "engine_db/result.h"
#include "engine_db/value.h"

namespace engine::db {

// Blocks until each operation is done. Any thread may call, several at once too; but the current transaction is the
// connector's, not the thread's.
class DatabaseConnector {
 public:
  virtual ~DatabaseConnector() = default;
  DatabaseConnector(const DatabaseConnector&) = delete;
  DatabaseConnector& operator=(const DatabaseConnector&) = delete;

  virtual void connect() = 0;

  // Runs one statement with a parameter for each "?" and returns its whole result.
  virtual Result execute(std::string_view sql, const Parameters& parameters, const CallOptions& options) = 0;
  Result execute(std::string_view sql, const Parameters& parameters = {}) {
    return execute(sql, parameters, CallOptions{});
  }

  // The same for results of any size: passes the rows to `take` in parts, as they come. A statement that returns rows
  // gives at least one part, which may be empty but has the columns. An exception from `take` ends the statement and is
  // passed on. Returns what there is besides the rows. The default passes on the whole result of execute() at once.
  virtual Result::Summary execute_in_parts(std::string_view sql, const Parameters& parameters,
                                           const CallOptions& options,
                                           const std::function<void(const RowBatch&)>& take) {
    const Result result = execute(sql, parameters, options);
    if (!result.columns().empty() || !result.rows().empty()) take(result.rows());
    return {result.rowcount(), result.command_tag(), result.bound_sql(), result.attempts()};
  }

  virtual void begin(const TransactionOptions& options) = 0;
  void begin() { begin(TransactionOptions{}); }

  // Returns when the transaction is durable. When it fails with Outcome::kUnknown the transaction stays current, and a
  // repeated commit() tells.
  virtual void commit() = 0;

  virtual void rollback() = 0;

  virtual void close() = 0;

 protected:
  DatabaseConnector() = default;
};

// Starts each operation and returns at once; async.h says how its end is told, on which thread. Errors come with the
// Async, none is thrown by the call itself. What is passed in may be destroyed as soon as the call returns. Any thread
// may call. A statement may be started as soon as async_begin() is done, not before.
class AsyncDatabaseConnector {
 public:
  virtual ~AsyncDatabaseConnector() = default;
  AsyncDatabaseConnector(const AsyncDatabaseConnector&) = delete;
  AsyncDatabaseConnector& operator=(const AsyncDatabaseConnector&) = delete;

  virtual Async<void> async_connect() = 0;

  virtual Async<Result> async_execute(std::string_view sql, const Parameters& parameters,
                                      const CallOptions& options) = 0;
  Async<Result> async_execute(std::string_view sql, const Parameters& parameters = {}) {
    return async_execute(sql, parameters, CallOptions{});
  }

  virtual Async<void> async_begin(const TransactionOptions& options) = 0;
  Async<void> async_begin() { return async_begin(TransactionOptions{}); }

  virtual Async<void> async_commit() = 0;

  virtual Async<void> async_rollback() = 0;

  virtual Async<void> async_close() = 0;

 protected:
  AsyncDatabaseConnector() = default;
};

}  // namespace engine::db

#endif  // ENGINE_DB_CONNECTOR_H_

// PostgreSQL through the gateway. Both connectors carry all their calls on one stream to it; calls made at the same
// time share messages, and the gateway shares round trips among them: many calls in flight on one connector are the
// fast way.
//
//   PostgresSyncConnector connector(
//       ConnectionConfig{.host = "db", .user = "engine", .password = secret, .dbname = "loyalty"});
//   connector.connect();
//   Result result = connector.execute("SELECT name FROM customers WHERE id = ?", {42});
//   std::string name = result.rows()[0]["name"].as<std::string>();
//
// When the link to the gateway breaks, the calls in flight fail with DatabaseConnectionError, and outcome() tells
// whether they may have run: a write that was sent is never sent again. Calls of which nothing had been sent yet, and
// calls that may run twice (CallOptions::idempotent, begin, describe), wait for the next link, as later calls do,
// until their timeout. connect(), too, waits for a gateway that is still starting. The outcome of a commit that was
// under way is found: see AsyncTransaction. The outcome of an autocommitted write, or of an atomic batch, that was lost
// with the gateway stays Outcome::kUnknown, since there is no token to ask with; a transaction has one.
#ifndef ENGINE_DB_POSTGRES_CONNECTOR_H_
#define ENGINE_DB_POSTGRES_CONNECTOR_H_

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

#include "engine_db/batch.h"
#include "engine_db/config.h"
#include "engine_db/connector.h"
#include "engine_db/gateway_options.h"
#include "engine_db/repeat.h"
#include "engine_db/row_stream.h"
#include "engine_db/transaction.h"

namespace engine::db {

namespace internal {
class Connection;
}

// See AsyncDatabaseConnector for the rules, and async.h for the threads.
class PostgresAsyncConnector final : public AsyncDatabaseConnector {
 public:
  // Opens nothing yet. Throws ConfigurationError, with every fault, when `target` is wrong.
  explicit PostgresAsyncConnector(const ConnectTarget& target, const GatewayOptions& gateway = {});
  // Calls in flight fail with DatabaseConnectionError.
  ~PostgresAsyncConnector() override;

  using AsyncDatabaseConnector::async_begin;
  using AsyncDatabaseConnector::async_execute;
  Async<void> async_connect() override;
  Async<Result> async_execute(std::string_view sql, const Parameters& parameters, const CallOptions& options) override;
  Async<void> async_begin(const TransactionOptions& options) override;
  Async<void> async_commit() override;
  Async<void> async_rollback() override;
  Async<void> async_close() override;

  // The same with a timeout and a stop token of its own; the other options have no effect.
  Async<void> async_connect(const CallOptions& options);
  // In the current transaction, if there is one.
  Async<BatchResults> async_execute_batch(const Batch& batch, const BatchOptions& options = {});
  // In the current transaction, if there is one. Errors come with the first batch.
  AsyncRowStream async_execute_stream(std::string_view sql, const Parameters& parameters = {},
                                      const CallOptions& options = {});
  Async<StatementDescription> async_describe(std::string_view sql, const CallOptions& options = {});
  // A transaction of its own, whether or not there is a current one.
  Async<AsyncTransaction> async_begin_transaction(const TransactionOptions& options = {});

  // As PostgresSyncConnector::transaction_outcome().
  Async<Outcome> async_transaction_outcome(std::string_view recovery_token, const CallOptions& options = {});

  // As PostgresSyncConnector::run_transaction(). work(AsyncTransaction&) returns an Async, mostly as a coroutine; it is
  // kept until the end. The connector must outlive the operation.
  template <typename Work>
  std::invoke_result_t<Work&, AsyncTransaction&> async_run_transaction(Work work, TransactionOptions options = {},
                                                                       RetryConfig retry = {}) {
    const auto began = std::chrono::steady_clock::now();
    for (int attempt = 1;; ++attempt) {
      std::chrono::milliseconds pause{0};
      try {
        AsyncTransaction transaction = co_await async_begin_transaction(options);
        if constexpr (std::is_same_v<std::invoke_result_t<Work&, AsyncTransaction&>, Async<void>>) {
          co_await work(transaction);
          co_await transaction.async_commit();
          co_return;
        } else {
          auto returned = co_await work(transaction);
          co_await transaction.async_commit();
          co_return returned;
        }
      } catch (const DatabaseError& error) {
        const auto next = internal::pause_before_repeating(retry, attempt, began, error);
        if (!next) throw;
        pause = *next;
      }
      co_await internal::after(pause);
    }
  }

 private:
  std::shared_ptr<internal::Connection> connection_;
};

// See DatabaseConnector for the rules. Not on a thread on which an AsyncDatabaseConnector's callbacks run: there each
// call that would have to wait throws std::logic_error.
class PostgresSyncConnector final : public DatabaseConnector {
 public:
  // Opens nothing yet. Throws ConfigurationError, with every fault, when `target` is wrong.
  explicit PostgresSyncConnector(const ConnectTarget& target, const GatewayOptions& gateway = {});
  // Calls in flight on other threads fail with DatabaseConnectionError.
  ~PostgresSyncConnector() override;

  using DatabaseConnector::begin;
  using DatabaseConnector::execute;
  void connect() override;
  Result execute(std::string_view sql, const Parameters& parameters, const CallOptions& options) override;
  Result::Summary execute_in_parts(std::string_view sql, const Parameters& parameters, const CallOptions& options,
                                   const std::function<void(const RowBatch&)>& take) override;
  void begin(const TransactionOptions& options) override;
  void commit() override;
  void rollback() override;
  void close() override;

  // The same with a timeout and a stop token of its own; the other options have no effect.
  void connect(const CallOptions& options);
  // In the current transaction, if there is one.
  BatchResults execute_batch(const Batch& batch, const BatchOptions& options = {});
  // In the current transaction, if there is one. Errors come with the first rows.
  RowStream execute_stream(std::string_view sql, const Parameters& parameters = {}, const CallOptions& options = {});
  StatementDescription describe(std::string_view sql, const CallOptions& options = {});
  // A transaction of its own, whether or not there is a current one.
  Transaction begin_transaction(const TransactionOptions& options = {});

  // What became of the transaction whose Transaction::recovery_token() this is, on this connector's database cluster:
  // of this process or another, now or after a restart of everything. kCommitted or kRolledBack, for good; or kUnknown:
  // PostgreSQL can't tell any more. One that is still open, or committing, is waited for, then DatabaseTimeoutError.
  Outcome transaction_outcome(std::string_view recovery_token, const CallOptions& options = {});

  // Runs work(Transaction&) in a transaction and commits it; returns what work returned. When the transaction fails as
  // a whole because of others (serialization failure, deadlock), or the link to the gateway or to PostgreSQL breaks and
  // it is known to be rolled back, all of it runs again, as `retry` says; so work must have no effects of its own
  // outside the transaction that do harm when repeated. Any other exception rolls back and is passed on. work must not
  // end the transaction itself.
  template <typename Work>
  auto run_transaction(Work&& work, const TransactionOptions& options = {}, const RetryConfig& retry = {}) {
    using Returned = std::invoke_result_t<Work&, Transaction&>;
    if constexpr (std::is_void_v<Returned>) {
      repeat_transaction([&](Transaction& transaction) { work(transaction); }, options, retry);
    } else {
      std::optional<Returned> returned;
      repeat_transaction([&](Transaction& transaction) { returned.emplace(work(transaction)); }, options, retry);
      return *std::move(returned);
    }
  }

 private:
  void repeat_transaction(const std::function<void(Transaction&)>& work, const TransactionOptions& options,
                          const RetryConfig& retry);

  std::shared_ptr<internal::Connection> connection_;
};

}  // namespace engine::db

#endif  // ENGINE_DB_POSTGRES_CONNECTOR_H_

#include "engine_db/postgres_connector.h"

#include <cstdlib>
#include <exception>
#include <thread>

#include "client/cpp/src/connection.h"
#include "client/cpp/src/operations.h"
#include "engine_db/reasons.h"

namespace engine::db {

using internal::wait;

namespace {

// Runs `start`, which returns an Async<T>; what it throws becomes the Async's error.
template <typename T, typename Start>
Async<T> as_async(Start start) {
  try {
    return start();
  } catch (...) {
    return Async<T>::completed(std::current_exception());
  }
}

template <typename Scope>
std::shared_ptr<internal::StreamCall> open_stream(Scope scope, std::string_view sql, const Parameters& parameters,
                                                  const CallOptions& options) {
  try {
    return internal::execute_stream(scope(), sql, parameters, options);
  } catch (const DatabaseError& error) {
    return internal::failed_stream(error.info());
  }
}

Async<AsyncTransaction> begin_transaction(internal::Connection& connection, const TransactionOptions& options) {
  return as_async<AsyncTransaction>([&] {
    AsyncPromise<AsyncTransaction> promise;
    Async<AsyncTransaction> begun = promise.async();
    connection.begin_apart(options).then([promise = std::move(promise)](Completion<internal::Scope> scope) mutable {
      promise.complete(scope.ok() ? Completion<AsyncTransaction>(AsyncTransaction(std::move(scope).value()))
                                  : Completion<AsyncTransaction>(scope.error()));
    });
    return begun;
  });
}

}  // namespace

std::string default_gateway_address() {
  const char* address = std::getenv("ENGINE_DB_GATEWAY");
  return address != nullptr && *address != '\0' ? address : "127.0.0.1:50051";
}

PostgresAsyncConnector::PostgresAsyncConnector(const ConnectTarget& target, const GatewayOptions& gateway)
    : connection_(std::make_shared<internal::Connection>(target, gateway)) {}

PostgresAsyncConnector::~PostgresAsyncConnector() { connection_->shut_down(); }

Async<void> PostgresAsyncConnector::async_connect() { return async_connect(CallOptions()); }

Async<void> PostgresAsyncConnector::async_connect(const CallOptions& options) { return connection_->connect(options); }

Async<Result> PostgresAsyncConnector::async_execute(std::string_view sql, const Parameters& parameters,
                                                    const CallOptions& options) {
  return as_async<Result>([&] { return internal::execute(connection_->scope(), sql, parameters, options); });
}

Async<void> PostgresAsyncConnector::async_begin(const TransactionOptions& options) {
  return connection_->begin(options);
}

Async<void> PostgresAsyncConnector::async_commit() { return connection_->commit(); }

Async<void> PostgresAsyncConnector::async_rollback() { return connection_->rollback(); }

Async<void> PostgresAsyncConnector::async_close() { return connection_->close(); }

Async<BatchResults> PostgresAsyncConnector::async_execute_batch(const Batch& batch, const BatchOptions& options) {
  return as_async<BatchResults>([&] { return internal::execute_batch(connection_->scope(), batch, options); });
}

AsyncRowStream PostgresAsyncConnector::async_execute_stream(std::string_view sql, const Parameters& parameters,
                                                            const CallOptions& options) {
  return AsyncRowStream(open_stream([&] { return connection_->scope(); }, sql, parameters, options));
}

Async<StatementDescription> PostgresAsyncConnector::async_describe(std::string_view sql, const CallOptions& options) {
  return as_async<StatementDescription>([&] { return internal::describe(connection_->scope(), sql, options); });
}

Async<AsyncTransaction> PostgresAsyncConnector::async_begin_transaction(const TransactionOptions& options) {
  return begin_transaction(*connection_, options);
}

Async<Outcome> PostgresAsyncConnector::async_transaction_outcome(std::string_view recovery_token,
                                                                 const CallOptions& options) {
  return connection_->transaction_outcome(std::string(recovery_token), options);
}

PostgresSyncConnector::PostgresSyncConnector(const ConnectTarget& target, const GatewayOptions& gateway)
    : connection_(std::make_shared<internal::Connection>(target, gateway)) {}

PostgresSyncConnector::~PostgresSyncConnector() { connection_->shut_down(); }

void PostgresSyncConnector::connect() { connect(CallOptions()); }

void PostgresSyncConnector::connect(const CallOptions& options) { wait(connection_->connect(options)); }

Result PostgresSyncConnector::execute(std::string_view sql, const Parameters& parameters, const CallOptions& options) {
  return wait(internal::execute(connection_->scope(), sql, parameters, options));
}

Result::Summary PostgresSyncConnector::execute_in_parts(std::string_view sql, const Parameters& parameters,
                                                        const CallOptions& options,
                                                        const std::function<void(const RowBatch&)>& take) {
  std::optional<RowStream> stream = execute_stream(sql, parameters, options);
  std::optional<RowBatch> batch;
  try {
    batch = stream->next_batch();
  } catch (const DatabaseError& error) {
    // What never left for a gateway that goes away goes to the next one, as execute() does.
    const bool gone = error.reason() == reasons::kDraining || error.reason() == reasons::kGatewayLost;
    if (!gone || error.outcome() != Outcome::kNotExecuted) throw;
    stream = execute_stream(sql, parameters, options);
    batch = stream->next_batch();
  }
  if (!batch && !stream->columns().empty()) take(RowBatch::from_rows(stream->columns(), {}));
  for (; batch; batch = stream->next_batch()) take(*batch);
  return *stream->summary();
}

void PostgresSyncConnector::begin(const TransactionOptions& options) { wait(connection_->begin(options)); }

void PostgresSyncConnector::commit() { wait(connection_->commit()); }

void PostgresSyncConnector::rollback() { wait(connection_->rollback()); }

void PostgresSyncConnector::close() { wait(connection_->close()); }

BatchResults PostgresSyncConnector::execute_batch(const Batch& batch, const BatchOptions& options) {
  return wait(internal::execute_batch(connection_->scope(), batch, options));
}

RowStream PostgresSyncConnector::execute_stream(std::string_view sql, const Parameters& parameters,
                                                const CallOptions& options) {
  return RowStream(AsyncRowStream(open_stream([&] { return connection_->scope(); }, sql, parameters, options)));
}

StatementDescription PostgresSyncConnector::describe(std::string_view sql, const CallOptions& options) {
  return wait(internal::describe(connection_->scope(), sql, options));
}

Transaction PostgresSyncConnector::begin_transaction(const TransactionOptions& options) {
  return Transaction(wait(engine::db::begin_transaction(*connection_, options)));
}

Outcome PostgresSyncConnector::transaction_outcome(std::string_view recovery_token, const CallOptions& options) {
  return wait(connection_->transaction_outcome(std::string(recovery_token), options));
}

void PostgresSyncConnector::repeat_transaction(const std::function<void(Transaction&)>& work,
                                               const TransactionOptions& options, const RetryConfig& retry) {
  if (auto faults = retry.validate(); !faults.empty()) throw ConfigurationError(std::move(faults));
  const auto began = std::chrono::steady_clock::now();
  for (int attempt = 1;; ++attempt) {
    std::chrono::milliseconds pause{0};
    try {
      Transaction transaction = begin_transaction(options);
      work(transaction);
      return transaction.commit();
    } catch (const DatabaseError& error) {
      // The transaction is destroyed by now, and so being rolled back.
      const auto next = internal::pause_before_repeating(retry, attempt, began, error);
      if (!next) throw;
      pause = *next;
    }
    std::this_thread::sleep_for(pause);
  }
}

}  // namespace engine::db

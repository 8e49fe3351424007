#include "engine_db/transaction.h"

#include "client/cpp/src/operations.h"
#include "client/cpp/src/recovery.h"
#include "client/cpp/src/transaction_operations.h"

namespace engine::db {

using internal::wait;

namespace {

void roll_back_quietly(const std::shared_ptr<internal::OpenTransaction>& transaction) {
  if (!transaction || transaction->ended || transaction->scope.session->ended()) return;
  // Nobody waits for the answer: should it not arrive, the lease ends the transaction.
  static_cast<void>(internal::rollback(transaction));
}

}  // namespace

AsyncTransaction& AsyncTransaction::operator=(AsyncTransaction&& other) noexcept {
  if (this != &other) {
    roll_back_quietly(transaction_);
    transaction_ = std::move(other.transaction_);
  }
  return *this;
}

AsyncTransaction::~AsyncTransaction() { roll_back_quietly(transaction_); }

Async<Result> AsyncTransaction::async_execute(std::string_view sql, const Parameters& parameters,
                                              const CallOptions& options) {
  return internal::execute(transaction_->scope, sql, parameters, options);
}

Async<BatchResults> AsyncTransaction::async_execute_batch(const Batch& batch, const CallOptions& options) {
  return internal::execute_batch(transaction_->scope, batch, BatchOptions{options, false});
}

AsyncRowStream AsyncTransaction::async_execute_stream(std::string_view sql, const Parameters& parameters,
                                                      const CallOptions& options) {
  return AsyncRowStream(internal::execute_stream(transaction_->scope, sql, parameters, options));
}

Async<void> AsyncTransaction::async_savepoint(std::string_view name) {
  return internal::savepoint(transaction_->scope, name);
}

Async<void> AsyncTransaction::async_rollback_to(std::string_view name) {
  return internal::rollback_to(transaction_->scope, name);
}

Async<void> AsyncTransaction::async_release_savepoint(std::string_view name) {
  return internal::release_savepoint(transaction_->scope, name);
}

Async<void> AsyncTransaction::async_commit() { return internal::commit(transaction_); }

Async<void> AsyncTransaction::async_rollback() { return internal::rollback(transaction_); }

std::string AsyncTransaction::recovery_token() const { return transaction_->scope.recovery->token(); }

Result Transaction::execute(std::string_view sql, const Parameters& parameters, const CallOptions& options) {
  return wait(transaction_.async_execute(sql, parameters, options));
}

BatchResults Transaction::execute_batch(const Batch& batch, const CallOptions& options) {
  return wait(transaction_.async_execute_batch(batch, options));
}

RowStream Transaction::execute_stream(std::string_view sql, const Parameters& parameters, const CallOptions& options) {
  return RowStream(transaction_.async_execute_stream(sql, parameters, options));
}

void Transaction::savepoint(std::string_view name) { wait(transaction_.async_savepoint(name)); }

void Transaction::rollback_to(std::string_view name) { wait(transaction_.async_rollback_to(name)); }

void Transaction::release_savepoint(std::string_view name) { wait(transaction_.async_release_savepoint(name)); }

void Transaction::commit() { wait(transaction_.async_commit()); }

void Transaction::rollback() { wait(transaction_.async_rollback()); }

}  // namespace engine::db

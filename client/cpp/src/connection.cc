#include "client/cpp/src/connection.h"

#include <exception>
#include <utility>
#include <variant>

#include "client/cpp/src/convert.h"

namespace engine::db::internal {

Connection::Connection(const ConnectTarget& target, const GatewayOptions& gateway)
    : gateway_((require_valid(target), std::make_shared<Gateway>(gateway.address))) {
  write(target, request_);
  if (const auto* config = std::get_if<ConnectionConfig>(&target)) {
    connect_timeout_ = std::chrono::milliseconds(config->timeout_ms);
  }
}

std::shared_ptr<Session> Connection::session() {
  if (!wanted_) {
    ErrorInfo info;
    info.kind = ErrorKind::kConnection;
    info.outcome = Outcome::kNotExecuted;
    info.reason = "NOT_CONNECTED";
    info.message = "the connector is not connected: call connect() first";
    throw_error(std::move(info));
  }
  if (!session_ || session_->ended()) session_ = Session::open(gateway_, request_, connect_timeout_);
  return session_;
}

Async<void> Connection::connect() {
  std::shared_ptr<Session> current;
  {
    const std::scoped_lock lock(mutex_);
    wanted_ = true;
    current = session();
  }
  return current->connected();
}

Async<void> Connection::close() {
  std::shared_ptr<Session> closing;
  {
    const std::scoped_lock lock(mutex_);
    wanted_ = false;
    closing = std::exchange(session_, nullptr);
    current_ = nullptr;
  }
  if (!closing || closing->ended()) return Async<void>::completed(std::monostate{});
  return internal::close(closing);
}

void Connection::shut_down() {
  std::shared_ptr<Session> ending;
  {
    const std::scoped_lock lock(mutex_);
    wanted_ = false;
    ending = std::exchange(session_, nullptr);
    current_ = nullptr;
  }
  if (ending) ending->end("CLOSED", "the connector was destroyed");
}

Scope Connection::scope() {
  const std::scoped_lock lock(mutex_);
  if (current_ && !current_->ended) return current_->scope;
  if (current_ || beginning_) {
    throw_error(transaction_error("TRANSACTION_PENDING",
                                  "the transaction is just being begun or ended: wait for that first",
                                  Outcome::kNotExecuted));
  }
  return {session(), {}};
}

Scope Connection::scope_outside() {
  const std::scoped_lock lock(mutex_);
  return {session(), {}};
}

Async<void> Connection::begin(const TransactionOptions& options) {
  AsyncPromise<void> promise;
  Async<void> begun = promise.async();
  std::shared_ptr<Session> on;
  try {
    const std::scoped_lock lock(mutex_);
    if (current_ || beginning_) {
      throw_error(transaction_error("TRANSACTION_ACTIVE",
                                    "a transaction is active: commit or roll back before the next begin",
                                    Outcome::kNotExecuted));
    }
    on = session();
    beginning_ = true;
  } catch (...) {
    return Async<void>::completed(std::current_exception());
  }
  internal::begin(std::move(on), options)
      .then([self = shared_from_this(), promise = std::move(promise)](Completion<Scope> scope) mutable {
        std::exception_ptr error = scope.error();
        {
          const std::scoped_lock lock(self->mutex_);
          self->beginning_ = false;
          if (!error && self->session_ == scope.value().session) {
            self->current_ = std::make_shared<OpenTransaction>(std::move(scope).value());
          } else if (!error) {  // Closed meanwhile.
            error = make_error(transaction_error(
                "TRANSACTION_LOST", "the connector was closed while the transaction began", Outcome::kRolledBack));
          }
        }
        promise.complete(error ? Completion<void>(error) : Completion<void>(std::monostate{}));
      });
  return begun;
}

Async<void> Connection::commit() { return end(internal::commit, "commit"); }

Async<void> Connection::rollback() { return end(internal::rollback, "rollback"); }

Async<void> Connection::end(Async<void> (*operation)(const std::shared_ptr<OpenTransaction>&), const char* name) {
  std::shared_ptr<OpenTransaction> ending;
  {
    const std::scoped_lock lock(mutex_);
    ending = current_;
  }
  if (!ending) {
    return Async<void>::completed(make_error(transaction_error(
        "NO_TRANSACTION", std::string(name) + " without begin: no transaction is active", Outcome::kNotExecuted)));
  }
  AsyncPromise<void> promise;
  Async<void> ended = promise.async();
  operation(ending).then(
      [self = shared_from_this(), ending, promise = std::move(promise)](Completion<void> completion) mutable {
        {
          const std::scoped_lock lock(self->mutex_);
          if (ending->ended && self->current_ == ending) self->current_ = nullptr;
        }
        promise.complete(std::move(completion));
      });
  return ended;
}

}  // namespace engine::db::internal

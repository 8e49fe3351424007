#include "client/cpp/src/connection.h"

#include <algorithm>
#include <exception>
#include <utility>
#include <variant>

#include "client/cpp/src/convert.h"
#include "client/cpp/src/recovery.h"
#include "client/cpp/src/transaction_operations.h"
#include "engine_db/reasons.h"
#include "engine_db/repeat.h"

namespace engine::db::internal {

Connection::Connection(const ConnectTarget& target, const GatewayOptions& gateway)
    : gateway_((require_valid(target), std::make_shared<Gateway>(gateway))) {
  write(target, request_);
  if (const auto* config = std::get_if<ConnectionConfig>(&target)) {
    connect_timeout_ = std::chrono::milliseconds(config->timeout_ms);
    retry_ = config->retry;
  }
}

std::shared_ptr<Session> Connection::session() {
  if (!wanted_) {
    ErrorInfo info;
    info.kind = ErrorKind::kConnection;
    info.outcome = Outcome::kNotExecuted;
    info.reason = reasons::kNotConnected;
    info.message = "the connector is not connected: call connect() first";
    throw_error(std::move(info));
  }
  if (session_ && !session_->ended() && !session_->draining()) return session_;
  std::erase_if(replaced_, [](const auto& session) { return session.expired(); });
  if (session_) replaced_.push_back(session_);
  session_ = open_session();
  return session_;
}

std::shared_ptr<Session> Connection::open_session() {
  unreachable_ = session_ && session_->was_unreachable() ? unreachable_ + 1 : 0;
  // The channel waits for a gateway that is not there. This is for one that is, and sends everyone away.
  const auto longest = unreachable_ == 0 ? std::chrono::milliseconds(0) : retry_.max_delay_before(unreachable_ + 1);
  return Session::open({.gateway = gateway_,
                        .target = request_,
                        .connect_timeout = connect_timeout_,
                        .max_attempts = retry_.max_attempts,
                        .pause = random_pause(longest),
                        .successor = [weak = weak_from_this()]() -> std::shared_ptr<Session> {
                          const auto self = weak.lock();
                          if (!self) return nullptr;
                          const absl::MutexLock lock(&self->mutex_);
                          return self->wanted_ ? self->session() : nullptr;
                        }});
}

Async<void> Connection::connect(const CallOptions& options) {
  std::shared_ptr<Session> current;
  {
    const absl::MutexLock lock(&mutex_);
    wanted_ = true;
    current = session();
  }
  return wait_for_connection(current, options);
}

Async<Outcome> Connection::transaction_outcome(std::string token, std::chrono::steady_clock::time_point deadline,
                                               std::stop_token stop) {
  const auto self = shared_from_this();
  for (int attempt = 1;; ++attempt) {
    ErrorInfo failure;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    try {
      std::shared_ptr<Session> on;
      {
        const absl::MutexLock lock(&mutex_);
        on = session();
      }
      co_return co_await ask_outcome(on, token,
                                     {.timeout = std::max(left, std::chrono::milliseconds(1)), .stop = stop});
    } catch (const DatabaseError& error) {
      failure = error.info();
    }
    const auto pause = std::max(random_pause(retry_.max_delay_before(attempt + 1)), failure.retry_after);
    if (!failure.retryable || stop.stop_requested() || std::chrono::steady_clock::now() + pause >= deadline) {
      throw_error(std::move(failure));
    }
    co_await after(pause);
  }
}

Async<Outcome> Connection::transaction_outcome(std::string token, const CallOptions& options) {
  const auto timeout = options.timeout.count() > 0 ? options.timeout : connect_timeout_;
  return transaction_outcome(std::move(token), std::chrono::steady_clock::now() + timeout, options.stop);
}

Async<void> Connection::close() {
  std::vector<Async<void>> closing;
  for (const auto& session : detach_sessions()) {
    if (!session->ended()) closing.push_back(internal::close(session));
  }
  for (Async<void>& each : closing) co_await each;
}

void Connection::shut_down() {
  for (const auto& session : detach_sessions()) session->end(reasons::kClosed, "the connector was destroyed");
}

std::vector<std::shared_ptr<Session>> Connection::detach_sessions() {
  std::vector<std::shared_ptr<Session>> sessions;
  const absl::MutexLock lock(&mutex_);
  wanted_ = false;
  ++closings_;
  current_ = nullptr;
  if (session_) replaced_.push_back(std::exchange(session_, nullptr));
  for (const auto& replaced : std::exchange(replaced_, {})) {
    if (auto session = replaced.lock()) sessions.push_back(std::move(session));
  }
  return sessions;
}

Scope Connection::scope() {
  const absl::MutexLock lock(&mutex_);
  if (current_ && !current_->ended) return current_->scope;
  if (current_ || beginning_) {
    throw_error(transaction_error(reasons::kTransactionPending,
                                  "the transaction is just being begun or ended: wait for that first",
                                  Outcome::kNotExecuted));
  }
  return {session(), {}, nullptr};
}

Scope Connection::scope_outside() {
  const absl::MutexLock lock(&mutex_);
  return {session(), {}, nullptr};
}

Async<void> Connection::begin(const TransactionOptions& options) {
  AsyncPromise<void> promise;
  Async<void> begun = promise.async();
  std::shared_ptr<Session> on;
  uint64_t closings = 0;
  try {
    const absl::MutexLock lock(&mutex_);
    if (current_ || beginning_) {
      throw_error(transaction_error(reasons::kTransactionActive,
                                    "a transaction is active: commit or roll back before the next begin",
                                    Outcome::kNotExecuted));
    }
    on = session();
    beginning_ = true;
    closings = closings_;
  } catch (...) {
    return Async<void>::completed(std::current_exception());
  }
  internal::begin(std::move(on), std::make_shared<Recovery>(weak_from_this(), options), options)
      .then([self = shared_from_this(), closings, promise = std::move(promise)](Completion<Scope> scope) mutable {
        std::exception_ptr error = scope.error();
        {
          const absl::MutexLock lock(&self->mutex_);
          self->beginning_ = false;
          if (!error && self->closings_ == closings) {
            self->current_ = std::make_shared<OpenTransaction>(std::move(scope).value());
          } else if (!error) {  // Closed meanwhile.
            error = make_error(transaction_error(reasons::kTransactionLost,
                                                 "the connector was closed while the transaction began",
                                                 Outcome::kRolledBack));
          }
        }
        promise.complete(error ? Completion<void>(error) : Completion<void>(std::monostate{}));
      });
  return begun;
}

Async<Scope> Connection::begin_apart(const TransactionOptions& options) {
  return internal::begin(scope_outside().session, std::make_shared<Recovery>(weak_from_this(), options), options);
}

Async<void> Connection::commit() { return end(internal::commit, "commit"); }

Async<void> Connection::rollback() { return end(internal::rollback, "rollback"); }

Async<void> Connection::end(Async<void> (*operation)(const std::shared_ptr<OpenTransaction>&), const char* name) {
  std::shared_ptr<OpenTransaction> ending;
  {
    const absl::MutexLock lock(&mutex_);
    ending = current_;
  }
  if (!ending) {
    return Async<void>::completed(make_error(
        transaction_error(reasons::kNoTransaction, std::string(name) + " without begin: no transaction is active",
                          Outcome::kNotExecuted)));
  }
  AsyncPromise<void> promise;
  Async<void> ended = promise.async();
  operation(ending).then(
      [self = shared_from_this(), ending, promise = std::move(promise)](Completion<void> completion) mutable {
        {
          const absl::MutexLock lock(&self->mutex_);
          if (ending->ended && self->current_ == ending) self->current_ = nullptr;
        }
        promise.complete(std::move(completion));
      });
  return ended;
}

}  // namespace engine::db::internal

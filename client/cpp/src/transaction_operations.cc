#include "client/cpp/src/transaction_operations.h"

#include <atomic>
#include <chrono>
#include <string>
#include <utility>

#include "client/cpp/src/connection.h"
#include "client/cpp/src/convert.h"
#include "client/cpp/src/operation_call.h"
#include "engine_db/reasons.h"

namespace engine::db::internal {
namespace {

using Clock = std::chrono::steady_clock;

// Whether a commit that failed so has left the transaction open, or in the dark where a repeated commit brings light.
bool may_be_open(const ErrorInfo& info) {
  if (info.reason == reasons::kStreamOpen) return true;
  return info.kind != ErrorKind::kTransaction &&
         (info.outcome == Outcome::kUnknown || info.outcome == Outcome::kNotExecuted);
}

// A repeated commit that was not executed: the one before it may be done all the same, or under way.
ErrorInfo still_in_doubt(ErrorInfo info) {
  info.outcome = Outcome::kUnknown;
  info.phase = Phase::kCommitting;
  info.retryable = false;
  return info;
}

Async<void> send_commit(const Scope& scope) {
  ScratchCall message;
  message->mutable_commit()->set_transaction_id(scope.transaction_id);
  auto call = make_call<void>([](v1::SessionReply& reply) { require_answer(reply.has_commit(), "Commit"); });
  call->phase = Phase::kCommitting;
  call->outcome_if_lost = Outcome::kUnknown;
  Async<void> async = call->async();
  scope.session->submit(call, *message);
  return async;
}

Async<void> send_rollback(const Scope& scope) {
  ScratchCall message;
  message->mutable_rollback()->set_transaction_id(scope.transaction_id);
  auto call = make_call<void>([](v1::SessionReply& reply) { require_answer(reply.has_rollback(), "Rollback"); });
  call->outcome_if_lost = Outcome::kRolledBack;
  Async<void> async = call->async();
  scope.session->submit(call, *message);
  return async;
}

void mark_ended(OpenTransaction& transaction) {
  if (!transaction.ended.exchange(true)) return;
  throw_error(transaction_error(reasons::kNoTransaction, "the transaction has ended already", Outcome::kUnspecified));
}

// What became of a transaction whose session ended after COMMIT had been asked for. Fails when that isn't told by
// `deadline`.
Async<Outcome> find_out(std::shared_ptr<OpenTransaction> transaction, Clock::time_point deadline) {
  const Recovery& recovery = *transaction->scope.recovery;
  const std::string token = recovery.token();
  if (token.empty()) {
    co_return recovery.wrote_nothing(*transaction->scope.session) ? Outcome::kRolledBack : Outcome::kUnknown;
  }
  const std::shared_ptr<Connection> connection = recovery.connection();
  if (!connection) co_return Outcome::kUnknown;
  co_return co_await connection->transaction_outcome(token, deadline, {});
}

// A commit whose answer was lost as `loss` says. The transaction stays current where a repeated commit may find out
// more.
Async<void> find_out_commit(std::shared_ptr<OpenTransaction> transaction, ErrorInfo loss, Clock::time_point deadline) {
  Outcome outcome = Outcome::kUnknown;
  try {
    outcome = co_await find_out(transaction, deadline);
  } catch (const DatabaseError&) {
    transaction->ended = false;
    throw_error(std::move(loss));
  }
  if (outcome == Outcome::kCommitted) co_return;
  if (outcome == Outcome::kRolledBack) throw_error(transaction_lost());
  throw_error(transaction->scope.recovery->token().empty() ? std::move(loss) : commit_in_doubt(Outcome::kUnknown));
}

Async<void> commit_marked(std::shared_ptr<OpenTransaction> transaction) {
  const Scope& scope = transaction->scope;
  std::atomic<bool>& commit_sent = scope.recovery->commit_sent;
  const auto deadline = Clock::now() + scope.session->default_timeout();
  ErrorInfo loss = commit_in_doubt(Outcome::kUnknown);
  if (scope.session->ended()) {
    if (!commit_sent) throw_error(transaction_lost());
  } else {
    const bool first = !commit_sent.exchange(true);
    try {
      co_await send_commit(scope);
      co_return;
    } catch (const DatabaseError& error) {
      loss = error.info();
    }
    if (loss.outcome == Outcome::kNotExecuted && first) commit_sent = false;
    if (loss.outcome == Outcome::kNotExecuted && !first) loss = still_in_doubt(std::move(loss));
    // Never sent, and the end of the session was the transaction's too.
    if (!commit_sent && scope.session->ended()) throw_error(transaction_lost());
    const bool lost =
        loss.outcome == Outcome::kUnknown && (scope.session->ended() || loss.reason == reasons::kDraining);
    if (!lost) {
      transaction->ended = !may_be_open(loss);
      throw_error(std::move(loss));
    }
  }
  co_await find_out_commit(transaction, std::move(loss), deadline);
}

Async<void> rollback_marked(std::shared_ptr<OpenTransaction> transaction) {
  const Scope& scope = transaction->scope;
  const bool may_be_committed = scope.recovery->commit_sent;
  const auto deadline = Clock::now() + scope.session->default_timeout();
  if (!scope.session->ended()) {
    try {
      co_await send_rollback(scope);
      co_return;
    } catch (const DatabaseError& error) {
      if (!scope.session->ended()) {
        const bool gone = error.kind() == ErrorKind::kTransaction;
        if (gone && (error.outcome() == Outcome::kRolledBack || !may_be_committed)) co_return;
        throw;
      }
    }
  }
  if (!may_be_committed) co_return;  // It ended with its session.
  Outcome outcome = Outcome::kUnknown;
  try {
    outcome = co_await find_out(transaction, deadline);
  } catch (const DatabaseError&) {
    throw_error(commit_in_doubt(Outcome::kUnknown));
  }
  if (outcome == Outcome::kRolledBack) co_return;
  if (outcome != Outcome::kCommitted) throw_error(commit_in_doubt(Outcome::kUnknown));
  throw_error(transaction_error(reasons::kTransactionCommitted,
                                "the transaction is committed: there is nothing to roll back", Outcome::kCommitted));
}

// One of the methods that take a savepoint's name: how its request is set, and its answer seen and read.
template <typename Request, typename Response>
Async<void> about_savepoint(const Scope& scope, std::string_view name, Request* (v1::SessionCall::*request)(),
                            bool (v1::SessionReply::*has_answer)() const, Response* (v1::SessionReply::*answer)(),
                            const char* method) {
  return as_async<void>([&] {
    require_open(scope);
    require_text(name, "name");
    ScratchCall message;
    Request& filled = *((*message).*request)();
    filled.set_transaction_id(scope.transaction_id);
    filled.set_name(name.data(), name.size());
    auto call = make_call<void>(
        [record = ReplyRecorder(scope), has_answer, answer, method](v1::SessionReply& reply, Session& session) {
          require_answer((reply.*has_answer)(), method);
          record(*(reply.*answer)(), session);
        });
    call->outcome_if_lost = Outcome::kRolledBack;
    Async<void> async = call->async();
    scope.session->submit(call, *message);
    return async;
  });
}

}  // namespace

ErrorInfo transaction_error(std::string_view reason, std::string_view message, Outcome outcome) {
  ErrorInfo info;
  info.kind = ErrorKind::kTransaction;
  info.outcome = outcome;
  info.reason = reason;
  info.message = message;
  return info;
}

ErrorInfo transaction_lost() {
  ErrorInfo info =
      transaction_error(reasons::kTransactionLost,
                        "the link to the gateway broke, which rolled the transaction back: roll back and run it again",
                        Outcome::kRolledBack);
  info.retryable = true;
  return info;
}

ErrorInfo commit_in_doubt(Outcome outcome) {
  return transaction_error(
      reasons::kCommitInDoubt,
      "COMMIT was sent, and its answer was lost: whether the transaction is committed is not known", outcome);
}

void require_open(const Scope& scope) {
  if (scope.transaction_id.empty() || !scope.session->ended()) return;
  if (scope.recovery->commit_sent) throw_error(commit_in_doubt(Outcome::kNotExecuted));
  throw_error(transaction_lost());
}

Async<Scope> begin(std::shared_ptr<Session> session, std::shared_ptr<Recovery> recovery,
                   const TransactionOptions& options) {
  return as_async<Scope>([&] {
    ScratchCall message;
    write(options, *message->mutable_begin()->mutable_options());
    message->mutable_begin()->set_timeout_ms(checked_timeout_ms({.timeout = options.timeout}));
    auto call = make_call<Scope>([recovery = std::move(recovery)](v1::SessionReply& reply, Session& on) {
      require_answer(reply.has_begin() && !reply.begin().transaction_id().empty(), "Begin");
      return Scope{on.shared_from_this(), std::move(*reply.mutable_begin()->mutable_transaction_id()), recovery};
    });
    call->timeout = options.timeout;
    call->stop = options.stop;
    // One that began on a session that was lost has ended with it.
    call->outcome_if_lost = Outcome::kRolledBack;
    call->if_lost = IfLost::kRepeat;
    call->max_attempts = session->max_attempts();
    Async<Scope> async = call->async();
    session->submit(call, *message);
    return async;
  });
}

Async<void> commit(const std::shared_ptr<OpenTransaction>& transaction) {
  return as_async<void>([&] {
    mark_ended(*transaction);
    return commit_marked(transaction);
  });
}

Async<void> rollback(const std::shared_ptr<OpenTransaction>& transaction) {
  return as_async<void>([&] {
    mark_ended(*transaction);
    return rollback_marked(transaction);
  });
}

Async<void> savepoint(const Scope& scope, std::string_view name) {
  return about_savepoint(scope, name, &v1::SessionCall::mutable_savepoint, &v1::SessionReply::has_savepoint,
                         &v1::SessionReply::mutable_savepoint, "Savepoint");
}

Async<void> rollback_to(const Scope& scope, std::string_view name) {
  return about_savepoint(scope, name, &v1::SessionCall::mutable_rollback_to_savepoint,
                         &v1::SessionReply::has_rollback_to_savepoint, &v1::SessionReply::mutable_rollback_to_savepoint,
                         "RollbackToSavepoint");
}

Async<void> release_savepoint(const Scope& scope, std::string_view name) {
  return about_savepoint(scope, name, &v1::SessionCall::mutable_release_savepoint,
                         &v1::SessionReply::has_release_savepoint, &v1::SessionReply::mutable_release_savepoint,
                         "ReleaseSavepoint");
}

}  // namespace engine::db::internal

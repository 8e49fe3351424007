#include "client/cpp/src/operations.h"

#include <google/protobuf/arena.h>

#include <chrono>
#include <climits>
#include <cstdint>
#include <exception>
#include <stdexcept>
#include <utility>

#include "client/cpp/src/connection.h"
#include "client/cpp/src/convert.h"
#include "client/cpp/src/recovery.h"

namespace engine::db::internal {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kCloseTimeout{5000};

// A message that is gone as soon as it is serialized: on an arena whose first block is on the stack, most need no heap.
class ScratchCall {
 public:
  v1::SessionCall& operator*() { return *message_; }
  v1::SessionCall* operator->() { return message_; }

 private:
  static google::protobuf::ArenaOptions options(char* block, size_t size) {
    google::protobuf::ArenaOptions options;
    options.initial_block = block;
    options.initial_block_size = size;
    return options;
  }

  alignas(16) char block_[2048];
  google::protobuf::Arena arena_{options(block_, sizeof(block_))};
  v1::SessionCall* message_ = google::protobuf::Arena::CreateMessage<v1::SessionCall>(&arena_);
};

// Makes the call that completes with what `convert` makes of its reply.
template <typename T, typename Convert>
auto make_call(Convert convert) {
  return std::make_shared<ReplyCall<T, Convert>>(std::move(convert));
}

// Runs `send`, which returns an Async<T>; what it throws becomes the Async's error.
template <typename T, typename Send>
Async<T> as_async(Send send) {
  try {
    return send();
  } catch (...) {
    return Async<T>::completed(std::current_exception());
  }
}

void require_answer(bool right, const char* method) {
  if (!right) throw std::invalid_argument(std::string("no answer to ") + method);
}

void require_open(const Scope& scope) {
  if (scope.transaction_id.empty() || !scope.session->ended()) return;
  if (scope.recovery->commit_sent) throw_error(commit_in_doubt(Outcome::kNotExecuted));
  throw_error(transaction_lost());
}

// Tells the transaction, if there is one, that a statement goes out, and then what its reply says.
class Heard {
 public:
  explicit Heard(const Scope& scope)
      : recovery_(scope.recovery), number_(recovery_ == nullptr ? 0 : recovery_->sending()) {}
  // `response` has a TransactionStatus.
  template <typename Response>
  void operator()(Response& response, Session& session) const {
    if (recovery_ != nullptr) recovery_->replied(number_, *response.mutable_transaction(), session);
  }

 private:
  std::shared_ptr<Recovery> recovery_;
  uint64_t number_;
};

void require_sql(std::string_view sql) { require_text(sql, "sql"); }

// What a lost stream leaves of a statement.
Outcome outcome_if_lost(const Scope& scope) {
  return scope.transaction_id.empty() ? Outcome::kUnknown : Outcome::kRolledBack;
}

void set_up(Call& call, const Scope& scope, const CallOptions& options) {
  call.timeout = options.timeout;
  call.stop = options.stop;
  call.outcome_if_lost = outcome_if_lost(scope);
  if (!scope.transaction_id.empty()) return;
  call.if_lost = options.idempotent ? IfLost::kRepeat : IfLost::kRepeatUnsent;
  call.max_attempts = options.retry ? options.retry->max_attempts : scope.session->max_attempts();
}

template <typename Request>
void apply(const CallOptions& options, Request& request) {
  request.set_timeout_ms(checked_timeout_ms(options));
  if (!options.retry) return;
  auto faults = options.retry->validate();
  for (ConfigFault& fault : faults) fault.field = "retry." + fault.field;
  if (!faults.empty()) throw ConfigurationError(std::move(faults));
  write_retry(*options.retry, *request.mutable_retry());
}

// What Execute and ExecuteStream have in common.
template <typename Request>
void fill(Request& request, const Scope& scope, std::string_view sql, const Parameters& parameters,
          const CallOptions& options) {
  require_sql(sql);
  request.set_sql(sql.data(), sql.size());
  write(parameters, "parameters", *request.mutable_parameters());
  if (!scope.transaction_id.empty()) request.set_transaction_id(scope.transaction_id);
  request.set_result_format(v1::RESULT_FORMAT_COLUMNS);
  apply(options, request);
}

// Whether a commit that failed so has left the transaction open, or in the dark where a repeated commit brings light.
bool may_be_open(const ErrorInfo& info) {
  if (info.reason == "STREAM_OPEN") return true;
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
  throw_error(transaction_error("NO_TRANSACTION", "the transaction has ended already", Outcome::kUnspecified));
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
    const bool lost = loss.outcome == Outcome::kUnknown && (scope.session->ended() || loss.reason == "DRAINING");
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
  throw_error(transaction_error("TRANSACTION_COMMITTED", "the transaction is committed: there is nothing to roll back",
                                Outcome::kCommitted));
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
    auto call =
        make_call<void>([heard = Heard(scope), has_answer, answer, method](v1::SessionReply& reply, Session& session) {
          require_answer((reply.*has_answer)(), method);
          heard(*(reply.*answer)(), session);
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
      transaction_error("TRANSACTION_LOST",
                        "the link to the gateway broke, which rolled the transaction back: roll back and run it again",
                        Outcome::kRolledBack);
  info.retryable = true;
  return info;
}

ErrorInfo commit_in_doubt(Outcome outcome) {
  return transaction_error(
      "COMMIT_IN_DOUBT", "COMMIT was sent, and its answer was lost: whether the transaction is committed is not known",
      outcome);
}

Async<Result> execute(const Scope& scope, std::string_view sql, const Parameters& parameters,
                      const CallOptions& options) {
  return as_async<Result>([&] {
    require_open(scope);
    ScratchCall message;
    fill(*message->mutable_execute(), scope, sql, parameters, options);
    message->mutable_execute()->set_exactly_once(options.exactly_once);
    auto call = make_call<Result>([heard = Heard(scope)](v1::SessionReply& reply, Session& session) {
      require_answer(reply.has_execute(), "Execute");
      heard(*reply.mutable_execute(), session);
      return read_result(*reply.mutable_execute());
    });
    set_up(*call, scope, options);
    Async<Result> async = call->async();
    scope.session->submit(call, *message);
    return async;
  });
}

Async<BatchResults> execute_batch(const Scope& scope, const Batch& batch, const BatchOptions& options) {
  return as_async<BatchResults>([&] {
    require_open(scope);
    ScratchCall message;
    v1::ExecuteBatchRequest& request = *message->mutable_execute_batch();
    for (size_t i = 0; i < batch.size(); ++i) {
      const std::string path = "statements[" + std::to_string(i) + "]";
      require_text(batch[i].sql, path + ".sql");
      v1::BatchStatement& statement = *request.add_statements();
      statement.set_sql(batch[i].sql);
      for (size_t j = 0; j < batch[i].parameter_lists.size(); ++j) {
        write(batch[i].parameter_lists[j], path + ".parameter_lists[" + std::to_string(j) + "].parameters",
              *statement.add_parameter_lists()->mutable_parameters());
      }
    }
    if (!scope.transaction_id.empty()) request.set_transaction_id(scope.transaction_id);
    request.set_atomic(options.atomic);
    request.set_result_format(v1::RESULT_FORMAT_COLUMNS);
    request.set_exactly_once(options.call.exactly_once);
    apply(options.call, request);
    auto call = make_call<BatchResults>([heard = Heard(scope)](v1::SessionReply& reply, Session& session) {
      require_answer(reply.has_execute_batch(), "ExecuteBatch");
      heard(*reply.mutable_execute_batch(), session);
      return read_batch_results(*reply.mutable_execute_batch());
    });
    set_up(*call, scope, options.call);
    Async<BatchResults> async = call->async();
    scope.session->submit(call, *message);
    return async;
  });
}

std::shared_ptr<StreamCall> execute_stream(const Scope& scope, std::string_view sql, const Parameters& parameters,
                                           const CallOptions& options) {
  try {
    require_open(scope);
    if (options.exactly_once) {
      ErrorInfo info;
      info.kind = ErrorKind::kInvalidRequest;
      info.outcome = Outcome::kNotExecuted;
      info.phase = Phase::kValidating;
      info.reason = "EXACTLY_ONCE_STREAM";
      info.field = "exactly_once";
      info.message = "exactly_once: is not for streams; use execute()";
      throw_error(std::move(info));
    }
    ScratchCall message;
    fill(*message->mutable_execute_stream(), scope, sql, parameters, options);
    auto call = std::make_shared<StreamCall>(scope);
    set_up(*call, scope, options);
    call->if_lost = IfLost::kFail;  // Its reader holds on to this one.
    call->phase = Phase::kStreaming;
    scope.session->submit(call, *message);
    return call;
  } catch (const DatabaseError& error) {
    return failed_stream(error.info());
  }
}

std::shared_ptr<StreamCall> failed_stream(ErrorInfo info) {
  auto call = std::make_shared<StreamCall>(Scope{});
  call->fail(std::move(info));
  return call;
}

Async<StatementDescription> describe(const Scope& scope, std::string_view sql, const CallOptions& options) {
  return as_async<StatementDescription>([&] {
    require_open(scope);
    require_sql(sql);
    ScratchCall message;
    v1::DescribeRequest& request = *message->mutable_describe();
    request.set_sql(sql.data(), sql.size());
    request.set_transaction_id(scope.transaction_id);
    request.set_timeout_ms(checked_timeout_ms(options));
    auto call = make_call<StatementDescription>([](v1::SessionReply& reply) {
      require_answer(reply.has_describe(), "Describe");
      v1::DescribeResponse& response = *reply.mutable_describe();
      StatementDescription description;
      description.columns = read_columns(*response.mutable_columns());
      description.parameter_type_names = {response.parameter_type_names().begin(),
                                          response.parameter_type_names().end()};
      description.bound_sql = std::move(*response.mutable_bound_sql());
      return description;
    });
    set_up(*call, scope, options);
    call->outcome_if_lost = Outcome::kUnspecified;
    if (scope.transaction_id.empty()) call->if_lost = IfLost::kRepeat;
    Async<StatementDescription> async = call->async();
    scope.session->submit(call, *message);
    return async;
  });
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

Async<Outcome> ask_outcome(const std::shared_ptr<Session>& session, std::string_view token,
                           const CallOptions& options) {
  return as_async<Outcome>([&] {
    require_text(token, "recovery_token");
    ScratchCall message;
    v1::GetTransactionOutcomeRequest& request = *message->mutable_get_transaction_outcome();
    request.set_recovery_token(token.data(), token.size());
    request.set_timeout_ms(checked_timeout_ms(options));
    auto call = make_call<Outcome>([](v1::SessionReply& reply) {
      require_answer(reply.has_get_transaction_outcome(), "GetTransactionOutcome");
      return read_outcome(reply.get_transaction_outcome().outcome());
    });
    call->timeout = options.timeout;
    call->stop = options.stop;
    call->if_lost = IfLost::kRepeat;
    call->max_attempts = INT_MAX;  // A question may be asked as often as there is time.
    Async<Outcome> async = call->async();
    session->submit(call, *message);
    return async;
  });
}

Async<void> wait_for_connection(const std::shared_ptr<Session>& session, const CallOptions& options) {
  auto call = make_call<void>([](const v1::SessionReply& /*nothing*/) {});
  call->timeout = options.timeout;
  call->stop = options.stop;
  call->phase = Phase::kConnecting;
  call->if_lost = IfLost::kRepeat;
  Async<void> async = call->async();
  v1::SessionCall nothing;
  session->submit(call, nothing);
  return async;
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

Async<void> close(const std::shared_ptr<Session>& session) {
  AsyncPromise<void> promise;
  Async<void> closed = promise.async();
  auto call = make_call<void>([](v1::SessionReply& reply) { require_answer(reply.has_close(), "Close"); });
  call->timeout = kCloseTimeout;
  // Whatever the answer is: the handle ends with the session.
  call->async().then([session, promise = std::move(promise)](const Completion<void>& /*answer*/) mutable {
    session->end("CLOSED", "the connector was closed");
    promise.complete(std::monostate{});
  });
  v1::SessionCall message;
  message.mutable_close();
  session->submit(call, message);
  return closed;
}

}  // namespace engine::db::internal

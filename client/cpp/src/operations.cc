#include "client/cpp/src/operations.h"

#include <google/protobuf/arena.h>

#include <chrono>
#include <exception>
#include <stdexcept>
#include <utility>

#include "client/cpp/src/convert.h"

namespace engine::db::internal {
namespace {

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
  if (!scope.transaction_id.empty() && scope.session->ended()) {
    throw_error(transaction_error(
        "TRANSACTION_LOST",
        "the link to the gateway broke, which rolled the transaction back: roll back and run it again",
        Outcome::kRolledBack));
  }
}

void require_sql(std::string_view sql) { require_text(sql, "sql"); }

// What a lost stream leaves of a statement.
Outcome outcome_if_lost(const Scope& scope) {
  return scope.transaction_id.empty() ? Outcome::kUnknown : Outcome::kRolledBack;
}

void set_up(Call& call, const CallOptions& options) {
  call.timeout = options.timeout;
  call.stop = options.stop;
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
bool may_be_open(const ErrorInfo& info, const Session& session) {
  if (session.ended()) return false;
  if (info.outcome == Outcome::kUnknown) return info.kind == ErrorKind::kTimeout;
  return info.outcome == Outcome::kNotExecuted && info.kind != ErrorKind::kTransaction;
}

// A commit or rollback: its outcome decides whether the transaction has ended.
class EndCall final : public Call {
 public:
  EndCall(std::shared_ptr<OpenTransaction> transaction, bool commit)
      : transaction_(std::move(transaction)), commit_(commit) {
    phase = commit ? Phase::kCommitting : Phase::kExecuting;
    outcome_if_lost = commit ? Outcome::kUnknown : Outcome::kRolledBack;
  }

  [[nodiscard]] Async<void> async() { return promise_.async(); }

  void reply(v1::SessionReply& reply) override {
    require_answer(commit_ ? reply.has_commit() : reply.has_rollback(), commit_ ? "Commit" : "Rollback");
    promise_.complete(std::monostate{});
  }

  void fail(ErrorInfo info) override {
    const Session& session = *transaction_->scope.session;
    if (!commit_) {
      const bool gone =
          session.ended() || (info.kind == ErrorKind::kTransaction && info.outcome != Outcome::kCommitted);
      if (gone) return promise_.complete(std::monostate{});
    } else if (may_be_open(info, session)) {
      transaction_->ended = false;
    }
    promise_.complete(make_error(std::move(info)));
  }

 private:
  AsyncPromise<void> promise_;
  const std::shared_ptr<OpenTransaction> transaction_;
  const bool commit_;
};

Async<void> end(const std::shared_ptr<OpenTransaction>& transaction, bool commit) {
  return as_async<void>([&] {
    if (transaction->ended.exchange(true)) {
      throw_error(transaction_error("NO_TRANSACTION", "the transaction has ended already", Outcome::kUnspecified));
    }
    const Scope& scope = transaction->scope;
    if (!commit && scope.session->ended()) return Async<void>::completed(std::monostate{});
    require_open(scope);
    ScratchCall message;
    if (commit) {
      message->mutable_commit()->set_transaction_id(scope.transaction_id);
    } else {
      message->mutable_rollback()->set_transaction_id(scope.transaction_id);
    }
    auto call = std::make_shared<EndCall>(transaction, commit);
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

Async<Result> execute(const Scope& scope, std::string_view sql, const Parameters& parameters,
                      const CallOptions& options) {
  return as_async<Result>([&] {
    require_open(scope);
    ScratchCall message;
    fill(*message->mutable_execute(), scope, sql, parameters, options);
    auto call = make_call<Result>([](v1::SessionReply& reply) {
      require_answer(reply.has_execute(), "Execute");
      return read_result(*reply.mutable_execute());
    });
    set_up(*call, options);
    call->outcome_if_lost = outcome_if_lost(scope);
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
    apply(options.call, request);
    auto call = make_call<BatchResults>([](v1::SessionReply& reply) {
      require_answer(reply.has_execute_batch(), "ExecuteBatch");
      return read_batch_results(*reply.mutable_execute_batch());
    });
    set_up(*call, options.call);
    call->outcome_if_lost = outcome_if_lost(scope);
    Async<BatchResults> async = call->async();
    scope.session->submit(call, *message);
    return async;
  });
}

std::shared_ptr<StreamCall> execute_stream(const Scope& scope, std::string_view sql, const Parameters& parameters,
                                           const CallOptions& options) {
  try {
    require_open(scope);
    ScratchCall message;
    fill(*message->mutable_execute_stream(), scope, sql, parameters, options);
    auto call = std::make_shared<StreamCall>(scope.session);
    set_up(*call, options);
    call->phase = Phase::kStreaming;
    call->outcome_if_lost = outcome_if_lost(scope);
    scope.session->submit(call, *message);
    return call;
  } catch (const DatabaseError& error) {
    return failed_stream(error.info());
  }
}

std::shared_ptr<StreamCall> failed_stream(ErrorInfo info) {
  auto call = std::make_shared<StreamCall>(nullptr);
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
    set_up(*call, options);
    Async<StatementDescription> async = call->async();
    scope.session->submit(call, *message);
    return async;
  });
}

Async<Scope> begin(std::shared_ptr<Session> session, const TransactionOptions& options) {
  return as_async<Scope>([&] {
    ScratchCall message;
    write(options, *message->mutable_begin()->mutable_options());
    Session& to = *session;
    auto call = make_call<Scope>([session = std::move(session)](v1::SessionReply& reply) {
      require_answer(reply.has_begin() && !reply.begin().transaction_id().empty(), "Begin");
      return Scope{session, std::move(*reply.mutable_begin()->mutable_transaction_id())};
    });
    call->outcome_if_lost = Outcome::kRolledBack;
    Async<Scope> async = call->async();
    to.submit(call, *message);
    return async;
  });
}

Async<void> commit(const std::shared_ptr<OpenTransaction>& transaction) { return end(transaction, true); }

Async<void> rollback(const std::shared_ptr<OpenTransaction>& transaction) { return end(transaction, false); }

Async<void> savepoint(const Scope& scope, std::string_view name) {
  return as_async<void>([&] {
    require_open(scope);
    require_text(name, "name");
    ScratchCall message;
    message->mutable_savepoint()->set_transaction_id(scope.transaction_id);
    message->mutable_savepoint()->set_name(name.data(), name.size());
    auto call = make_call<void>([](v1::SessionReply& reply) { require_answer(reply.has_savepoint(), "Savepoint"); });
    call->outcome_if_lost = Outcome::kRolledBack;
    Async<void> async = call->async();
    scope.session->submit(call, *message);
    return async;
  });
}

Async<void> rollback_to(const Scope& scope, std::string_view name) {
  return as_async<void>([&] {
    require_open(scope);
    require_text(name, "name");
    ScratchCall message;
    message->mutable_rollback_to_savepoint()->set_transaction_id(scope.transaction_id);
    message->mutable_rollback_to_savepoint()->set_name(name.data(), name.size());
    auto call = make_call<void>(
        [](v1::SessionReply& reply) { require_answer(reply.has_rollback_to_savepoint(), "RollbackToSavepoint"); });
    call->outcome_if_lost = Outcome::kRolledBack;
    Async<void> async = call->async();
    scope.session->submit(call, *message);
    return async;
  });
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

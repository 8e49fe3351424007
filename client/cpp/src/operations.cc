#include "client/cpp/src/operations.h"

#include <chrono>
#include <climits>
#include <cstdint>
#include <utility>

#include "client/cpp/src/convert.h"
#include "client/cpp/src/operation_call.h"
#include "client/cpp/src/transaction_operations.h"
#include "engine_db/reasons.h"

namespace engine::db::internal {
namespace {

constexpr std::chrono::milliseconds kCloseTimeout{5000};

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

}  // namespace

Async<Result> execute(const Scope& scope, std::string_view sql, const Parameters& parameters,
                      const CallOptions& options) {
  return as_async<Result>([&] {
    require_open(scope);
    ScratchCall message;
    fill(*message->mutable_execute(), scope, sql, parameters, options);
    message->mutable_execute()->set_exactly_once(options.exactly_once);
    auto call = make_call<Result>([record = ReplyRecorder(scope)](v1::SessionReply& reply, Session& session) {
      require_answer(reply.has_execute(), "Execute");
      record(*reply.mutable_execute(), session);
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
    auto call = make_call<BatchResults>([record = ReplyRecorder(scope)](v1::SessionReply& reply, Session& session) {
      require_answer(reply.has_execute_batch(), "ExecuteBatch");
      record(*reply.mutable_execute_batch(), session);
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
      info.reason = reasons::kExactlyOnceStream;
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

Async<void> close(const std::shared_ptr<Session>& session) {
  AsyncPromise<void> promise;
  Async<void> closed = promise.async();
  auto call = make_call<void>([](v1::SessionReply& reply) { require_answer(reply.has_close(), "Close"); });
  call->timeout = kCloseTimeout;
  // Whatever the answer is: the handle ends with the session.
  call->async().then([session, promise = std::move(promise)](const Completion<void>& /*answer*/) mutable {
    session->end(reasons::kClosed, "the connector was closed");
    promise.complete(std::monostate{});
  });
  v1::SessionCall message;
  message.mutable_close();
  session->submit(call, message);
  return closed;
}

}  // namespace engine::db::internal

#include "server/gateway/gateway.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/error.h"
#include "server/call/call.h"
#include "server/call/errors.h"
#include "server/call/statement_error.h"
#include "server/call/target.h"
#include "server/call/verdict.h"
#include "server/gateway/idempotency.h"
#include "server/loop/clock.h"
#include "server/observe/log.h"
#include "server/postgres/command_text.h"
#include "server/postgres/results.h"

namespace engine::db::gateway {
namespace {

using observe::Method;

// Of a kind, at most: as many as there are targets in trouble at the same time.
constexpr size_t kMaxBlockingThreads = 64;
constexpr uint32_t kDefaultBatchRows = 2'000;
constexpr uint32_t kMaxBatchRows = 100'000;
constexpr int kMaxBatchRuns = 10'000;
constexpr size_t kMaxTokensAskedFor = 1'000;

// The earliest of the call's deadline and its timeout_ms; the connection's timeout where neither is given.
absl::Time DeadlineOf(absl::Time now, const Caller& caller, uint32_t timeout_ms, absl::Duration connection_timeout) {
  if (timeout_ms > 0) return std::min(caller.deadline, now + absl::Milliseconds(timeout_ms));
  if (caller.deadline != absl::InfiniteFuture()) return caller.deadline;
  return now + connection_timeout;
}

postgres::ResultLimits LimitsOf(const config::Limits& limits) {
  return {.rows = static_cast<uint32_t>(limits.result_rows), .bytes = static_cast<size_t>(limits.result_bytes)};
}

absl::Status BindRun(const google::protobuf::RepeatedPtrField<v1::Value>& parameters, call::Run& run) {
  absl::StatusOr<sql::BoundStatement> bound = sql::Bind(run.bound.statement, parameters);
  if (!bound.ok()) return bound.status();
  run.bound = *std::move(bound);
  return absl::OkStatus();
}

// Makes a transaction of a write in autocommit, of which the caller will know whether it is committed.
absl::Status MakeExactlyOnce(call::Work& work) {
  if (work.begin.has_value() || !work.transaction_id.empty()) {
    return InvalidRequest("exactly_once", "EXACTLY_ONCE_IN_TRANSACTION",
                          "exactly_once is for autocommit: a transaction's Commit always knows as much");
  }
  work.begin.emplace();
  work.ending = call::Ending::kCommit;
  work.exactly_once = true;
  return absl::OkStatus();
}

// `what` is all that tells the call from another one; the response must live as long as the call.
template <typename Response>
IdempotentCall IdempotentBy(const std::string& key, std::string_view what, Response& response) {
  IdempotentCall call;
  call.key = key;
  call.digest = DigestOf(what);
  call.response = [&response] { return response.SerializeAsString(); };
  call.answered_before = [&response](const std::string& kept) {
    response.ParseFromString(kept);
    response.set_answered_before(true);
  };
  return call;
}

absl::Status CheckMarks(const call::Target& target, const call::Work& work) {
  if (!work.exactly_once || target.server().HasMarks()) return absl::OkStatus();
  return MakeError(absl::StatusCode::kUnimplemented, v1::ERROR_KIND_INVALID_REQUEST, "EXACTLY_ONCE_UNAVAILABLE",
                   "exactly_once needs PostgreSQL 13 or later, and a role that may call pg_control_system()");
}

// Receives a statement's result into `response`, which it empties first: an attempt may follow another.
auto CollectInto(const config::Limits& limits, v1::ResultFormat format, v1::ExecuteResponse& response) {
  return [limits = LimitsOf(limits), format, &response](
             call::Attempt& attempt, postgres::EndCallback end) -> std::unique_ptr<postgres::ResultReceiver> {
    response.clear_columns();
    response.clear_rows();
    response.clear_column_batch();
    return std::make_unique<postgres::CollectedResult>(
        format, limits, attempt.Types(), response, [&attempt] { attempt.OnOverflow(); }, std::move(end));
  };
}

}  // namespace

Gateway::Gateway(const config::GatewaySettings& settings, observe::Metrics& metrics)
    : settings_(settings),
      metrics_(metrics),
      started_(clock_.Now()),
      executor_("blocking", kMaxBlockingThreads),
      server_query_executor_("server-queries", kMaxBlockingThreads),
      context_{settings_, metrics_, handles_, executor_, server_query_executor_},
      connections_(handles_, static_cast<size_t>(settings.limits.connections),
                   static_cast<size_t>(settings.limits.pools), static_cast<size_t>(settings.event_loops)) {
  for (size_t i = 0; i < static_cast<size_t>(settings_.event_loops); ++i) {
    loops_.push_back(std::make_unique<loop::LoopThread>(absl::StrCat("loop-", i), clock_));
    shards_.push_back(std::make_unique<call::Shard>(loops_.back()->loop(), context_));
  }
}

Gateway::~Gateway() {
  draining_ = true;
  executor_.Stop();  // what they still post, the loops still run
  server_query_executor_.Stop();
  for (const auto& shard : shards_) shard->loop().PostAndWait([&shard] { shard->Clear(); });
  loops_.clear();  // after their round, in which what was cleared is destroyed
}

// --- what methods have in common

absl::StatusOr<Connection> Gateway::Admit(const std::string& connection_id, bool starts_work) const {
  if (draining_ && starts_work) return call::Draining();
  return connections_.Find(connection_id);
}

absl::StatusOr<call::Run> Gateway::MakeRun(const std::string& sql) const {
  if (sql.size() > static_cast<size_t>(settings_.limits.statement_bytes)) {
    return InvalidRequest(
        "sql", "STATEMENT_TOO_LARGE",
        absl::StrCat("sql is ", sql.size(), " bytes long; the limit is ", settings_.limits.statement_bytes));
  }
  absl::StatusOr<std::shared_ptr<const sql::Statement>> statement = statements_.Get(sql);
  if (!statement.ok()) return statement.status();
  call::Run run;
  run.bound.statement = *std::move(statement);
  return run;
}

template <typename Request>
absl::StatusOr<call::Work> Gateway::MakeWork(const Caller& caller, const Connection& connection, const Request& request,
                                             Method method) const {
  call::Work work;
  work.method = method;
  work.connection_id = request.connection_id();
  work.session = caller.session;
  work.retry = connection.retry;
  work.deadline = DeadlineOf(clock_.Now(), caller, request.timeout_ms(), connection.timeout);
  if constexpr (requires { request.begin(); }) {
    if (request.has_begin()) {
      if (absl::Status status = call::ValidateOptions(request.begin(), "begin"); !status.ok()) return status;
      work.begin = request.begin();
    }
    work.transaction_id = request.transaction_id();
    if (request.has_transaction_id() && work.transaction_id.empty()) {
      return InvalidRequest("transaction_id", "EMPTY_TRANSACTION",
                            "transaction_id is empty: leave it out for autocommit");
    }
    if (request.commit()) {
      if (!work.begin.has_value() && work.transaction_id.empty()) {
        return InvalidRequest("commit", "COMMIT_WITHOUT_TRANSACTION", "commit needs transaction_id or begin");
      }
      work.ending = call::Ending::kCommit;
    }
    if (request.has_retry()) {
      absl::StatusOr<config::RetrySettings> retry = config::ValidateRetry(request.retry(), "retry", connection.retry);
      if (!retry.ok()) return retry.status();
      work.retry = *retry;
    }
    if (!v1::ResultFormat_IsValid(request.result_format())) {
      return InvalidRequest("result_format", "OUT_OF_RANGE", "result_format is none that the contract knows");
    }
  }
  const bool leaves_open = (work.begin.has_value() || method == Method::kBegin) && work.ending == call::Ending::kNone;
  if (leaves_open && context_.transactions >= static_cast<size_t>(settings_.limits.transactions)) {
    v1::DatabaseError detail;
    detail.set_kind(v1::ERROR_KIND_TRANSACTION);
    detail.set_outcome(v1::OUTCOME_NOT_EXECUTED);
    detail.set_retryable(true);
    detail.set_retry_after_ms(100);
    detail.set_reason("TOO_MANY_TRANSACTIONS");
    detail.set_message(absl::StrCat("too many transactions are open (limit ", settings_.limits.transactions, ")"));
    return MakeError(absl::StatusCode::kResourceExhausted, std::move(detail));
  }
  return work;
}

CallRef Gateway::Answer(Method method, const absl::Status& status, Done& done) {
  metrics_.ForMethod(method).Finished(absl::ZeroDuration(), ErrorDetail(status).kind());
  done(status);
  return {};
}

CallRef Gateway::Submit(const Connection& connection, call::Work work, Prepare prepare) {
  const CallRef ref{connection.shard, next_call_.fetch_add(1, std::memory_order_relaxed)};
  call::Shard& shard = *shards_[connection.shard];
  shard.loop().Post([this, &shard, target_id = connection.target, id = ref.id, work = std::move(work),
                     prepare = std::move(prepare)]() mutable {
    call::Target* target = shard.FindTarget(target_id);
    absl::Status status = target == nullptr ? connections_.Find(work.connection_id).status() : prepare(*target, work);
    if (target == nullptr && status.ok()) status = absl::InternalError("the connection's pool is gone");
    if (!status.ok()) {
      metrics_.ForMethod(work.method).Finished(absl::ZeroDuration(), ErrorDetail(status).kind());
      call::CallEnd end;
      end.status = target == nullptr ? status : target->WithTransactionState(status, work);
      work.finish(std::move(end));
      return;
    }
    shard.StartCall(id, *target, std::move(work));
  });
  return ref;
}

void Gateway::Cancel(CallRef call) {
  if (call.id == 0) return;
  call::Shard& shard = *shards_[call.shard];
  shard.loop().Post([&shard, id = call.id] {
    if (call::Call* found = shard.FindCall(id)) found->Stop(call::StopReason::kCancelled);
  });
}

void Gateway::ResumeStream(CallRef call) {
  if (call.id == 0) return;
  call::Shard& shard = *shards_[call.shard];
  shard.loop().Post([&shard, id = call.id] {
    if (call::Call* found = shard.FindCall(id)) found->ResumeStream();
  });
}

void Gateway::AtEndOfRound(absl::AnyInvocable<void()> task) {
  if (loop::EventLoop* loop = loop::EventLoop::Current()) {
    loop->RunAtEndOfRound(std::move(task));
  } else {
    task();
  }
}

// --- statements

CallRef Gateway::Execute(const Caller& caller, const v1::ExecuteRequest& request, v1::ExecuteResponse& response,
                         Done done) {
  const absl::StatusOr<Connection> connection = Admit(request.connection_id(), !request.has_transaction_id());
  if (!connection.ok()) return Answer(Method::kExecute, connection.status(), done);
  absl::StatusOr<call::Work> work = MakeWork(caller, *connection, request, Method::kExecute);
  if (!work.ok()) return Answer(Method::kExecute, work.status(), done);
  absl::StatusOr<call::Run> run = MakeRun(request.sql());
  if (!run.ok()) return Answer(Method::kExecute, run.status(), done);
  if (absl::Status status = call::CheckSavepoint(*work, *run->bound.statement); !status.ok()) {
    return Answer(Method::kExecute, status, done);
  }
  const bool reads = run->bound.statement->statement_class() == sql::StatementClass::kRead;
  if (!request.idempotency_key().empty() || (request.exactly_once() && !reads)) {
    if (absl::Status status = MakeExactlyOnce(*work); !status.ok()) return Answer(Method::kExecute, status, done);
  }
  work->exactly_once |= request.exactly_once() && work->transaction_id.empty();

  run->receive = CollectInto(settings_.limits, request.result_format(), response);
  work->runs.push_back(*std::move(run));
  work->finish = [&response, done = std::move(done)](call::CallEnd end) mutable {
    response.set_attempts(static_cast<uint32_t>(end.attempts));
    if (end.transaction.has_value()) *response.mutable_transaction() = *std::move(end.transaction);
    done(end.status);
  };
  return Submit(*connection, *std::move(work), [this, &request, &response](call::Target& target, call::Work& w) {
    absl::Status status = CheckMarks(target, w);
    if (status.ok()) status = BindRun(request.parameters(), w.runs[0]);
    if (status.ok()) response.set_bound_sql(w.runs[0].bound.text->sql);
    if (!status.ok() || request.idempotency_key().empty()) return status;
    std::string what = request.sql();
    for (const v1::Value& value : request.parameters()) what += value.SerializeAsString();
    return MakeIdempotent(w, IdempotentBy(request.idempotency_key(), what, response),
                          [this](const std::string& sql) { return MakeRun(sql); });
  });
}

CallRef Gateway::ExecuteStream(const Caller& caller, const v1::ExecuteStreamRequest& request, RowSink& sink,
                               Done done) {
  const absl::StatusOr<Connection> connection = Admit(request.connection_id(), !request.has_transaction_id());
  if (!connection.ok()) return Answer(Method::kExecuteStream, connection.status(), done);
  absl::StatusOr<call::Work> work = MakeWork(caller, *connection, request, Method::kExecuteStream);
  if (!work.ok()) return Answer(Method::kExecuteStream, work.status(), done);
  if (request.batch_rows() > kMaxBatchRows) {
    return Answer(Method::kExecuteStream,
                  InvalidRequest("batch_rows", "OUT_OF_RANGE", absl::StrCat("batch_rows must be 0 to ", kMaxBatchRows)),
                  done);
  }
  absl::StatusOr<call::Run> run = MakeRun(request.sql());
  if (!run.ok()) return Answer(Method::kExecuteStream, run.status(), done);
  if (absl::Status status = call::CheckSavepoint(*work, *run->bound.statement); !status.ok()) {
    return Answer(Method::kExecuteStream, status, done);
  }

  const uint32_t batch_rows = request.batch_rows() == 0 ? kDefaultBatchRows : request.batch_rows();
  // Of the attempt that runs; the sink hears of the text once.
  struct Progress {
    std::string bound_sql;
    uint64_t rows = 0;
    bool begun = false;
  };
  auto progress = std::make_shared<Progress>();
  run->receive = [progress, &sink, batch_rows, format = request.result_format()](call::Attempt& attempt,
                                                                                 postgres::EndCallback end) {
    auto write = [progress, &sink, &attempt](std::unique_ptr<v1::ExecuteStreamResponse> message) {
      using Flow = postgres::ResultReceiver::Flow;
      if (attempt.stopping()) {  // read to the end, for nobody
        attempt.NoteRowsDropped();
        return Flow::kContinue;
      }
      if (!progress->begun) message->set_bound_sql(progress->bound_sql);
      progress->begun = true;
      progress->rows += static_cast<uint64_t>(message->rows_size()) + message->column_batch().row_count();
      if (sink.Write(std::move(message))) return Flow::kContinue;
      attempt.NoteStreamPaused();
      return Flow::kPause;
    };
    return std::make_unique<postgres::StreamedResult>(format, batch_rows, attempt.Types(), std::move(write),
                                                      std::move(end));
  };
  work->streams = true;
  work->runs.push_back(*std::move(run));
  work->finish = [progress, &sink, done = std::move(done)](call::CallEnd end) mutable {
    if (end.status.ok()) {
      auto last = std::make_unique<v1::ExecuteStreamResponse>();
      if (!progress->begun) last->set_bound_sql(progress->bound_sql);
      v1::StreamSummary& summary = *last->mutable_summary();
      summary.set_rows_affected(end.last.rows_affected);
      summary.set_command_tag(end.last.command_tag);
      summary.set_row_count(progress->rows);
      summary.set_attempts(static_cast<uint32_t>(end.attempts));
      if (end.transaction.has_value()) *summary.mutable_transaction() = *std::move(end.transaction);
      static_cast<void>(sink.Write(std::move(last)));
    }
    if (!end.status.ok() && progress->rows > 0) {
      end.status = WithDetail(end.status, [&](v1::DatabaseError& detail) {
        detail.set_rows_delivered(progress->rows);
        if (detail.phase() == v1::PHASE_EXECUTING) detail.set_phase(v1::PHASE_STREAMING);
      });
    }
    done(end.status);
  };
  return Submit(*connection, *std::move(work), [&request, progress](call::Target&, call::Work& w) {
    absl::Status status = BindRun(request.parameters(), w.runs[0]);
    if (status.ok()) progress->bound_sql = w.runs[0].bound.text->sql;
    return status;
  });
}

CallRef Gateway::ExecuteBatch(const Caller& caller, const v1::ExecuteBatchRequest& request,
                              v1::ExecuteBatchResponse& response, Done done) {
  const absl::StatusOr<Connection> connection = Admit(request.connection_id(), !request.has_transaction_id());
  if (!connection.ok()) return Answer(Method::kExecuteBatch, connection.status(), done);
  absl::StatusOr<call::Work> work = MakeWork(caller, *connection, request, Method::kExecuteBatch);
  if (!work.ok()) return Answer(Method::kExecuteBatch, work.status(), done);
  const bool exactly_once = request.exactly_once() || !request.idempotency_key().empty();
  if (request.atomic()) {
    if (!work->transaction_id.empty()) {
      return Answer(Method::kExecuteBatch,
                    InvalidRequest("atomic", "ATOMIC_IN_TRANSACTION",
                                   "atomic makes a transaction of its own: leave transaction_id out"),
                    done);
    }
    if (exactly_once && !work->begin.has_value()) {
      if (absl::Status status = MakeExactlyOnce(*work); !status.ok())
        return Answer(Method::kExecuteBatch, status, done);
    }
    if (!work->begin.has_value()) work->begin.emplace();
    work->ending = call::Ending::kCommit;
  }
  if (exactly_once && !work->exactly_once) {
    return Answer(
        Method::kExecuteBatch,
        InvalidRequest(
            "exactly_once", "EXACTLY_ONCE_NOT_ATOMIC",
            "exactly_once and idempotency_key are for a batch that is one transaction of its own: set atomic, and "
            "no begin"),
        done);
  }
  work->independent = !work->begin.has_value() && work->transaction_id.empty();

  // Pairs of a run and its parameters, which are bound on the loop.
  std::vector<const google::protobuf::RepeatedPtrField<v1::Value>*> parameters;
  for (int s = 0; s < request.statements_size(); ++s) {
    const v1::BatchStatement& statement = request.statements(s);
    call::Run place;
    place.in_batch = true;
    place.statement_index = static_cast<uint32_t>(s);
    const auto fail = [&](const absl::Status& status) {
      return Answer(Method::kExecuteBatch, call::RequestError(status, place), done);
    };
    if (statement.parameters_size() > 0 && statement.parameter_lists_size() > 0) {
      return fail(
          InvalidRequest("parameter_lists", "PARAMETERS_TWICE", "give parameters or parameter_lists, not both"));
    }
    const int runs = std::max(1, statement.parameter_lists_size());
    for (int list = 0; list < runs; ++list) {
      absl::StatusOr<call::Run> run = MakeRun(statement.sql());
      if (!run.ok()) return fail(run.status());
      if (absl::Status status = call::CheckSavepoint(*work, *run->bound.statement); !status.ok()) return fail(status);
      v1::BatchResult* result = response.add_results();
      result->set_statement_index(static_cast<uint32_t>(s));
      result->set_parameter_list_index(static_cast<uint32_t>(list));
      run->in_batch = true;
      run->statement_index = static_cast<uint32_t>(s);
      if (statement.parameter_lists_size() > 0) run->parameter_list_index = list;
      run->receive = CollectInto(settings_.limits, request.result_format(), *result->mutable_response());
      run->failed = [result](const absl::Status& status) { *result->mutable_error() = ErrorDetail(status); };
      work->runs.push_back(*std::move(run));
      parameters.push_back(statement.parameter_lists_size() > 0 ? &statement.parameter_lists(list).parameters()
                                                                : &statement.parameters());
      if (work->runs.size() > kMaxBatchRuns) {
        return Answer(Method::kExecuteBatch,
                      InvalidRequest("statements", "BATCH_TOO_LARGE",
                                     absl::StrCat("a batch runs at most ", kMaxBatchRuns, " statements")),
                      done);
      }
    }
  }
  if (work->runs.empty()) {
    return Answer(Method::kExecuteBatch, InvalidRequest("statements", "EMPTY_BATCH", "the batch has no statements"),
                  done);
  }
  work->finish = [&response, independent = work->independent, done = std::move(done)](call::CallEnd end) mutable {
    response.set_attempts(static_cast<uint32_t>(end.attempts));
    if (end.transaction.has_value()) *response.mutable_transaction() = *std::move(end.transaction);
    // Each of an independent batch has its own result, also when the link broke in the middle.
    const bool told = std::any_of(response.results().begin(), response.results().end(),
                                  [](const v1::BatchResult& result) { return result.has_error(); });
    done(independent && told ? absl::OkStatus() : end.status);
  };
  return Submit(
      *connection, *std::move(work),
      [this, &request, &response, parameters = std::move(parameters)](call::Target& target,
                                                                      call::Work& w) -> absl::Status {
        if (absl::Status status = CheckMarks(target, w); !status.ok()) return status;
        for (size_t i = 0; i < w.runs.size(); ++i) {
          if (absl::Status status = BindRun(*parameters[i], w.runs[i]); !status.ok()) {
            return call::RequestError(status, w.runs[i]);
          }
          response.mutable_results(static_cast<int>(i))->mutable_response()->set_bound_sql(w.runs[i].bound.text->sql);
        }
        if (request.idempotency_key().empty()) return absl::OkStatus();
        std::string what;
        for (const v1::BatchStatement& statement : request.statements()) what += statement.SerializeAsString();
        return MakeIdempotent(w, IdempotentBy(request.idempotency_key(), what, response),
                              [this](const std::string& sql) { return MakeRun(sql); });
      });
}

CallRef Gateway::Describe(const Caller& caller, const v1::DescribeRequest& request, v1::DescribeResponse& response,
                          Done done) {
  const absl::StatusOr<Connection> connection = Admit(request.connection_id(), request.transaction_id().empty());
  if (!connection.ok()) return Answer(Method::kDescribe, connection.status(), done);
  absl::StatusOr<call::Work> work = MakeWork(caller, *connection, request, Method::kDescribe);
  if (!work.ok()) return Answer(Method::kDescribe, work.status(), done);
  absl::StatusOr<call::Run> run = MakeRun(request.sql());
  if (!run.ok()) return Answer(Method::kDescribe, run.status(), done);
  work->transaction_id = request.transaction_id();
  run->describe_only = true;
  run->bound.text = run->bound.statement->text();
  response.set_bound_sql(run->bound.text->sql);
  run->receive = [&response](call::Attempt& attempt, postgres::EndCallback end) {
    response.clear_columns();
    response.clear_parameter_type_names();
    return std::make_unique<postgres::DescribedStatement>(attempt.Types(), response, std::move(end));
  };
  work->runs.push_back(*std::move(run));
  work->finish = [done = std::move(done)](const call::CallEnd& end) mutable { done(end.status); };
  return Submit(*connection, *std::move(work), [](call::Target&, call::Work&) { return absl::OkStatus(); });
}

// --- transactions

CallRef Gateway::Begin(const Caller& caller, const v1::BeginRequest& request, v1::BeginResponse& response, Done done) {
  const absl::StatusOr<Connection> connection = Admit(request.connection_id(), /*starts_work=*/true);
  if (!connection.ok()) return Answer(Method::kBegin, connection.status(), done);
  if (absl::Status status = call::ValidateOptions(request.options(), "options"); !status.ok()) {
    return Answer(Method::kBegin, status, done);
  }
  absl::StatusOr<call::Work> work = MakeWork(caller, *connection, request, Method::kBegin);
  if (!work.ok()) return Answer(Method::kBegin, work.status(), done);
  work->begin = request.options();
  work->finish = [&response, done = std::move(done)](call::CallEnd end) mutable {
    if (end.transaction.has_value()) {
      response.set_transaction_id(end.transaction->transaction_id());
      *response.mutable_transaction() = *std::move(end.transaction);
    }
    done(end.status);
  };
  return Submit(*connection, *std::move(work), [](call::Target&, call::Work&) { return absl::OkStatus(); });
}

// A call in a transaction that runs a command of the gateway's own, or just ends it.
template <typename Request, typename Response>
CallRef Gateway::RunCommand(const Caller& caller, const Request& request, Response& response, Done done, Method method,
                            call::Ending ending, std::string command) {
  const absl::StatusOr<Connection> connection = Admit(request.connection_id(), /*starts_work=*/false);
  if (!connection.ok()) return Answer(method, connection.status(), done);
  if (request.transaction_id().empty()) {
    return Answer(
        method,
        call::TransactionError(absl::StatusCode::kFailedPrecondition, v1::OUTCOME_NOT_EXECUTED, "NO_TRANSACTION",
                               "transaction_id is empty: there is no transaction without Begin"),
        done);
  }
  absl::StatusOr<call::Work> work = MakeWork(caller, *connection, request, method);
  if (!work.ok()) return Answer(method, work.status(), done);
  work->transaction_id = request.transaction_id();
  work->ending = ending;
  if (!command.empty()) {
    call::Run run;
    run.bound.text = postgres::CommandText(std::move(command));
    run.receive = [](call::Attempt&, postgres::EndCallback end) {
      return std::make_unique<postgres::CommandResult>(std::move(end));
    };
    work->runs.push_back(std::move(run));
  }
  work->finish = [&response, done = std::move(done)](call::CallEnd end) mutable {
    if (end.transaction.has_value()) *response.mutable_transaction() = *std::move(end.transaction);
    done(end.status);
  };
  return Submit(*connection, *std::move(work), [](call::Target&, call::Work&) { return absl::OkStatus(); });
}

CallRef Gateway::Commit(const Caller& caller, const v1::CommitRequest& request, v1::CommitResponse& response,
                        Done done) {
  return RunCommand(caller, request, response, std::move(done), Method::kCommit, call::Ending::kCommit, "");
}

CallRef Gateway::Rollback(const Caller& caller, const v1::RollbackRequest& request, v1::RollbackResponse& response,
                          Done done) {
  return RunCommand(caller, request, response, std::move(done), Method::kRollback, call::Ending::kRollback, "");
}

CallRef Gateway::Savepoint(const Caller& caller, const v1::SavepointRequest& request, v1::SavepointResponse& response,
                           Done done) {
  if (absl::Status status = call::ValidateSavepointName(request.name()); !status.ok()) {
    return Answer(Method::kSavepoint, status, done);
  }
  return RunCommand(caller, request, response, std::move(done), Method::kSavepoint, call::Ending::kNone,
                    absl::StrCat("SAVEPOINT \"", request.name(), "\""));
}

CallRef Gateway::RollbackToSavepoint(const Caller& caller, const v1::RollbackToSavepointRequest& request,
                                     v1::RollbackToSavepointResponse& response, Done done) {
  if (absl::Status status = call::ValidateSavepointName(request.name()); !status.ok()) {
    return Answer(Method::kRollbackToSavepoint, status, done);
  }
  return RunCommand(caller, request, response, std::move(done), Method::kRollbackToSavepoint, call::Ending::kNone,
                    absl::StrCat("ROLLBACK TO SAVEPOINT \"", request.name(), "\""));
}

CallRef Gateway::ReleaseSavepoint(const Caller& caller, const v1::ReleaseSavepointRequest& request,
                                  v1::ReleaseSavepointResponse& response, Done done) {
  if (absl::Status status = call::ValidateSavepointName(request.name()); !status.ok()) {
    return Answer(Method::kReleaseSavepoint, status, done);
  }
  return RunCommand(caller, request, response, std::move(done), Method::kReleaseSavepoint, call::Ending::kNone,
                    absl::StrCat("RELEASE SAVEPOINT \"", request.name(), "\""));
}

void Gateway::KeepAlive(const Caller&, const v1::KeepAliveRequest& request, v1::KeepAliveResponse& response,
                        Done done) {
  const absl::StatusOr<Connection> connection = Admit(request.connection_id(), /*starts_work=*/false);
  if (!connection.ok()) {
    Answer(Method::kKeepAlive, connection.status(), done);
    return;
  }
  call::Shard& shard = *shards_[connection->shard];
  shard.loop().Post(
      [this, &shard, &request, &response, target_id = connection->target, done = std::move(done)]() mutable {
        call::Target* target = shard.FindTarget(target_id);
        if (target == nullptr) {
          Answer(Method::kKeepAlive, connections_.Find(request.connection_id()).status(), done);
          return;
        }
        const absl::StatusOr<v1::TransactionStatus> status =
            target->KeepAlive(request.transaction_id(), request.connection_id());
        if (status.ok()) *response.mutable_transaction() = *status;
        Answer(Method::kKeepAlive, status.status(), done);
      });
}

CallRef Gateway::GetTransactionOutcome(const Caller& caller, const v1::GetTransactionOutcomeRequest& request,
                                       v1::GetTransactionOutcomeResponse& response, Done done) {
  constexpr Method kMethod = Method::kGetTransactionOutcome;
  const absl::StatusOr<Connection> connection = Admit(request.connection_id(), /*starts_work=*/false);
  if (!connection.ok()) return Answer(kMethod, connection.status(), done);
  if (request.recovery_token() == postgres::kUnmarkedToken) {
    response.set_outcome(v1::OUTCOME_UNKNOWN);
    return Answer(kMethod, absl::OkStatus(), done);
  }
  if (request.has_recovery_token()) {
    const std::optional<postgres::TransactionMark> mark =
        postgres::TransactionMark::FromToken(request.recovery_token());
    if (!mark.has_value()) {
      return Answer(
          kMethod,
          InvalidRequest("recovery_token", "MALFORMED_TOKEN", "recovery_token is none that a TransactionStatus had"),
          done);
    }
    ResolveToken(*connection, *mark, DeadlineOf(clock_.Now(), caller, request.timeout_ms(), connection->timeout),
                 response, std::move(done));
    return {};
  }
  if (request.transaction_id().empty()) {
    return Answer(kMethod,
                  InvalidRequest("transaction", "MISSING_TRANSACTION", "give transaction_id or recovery_token"), done);
  }
  absl::StatusOr<call::Work> work = MakeWork(caller, *connection, request, kMethod);
  if (!work.ok()) return Answer(kMethod, work.status(), done);
  work->transaction_id = request.transaction_id();
  work->asks_outcome = true;
  work->finish = [&response, done = std::move(done)](call::CallEnd end) mutable {
    if (end.transaction.has_value()) {
      response.set_outcome(call::OutcomeOf(end.transaction->state()));
      *response.mutable_transaction() = *std::move(end.transaction);
      end.status = absl::OkStatus();
    } else if (const std::string reason = ErrorDetail(end.status).reason();
               reason == call::kCommitInDoubt || reason == call::kEffectsElsewhere) {
      response.set_outcome(v1::OUTCOME_UNKNOWN);
      end.status = absl::OkStatus();
    }
    done(end.status);
  };
  return Submit(*connection, *std::move(work), [](call::Target&, call::Work&) { return absl::OkStatus(); });
}

void Gateway::ResolveToken(const Connection& connection, const postgres::TransactionMark& mark, absl::Time deadline,
                           v1::GetTransactionOutcomeResponse& response, Done done) {
  call::Shard& shard = *shards_[connection.shard];
  shard.loop().Post([this, &shard, &response, target_id = connection.target, mark, deadline,
                     done = std::move(done)]() mutable {
    const absl::Time started = clock_.Now();
    const auto answer = [this, started](Done& then, const absl::Status& status) {
      metrics_.ForMethod(Method::kGetTransactionOutcome).Finished(clock_.Now() - started, ErrorDetail(status).kind());
      then(status);
    };
    call::Target* target = shard.FindTarget(target_id);
    if (target == nullptr || target->resolver().size() >= kMaxTokensAskedFor) {
      answer(done, MakeError(absl::StatusCode::kResourceExhausted, v1::ERROR_KIND_CONNECTION, "TOO_MANY_QUESTIONS",
                             absl::StrCat("too many outcomes are being asked for (limit ", kMaxTokensAskedFor, ")")));
      return;
    }
    target->AskOutcome(mark, deadline,
                       [&response, answer, mark, done = std::move(done)](postgres::CommitFate fate) mutable {
                         if (fate == postgres::CommitFate::kInProgress) {
                           answer(done, call::StillInProgress());
                           return;
                         }
                         // One that was run again was rolled back first, and committed under another id. And what it
                         // did elsewhere may be there although it was rolled back here.
                         const bool rolled_back = fate == postgres::CommitFate::kAborted && !mark.replayable &&
                                                  mark.elsewhere == postgres::Elsewhere::kNothing;
                         response.set_outcome(fate == postgres::CommitFate::kCommitted ? v1::OUTCOME_COMMITTED
                                              : rolled_back                            ? v1::OUTCOME_ROLLED_BACK
                                                                                       : v1::OUTCOME_UNKNOWN);
                         answer(done, absl::OkStatus());
                       });
  });
}

}  // namespace engine::db::gateway

// ExecuteStream: one statement, its rows handed on as they come.
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/failure.h"
#include "server/call/attempt.h"
#include "server/call/call_plan.h"
#include "server/gateway/methods.h"
#include "server/gateway/planning.h"
#include "server/postgres/results.h"

namespace engine::db::gateway {
namespace {

constexpr uint32_t kDefaultBatchRows = 2'000;
constexpr uint32_t kMaxBatchRows = 100'000;

// Of the attempt that runs; the sink hears of the text once.
struct StreamProgress {
  std::string bound_sql;
  uint64_t rows = 0;
  bool begun = false;
};

// Hands a batch of rows on, while somebody wants them.
postgres::ResultReceiver::Flow WriteRows(StreamProgress& progress, RowSink& sink, call::Attempt& attempt,
                                         std::unique_ptr<v1::ExecuteStreamResponse> message) {
  using Flow = postgres::ResultReceiver::Flow;
  if (attempt.stopping()) {  // read to the end, for nobody
    attempt.NoteRowsDropped();
    return Flow::kContinue;
  }
  if (!progress.begun) message->set_bound_sql(progress.bound_sql);
  progress.begun = true;
  progress.rows += static_cast<uint64_t>(message->rows_size()) + message->column_batch().row_count();
  if (sink.Write(std::move(message))) return Flow::kContinue;
  attempt.NoteStreamPaused();
  return Flow::kPause;
}

void WriteSummary(const StreamProgress& progress, RowSink& sink, call::CallEnd& end) {
  auto last = std::make_unique<v1::ExecuteStreamResponse>();
  if (!progress.begun) last->set_bound_sql(progress.bound_sql);
  v1::StreamSummary& summary = *last->mutable_summary();
  summary.set_rows_affected(end.last.rows_affected);
  summary.set_command_tag(end.last.command_tag);
  summary.set_row_count(progress.rows);
  summary.set_attempts(static_cast<uint32_t>(end.attempts));
  if (end.transaction.has_value()) *summary.mutable_transaction() = *std::move(end.transaction);
  static_cast<void>(sink.Write(std::move(last)));
}

}  // namespace

absl::StatusOr<CallRef> ExecuteStream(Parts& parts, Admitted& call, const v1::ExecuteStreamRequest& request,
                                      RowSink& sink) {
  if (request.batch_rows() > kMaxBatchRows) {
    return InvalidRequest("batch_rows", Reason::kOutOfRange, absl::StrCat("batch_rows must be 0 to ", kMaxBatchRows));
  }
  call::CallPlan plan = MakePlan(call);
  absl::StatusOr<call::PlannedStatement> planned = MakePlannedStatement(parts, plan, request.sql());
  if (!planned.ok()) return planned.status();

  auto progress = std::make_shared<StreamProgress>();
  const uint32_t batch_rows = request.batch_rows() == 0 ? kDefaultBatchRows : request.batch_rows();
  planned->receive = [progress, &sink, batch_rows, format = request.result_format()](call::Attempt& attempt,
                                                                                     postgres::EndCallback end) {
    auto write = [progress, &sink, &attempt](std::unique_ptr<v1::ExecuteStreamResponse> message) {
      return WriteRows(*progress, sink, attempt, std::move(message));
    };
    return std::make_unique<postgres::StreamedResult>(format, batch_rows, attempt.Types(), std::move(write),
                                                      std::move(end));
  };
  plan.streams = true;
  plan.statements.push_back(*std::move(planned));
  plan.finish = [progress, &sink, answer = std::move(call.answer)](call::CallEnd end) mutable {
    if (end.status.ok()) {
      WriteSummary(*progress, sink, end);
    } else if (progress->rows > 0) {
      end.status = WithFailure(end.status, [&](Failure& failure) {
        failure.rows_delivered = progress->rows;
        if (failure.phase == Phase::kExecuting) failure.phase = Phase::kStreaming;
      });
    }
    answer(end.status);
  };
  return parts.shards.Submit(call.connection, std::move(plan),
                             [&request, progress](call::Target&, call::CallPlan& to_bind) {
                               absl::Status status = BindParameters(request.parameters(), to_bind.statements[0]);
                               if (status.ok()) progress->bound_sql = to_bind.statements[0].bound.text->sql;
                               return status;
                             });
}

}  // namespace engine::db::gateway

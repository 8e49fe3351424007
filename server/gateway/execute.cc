// Execute: one statement, its result whole.
#include <string>
#include <utility>

#include "server/call/target.h"
#include "server/call/work.h"
#include "server/gateway/idempotency.h"
#include "server/gateway/methods.h"
#include "server/gateway/planning.h"

namespace engine::db::gateway {

absl::StatusOr<CallRef> Execute(Parts& parts, Admitted& call, const v1::ExecuteRequest& request,
                                v1::ExecuteResponse& response) {
  call::Work work = MakeWork(call);
  absl::StatusOr<call::Run> run = MakeRun(parts, work, request.sql());
  if (!run.ok()) return run.status();
  const bool reads = run->bound.statement->statement_class() == sql::StatementClass::kRead;
  if (!request.idempotency_key().empty() || (request.exactly_once() && !reads)) {
    if (absl::Status status = MakeExactlyOnce(work); !status.ok()) return status;
  }
  work.exactly_once |= request.exactly_once() && work.transaction_id.empty();

  run->receive = CollectInto(parts.settings.limits, request.result_format(), response);
  work.runs.push_back(*std::move(run));
  work.finish = [&response, answer = std::move(call.answer)](call::CallEnd end) mutable {
    response.set_attempts(static_cast<uint32_t>(end.attempts));
    if (end.transaction.has_value()) *response.mutable_transaction() = *std::move(end.transaction);
    answer(end.status);
  };
  return parts.shards.Submit(call.connection, std::move(work),
                             [&parts, &request, &response](call::Target& target, call::Work& w) {
                               absl::Status status = CheckMarks(target, w);
                               if (status.ok()) status = BindRun(request.parameters(), w.runs[0]);
                               if (status.ok()) response.set_bound_sql(w.runs[0].bound.text->sql);
                               if (!status.ok() || request.idempotency_key().empty()) return status;
                               std::string what = request.sql();
                               for (const v1::Value& value : request.parameters()) what += value.SerializeAsString();
                               return MakeIdempotent(parts, w, IdempotentBy(request.idempotency_key(), what, response));
                             });
}

}  // namespace engine::db::gateway

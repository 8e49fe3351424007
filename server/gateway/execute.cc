// Execute: one statement, its result whole.
#include <string>
#include <utility>

#include "server/call/call_plan.h"
#include "server/call/target.h"
#include "server/gateway/idempotency.h"
#include "server/gateway/methods.h"
#include "server/gateway/planning.h"

namespace engine::db::gateway {

absl::StatusOr<CallRef> Execute(Parts& parts, Admitted& call, const v1::ExecuteRequest& request,
                                v1::ExecuteResponse& response) {
  call::CallPlan plan = MakePlan(call);
  absl::StatusOr<call::PlannedStatement> planned = MakePlannedStatement(parts, plan, request.sql());
  if (!planned.ok()) return planned.status();
  const bool reads = planned->bound.statement->statement_class() == sql::StatementClass::kRead;
  if (!request.idempotency_key().empty() || (request.exactly_once() && !reads)) {
    if (absl::Status status = MakeExactlyOnce(plan); !status.ok()) return status;
  }
  plan.exactly_once |= request.exactly_once() && plan.transaction_id.empty();

  planned->receive = CollectInto(parts.settings.limits, request.result_format(), response);
  plan.statements.push_back(*std::move(planned));
  plan.finish = [&response, answer = std::move(call.answer)](call::CallEnd end) mutable {
    response.set_attempts(static_cast<uint32_t>(end.attempts));
    if (end.transaction.has_value()) *response.mutable_transaction() = *std::move(end.transaction);
    answer(end.status);
  };
  return parts.shards.Submit(
      call.connection, std::move(plan), [&parts, &request, &response](call::Target& target, call::CallPlan& to_bind) {
        absl::Status status = CheckMarks(target, to_bind);
        if (status.ok()) status = BindParameters(request.parameters(), to_bind.statements[0]);
        if (status.ok()) response.set_bound_sql(to_bind.statements[0].bound.text->sql);
        if (!status.ok() || request.idempotency_key().empty()) return status;
        std::string what = request.sql();
        for (const v1::Value& value : request.parameters()) what += value.SerializeAsString();
        return MakeIdempotent(parts, to_bind, IdempotentBy(request.idempotency_key(), what, response));
      });
}

}  // namespace engine::db::gateway

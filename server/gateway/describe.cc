// Describe: what a statement takes and returns, without running it.
#include <memory>
#include <utility>

#include "server/call/attempt.h"
#include "server/call/call_plan.h"
#include "server/gateway/methods.h"
#include "server/gateway/planning.h"
#include "server/postgres/results.h"

namespace engine::db::gateway {

absl::StatusOr<CallRef> Describe(Parts& parts, Admitted& call, const v1::DescribeRequest& request,
                                 v1::DescribeResponse& response) {
  absl::StatusOr<call::PlannedStatement> planned = MakePlannedStatement(parts, request.sql());
  if (!planned.ok()) return planned.status();
  planned->describe_only = true;
  planned->bound.text = planned->bound.statement->text();
  response.set_bound_sql(planned->bound.text->sql);
  planned->receive = [&response](call::Attempt& attempt, postgres::EndCallback end) {
    response.clear_columns();
    response.clear_parameter_type_names();
    return std::make_unique<postgres::DescribedStatement>(attempt.Types(), response, std::move(end));
  };

  call::CallPlan plan = MakePlan(call);
  plan.statements.push_back(*std::move(planned));
  plan.finish = [answer = std::move(call.answer)](const call::CallEnd& end) mutable { answer(end.status); };
  return parts.shards.Submit(call.connection, std::move(plan));
}

}  // namespace engine::db::gateway

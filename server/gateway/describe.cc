// Describe: what a statement takes and returns, without running it.
#include <memory>
#include <utility>

#include "server/call/attempt.h"
#include "server/call/work.h"
#include "server/gateway/methods.h"
#include "server/gateway/planning.h"
#include "server/postgres/results.h"

namespace engine::db::gateway {

absl::StatusOr<CallRef> Describe(Parts& parts, Admitted& call, const v1::DescribeRequest& request,
                                 v1::DescribeResponse& response) {
  absl::StatusOr<call::Run> run = MakeRun(parts, request.sql());
  if (!run.ok()) return run.status();
  run->describe_only = true;
  run->bound.text = run->bound.statement->text();
  response.set_bound_sql(run->bound.text->sql);
  run->receive = [&response](call::Attempt& attempt, postgres::EndCallback end) {
    response.clear_columns();
    response.clear_parameter_type_names();
    return std::make_unique<postgres::DescribedStatement>(attempt.Types(), response, std::move(end));
  };

  call::Work work = MakeWork(call);
  work.runs.push_back(*std::move(run));
  work.finish = [answer = std::move(call.answer)](const call::CallEnd& end) mutable { answer(end.status); };
  return parts.shards.Submit(call.connection, std::move(work));
}

}  // namespace engine::db::gateway

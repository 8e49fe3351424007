// Begin, Commit and Rollback.
#include <utility>

#include "server/call/call_plan.h"
#include "server/gateway/methods.h"
#include "server/gateway/planning.h"

namespace engine::db::gateway {
namespace {

template <typename Response>
CallRef EndTransaction(Parts& parts, Admitted& call, Response& response, call::Ending ending) {
  call::CallPlan plan = MakePlan(call);
  plan.ending = ending;
  plan.finish = AnswerWithTransaction(std::move(call.answer), response);
  return parts.shards.Submit(call.connection, std::move(plan));
}

}  // namespace

absl::StatusOr<CallRef> Begin(Parts& parts, Admitted& call, const v1::BeginRequest&, v1::BeginResponse& response) {
  call::CallPlan plan = MakePlan(call);
  plan.finish = [&response, answer = std::move(call.answer)](call::CallEnd end) mutable {
    if (end.transaction.has_value()) {
      response.set_transaction_id(end.transaction->transaction_id());
      *response.mutable_transaction() = *std::move(end.transaction);
    }
    answer(end.status);
  };
  return parts.shards.Submit(call.connection, std::move(plan));
}

absl::StatusOr<CallRef> Commit(Parts& parts, Admitted& call, const v1::CommitRequest&, v1::CommitResponse& response) {
  return EndTransaction(parts, call, response, call::Ending::kCommit);
}

absl::StatusOr<CallRef> Rollback(Parts& parts, Admitted& call, const v1::RollbackRequest&,
                                 v1::RollbackResponse& response) {
  return EndTransaction(parts, call, response, call::Ending::kRollback);
}

}  // namespace engine::db::gateway

// ExecuteBatch: many statements, or one with many parameter lists, in one round trip.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "sdk/common/limits.h"
#include "server/base/failure.h"
#include "server/call/call_plan.h"
#include "server/call/statement_error.h"
#include "server/call/target.h"
#include "server/gateway/idempotency.h"
#include "server/gateway/methods.h"
#include "server/gateway/planning.h"

namespace engine::db::gateway {
namespace {

using Parameters = google::protobuf::RepeatedPtrField<v1::Value>;

// Whether the batch is a transaction, whose, and how it ends.
absl::Status PlanTransaction(const v1::ExecuteBatchRequest& request, call::CallPlan& plan) {
  const bool exactly_once = request.exactly_once() || !request.idempotency_key().empty();
  if (request.atomic()) {
    if (!plan.transaction_id.empty()) {
      return InvalidRequest("atomic", Reason::kAtomicInTransaction,
                            "atomic makes a transaction of its own: leave transaction_id out");
    }
    if (exactly_once && !plan.begin.has_value()) {
      if (absl::Status status = MakeExactlyOnce(plan); !status.ok()) return status;
    }
    if (!plan.begin.has_value()) plan.begin.emplace();
    plan.ending = call::Ending::kCommit;
  }
  if (exactly_once && !plan.exactly_once) {
    return InvalidRequest(
        "exactly_once", Reason::kExactlyOnceNotAtomic,
        "exactly_once and idempotency_key are for a batch that is one transaction of its own: set atomic, and no "
        "begin");
  }
  plan.independent = !plan.begin.has_value() && plan.transaction_id.empty();
  return absl::OkStatus();
}

// Plans the statement once for each of its parameter lists, or once; each time with a result, and with where its
// parameters are.
absl::Status PlanStatement(const Parts& parts, const v1::ExecuteBatchRequest& request, int index, call::CallPlan& plan,
                           v1::ExecuteBatchResponse& response, std::vector<const Parameters*>& parameters) {
  const v1::BatchStatement& statement = request.statements(index);
  call::PlannedStatement place;
  place.in_batch = true;
  place.statement_index = static_cast<uint32_t>(index);
  if (statement.parameters_size() > 0 && statement.parameter_lists_size() > 0) {
    return call::RequestError(
        InvalidRequest("parameter_lists", Reason::kParametersTwice, "give parameters or parameter_lists, not both"),
        place);
  }
  const bool has_lists = statement.parameter_lists_size() > 0;
  for (int list = 0; list < std::max(1, statement.parameter_lists_size()); ++list) {
    absl::StatusOr<call::PlannedStatement> planned = MakePlannedStatement(parts, plan, statement.sql());
    if (!planned.ok()) return call::RequestError(planned.status(), place);
    v1::BatchResult* result = response.add_results();
    result->set_statement_index(static_cast<uint32_t>(index));
    result->set_parameter_list_index(static_cast<uint32_t>(list));
    planned->in_batch = true;
    planned->statement_index = static_cast<uint32_t>(index);
    if (has_lists) planned->parameter_list_index = list;
    planned->receive = CollectInto(parts.settings.limits, request.result_format(), *result->mutable_response());
    planned->failed = [result, write = parts.write_error](const absl::Status& status) {
      write(status, *result->mutable_error());
    };
    plan.statements.push_back(*std::move(planned));
    parameters.push_back(has_lists ? &statement.parameter_lists(list).parameters() : &statement.parameters());
    if (plan.statements.size() > limits::kMaxRunsInBatch) {
      return InvalidRequest("statements", Reason::kBatchTooLarge,
                            absl::StrCat("a batch runs at most ", limits::kMaxRunsInBatch, " statements"));
    }
  }
  return absl::OkStatus();
}

// On the loop: each statement gets its parameters, and the batch its idempotency key.
absl::Status BindBatch(const Parts& parts, const v1::ExecuteBatchRequest& request, v1::ExecuteBatchResponse& response,
                       const std::vector<const Parameters*>& parameters, call::CallPlan& plan) {
  for (size_t i = 0; i < plan.statements.size(); ++i) {
    if (absl::Status status = BindParameters(*parameters[i], plan.statements[i]); !status.ok()) {
      return call::RequestError(status, plan.statements[i]);
    }
    response.mutable_results(static_cast<int>(i))
        ->mutable_response()
        ->set_bound_sql(plan.statements[i].bound.text->sql);
  }
  if (request.idempotency_key().empty()) return absl::OkStatus();
  std::string what;
  for (const v1::BatchStatement& statement : request.statements()) what += statement.SerializeAsString();
  return MakeIdempotent(parts, plan, IdempotentBy(request.idempotency_key(), what, response));
}

}  // namespace

absl::StatusOr<CallRef> ExecuteBatch(Parts& parts, Admitted& call, const v1::ExecuteBatchRequest& request,
                                     v1::ExecuteBatchResponse& response) {
  call::CallPlan plan = MakePlan(call);
  if (absl::Status status = PlanTransaction(request, plan); !status.ok()) return status;
  std::vector<const Parameters*> parameters;
  for (int i = 0; i < request.statements_size(); ++i) {
    if (absl::Status status = PlanStatement(parts, request, i, plan, response, parameters); !status.ok()) return status;
  }
  if (plan.statements.empty()) return InvalidRequest("statements", Reason::kEmptyBatch, "the batch has no statements");

  plan.finish = [&response, independent = plan.independent,
                 answer = std::move(call.answer)](call::CallEnd end) mutable {
    response.set_attempts(static_cast<uint32_t>(end.attempts));
    if (end.transaction.has_value()) *response.mutable_transaction() = *std::move(end.transaction);
    // Each of an independent batch has its own result, also when the link broke in the middle.
    const bool told = std::any_of(response.results().begin(), response.results().end(),
                                  [](const v1::BatchResult& result) { return result.has_error(); });
    answer(independent && told ? absl::OkStatus() : end.status);
  };
  return parts.shards.Submit(call.connection, std::move(plan),
                             [&parts, &request, &response, parameters = std::move(parameters)](
                                 call::Target& target, call::CallPlan& to_bind) -> absl::Status {
                               if (absl::Status status = CheckMarks(target, to_bind); !status.ok()) return status;
                               return BindBatch(parts, request, response, parameters, to_bind);
                             });
}

}  // namespace engine::db::gateway

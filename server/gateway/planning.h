// From a request to a call's plan: what the methods that run something on the database have in common.
#ifndef ENGINE_DB_SERVER_GATEWAY_PLANNING_H_
#define ENGINE_DB_SERVER_GATEWAY_PLANNING_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/db/v1/connector.pb.h"
#include "server/call/call_plan.h"
#include "server/gateway/admission.h"
#include "server/gateway/parts.h"

namespace engine::db::gateway {

// A plan with all that the door has found out about the call.
[[nodiscard]] call::CallPlan MakePlan(const Admitted& call);

// One statement, analysed. Its parameters are bound on the loop (BindParameters), and whoever plans it says who
// receives its result.
[[nodiscard]] absl::StatusOr<call::PlannedStatement> MakePlannedStatement(const Parts& parts, const std::string& sql);
// The same for a statement that a caller has executed as a part of `plan`.
[[nodiscard]] absl::StatusOr<call::PlannedStatement> MakePlannedStatement(const Parts& parts,
                                                                          const call::CallPlan& plan,
                                                                          const std::string& sql);

[[nodiscard]] absl::Status BindParameters(const google::protobuf::RepeatedPtrField<v1::Value>& parameters,
                                          call::PlannedStatement& planned);

// Receives a statement's result into `response`, which each attempt empties first, and which must outlive the call.
[[nodiscard]] decltype(call::PlannedStatement::receive) CollectInto(const config::Limits& limits,
                                                                    v1::ResultFormat format,
                                                                    v1::ExecuteResponse& response);

// How a call in a transaction ends that has nothing to tell but how its transaction stands. The response must outlive
// the call.
template <typename Response>
[[nodiscard]] auto AnswerWithTransaction(Answer answer, Response& response) {
  return [&response, answer = std::move(answer)](call::CallEnd end) mutable {
    if (end.transaction.has_value()) *response.mutable_transaction() = *std::move(end.transaction);
    answer(end.status);
  };
}

}  // namespace engine::db::gateway

#endif  // ENGINE_DB_SERVER_GATEWAY_PLANNING_H_

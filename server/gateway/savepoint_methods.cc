// Savepoint, RollbackToSavepoint and ReleaseSavepoint.
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "server/base/failure.h"
#include "server/call/call_plan.h"
#include "server/gateway/methods.h"
#include "server/gateway/planning.h"
#include "server/postgres/command_text.h"
#include "server/postgres/results.h"

namespace engine::db::gateway {
namespace {

constexpr size_t kMaxSavepointName = 63;  // PostgreSQL's NAMEDATALEN - 1

// A plain identifier, so that it can be written into a command.
absl::Status CheckSavepointName(std::string_view name) {
  bool plain = !name.empty() && name.size() <= kMaxSavepointName && !absl::ascii_isdigit(name[0]);
  for (const char c : name) plain = plain && (absl::ascii_isalnum(c) || c == '_');
  if (plain) return absl::OkStatus();
  return InvalidRequest("name", Reason::kSavepointName,
                        "a savepoint's name is a letter or _, then letters, digits and _, at most 63 in all");
}

template <typename Request, typename Response>
absl::StatusOr<CallRef> RunSavepointCommand(Parts& parts, Admitted& call, const char* command, const Request& request,
                                            Response& response) {
  if (absl::Status status = CheckSavepointName(request.name()); !status.ok()) return status;
  call::PlannedStatement planned;
  planned.bound.text = postgres::CommandText(absl::StrCat(command, " \"", request.name(), "\""));
  planned.receive = [](call::Attempt&, postgres::EndCallback end) {
    return std::make_unique<postgres::CommandResult>(std::move(end));
  };

  call::CallPlan plan = MakePlan(call);
  plan.statements.push_back(std::move(planned));
  plan.finish = AnswerWithTransaction(std::move(call.answer), response);
  return parts.shards.Submit(call.connection, std::move(plan));
}

}  // namespace

absl::StatusOr<CallRef> Savepoint(Parts& parts, Admitted& call, const v1::SavepointRequest& request,
                                  v1::SavepointResponse& response) {
  return RunSavepointCommand(parts, call, "SAVEPOINT", request, response);
}

absl::StatusOr<CallRef> RollbackToSavepoint(Parts& parts, Admitted& call, const v1::RollbackToSavepointRequest& request,
                                            v1::RollbackToSavepointResponse& response) {
  return RunSavepointCommand(parts, call, "ROLLBACK TO SAVEPOINT", request, response);
}

absl::StatusOr<CallRef> ReleaseSavepoint(Parts& parts, Admitted& call, const v1::ReleaseSavepointRequest& request,
                                         v1::ReleaseSavepointResponse& response) {
  return RunSavepointCommand(parts, call, "RELEASE SAVEPOINT", request, response);
}

}  // namespace engine::db::gateway

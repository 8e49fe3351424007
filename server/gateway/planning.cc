#include "server/gateway/planning.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/failure.h"
#include "server/base/text.h"
#include "server/call/attempt.h"
#include "server/postgres/results.h"
#include "server/sql/bind.h"

namespace engine::db::gateway {
namespace {

// SAVEPOINT and its kin need a transaction, whichever method runs them.
absl::Status CheckSavepoint(const call::CallPlan& plan, const sql::Statement& statement) {
  if (!statement.is_about_savepoint() || plan.begin.has_value() || !plan.transaction_id.empty())
    return absl::OkStatus();
  return InvalidRequest(
      "sql", Reason::kTransactionControl,
      absl::StrCat(ToAbsl(statement.summary()),
                   " needs a transaction: call Begin first (savepoints have methods of their own too: Savepoint, "
                   "RollbackToSavepoint and ReleaseSavepoint)"));
}

}  // namespace

call::CallPlan MakePlan(const Admitted& call) {
  call::CallPlan plan;
  plan.deadline = call.deadline;
  plan.connection_id = *call.fields.connection_id;
  plan.session = call.caller.session;
  plan.retry = call.connection.retry;
  if (call.fields.transaction_id != nullptr) plan.transaction_id = *call.fields.transaction_id;
  if (call.fields.begin != nullptr) plan.begin = *call.fields.begin;
  if (call.fields.commit) plan.ending = call::Ending::kCommit;
  return plan;
}

absl::StatusOr<call::PlannedStatement> MakePlannedStatement(const Parts& parts, const std::string& sql) {
  const auto limit = static_cast<size_t>(parts.settings.limits.statement_bytes);
  if (sql.size() > limit) {
    return InvalidRequest("sql", Reason::kStatementTooLarge,
                          absl::StrCat("sql is ", sql.size(), " bytes long; the limit is ", limit));
  }
  absl::StatusOr<std::shared_ptr<const sql::Statement>> statement = parts.statements.Get(sql);
  if (!statement.ok()) return statement.status();
  call::PlannedStatement planned;
  planned.bound.statement = *std::move(statement);
  return planned;
}

absl::StatusOr<call::PlannedStatement> MakePlannedStatement(const Parts& parts, const call::CallPlan& plan,
                                                            const std::string& sql) {
  absl::StatusOr<call::PlannedStatement> planned = MakePlannedStatement(parts, sql);
  if (!planned.ok()) return planned;
  if (absl::Status status = CheckSavepoint(plan, *planned->bound.statement); !status.ok()) return status;
  return planned;
}

absl::Status BindParameters(const google::protobuf::RepeatedPtrField<v1::Value>& parameters,
                            call::PlannedStatement& planned) {
  absl::StatusOr<sql::BoundStatement> bound = sql::Bind(planned.bound.statement, parameters);
  if (!bound.ok()) return bound.status();
  planned.bound = *std::move(bound);
  return absl::OkStatus();
}

decltype(call::PlannedStatement::receive) CollectInto(const config::Limits& limits, v1::ResultFormat format,
                                                      v1::ExecuteResponse& response) {
  const postgres::ResultLimits result_limits{.rows = static_cast<uint32_t>(limits.result_rows),
                                             .bytes = static_cast<size_t>(limits.result_bytes)};
  return [result_limits, format, &response](call::Attempt& attempt, postgres::EndCallback end) {
    response.clear_columns();
    response.clear_rows();
    response.clear_column_batch();
    return std::make_unique<postgres::CollectedResult>(
        format, result_limits, attempt.Types(), response, [&attempt] { attempt.OnOverflow(); }, std::move(end));
  };
}

}  // namespace engine::db::gateway

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
absl::Status CheckSavepoint(const call::Work& work, const sql::Statement& statement) {
  if (!statement.is_about_savepoint() || work.begin.has_value() || !work.transaction_id.empty())
    return absl::OkStatus();
  return InvalidRequest(
      "sql", Reason::kTransactionControl,
      absl::StrCat(ToAbsl(statement.summary()),
                   " needs a transaction: call Begin first (savepoints have methods of their own too: Savepoint, "
                   "RollbackToSavepoint and ReleaseSavepoint)"));
}

}  // namespace

call::Work MakeWork(const Admitted& call) {
  call::Work work;
  work.deadline = call.deadline;
  work.connection_id = *call.fields.connection_id;
  work.session = call.caller.session;
  work.retry = call.connection.retry;
  if (call.fields.transaction_id != nullptr) work.transaction_id = *call.fields.transaction_id;
  if (call.fields.begin != nullptr) work.begin = *call.fields.begin;
  if (call.fields.commit) work.ending = call::Ending::kCommit;
  return work;
}

absl::StatusOr<call::Run> MakeRun(const Parts& parts, const std::string& sql) {
  const auto limit = static_cast<size_t>(parts.settings.limits.statement_bytes);
  if (sql.size() > limit) {
    return InvalidRequest("sql", Reason::kStatementTooLarge,
                          absl::StrCat("sql is ", sql.size(), " bytes long; the limit is ", limit));
  }
  absl::StatusOr<std::shared_ptr<const sql::Statement>> statement = parts.statements.Get(sql);
  if (!statement.ok()) return statement.status();
  call::Run run;
  run.bound.statement = *std::move(statement);
  return run;
}

absl::StatusOr<call::Run> MakeRun(const Parts& parts, const call::Work& work, const std::string& sql) {
  absl::StatusOr<call::Run> run = MakeRun(parts, sql);
  if (!run.ok()) return run;
  if (absl::Status status = CheckSavepoint(work, *run->bound.statement); !status.ok()) return status;
  return run;
}

absl::Status BindRun(const google::protobuf::RepeatedPtrField<v1::Value>& parameters, call::Run& run) {
  absl::StatusOr<sql::BoundStatement> bound = sql::Bind(run.bound.statement, parameters);
  if (!bound.ok()) return bound.status();
  run.bound = *std::move(bound);
  return absl::OkStatus();
}

decltype(call::Run::receive) CollectInto(const config::Limits& limits, v1::ResultFormat format,
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

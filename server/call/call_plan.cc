#include "server/call/call_plan.h"

#include <algorithm>

#include "absl/hash/hash.h"

namespace engine::db::call {

bool Executes(const PlannedStatement& planned) { return !planned.describe_only; }

bool OnlyReads(const PlannedStatement& planned) {
  return planned.describe_only || (planned.bound.statement != nullptr &&
                                   planned.bound.statement->statement_class() == sql::StatementClass::kRead);
}

bool OnlyReads(const CallPlan& plan) {
  return std::all_of(plan.statements.begin(), plan.statements.end(),
                     [](const PlannedStatement& planned) { return OnlyReads(planned); });
}

bool MayCommitItself(const PlannedStatement& planned) {
  return Executes(planned) && planned.bound.statement != nullptr && planned.bound.statement->may_commit_itself();
}

bool IsNeutral(const PlannedStatement& planned) {
  return planned.bound.statement == nullptr ? !planned.internal : planned.bound.statement->is_neutral();
}

pool::OwnerId OwnerOf(const CallPlan& plan) { return absl::HashOf(plan.connection_id) | 1; }

std::string BeginText(const v1::TransactionOptions& options) {
  std::string text = "BEGIN";
  switch (options.isolation_level()) {
    case v1::ISOLATION_LEVEL_READ_COMMITTED:
      text += " ISOLATION LEVEL READ COMMITTED";
      break;
    case v1::ISOLATION_LEVEL_REPEATABLE_READ:
      text += " ISOLATION LEVEL REPEATABLE READ";
      break;
    case v1::ISOLATION_LEVEL_SERIALIZABLE:
      text += " ISOLATION LEVEL SERIALIZABLE";
      break;
    default:
      break;
  }
  if (options.read_only()) text += " READ ONLY";
  if (options.deferrable()) text += " DEFERRABLE";
  return text;
}

}  // namespace engine::db::call

#include "server/call/work.h"

#include <algorithm>

#include "absl/hash/hash.h"

namespace engine::db::call {

bool Executes(const Run& run) { return !run.describe_only; }

bool OnlyReads(const Run& run) {
  return run.describe_only ||
         (run.bound.statement != nullptr && run.bound.statement->statement_class() == sql::StatementClass::kRead);
}

bool OnlyReads(const Work& work) {
  return std::all_of(work.runs.begin(), work.runs.end(), [](const Run& run) { return OnlyReads(run); });
}

bool MayCommitItself(const Run& run) {
  return Executes(run) && run.bound.statement != nullptr && run.bound.statement->may_commit_itself();
}

bool IsNeutral(const Run& run) {
  return run.bound.statement == nullptr ? !run.internal : run.bound.statement->is_neutral();
}

pool::OwnerId OwnerOf(const Work& work) { return absl::HashOf(work.connection_id) | 1; }

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

#include "server/call/work.h"

#include <algorithm>

#include "absl/hash/hash.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "server/base/error.h"
#include "server/base/text.h"

namespace engine::db::call {
namespace {

constexpr uint32_t kMaxIdleTimeoutMs = 3'600'000;
constexpr uint32_t kMaxDurationMs = 86'400'000;
constexpr size_t kMaxSavepointName = 63;  // PostgreSQL's NAMEDATALEN - 1

}  // namespace

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

absl::Status ValidateOptions(const v1::TransactionOptions& options, std::string_view path) {
  if (!v1::IsolationLevel_IsValid(options.isolation_level())) {
    return InvalidRequest(absl::StrCat(ToAbsl(path), ".isolation_level"), "OUT_OF_RANGE",
                          "isolation_level is none that the contract knows");
  }
  if (options.idle_timeout_ms() > kMaxIdleTimeoutMs) {
    return InvalidRequest(absl::StrCat(ToAbsl(path), ".idle_timeout_ms"), "OUT_OF_RANGE",
                          absl::StrCat("idle_timeout_ms must be 0 to ", kMaxIdleTimeoutMs));
  }
  if (options.max_duration_ms() > kMaxDurationMs) {
    return InvalidRequest(absl::StrCat(ToAbsl(path), ".max_duration_ms"), "OUT_OF_RANGE",
                          absl::StrCat("max_duration_ms must be 0 to ", kMaxDurationMs));
  }
  return absl::OkStatus();
}

absl::Status CheckSavepoint(const Work& work, const sql::Statement& statement) {
  if (!statement.is_about_savepoint() || work.begin.has_value() || !work.transaction_id.empty())
    return absl::OkStatus();
  return InvalidRequest(
      "sql", "TRANSACTION_CONTROL",
      absl::StrCat(ToAbsl(statement.summary()),
                   " needs a transaction: call Begin first (savepoints have methods of their own too: Savepoint, "
                   "RollbackToSavepoint and ReleaseSavepoint)"));
}

absl::Status ValidateSavepointName(std::string_view name) {
  bool plain = !name.empty() && name.size() <= kMaxSavepointName && !absl::ascii_isdigit(name[0]);
  for (const char c : name) plain = plain && (absl::ascii_isalnum(c) || c == '_');
  if (plain) return absl::OkStatus();
  return InvalidRequest("name", "SAVEPOINT_NAME",
                        "a savepoint's name is a letter or _, then letters, digits and _, at most 63 in all");
}

}  // namespace engine::db::call

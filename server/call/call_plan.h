// What a call asks for: [BEGIN] statements [COMMIT or ROLLBACK]. Every method that touches the database makes one of
// these.
#ifndef ENGINE_DB_SERVER_CALL_CALL_PLAN_H_
#define ENGINE_DB_SERVER_CALL_CALL_PLAN_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/db/v1/connector.pb.h"
#include "server/call/ids.h"
#include "server/config/target.h"
#include "server/pool/pool.h"
#include "server/postgres/results.h"
#include "server/sql/bind.h"

namespace engine::db::call {

class Attempt;

// One statement of a call, with one list of parameters.
struct PlannedStatement {
  // As it is sent. `statement` is null for the gateway's own (SAVEPOINT).
  sql::BoundStatement bound;
  bool describe_only = false;
  bool internal = false;  // the gateway's own, beside what the call asks for
  // Where it stands in the request, for errors: which statement of a batch, and which of its parameter lists (-1: it
  // has none).
  bool in_batch = false;
  uint32_t statement_index = 0;
  int parameter_list_index = -1;
  // Makes the receiver of an attempt, which starts with an empty result.
  absl::AnyInvocable<std::unique_ptr<postgres::ResultReceiver>(Attempt& attempt, postgres::EndCallback end)> receive;
  // Statements of an independent batch only: it has failed, while others may have worked. Told when the call ends.
  absl::AnyInvocable<void(const absl::Status&)> failed;
};

// Whether it runs at all, or is only described.
[[nodiscard]] bool Executes(const PlannedStatement& planned);
// Whether it is a read, as far as its text tells.
[[nodiscard]] bool OnlyReads(const PlannedStatement& planned);
// Whether what it does, it does to the session or the transaction alone: sql::Statement::is_neutral(), and the
// gateway's own commands that a caller asked for (SAVEPOINT).
[[nodiscard]] bool IsNeutral(const PlannedStatement& planned);

// How the transaction is to end with the call.
enum class Ending : uint8_t { kNone, kCommit, kRollback };

// What a call has to tell when it ends.
struct CallEnd {
  absl::Status status;
  int attempts = 1;
  std::optional<v1::TransactionStatus> transaction;  // when it ran in one
  postgres::Completion last;                         // of the last statement
};

struct CallPlan {
  absl::Time deadline;
  std::string connection_id;
  SessionId session = 0;
  config::RetrySettings retry;

  std::string transaction_id;                   // runs in this one,
  std::optional<v1::TransactionOptions> begin;  // or begins one,
  std::vector<PlannedStatement> statements;
  Ending ending = Ending::kNone;
  bool independent = false;  // each statement commits or fails on its own
  // Refused where a lost answer to its COMMIT could not be found out.
  bool exactly_once = false;
  // Where the statements are divided into phases; each phase is sent when all before it has worked. Empty: all at once.
  // `after_phase` says whether the next one follows, or COMMIT does; an error ends the call and undoes it.
  std::vector<size_t> phase_ends;
  absl::AnyInvocable<absl::StatusOr<bool>(CallPlan&, size_t phase)> after_phase;
  bool asks_outcome = false;  // only wants to know where the transaction stands
  bool streams = false;       // rows go out while the statement runs

  absl::AnyInvocable<void(CallEnd)> finish;
};

// Whether all of its statements only read, as far as their texts tell.
[[nodiscard]] bool OnlyReads(const CallPlan& plan);
// Whether the statement may commit part of what it does by itself (Statement::may_commit_itself).
[[nodiscard]] bool MayCommitItself(const PlannedStatement& planned);

// Key by which the pool keeps session state apart: one for each connection.
[[nodiscard]] pool::OwnerId OwnerOf(const CallPlan& plan);

// BEGIN with its options.
[[nodiscard]] std::string BeginText(const v1::TransactionOptions& options);

}  // namespace engine::db::call

#endif  // ENGINE_DB_SERVER_CALL_CALL_PLAN_H_

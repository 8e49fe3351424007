// What became of transactions whose COMMIT was never answered, over libpqxx: blocking, rare, and plain to read.
#ifndef ENGINE_DB_SERVER_POSTGRES_COMMIT_FATE_H_
#define ENGINE_DB_SERVER_POSTGRES_COMMIT_FATE_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/postgres/connect_parameters.h"
#include "server/postgres/transaction_mark.h"

namespace engine::db::postgres {

enum class CommitFate : uint8_t {
  kCommitted,
  kAborted,
  kInProgress,  // still running on the server, or the server is a standby: ask again
  kUnknown,     // nobody can tell any more
};

struct CommitQuestion {
  TransactionMark mark;
  // Whether its backend is ended if it still runs. Its session is gone for sure: nobody else can be waiting for it.
  bool end_backend = false;
  // Whether the id is known to have reached the disk before the server could crash, so that it is never given out
  // again: a later one's COMMIT was answered.
  bool xid_is_durable = false;
};

// One look at the server, within about `timeout`; the fates are in the order of the questions. Fails as ConnectFailed()
// does when the server can't be asked: ask again. Blocks: for a BlockingExecutor.
[[nodiscard]] absl::StatusOr<std::vector<CommitFate>> AskCommitFates(const ConnectParameters& parameters,
                                                                     const std::vector<CommitQuestion>& questions,
                                                                     absl::Duration timeout);

}  // namespace engine::db::postgres

#endif  // ENGINE_DB_SERVER_POSTGRES_COMMIT_FATE_H_

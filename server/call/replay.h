// Runs a transaction again from its beginning, when its backend was lost or it had to give way to another one, and
// makes sure that it comes to the same results: then its caller need not know.
#ifndef ENGINE_DB_SERVER_CALL_REPLAY_H_
#define ENGINE_DB_SERVER_CALL_REPLAY_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/pool/pool.h"
#include "server/postgres/results.h"
#include "server/postgres/transaction_mark.h"
#include "server/sql/bind.h"

namespace engine::db::call {

class Target;

// What one transaction has done so far. Loop thread only.
class Replay {
 public:
  // Where the transaction stands after it was run again: as before, on another backend.
  struct Replayed {
    pool::Lease lease;
    std::optional<postgres::TransactionMark> mark;
  };
  using Callback = absl::AnyInvocable<void(absl::StatusOr<Replayed>)>;

  // `begin` is the statement that began the transaction, `owner` its caller. The target must outlive it.
  Replay(Target& target, pool::OwnerId owner, std::string begin)
      : target_(target), owner_(owner), begin_(std::move(begin)) {}
  ~Replay();
  Replay(const Replay&) = delete;
  Replay& operator=(const Replay&) = delete;

  // The statement was answered, with a result of that digest.
  void Remember(sql::BoundStatement bound, uint64_t digest);
  // Something has run that is not remembered: it can't be run again.
  void GiveUp();
  [[nodiscard]] bool possible() const { return possible_; }

  // Takes another backend and runs everything there; calls back once, perhaps at once. An error that is `retryable` may
  // go away when it is tried again; REPLAY_DIFFERED does not. One run at a time.
  void Run(const pool::RetryLimits& retry_limits, Callback callback);
  // The callback will not come.
  void Abandon();

 private:
  struct Entry {
    sql::BoundStatement bound;
    uint64_t digest;
  };

  void OnLease(absl::StatusOr<pool::Lease> lease);
  void Send(postgres::Operation operation, std::unique_ptr<postgres::ResultReceiver> receiver);
  void OnStepEnd(const absl::Status& status);
  void Finish(absl::StatusOr<Replayed> result);

  Target& target_;
  const pool::OwnerId owner_;
  const std::string begin_;
  std::vector<Entry> entries_;
  size_t bytes_ = 0;
  bool possible_ = true;

  // Of the run.
  Callback callback_;
  pool::Ticket ticket_ = 0;
  pool::Lease lease_;
  std::vector<std::unique_ptr<postgres::ResultReceiver>> receivers_;
  size_t steps_left_ = 0;
  absl::Status error_;
  bool differs_ = false;
  std::optional<postgres::TransactionMark> mark_;
};

}  // namespace engine::db::call

#endif  // ENGINE_DB_SERVER_CALL_REPLAY_H_

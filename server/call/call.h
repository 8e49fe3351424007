// A call of the contract while it runs: has one caller, one deadline, and gives one answer.
#ifndef ENGINE_DB_SERVER_CALL_CALL_H_
#define ENGINE_DB_SERVER_CALL_CALL_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/call/attempt.h"
#include "server/call/call_plan.h"
#include "server/call/call_state.h"
#include "server/call/errors.h"
#include "server/call/ids.h"
#include "server/call/replay.h"
#include "server/call/what_follows.h"
#include "server/loop/event_loop.h"
#include "server/loop/weak_self.h"
#include "server/pool/pool.h"
#include "server/postgres/commit_fate.h"

namespace engine::db::call {

class Target;
class Transaction;

// Waits for a backend or its turn, makes attempts, and does what WhatFollows() says after each. Where it stands, and
// where it may go from there, is the table in call_state.cc.
//
// Loop thread only. Owned by its shard from Start() until it has ended, which is later than its answer when a COMMIT
// outlives the deadline.
class Call {
 public:
  Call(CallId id, Target& target, CallPlan plan);
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  void Start();
  // Ends it before its time. A COMMIT that was sent is never cancelled.
  void Stop(StopReason reason);
  // The reader of its stream wants more.
  void ResumeStream();

  // From its transaction: it waits there; it is its turn; or it never will be, since the transaction has ended like
  // this.
  void WaitIn(Transaction& transaction);
  void RunInTransaction();
  void TransactionWasOver(const absl::StatusOr<v1::TransactionStatus>& end);
  // Or it waits in vain, behind a stream that nobody reads.
  void RefuseBehindStream();

  [[nodiscard]] CallId id() const { return id_; }
  [[nodiscard]] const CallPlan& plan() const { return plan_; }
  [[nodiscard]] absl::Time started() const { return started_; }
  [[nodiscard]] bool waiting() const;
  // Process id of its backend; 0 while it waits.
  [[nodiscard]] int backend_pid() const;
  // Fingerprint of its first statement; empty for none.
  [[nodiscard]] std::string fingerprint() const;
  [[nodiscard]] Target& target() const { return target_; }

 private:
  // In the pool's queue.
  struct Waiting {
    pool::Ticket ticket = 0;
    absl::Time since;
  };

  // The one door for the state. What the table does not allow ends the process: a gateway that has lost count of where
  // a call stands can't tell what became of it.
  void MoveTo(CallState state);

  void StartAttempt();
  void MakeAttempt(Record record);
  void OnLease(absl::StatusOr<pool::Lease> lease);
  void OnAttemptEnded();
  void RunAgain(const Decision& decision);
  // The server found writing what the text shows as a read.
  void TakeAsWrite();
  // It has worked, or nothing else is to be done.
  void Conclude(const absl::Status& status);
  void ConcludeInTransaction(const absl::Status& status);
  [[nodiscard]] v1::TransactionStatus EndOrLeave(Transaction& in, const absl::Status& status);
  void RememberStatements(Transaction& transaction);

  void StartReplay();
  void OnReplayed(absl::StatusOr<Replay::Replayed> replayed);
  void Resolve();

  void StopWaiting();
  void StopWaitingInTransaction();
  void StopAttempt();
  // For a call that is stopped while its COMMIT is under way, or is asked about.
  void AnswerUnlessCommitEnds();
  void AnswerInDoubt();

  [[nodiscard]] bool MayTryAgain() const;
  [[nodiscard]] absl::Duration DelayBeforeRetry() const;
  void Answer(const absl::Status& status, std::optional<v1::TransactionStatus> transaction);
  void End(const absl::Status& status, std::optional<v1::TransactionStatus> transaction = std::nullopt);

  const CallId id_;
  Target& target_;
  CallPlan plan_;
  const absl::Time started_;
  const pool::RetryLimits retry_limits_;  // of the call as a whole
  CallState state_ = CallState::kNew;
  Tried tried_;
  StopReason stop_reason_ = StopReason::kNone;
  Waiting waiting_;
  Transaction* transaction_ = nullptr;  // the one it runs or waits in
  std::optional<Attempt> attempt_;      // the last one
  absl::Status again_because_;          // why it is run again: the last failure
  loop::Timer deadline_timer_;
  loop::Timer timer_;  // of the state: what is due next in it
  loop::WeakSelf<Call> weak_;
};

}  // namespace engine::db::call

#endif  // ENGINE_DB_SERVER_CALL_CALL_H_

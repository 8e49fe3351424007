// A call while it runs: waits for a backend or its turn, sends its work down the pipeline, decides about retries, stops
// at its deadline, answers once.
#ifndef ENGINE_DB_SERVER_CALL_STATEMENT_CALL_H_
#define ENGINE_DB_SERVER_CALL_STATEMENT_CALL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/call/errors.h"
#include "server/call/reach.h"
#include "server/call/replay.h"
#include "server/call/verdict.h"
#include "server/call/work.h"
#include "server/loop/event_loop.h"
#include "server/pool/pool.h"
#include "server/postgres/commit_fate.h"
#include "server/postgres/results.h"
#include "server/postgres/transaction_mark.h"

namespace engine::db::call {

class Target;
class Transaction;

// Loop thread only. Owned by its shard from Start() until it has ended, which is later than its answer when a COMMIT
// outlives the deadline.
class StatementCall {
 public:
  StatementCall(CallId id, Target& target, Work work);
  ~StatementCall();
  StatementCall(const StatementCall&) = delete;
  StatementCall& operator=(const StatementCall&) = delete;

  void Start();
  // Ends it before its time. A COMMIT that was sent is never cancelled.
  void Stop(StopReason reason);
  // The reader of its stream has had enough for now; it wants more.
  void NoteStreamPaused();
  void ResumeStream();

  // From its transaction: it waits there; it is its turn; or it never will be, since the transaction has ended like
  // this.
  void WaitIn(Transaction& transaction);
  void RunIn(Transaction& transaction);
  void TransactionWasOver(const absl::StatusOr<v1::TransactionStatus>& end);
  // Or it waits in vain, behind a stream that nobody reads.
  void RefuseBehindStream();

  // For receivers: the result is larger than the call may return.
  void OnOverflow();
  // For receivers: how the types of their columns are named.
  [[nodiscard]] postgres::TypeNaming Types();
  // For receivers of streams: whether rows are still wanted. If not, they tell that some came.
  [[nodiscard]] bool stopping() const { return stop_reason_ != StopReason::kNone; }
  void NoteRowsDropped() { rows_dropped_ = true; }

  [[nodiscard]] CallId id() const { return id_; }
  [[nodiscard]] const Work& work() const { return work_; }
  [[nodiscard]] absl::Time started() const { return started_; }
  [[nodiscard]] bool waiting() const { return state_ != State::kRunning || (shared_ && read_.queued); }
  // Process id of its backend; 0 while it waits.
  [[nodiscard]] int backend_pid() const;
  // Fingerprint of its first statement; empty for none.
  [[nodiscard]] std::string fingerprint() const;
  [[nodiscard]] Target& target() const { return target_; }

 private:
  [[nodiscard]] loop::EventLoop& loop() const;
  enum class State : uint8_t {
    kQueued,  // in the pool's queue
    kQueuedInTransaction,
    kBackingOff,
    kRunning,
    kReplaying,  // its transaction is run again on another backend, and then it is
    kResolving,  // its COMMIT was never answered: the server is asked what became of it
    kEnded,
  };
  enum class Step : uint8_t { kBegin, kStatement, kMark, kEnding };

  void StartAttempt();
  [[nodiscard]] bool ReadsOnItsOwn() const;
  [[nodiscard]] bool MayShare() const;
  void RunShared();
  void OnLease(absl::StatusOr<pool::Lease> lease);
  void Send(pool::Lease& lease);
  // The next phase of the work's runs, which for most are all of them.
  void SendRuns(pool::Lease& lease);
  // Everything that was sent so far has worked: more runs, or COMMIT.
  void GoOn();
  // COMMIT or ROLLBACK by itself, behind statements that have been answered.
  void SendEnding(pool::Lease& lease);
  void SendCommand(pool::Lease& lease, Step step, std::string text, bool sync);
  // Asks for the transaction's mark, in the same pipeline.
  void SendMark(pool::Lease& lease);
  void TakeMark(const postgres::MarkAnswer& answer);
  [[nodiscard]] bool WantsMark() const;
  // Whether what it has run is to be covered by a mark that was not asked for yet.
  [[nodiscard]] bool MarkIsDue() const;
  // Whether what it runs may write. A text that only reads is no proof: a view, an operator or a policy may call
  // anything. The server's word is: it refuses writes.
  [[nodiscard]] bool MayWrite() const;
  // Whether a run is no read by its text, or turned out not to be one; and whether any is.
  [[nodiscard]] bool RunsWrite(const Run& run) const;
  [[nodiscard]] bool RunsWrites() const;
  // Whether its text calls what may act elsewhere at once.
  [[nodiscard]] bool CallsOutside() const;
  void NoteIn(Transaction& transaction) const;
  // Of others' making or its own.
  [[nodiscard]] bool InTransaction() const { return transaction_ != nullptr || work_.begin.has_value(); }
  // Its caller asked for READ ONLY.
  [[nodiscard]] bool ReadOnlyAsked() const;
  // The server refused what its text had not shown.
  void TakeForWrite();
  void SendStep(pool::Lease& lease, Step step, postgres::Operation operation,
                std::unique_ptr<postgres::ResultReceiver> receiver);
  void CountStatement(const std::shared_ptr<const sql::BoundText>& text, const sql::BoundParameters* parameters);
  void OnStepEnd(Step step, size_t index, const absl::StatusOr<postgres::Completion>& end);
  void NoticeReadOnlyServer();
  // For a call that is stopped while its COMMIT is under way, or is asked about.
  void AnswerUnlessCommitEnds();
  void AnswerInDoubt();
  void OnPatienceLost();
  void OnTypes(int attempt);
  void ResumeReading();
  [[nodiscard]] pool::Lease& CurrentLease();
  void Conclude();
  // For a COMMIT that was never answered: true when the server is being asked, and Conclude() comes again.
  [[nodiscard]] bool Resolve();
  // COMMIT takes long: the link may swallow the answer.
  void OnSlowCommit();
  void TakeFate(postgres::CommitFate fate);
  void ConcludeTransaction(const absl::Status& status);
  // For a transaction that was lost or had to give way, and may be run again without its caller's knowing.
  [[nodiscard]] bool MayReplay(const absl::Status& verdict) const;
  void StartReplay();
  void OnReplayed(absl::StatusOr<Replay::Replayed> replayed);
  [[nodiscard]] bool WantsDigests() const;
  void RememberRuns(Transaction& transaction);
  [[nodiscard]] Attempt ThisAttempt() const;
  // The first error, in the light of what the call knows.
  [[nodiscard]] absl::Status FinalStatus() const;
  [[nodiscard]] absl::Status RowsWithheld() const;
  // Whether the call's retry settings allow another attempt, and how long to wait before it.
  [[nodiscard]] bool MayTryAgain() const;
  [[nodiscard]] absl::Duration DelayBeforeRetry() const;
  [[nodiscard]] bool MayRetry(const absl::Status& verdict);
  void Retry(const absl::Status& status);
  void Answer(const absl::Status& status, std::optional<v1::TransactionStatus> transaction);
  void End(const absl::Status& status, std::optional<v1::TransactionStatus> transaction);

  const CallId id_;
  Target& target_;
  Work work_;
  // By the texts of its runs.
  const bool only_reads_;
  const bool may_commit_itself_;
  const absl::Time started_;
  const pool::Patience patience_;  // of the call as a whole
  State state_ = State::kQueued;
  bool answered_ = false;

  // Of the attempt that runs.
  int attempts_ = 0;
  bool hides_writes_ = false;  // its texts only read, and the server found it writing
  bool stale_plan_retried_ = false;
  bool read_only_server_retried_ = false;
  bool server_is_read_only_ = false;  // as its backend was told
  pool::Ticket ticket_ = 0;
  pool::Lease lease_;                   // its own; in a transaction that one's
  Transaction* transaction_ = nullptr;  // the one it runs or waits in
  pool::SharedRead read_;
  bool shared_ = false;
  bool guarded_ = false;  // the server refuses whatever writes
  std::vector<std::unique_ptr<postgres::ResultReceiver>> receivers_;
  size_t steps_left_ = 0;
  size_t phase_ = 0;                    // of the runs that are under way
  absl::Status error_;                  // the first
  std::vector<absl::Status> failures_;  // of an independent batch: one for each run
  bool ending_sent_ = false;
  bool committed_ = false;
  // Of the transaction that it runs in or has begun. Nothing while what was run since is not covered by it.
  std::optional<postgres::TransactionMark> mark_;
  bool marked_ = false;                       // it has asked for that, and got it
  std::optional<postgres::CommitFate> fate_;  // as the server told when it was asked
  Reach reach_;                               // of that transaction, or of the attempt
  bool rows_dropped_ = false;                 // of a stream that was stopped
  // An attempt before this one may have been committed; its key has yet to show whether it was.
  bool earlier_attempt_in_doubt_ = false;
  std::vector<uint64_t> digests_;  // of the runs' results; empty if nobody wants them
  absl::Status replayed_because_;
  postgres::Completion last_;

  StopReason stop_reason_ = StopReason::kNone;
  absl::Time queued_at_;
  loop::Timer deadline_timer_;
  loop::Timer patience_timer_;
  loop::Timer commit_timer_;
  loop::Timer backoff_timer_;
};

}  // namespace engine::db::call

#endif  // ENGINE_DB_SERVER_CALL_STATEMENT_CALL_H_

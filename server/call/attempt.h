// One attempt at a call, on one backend: sends the plan's statements down the pipeline, hears what becomes of them.
#ifndef ENGINE_DB_SERVER_CALL_ATTEMPT_H_
#define ENGINE_DB_SERVER_CALL_ATTEMPT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/call/attempt_end.h"
#include "server/call/call_plan.h"
#include "server/call/effects.h"
#include "server/call/record.h"
#include "server/loop/event_loop.h"
#include "server/loop/weak_self.h"
#include "server/pool/pool.h"
#include "server/postgres/backend.h"
#include "server/postgres/commit_fate.h"
#include "server/postgres/results.h"

namespace engine::db::call {

class Target;
class Transaction;

// Loop thread only. Owned by its call, which makes a new one each time. What comes back for one that is gone is
// dropped.
class Attempt {
 public:
  // What all attempts of a call have in common.
  struct Of {
    Target& target;
    CallPlan& plan;
    // The transaction that was open before the call; null if there is none. It outlives the attempt.
    Transaction* transaction = nullptr;
  };
  // What has come back.
  struct Result {
    absl::Status error;                  // the first
    std::vector<absl::Status> failures;  // of an independent batch: one for each statement
    postgres::Completion last;           // of the last statement that worked
    std::vector<uint64_t> digests;       // of the statements' results; empty if nobody wants them
    bool committed = false;
    bool key_has_shown = false;        // what became of earlier attempts: see CallPlan::after_phase
    bool rows_dropped = false;         // of a stream that was stopped
    bool server_is_read_only = false;  // as its backend was told
  };

  // `ended` is called once, when everything that was sent has been answered, or can't be any more, perhaps from within
  // RunOn() or RunInTransaction(). `hides_writes`: as in Circumstances.
  Attempt(const Of& of, Record record, bool hides_writes, absl::AnyInvocable<void()> ended);
  ~Attempt();
  Attempt(const Attempt&) = delete;
  Attempt& operator=(const Attempt&) = delete;

  // One of these begins it.

  // A read that stands in a pipeline with others. An error: the pool's queue is full, and nothing has begun.
  [[nodiscard]] absl::Status RunShared(const pool::RetryLimits& retry_limits);
  // On a backend of its own.
  void RunOn(pool::Lease lease);
  // In the transaction that was open before.
  void RunInTransaction();

  // How it is run: see Circumstances::guarded; and whether it may share a pipeline.
  [[nodiscard]] bool guarded() const { return circumstances_.guarded; }
  [[nodiscard]] bool MayShare() const;

  // From the call, while the attempt runs. Nobody wants the result any more: what runs is cancelled on the server, rows
  // are read and dropped.
  void Cancel(StopReason reason);
  // The same for a shared read: nothing more is heard of it. Whether it had not been sent yet.
  bool AbandonShared(StopReason reason);
  // Closes the link, which ends whatever is under way.
  void BreakLink();
  void ResumeReading();
  // COMMIT is all that is under way: it is never cancelled, since one that waits for a standby is committed all the
  // same.
  [[nodiscard]] bool commit_is_under_way() const;
  [[nodiscard]] bool shared() const { return read_.receiver != nullptr; }
  [[nodiscard]] bool waits() const { return read_.queued; }
  // Process id of its backend; 0 while it has none.
  [[nodiscard]] int backend_pid() const;

  // For receivers, while rows come.

  // How the types of their columns are named.
  [[nodiscard]] postgres::TypeNaming Types();
  // The result is larger than the call may return.
  void OnOverflow();
  // Whether rows are still wanted. If not, the receiver tells that some came.
  [[nodiscard]] bool stopping() const { return stop_reason_ != StopReason::kNone; }
  void NoteRowsDropped() { result_.rows_dropped = true; }
  // The stream's reader has had enough for now.
  void NoteStreamPaused();

  // When it has ended.

  [[nodiscard]] AttemptEnd End() const;
  [[nodiscard]] Result& result() { return result_; }
  // The backend of an attempt that has one of its own.
  [[nodiscard]] pool::Lease& own_lease() { return lease_; }
  // What its transaction had done before it, and what the server has told since.
  [[nodiscard]] const Record& record() const { return record_; }
  // The same, with what the attempt has added.
  [[nodiscard]] Record RecordAtEnd() const;
  // The server, or what was sent, has told what became of COMMIT.
  void Settle(postgres::CommitFate fate);

 private:
  enum class Step : uint8_t { kBegin, kStatement, kMark, kEnding };
  // What is under way.
  struct Progress {
    size_t steps_left = 0;
    size_t phase = 0;  // of the plan: see CallPlan::phase_ends
    bool ending_sent = false;
    bool marked = false;  // the mark was asked for, and told
    std::optional<postgres::CommitFate> fate;
  };

  [[nodiscard]] Effects effects() const;
  // Its own, or the transaction's.
  [[nodiscard]] pool::Lease& lease();
  [[nodiscard]] bool WantsDigests() const;
  [[nodiscard]] bool WantsMark() const;
  void Start();
  // The next phase of the plan's statements, which for most plans are all of them.
  void SendStatements();
  void SendStatement(size_t index, bool sync);
  void SendCommand(Step step, std::string text, bool sync);
  // Asks for the transaction's mark, behind the statements, so that it tells what they did.
  void SendMark();
  // COMMIT or ROLLBACK.
  void SendEnding();
  void SendStep(postgres::Operation operation, std::unique_ptr<postgres::ResultReceiver> receiver);
  void CountStatement(const sql::BoundText& text, const sql::BoundParameters& parameters);

  void OnStepEnd(Step step, size_t index, const absl::StatusOr<postgres::Completion>& end);
  void OnStatementWorked(const postgres::Completion& end);
  void OnEndingWorked(const postgres::Completion& end);
  void OnStepFailed(Step step, size_t index, const absl::Status& error);
  // Everything that was sent so far has worked: more statements, or COMMIT.
  void GoOn();
  // What a failure tells of the server or of the text, for other calls.
  void LearnFrom(const absl::Status& error, Step step, size_t index);
  void TakeMark(const postgres::MarkAnswer& answer);
  // COMMIT takes long: the link may have swallowed the answer.
  void OnSlowCommit();
  [[nodiscard]] bool IsCommitInDoubt() const;
  void Finish();

  Target& target_;
  CallPlan& plan_;
  Transaction* const transaction_;
  Circumstances circumstances_;
  Record record_;
  pool::Lease lease_;  // its own; in an open transaction that one's is used
  pool::SharedRead read_;
  std::vector<std::unique_ptr<postgres::ResultReceiver>> receivers_;
  Progress progress_;
  Result result_;
  StopReason stop_reason_ = StopReason::kNone;
  absl::AnyInvocable<void()> ended_;
  loop::Timer commit_timer_;
  loop::WeakSelf<Attempt> weak_;
};

}  // namespace engine::db::call

#endif  // ENGINE_DB_SERVER_CALL_ATTEMPT_H_

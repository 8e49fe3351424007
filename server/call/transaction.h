// An open transaction: the backend it holds, the calls that run in it one after the other, and its lease.
#ifndef ENGINE_DB_SERVER_CALL_TRANSACTION_H_
#define ENGINE_DB_SERVER_CALL_TRANSACTION_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "engine/db/v1/admin.pb.h"
#include "engine/db/v1/connector.pb.h"
#include "server/call/errors.h"
#include "server/call/reach.h"
#include "server/call/replay.h"
#include "server/call/work.h"
#include "server/loop/event_loop.h"
#include "server/observe/metrics.h"
#include "server/pool/pool.h"
#include "server/postgres/transaction_mark.h"

namespace engine::db::call {

class StatementCall;
class Target;

// Loop thread only. Owned by its target until it ends; its handle then leaves a tombstone there.
class Transaction {
 public:
  Transaction(Target& target, std::string id, const Work& work, pool::Lease lease);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  // Runs the call when those before it have ended.
  void Enqueue(StatementCall& call);
  // The call stops waiting.
  void Remove(StatementCall& call);
  // The running call has ended, and the transaction goes on. Then the next one runs.
  void CallEnded();
  // The running call has ended the transaction. Calls that wait fail; then this object is gone.
  // `doubt` as in Target::EndTransaction.
  void Conclude(v1::TransactionState state, observe::Conclusion conclusion,
                const absl::Status& doubt = absl::OkStatus());
  // Ends it whatever runs: its lease ran out, its caller is gone, the gateway shuts down.
  void Abort(StopReason reason);

  // Not held while it is run again elsewhere, and when that has failed.
  [[nodiscard]] pool::Lease& lease() { return lease_; }
  [[nodiscard]] bool lost() const { return !lease_.held() || !lease_.backend().usable(); }
  // Whether it takes only what ends or mends it.
  [[nodiscard]] bool failed() const { return !lost() && lease_.backend().transaction_failed(); }
  [[nodiscard]] const std::string& id() const { return id_; }
  [[nodiscard]] const std::string& connection_id() const { return connection_id_; }
  // The session that it ends with; 0 for none.
  [[nodiscard]] SessionId session() const { return session_; }
  [[nodiscard]] absl::Time began() const { return began_; }
  // Its caller asked for READ ONLY.
  [[nodiscard]] bool read_only() const { return read_only_; }
  // Why it is being ended from outside; kNone while it is not.
  [[nodiscard]] StopReason abort_reason() const { return abort_reason_; }
  // It has ended: its backend and its place among the transactions go to others.
  void GiveUp() { lease_.Release(); }
  // Another backend, on which it stands where it stood before.
  void TakeLease(pool::Lease lease) { lease_.TakeBackend(std::move(lease)); }
  // Null unless its caller asked for it.
  [[nodiscard]] Replay* replay() const { return replay_.get(); }
  // Whether anything has run that the server might have let write.
  [[nodiscard]] bool may_have_written() const { return may_have_written_; }
  void MarkWritten() { may_have_written_ = true; }
  // Whether something has run that may have made it READ WRITE (SET TRANSACTION).
  [[nodiscard]] bool settings_changed() const { return settings_changed_; }
  void MarkSettingsChanged() { settings_changed_ = true; }
  // Whether something has run that the mark does not cover: it has to be asked for before COMMIT is sent.
  [[nodiscard]] bool mark_due() const { return mark_due_; }
  void SetMarkDue(bool due) { mark_due_ = due; }
  [[nodiscard]] const Reach& reach() const { return reach_; }
  void SetReach(const Reach& reach) { reach_ = reach; }
  // Of the running call, a stream: its reader has had enough for now, or goes on. While nobody reads it, calls that
  // wait behind it are refused after a moment, since its reader may be waiting for one of them; a Rollback ends it.
  void SetStreamPaused(bool paused);
  // Whether its COMMIT is being run.
  [[nodiscard]] bool committing() const;
  // What its fate can be asked by; nothing while that is not known.
  [[nodiscard]] const std::optional<postgres::TransactionMark>& mark() const { return mark_; }
  void SetMark(std::optional<postgres::TransactionMark> mark) {
    mark_ = std::move(mark);
    if (mark_.has_value()) mark_->replayable = replay_ != nullptr;
    if (mark_.has_value()) mark_->elsewhere = reach_.at_most();
  }
  // Begins its idle time anew.
  void KeepAlive();

  [[nodiscard]] v1::TransactionStatus Status() const;
  [[nodiscard]] v1::TransactionInfo Info() const;

 private:
  void RunNext();
  void ArmIdleTimer();
  void ArmStreamTimer();
  void RefuseWaiting();

  Target& target_;
  loop::EventLoop& loop_;  // outlives the target, which may go before an ended transaction does
  const std::string id_;
  const std::string connection_id_;
  const SessionId session_;
  const absl::Time began_;
  const bool read_only_;
  const absl::Duration idle_timeout_;
  const absl::Duration max_duration_;
  pool::Lease lease_;
  bool may_have_written_ = false;
  bool settings_changed_ = false;
  bool mark_due_ = false;
  Reach reach_;
  std::optional<postgres::TransactionMark> mark_;
  const std::unique_ptr<Replay> replay_;
  StatementCall* running_ = nullptr;
  std::deque<StatementCall*> queue_;
  absl::Time idle_since_;
  uint64_t statements_ = 0;
  std::string last_fingerprint_;
  absl::Time stream_paused_at_ = absl::InfiniteFuture();  // of the running call
  StopReason abort_reason_ = StopReason::kNone;
  loop::Timer idle_timer_;
  loop::Timer stream_timer_;
  loop::Timer lease_timer_;
};

}  // namespace engine::db::call

#endif  // ENGINE_DB_SERVER_CALL_TRANSACTION_H_

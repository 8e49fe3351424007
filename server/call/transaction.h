// An open transaction: the backend it holds, the calls that run in it one after the other, and its lease.
#ifndef ENGINE_DB_SERVER_CALL_TRANSACTION_H_
#define ENGINE_DB_SERVER_CALL_TRANSACTION_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "engine/db/v1/admin.pb.h"
#include "engine/db/v1/connector.pb.h"
#include "server/call/call_plan.h"
#include "server/call/errors.h"
#include "server/call/record.h"
#include "server/call/replay.h"
#include "server/config/settings.h"
#include "server/loop/event_loop.h"
#include "server/loop/weak_self.h"
#include "server/observe/metrics.h"
#include "server/pool/pool.h"

namespace engine::db::call {

class Call;
class Target;

// Loop thread only. Owned by its target until it ends; its handle then leaves a tombstone there.
class Transaction {
 public:
  Transaction(Target& target, std::string id, const CallPlan& plan, pool::Lease lease);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  // Runs the call when those before it have ended.
  void Enqueue(Call& call);
  // The call stops waiting.
  void Remove(Call& call);
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
  [[nodiscard]] const std::string& connection_id() const { return terms_.connection_id; }
  // The session that it ends with; 0 for none.
  [[nodiscard]] SessionId session() const { return terms_.session; }
  // Its caller asked for READ ONLY.
  [[nodiscard]] bool read_only() const { return terms_.read_only; }
  // Why it is being ended from outside; kNone while it is not.
  [[nodiscard]] StopReason abort_reason() const { return abort_reason_; }
  // Another backend, on which it stands where it stood before.
  void TakeLease(pool::Lease lease) { lease_.TakeBackend(std::move(lease)); }
  // Null unless its caller asked for it.
  [[nodiscard]] Replay* replay() const { return replay_.get(); }
  // What it has done so far; the attempt that runs has more.
  [[nodiscard]] const Record& record() const { return record_; }
  void SetRecord(Record record);
  // Of the running call, a stream: its reader has had enough for now, or goes on. While nobody reads it, calls that
  // wait behind it are refused after a moment, since its reader may be waiting for one of them; a Rollback ends it.
  void SetStreamPaused(bool paused);
  // Whether its COMMIT is being run.
  [[nodiscard]] bool committing() const;
  // Begins its idle time anew.
  void KeepAlive();

  [[nodiscard]] v1::TransactionStatus Status() const;
  [[nodiscard]] v1::TransactionInfo Info() const;

 private:
  // What its caller and the settings have laid down for it.
  struct Terms {
    std::string connection_id;
    SessionId session = 0;
    bool read_only = false;
    absl::Duration idle_timeout;
    absl::Time ends_at;  // when its lease runs out
  };
  // For listings and logs.
  struct Activity {
    absl::Time began;
    absl::Time idle_since;
    uint64_t statements = 0;
    std::string last_fingerprint;
  };

  [[nodiscard]] static Terms TermsOf(const CallPlan& plan, const config::Limits& limits, absl::Time now);
  void RunNext();
  void ArmIdleTimer();
  void ArmStreamTimer();
  void RefuseWaiting();

  Target& target_;
  const std::string id_;
  const Terms terms_;
  pool::Lease lease_;
  Record record_;
  const std::unique_ptr<Replay> replay_;
  Call* running_ = nullptr;
  std::deque<Call*> queue_;
  Activity activity_;
  absl::Time stream_paused_at_ = absl::InfiniteFuture();  // of the running call
  StopReason abort_reason_ = StopReason::kNone;
  loop::Timer idle_timer_;
  loop::Timer stream_timer_;
  loop::Timer lease_timer_;
  loop::WeakSelf<Transaction> weak_;
};

}  // namespace engine::db::call

#endif  // ENGINE_DB_SERVER_CALL_TRANSACTION_H_

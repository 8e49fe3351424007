// One connection to a PostgreSQL server, driven without blocking on an event loop, in libpq's pipeline mode (PostgreSQL
// manual, section 34.5).
#ifndef ENGINE_DB_SERVER_POSTGRES_BACKEND_H_
#define ENGINE_DB_SERVER_POSTGRES_BACKEND_H_

#include <libpq-fe.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/loop/blocking_executor.h"
#include "server/loop/event_loop.h"
#include "server/postgres/cancel_requests.h"
#include "server/postgres/connect_parameters.h"
#include "server/postgres/prepared_statements.h"
#include "server/postgres/result_receiver.h"
#include "server/sql/bind.h"

namespace engine::db::postgres {

// Something to be sent down the pipeline.
struct Operation {
  // What to run; prepared on its first use on a backend.
  std::shared_ptr<const sql::BoundText> text;
  // Null for none. Read only while Run() runs.
  const sql::BoundParameters* parameters = nullptr;
  // Null: nobody wants the result.
  ResultReceiver* receiver = nullptr;
  // A Sync follows: what comes after succeeds or fails on its own. Without, a failure makes the server skip everything
  // up to the next one.
  bool sync = true;
  // Only says what the statement is: the receiver's OnColumns gets the description, of the parameters too.
  bool describe_only = false;
  // Whether it is prepared under a name, to be run again. Otherwise it is prepared for this once.
  bool keep_prepared = true;
};

// Loop thread only. Made, it begins to connect; `opened` tells how that went. When the link breaks, everything in
// flight fails with LinkLost, then `lost` is told. Must not be destroyed from within its own callbacks: Close() it, and
// destroy it later.
class Backend {
 public:
  using OperationId = uint64_t;

  struct Events {
    absl::AnyInvocable<void(const absl::Status&)> opened;  // once
    absl::AnyInvocable<void()> drained;                    // nothing is in flight any more, no cancel request either
    absl::AnyInvocable<void(const absl::Status&)> lost;    // once at most, only after opened(OK)
  };

  // All must outlive it.
  Backend(loop::EventLoop& loop, loop::BlockingExecutor& executor, CancelRequests& cancels,
          const ConnectParameters& parameters, absl::Time connect_deadline, Events events);
  ~Backend();
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;

  // Sends an operation behind those in flight. Its receiver always gets an OnEnd, but never from within Run().
  OperationId Run(const Operation& operation);
  // The result of the operation goes nowhere from now on. Does nothing if it has ended.
  void Detach(OperationId id);
  // After a receiver's kPause.
  void ResumeReading();

  // Asks the server to cancel what runs now. The backend counts as busy until the request was delivered and a further
  // round trip has shown that it can't hit anything that is sent later.
  void Cancel();

  // Looks at the socket of an idle backend: a server that ended the session has said so, or hung up, and then the
  // backend is not usable() any more. `lost` is told as usual.
  void CheckAlive();

  // Ends the link at once; everything in flight fails. No event is told after this.
  void Close();

  // Whether a setting that the server reports by itself (the time zone, DateStyle, who is logged in…) is not what it
  // was when the backend was new or last said to be. Costs no round trip.
  [[nodiscard]] bool ReportedSettingsChanged() const;
  // Whether one of those is another by which the server reads the text of statements: what is sent would mean something
  // else than the gateway has read.
  [[nodiscard]] bool ReadsTextOtherwise() const;
  // They are right as they are now.
  void AcceptReportedSettings();

  // What was prepared may be out of date: it is prepared anew.
  void ForgetPreparedStatements() { prepared_.Clear(); }
  // Texts may mean something else from now on, and again at any time: nothing is kept prepared…
  void StopPreparing();
  // …until the session is as it was when it began: DISCARD ALL has run, or is next in the pipeline.
  void StartPreparing();

  [[nodiscard]] bool usable() const { return state_ == State::kOpen; }
  // Whether a Cancel() is not over yet.
  [[nodiscard]] bool cancelling() const { return cancels_pending_ > 0; }
  [[nodiscard]] bool busy() const { return !in_flight_.empty() || cancels_pending_ > 0; }
  [[nodiscard]] size_t in_flight() const { return in_flight_.size(); }
  // The operation that the server works on, and since when. Only when in_flight() > 0.
  [[nodiscard]] OperationId front_id() const { return in_flight_.front().id; }
  [[nodiscard]] absl::Time front_since() const { return front_since_; }
  // How long the last operation that ended was the front one. For its receiver's OnEnd.
  [[nodiscard]] absl::Duration front_took() const { return front_took_; }
  // What was sent in this round of the loop has not left yet: what is sent now goes along.
  [[nodiscard]] bool flush_planned() const { return flush_planned_; }
  // Whether a transaction block is open, as of the last answer. Only when nothing is in flight.
  [[nodiscard]] bool in_transaction() const;
  // Whether the transaction block that is open takes no more statements, as of the last answer: also for that one's
  // receiver, and whatever stands in the pipeline behind it.
  [[nodiscard]] bool transaction_failed() const;
  // The server itself takes no writes, whatever the transaction: a standby, or default_transaction_read_only.
  [[nodiscard]] bool server_is_read_only() const;
  // Process id on the server; 0 while connecting.
  [[nodiscard]] int pid() const { return pid_; }

 private:
  enum class State : uint8_t { kConnecting, kOpen, kClosed };
  // What of an operation is awaited next.
  enum class Stage : uint8_t { kPrepare, kResult, kSync };

  struct InFlight {
    OperationId id = 0;
    std::shared_ptr<const sql::BoundText> text;
    ResultReceiver* receiver = nullptr;
    Stage stage = Stage::kResult;
    bool sync = true;
    bool sent = false;  // libpq has it: the server may have seen it
    bool has_prepare = false;
    bool single_row_set = false;
    bool columns_told = false;
    absl::Status error;
    Completion completion;
  };

  void Resolve(const ConnectParameters& parameters);
  void StartConnecting(const ConnectParameters& parameters);
  void ContinueConnecting();
  void OnConnected();
  // Whether another connection is made instead, since what this one is like is known now.
  [[nodiscard]] bool ConnectsAgain();
  void FailConnecting(const char* message);  // libpq's
  void FailConnecting(const absl::Status& status);

  [[nodiscard]] bool Send(const Operation& operation, InFlight& entry);
  void SendDeallocate(const std::string& name);
  void FlushAtEndOfRound();
  void Flush();
  void OnSocketReady(uint32_t ready);
  void UpdateWatch();
  void ProcessResults();
  void HandleResult(const PGresult* result);
  void HandleStatementResult(InFlight& front, const PGresult& result);
  void FinishFront();
  void Lose(const absl::Status& cause);
  void FailInFlight();
  void TellIfDrained();
  [[nodiscard]] bool SettingChanged(size_t index) const;
  static void OnNotice(void* self, const PGresult* notice);

  loop::EventLoop& loop_;
  loop::BlockingExecutor& executor_;
  CancelRequests& cancels_;
  const ErrorTexts texts_;
  Events events_;
  State state_ = State::kConnecting;
  PGconn* connection_ = nullptr;
  int watched_fd_ = -1;
  loop::Timer connect_timer_;
  std::optional<ConnectParameters> parameters_;  // until connected
  int pid_ = 0;

  OperationId next_id_ = 1;
  std::deque<InFlight> in_flight_;
  absl::Time front_since_;
  absl::Duration front_took_;
  PreparedStatements prepared_;
  bool prepares_ = true;
  std::vector<std::string> reported_settings_;
  bool last_failed_ = false;  // the last operation that ended, of those that somebody asked for
  int cancels_pending_ = 0;
  bool reading_paused_ = false;
  bool write_blocked_ = false;
  bool flush_planned_ = false;
  bool processing_ = false;
  absl::Status last_fatal_;  // what the server said before it hung up
  bool farewell_heard_ = false;
  // Lets work that returns from another thread see whether the backend is still there; set and read on the loop only.
  std::shared_ptr<Backend*> self_;
};

}  // namespace engine::db::postgres

#endif  // ENGINE_DB_SERVER_POSTGRES_BACKEND_H_

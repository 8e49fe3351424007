// The Backend over libpq, driven without blocking on an event loop, in libpq's pipeline mode (PostgreSQL manual, section
// 34.5).
#ifndef ENGINE_DB_SERVER_POSTGRES_PIPELINE_BACKEND_H_
#define ENGINE_DB_SERVER_POSTGRES_PIPELINE_BACKEND_H_

#include <libpq-fe.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/config/target.h"
#include "server/loop/blocking_executor.h"
#include "server/loop/event_loop.h"
#include "server/postgres/backend.h"
#include "server/postgres/cancel_requests.h"
#include "server/postgres/connect_parameters.h"
#include "server/postgres/prepared_statements.h"
#include "server/postgres/result_receiver.h"
#include "server/sql/bind.h"

namespace engine::db::postgres {

// Loop thread only.
class PipelineBackend final : public Backend {
 public:
  // All must outlive it.
  PipelineBackend(loop::EventLoop& loop, loop::BlockingExecutor& executor, CancelRequests& cancels,
                  const ConnectParameters& parameters, absl::Time connect_deadline, Events events);
  ~PipelineBackend() override;
  PipelineBackend(const PipelineBackend&) = delete;
  PipelineBackend& operator=(const PipelineBackend&) = delete;

  OperationId Run(const Operation& operation) override;
  void Detach(OperationId id) override;
  void ResumeReading() override;
  void Cancel() override;
  void CheckAlive() override;
  void Close() override;

  [[nodiscard]] bool ReportedSettingsChanged() const override;
  [[nodiscard]] bool ReadsTextOtherwise() const override;
  void AcceptReportedSettings() override;

  void ForgetPreparedStatements() override { prepared_.Clear(); }
  void StopPreparing() override;
  void StartPreparing() override;

  [[nodiscard]] bool usable() const override { return state_ == State::kOpen; }
  [[nodiscard]] bool cancelling() const override { return cancels_pending_ > 0; }
  [[nodiscard]] size_t in_flight() const override { return in_flight_.size(); }
  [[nodiscard]] OperationId front_id() const override { return in_flight_.front().id; }
  [[nodiscard]] absl::Time front_since() const override { return front_since_; }
  [[nodiscard]] absl::Duration front_took() const override { return front_took_; }
  [[nodiscard]] bool flush_planned() const override { return flush_planned_; }
  [[nodiscard]] bool in_transaction() const override;
  [[nodiscard]] bool transaction_failed() const override;
  [[nodiscard]] bool server_is_read_only() const override;
  [[nodiscard]] int pid() const override { return pid_; }

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
  std::shared_ptr<PipelineBackend*> self_;
};

class PipelineBackendFactory final : public BackendFactory {
 public:
  // All must outlive it. The executor looks up host names.
  PipelineBackendFactory(loop::EventLoop& loop, loop::BlockingExecutor& executor,
                         const config::TargetSettings& settings)
      : loop_(loop), executor_(executor), settings_(settings), cancels_(loop) {}

  [[nodiscard]] std::unique_ptr<Backend> Open(std::string password, absl::Time connect_deadline,
                                              Backend::Events events) override;
  [[nodiscard]] size_t cancels_under_way() const override { return cancels_.under_way(); }

 private:
  loop::EventLoop& loop_;
  loop::BlockingExecutor& executor_;
  const config::TargetSettings& settings_;
  CancelRequests cancels_;
};

}  // namespace engine::db::postgres

#endif  // ENGINE_DB_SERVER_POSTGRES_PIPELINE_BACKEND_H_

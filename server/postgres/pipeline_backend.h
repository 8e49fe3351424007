// The Backend over libpq, driven without blocking on an event loop, in libpq's pipeline mode (PostgreSQL manual, section
// 34.5).
#ifndef ENGINE_DB_SERVER_POSTGRES_PIPELINE_BACKEND_H_
#define ENGINE_DB_SERVER_POSTGRES_PIPELINE_BACKEND_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/config/target.h"
#include "server/loop/blocking_executor.h"
#include "server/loop/event_loop.h"
#include "server/loop/weak_self.h"
#include "server/postgres/backend.h"
#include "server/postgres/cancel_requests.h"
#include "server/postgres/connect_parameters.h"
#include "server/postgres/connection_attempt.h"
#include "server/postgres/libpq_types.h"
#include "server/postgres/operations_in_flight.h"
#include "server/postgres/pipeline_link.h"
#include "server/postgres/prepared_statements.h"
#include "server/postgres/reported_settings.h"

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
  void Detach(OperationId id) override { in_flight_.Detach(id); }
  void ResumeReading() override;
  void Cancel() override;
  void CheckAlive() override;
  void Close() override;

  [[nodiscard]] bool ReportedSettingsChanged() const override;
  [[nodiscard]] bool ReadsTextOtherwise() const override;
  void AcceptReportedSettings() override;

  void ForgetPreparedStatements() override { prepared_.Clear(); }
  void StopPreparing() override { prepared_.SetEnabled(false); }
  void StartPreparing() override { prepared_.SetEnabled(true); }
  [[nodiscard]] size_t prepared_statements() const override { return prepared_.size(); }

  [[nodiscard]] bool usable() const override { return link_.is_open(); }
  [[nodiscard]] bool cancelling() const override { return cancels_pending_ > 0; }
  [[nodiscard]] size_t in_flight() const override { return in_flight_.size(); }
  [[nodiscard]] OperationId front_id() const override { return in_flight_.front().id; }
  [[nodiscard]] absl::Time front_since() const override { return in_flight_.front_since(); }
  [[nodiscard]] absl::Duration front_took() const override { return in_flight_.front_took(); }
  [[nodiscard]] bool flush_planned() const override { return flush_planned_; }
  [[nodiscard]] bool in_transaction() const override;
  [[nodiscard]] bool transaction_failed() const override;
  [[nodiscard]] bool server_is_read_only() const override;
  [[nodiscard]] int pid() const override { return pid_; }

 private:
  // What the server says before it ends a session.
  struct Farewell {
    bool heard = false;
    absl::Status reason;
  };

  void OnConnected(absl::StatusOr<ConnectionPtr> connection);

  // Sending.
  void Deallocate(const std::string& name);
  void FlushAtEndOfRound();
  void Flush();
  void OnCancelSent();

  // Receiving. Whatever calls a receiver or an event may find the backend closed, and nothing in flight, afterwards.
  void OnSocketReady(uint32_t ready);
  void Read();
  void ProcessResults();
  void ProcessUnasked();
  void HandleResult(const PGresult* result);
  void HandleError(const PGresult& result);
  void HandlePrepareEnd();
  void HandleStatementResult(const PGresult& result);
  [[nodiscard]] bool TellRows(const PGresult& result);
  [[nodiscard]] bool TellDescription(const PGresult& result);
  void FinishFront();
  void TellIfDrained();

  // The end. `cause`: what the server said; OK for nothing but the farewell, if any.
  void Lose(const absl::Status& cause);
  void FailInFlight();
  static void OnNotice(void* self, const PGresult* notice);

  loop::EventLoop& loop_;
  CancelRequests& cancels_;
  const ErrorTexts texts_;
  Events events_;
  std::optional<ConnectionAttempt> connecting_;  // until there is a connection, or none
  PipelineLink link_;                            // open from then on until it is lost or closed
  int pid_ = 0;
  OperationsInFlight in_flight_;
  PreparedStatements prepared_;
  ReportedSettings settings_;
  Farewell farewell_;
  int cancels_pending_ = 0;
  bool flush_planned_ = false;
  loop::WeakSelf<PipelineBackend> self_;
};

// Loop thread only.
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

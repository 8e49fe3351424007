// One connection to a PostgreSQL server, with a pipeline of operations. Two implementations: PipelineBackend, over
// libpq, and the tests' ScriptedBackend (tests/support).
#ifndef ENGINE_DB_SERVER_POSTGRES_BACKEND_H_
#define ENGINE_DB_SERVER_POSTGRES_BACKEND_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/postgres/result_receiver.h"
#include "server/sql/bind.h"

namespace engine::db::postgres {

// Something to be sent down the pipeline.
struct Operation {
  // What to run; prepared on its first use on a backend. Null: only a Sync.
  std::shared_ptr<const sql::BoundText> text;
  // Null for none. Read only while Run() runs.
  const sql::BoundParameters* parameters = nullptr;
  // Null: nobody wants the result.
  ResultReceiver* receiver = nullptr;
  // A Sync follows: what comes after succeeds or fails on its own. Without, a failure makes the server skip everything
  // up to the next Sync.
  bool sync = true;
  // Only says what the statement is: the receiver's OnColumns gets the description, of the parameters too.
  bool describe_only = false;
  // Whether it is prepared under a name, to be run again. Otherwise it is prepared for this once.
  bool keep_prepared = true;
};

// Loop thread only. Connects from when it is made; `opened` tells how that went. When the link breaks, every operation
// in flight fails with LinkLost (sqlstate.h), then `lost` is told.
//
// The owner must not destroy a backend from within the backend's own callbacks (events, and the receivers of its
// operations): Close() it there, and hand it to EventLoop::DestroyLater().
class Backend {
 public:
  using OperationId = uint64_t;  // never 0

  struct Events {
    // Once, never from within the making of the backend.
    absl::AnyInvocable<void(const absl::Status&)> opened;
    // Nothing is in flight any more, no cancel request either.
    absl::AnyInvocable<void()> drained;
    // Once at most, only after opened(OK).
    absl::AnyInvocable<void(const absl::Status&)> lost;
  };

  // Closes it.
  virtual ~Backend() = default;

  // Sends an operation behind those in flight. Its receiver always gets an OnEnd, but never from within Run().
  virtual OperationId Run(const Operation& operation) = 0;
  // The result of the operation goes nowhere from now on. Does nothing if the operation has ended.
  virtual void Detach(OperationId id) = 0;
  // After a receiver's kPause.
  virtual void ResumeReading() = 0;

  // Asks the server to cancel what runs now. The backend counts as busy until the request was delivered and a further
  // round trip has shown that it can't hit anything that is sent later.
  virtual void Cancel() = 0;

  // Looks at the socket of an idle backend: a server that ended the session has said so, or hung up, and then the
  // backend is not usable() any more. `lost` is told as usual.
  virtual void CheckAlive() = 0;

  // Ends the link at once; every operation in flight fails. No event is told after this.
  virtual void Close() = 0;

  // Whether a setting that the server reports by itself (the time zone, DateStyle, the user…) is not what it was when
  // the backend was new or AcceptReportedSettings() was called. Costs no round trip.
  [[nodiscard]] virtual bool ReportedSettingsChanged() const = 0;
  // Whether one of those settings decides how the server reads the text of statements: what is sent would mean
  // something else than the gateway has read.
  [[nodiscard]] virtual bool ReadsTextOtherwise() const = 0;
  // The reported settings are right as they are now.
  virtual void AcceptReportedSettings() = 0;

  // Prepared statements may be out of date, or gone: each is prepared anew when it is next run.
  virtual void ForgetPreparedStatements() = 0;
  // Texts may mean something else from now on, and again at any time: nothing is run as it was prepared, or kept
  // prepared…
  virtual void StopPreparing() = 0;
  // …until the session is as it was when it began: its reset has run, or is next in the pipeline. What had been prepared
  // before StopPreparing() is used again.
  virtual void StartPreparing() = 0;
  // How many are kept, those being prepared included.
  [[nodiscard]] virtual size_t prepared_statements() const = 0;

  // Connected, and the link is not known to be broken.
  [[nodiscard]] virtual bool usable() const = 0;
  // Whether a Cancel() is not over yet.
  [[nodiscard]] virtual bool cancelling() const = 0;
  [[nodiscard]] virtual size_t in_flight() const = 0;
  // The operation that the server works on, and since when. Only when in_flight() > 0.
  [[nodiscard]] virtual OperationId front_id() const = 0;
  [[nodiscard]] virtual absl::Time front_since() const = 0;
  // How long the last operation that ended was the front one. For its receiver's OnEnd.
  [[nodiscard]] virtual absl::Duration front_took() const = 0;
  // What was sent in this round of the loop has not left yet: what is sent now goes along.
  [[nodiscard]] virtual bool flush_planned() const = 0;
  // Whether a transaction block is open, as of the last answer. Only when nothing is in flight.
  [[nodiscard]] virtual bool in_transaction() const = 0;
  // Whether the open transaction block takes no more statements, as of the last answer: also for the receiver of that
  // answer, and whatever stands in the pipeline behind it.
  [[nodiscard]] virtual bool transaction_failed() const = 0;
  // The server itself takes no writes, whatever the transaction: a standby, or default_transaction_read_only.
  [[nodiscard]] virtual bool server_is_read_only() const = 0;
  // Process id on the server; 0 while connecting.
  [[nodiscard]] virtual int pid() const = 0;

  [[nodiscard]] bool busy() const { return in_flight() > 0 || cancelling(); }
};

// Opens the backends of one target. Loop thread only. Must outlive them.
class BackendFactory {
 public:
  virtual ~BackendFactory() = default;

  // A backend that connects with `password` until `connect_deadline` at most. The clock is the loop's.
  [[nodiscard]] virtual std::unique_ptr<Backend> Open(std::string password, absl::Time connect_deadline,
                                                      Backend::Events events) = 0;
  // Cancel requests that may not have reached the server yet.
  [[nodiscard]] virtual size_t cancels_under_way() const = 0;
};

}  // namespace engine::db::postgres

#endif  // ENGINE_DB_SERVER_POSTGRES_BACKEND_H_

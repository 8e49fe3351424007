#include "server/postgres/pipeline_backend.h"

#include <libpq-fe.h>
#include <sys/epoll.h>

#include <deque>
#include <string_view>
#include <utility>

#include "absl/strings/numbers.h"
#include "server/base/failure.h"
#include "server/postgres/notices.h"
#include "server/postgres/pipeline_send.h"
#include "server/postgres/result_error.h"
#include "server/postgres/sqlstate.h"

namespace engine::db::postgres {
namespace {

using Flow = ResultReceiver::Flow;
using Stage = InFlight::Stage;

// A backend's prepared statements cost the server's memory, some 10 to 100 KiB each.
constexpr size_t kMaxPreparedStatements = 256;

// What stands behind a failure in the pipeline, up to the next Sync, ends with.
absl::Status Skipped() { return absl::AbortedError("skipped"); }

Completion CompletionOf(const PGresult& result) {
  PGresult& mutable_result = const_cast<PGresult&>(result);  // libpq's accessors lack const
  Completion completion;
  completion.command_tag = PQcmdStatus(&mutable_result);
  if (!absl::SimpleAtoi(PQcmdTuples(&mutable_result), &completion.rows_affected)) completion.rows_affected = 0;
  return completion;
}

}  // namespace

PipelineBackend::PipelineBackend(loop::EventLoop& loop, loop::BlockingExecutor& executor, CancelRequests& cancels,
                                 const ConnectParameters& parameters, absl::Time connect_deadline, Events events)
    : loop_(loop),
      cancels_(cancels),
      texts_(parameters.error_texts()),
      events_(std::move(events)),
      link_(loop),
      prepared_(kMaxPreparedStatements),
      self_(this) {
  connecting_.emplace(loop, executor, parameters, connect_deadline,
                      [this](absl::StatusOr<ConnectionPtr> connection) { OnConnected(std::move(connection)); });
}

PipelineBackend::~PipelineBackend() { Close(); }

void PipelineBackend::OnConnected(absl::StatusOr<ConnectionPtr> connection) {
  connecting_.reset();
  if (!connection.ok()) {
    events_.opened(connection.status());
    return;
  }
  link_.Open(*std::move(connection), [this](uint32_t ready) { OnSocketReady(ready); });
  PQsetNoticeReceiver(link_.get(), &PipelineBackend::OnNotice, this);
  pid_ = PQbackendPID(link_.get());
  settings_.Accept(*link_.get());
  events_.opened(absl::OkStatus());
}

// --- sending

Backend::OperationId PipelineBackend::Run(const Operation& operation) {
  InFlight entry = OperationsInFlight::Make(operation);
  const bool sent = usable() && SendOperation(*link_.get(), prepared_, operation, entry);
  const OperationId id = in_flight_.Add(std::move(entry), loop_.Now());
  if (!sent) {
    // libpq refuses to send only when the link is broken. Told later: callers of Run() expect no callback from within.
    loop_.Post(self_.Bind([](PipelineBackend& self) {
      self.Lose(absl::OkStatus());
      self.FailInFlight();  // if it was lost before
    }));
    return id;
  }
  if (operation.sync) {
    if (const std::optional<std::string> name = prepared_.Evict()) Deallocate(*name);
  }
  FlushAtEndOfRound();
  return id;
}

// The name is the gateway's ("engine_db_…_17"), not the caller's. A failed transaction refuses DEALLOCATE: the statement
// then stays until the session ends, which is harmless, for its name is not used again.
void PipelineBackend::Deallocate(const std::string& name) {
  if (!SendDeallocate(*link_.get(), name)) return;
  in_flight_.Add(InFlight(), loop_.Now());
  FlushAtEndOfRound();
}

void PipelineBackend::FlushAtEndOfRound() {
  if (std::exchange(flush_planned_, true)) return;
  loop_.RunAtEndOfRound(self_.Bind([](PipelineBackend& self) {
    self.flush_planned_ = false;
    self.Flush();
  }));
}

void PipelineBackend::Flush() {
  if (usable() && !link_.Flush()) Lose(absl::OkStatus());
}

void PipelineBackend::ResumeReading() {
  if (!usable() || !link_.reading_paused()) return;
  link_.PauseReading(false);
  // Rows that libpq has already read make no socket ready.
  loop_.Post(self_.Bind([](PipelineBackend& self) { self.ProcessResults(); }));
}

void PipelineBackend::Cancel() {
  if (!usable()) return;
  CancelPtr cancel(PQgetCancel(link_.get()));
  if (cancel == nullptr) return;
  ++cancels_pending_;
  cancels_.Send(std::move(cancel), self_.Bind([](PipelineBackend& self) { self.OnCancelSent(); }));
}

void PipelineBackend::OnCancelSent() {
  --cancels_pending_;
  if (!usable()) return;
  // A round trip: a signal that came late finds nothing to cancel, and is forgotten before the next command.
  Run(Operation());
}

// --- what is known of the session

bool PipelineBackend::ReportedSettingsChanged() const { return !usable() || settings_.Changed(*link_.get()); }

bool PipelineBackend::ReadsTextOtherwise() const { return usable() && settings_.ReadingChanged(*link_.get()); }

void PipelineBackend::AcceptReportedSettings() {
  if (usable()) settings_.Accept(*link_.get());
}

bool PipelineBackend::server_is_read_only() const {
  return usable() && ReportedSettings::ServerIsReadOnly(*link_.get());
}

bool PipelineBackend::in_transaction() const {
  return usable() && PQtransactionStatus(link_.get()) != PQTRANS_IDLE &&
         PQtransactionStatus(link_.get()) != PQTRANS_ACTIVE;
}

// While something is in flight (the round trip behind a cancel request, a DEALLOCATE) libpq says no more than that. But
// in a transaction block every error aborts it, and nothing works in an aborted one but what mends or ends it.
bool PipelineBackend::transaction_failed() const {
  if (!usable()) return false;
  const PGTransactionStatusType status = PQtransactionStatus(link_.get());
  return status == PQTRANS_INERROR || (status == PQTRANS_ACTIVE && in_flight_.last_failed());
}

// --- receiving

void PipelineBackend::CheckAlive() {
  // Nothing is due: whatever can be read is a farewell, a notice, or a parameter's change.
  if (usable() && !busy() && link_.HasUnread()) Read();
}

void PipelineBackend::OnSocketReady(uint32_t ready) {
  if ((ready & EPOLLOUT) != 0) Flush();
  if (usable() && (ready & ~static_cast<uint32_t>(EPOLLOUT)) != 0) Read();
}

void PipelineBackend::Read() {
  const bool open = PQconsumeInput(link_.get()) != 0;
  ProcessResults();  // what came before the end may still hold results, and the reason
  if (!open && usable()) Lose(absl::OkStatus());
}

void PipelineBackend::ProcessResults() {
  while (usable() && !link_.reading_paused() && !in_flight_.empty()) {
    InFlight& front = in_flight_.front();
    // Takes effect only before libpq parses the first of the statement's result.
    if (front.stage == Stage::kResult && !std::exchange(front.single_row_set, true)) PQsetSingleRowMode(link_.get());
    if (PQisBusy(link_.get()) != 0) return;
    const ResultPtr result(PQgetResult(link_.get()));
    if (result == nullptr && PQstatus(link_.get()) == CONNECTION_BAD) {
      Lose(absl::OkStatus());
      return;
    }
    HandleResult(result.get());
  }
  if (usable() && in_flight_.empty()) ProcessUnasked();
}

// While nothing is awaited.
void PipelineBackend::ProcessUnasked() {
  PQisBusy(link_.get());  // parses notices, by which a server that shuts down says so
  while (PGnotify* notification = PQnotifies(link_.get())) PQfreemem(notification);
  if (farewell_.heard) Lose(absl::OkStatus());  // the end of the stream may be some time behind it
}

// Null: the end of what was awaited.
void PipelineBackend::HandleResult(const PGresult* result) {
  if (result != nullptr && PQresultStatus(result) == PGRES_FATAL_ERROR) {
    HandleError(*result);
    return;
  }
  InFlight& front = in_flight_.front();
  switch (front.stage) {
    case Stage::kPrepare:
      if (result == nullptr) {
        HandlePrepareEnd();
      } else if (PQresultStatus(result) == PGRES_PIPELINE_ABORTED && front.error.ok()) {
        front.error = Skipped();
      }
      return;
    case Stage::kResult:
      if (result != nullptr) {
        HandleStatementResult(*result);
      } else if (front.sync) {
        front.stage = Stage::kSync;
      } else {
        FinishFront();
      }
      return;
    case Stage::kSync:
      if (result != nullptr && PQresultStatus(result) == PGRES_PIPELINE_SYNC) FinishFront();
      return;
  }
}

void PipelineBackend::HandleError(const PGresult& result) {
  InFlight& front = in_flight_.front();
  absl::Status error = StatusOfResult(result, front.text == nullptr ? std::string_view() : front.text->sql, texts_);
  if (!FailureOf(error).backend_usable) {  // also when the server, having said so, should leave it open
    Lose(error);
    return;
  }
  // The first error is the telling one; but an error at the Sync (a deferred constraint) undoes a success.
  if (front.error.ok()) front.error = std::move(error);
}

void PipelineBackend::HandlePrepareEnd() {
  InFlight& front = in_flight_.front();
  if (!front.error.ok()) {
    prepared_.Remove(*front.text);
  } else if (PreparedStatements::Entry* prepared = prepared_.Find(*front.text)) {
    prepared->state = PreparedStatements::State::kPrepared;
  }
  front.stage = Stage::kResult;
}

void PipelineBackend::HandleStatementResult(const PGresult& result) {
  switch (PQresultStatus(&result)) {
    case PGRES_SINGLE_TUPLE:
      static_cast<void>(TellRows(result));
      return;
    case PGRES_TUPLES_OK:
      if (TellRows(result)) in_flight_.front().completion = CompletionOf(result);
      return;
    case PGRES_COMMAND_OK:
      if (TellDescription(result)) in_flight_.front().completion = CompletionOf(result);
      return;
    case PGRES_PIPELINE_ABORTED:
      if (in_flight_.front().error.ok()) in_flight_.front().error = Skipped();
      return;
    case PGRES_COPY_IN:
    case PGRES_COPY_OUT:
    case PGRES_COPY_BOTH:
      // The analysis refuses COPY; should one come through (a newer server's syntax), only a new connection gets out of
      // it.
      Lose(ToStatus({.code = absl::StatusCode::kInvalidArgument,
                     .reason = Reason::kCopyNotSupported,
                     .kind = ErrorKind::kInvalidRequest,
                     .message = "COPY can't be run as a statement"}));
      return;
    default:
      return;
  }
}

// False: the receiver has closed the backend.
bool PipelineBackend::TellRows(const PGresult& result) {
  InFlight& front = in_flight_.front();
  if (front.receiver != nullptr && !std::exchange(front.columns_told, true)) {
    if (front.receiver->OnColumns(result) == Flow::kPause && usable()) link_.PauseReading(true);
  }
  for (int row = 0; usable() && row < PQntuples(&result) && front.receiver != nullptr; ++row) {
    if (front.receiver->OnRow(result, row) == Flow::kPause && usable()) link_.PauseReading(true);
  }
  return usable();
}

// The answer to describe_only is a command's, with columns or parameters. False: the receiver has closed the backend.
bool PipelineBackend::TellDescription(const PGresult& result) {
  InFlight& front = in_flight_.front();
  if (front.receiver == nullptr || (PQnfields(&result) == 0 && PQnparams(&result) == 0)) return true;
  if (front.receiver->OnColumns(result) == Flow::kPause && usable()) link_.PauseReading(true);
  return usable();
}

void PipelineBackend::FinishFront() {
  InFlight done = in_flight_.TakeFront(loop_.Now());
  if (done.text != nullptr && ReasonOf(done.error) == Reason::kStalePlan) {
    if (PreparedStatements::Entry* stale = prepared_.Find(*done.text)) {
      Deallocate(stale->name);
      prepared_.Remove(*done.text);
    }
  }
  if (done.receiver != nullptr) {
    if (done.error.ok()) {
      done.receiver->OnEnd(std::move(done.completion));
    } else {
      done.receiver->OnEnd(done.error);
    }
  }
  TellIfDrained();
}

void PipelineBackend::TellIfDrained() {
  if (usable() && !busy()) events_.drained();
}

// --- the end

void PipelineBackend::Lose(const absl::Status& cause) {
  if (!usable()) return;
  if (!cause.ok()) farewell_.reason = cause;
  const absl::Status status = LinkLost(farewell_.reason);
  Close();
  events_.lost(status);
}

void PipelineBackend::Close() {
  connecting_.reset();
  link_.Close();
  FailInFlight();
}

void PipelineBackend::FailInFlight() {
  if (in_flight_.empty()) return;
  const absl::Status status = LinkLost(farewell_.reason);
  for (const InFlight& entry : in_flight_.TakeAll()) {
    if (entry.receiver == nullptr) continue;
    if (!entry.error.ok()) {
      entry.receiver->OnEnd(entry.error);  // it had failed before, which is all there is to know
    } else if (!entry.sent) {
      entry.receiver->OnEnd(WithFailure(status, [](Failure& failure) { failure.outcome = Outcome::kNotExecuted; }));
    } else {
      entry.receiver->OnEnd(status);
    }
  }
}

void PipelineBackend::OnNotice(void* self, const PGresult* notice) {
  PipelineBackend& backend = *static_cast<PipelineBackend*>(self);
  const char* severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
  if (severity == nullptr || std::string_view(severity) != "FATAL") {
    ReportNotice(backend.texts_.target, *notice);
    return;
  }
  // A server that ends a session says why in one.
  backend.farewell_ = {.heard = true, .reason = StatusOfResult(*notice, "", backend.texts_)};
}

std::unique_ptr<Backend> PipelineBackendFactory::Open(std::string password, absl::Time connect_deadline,
                                                      Backend::Events events) {
  return std::make_unique<PipelineBackend>(loop_, executor_, cancels_,
                                           ConnectParameters(settings_, std::move(password)), connect_deadline,
                                           std::move(events));
}

}  // namespace engine::db::postgres

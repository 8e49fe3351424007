#include "server/postgres/pipeline_backend.h"

#include <libpq-fe.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/base/error.h"
#include "server/loop/clock.h"
#include "server/postgres/notices.h"
#include "server/postgres/result_error.h"
#include "server/postgres/sqlstate.h"

namespace engine::db::postgres {
namespace {

// A backend's prepared statements cost the server's memory, some 10 to 100 KiB each.
constexpr size_t kMaxPreparedStatements = 256;

// Ends an operation. Up to libpq 16 each Sync is a system call of its own; later ones leave together, in Flush().
bool SendSync(PGconn* connection) {
#ifdef LIBPQ_HAS_SEND_PIPELINE_SYNC
  return PQsendPipelineSync(connection) != 0;
#else
  return PQpipelineSync(connection) != 0;
#endif
}

// What a caller can change of the settings that servers report. (search_path since PostgreSQL 18.) Not
// default_transaction_read_only, which is the pool's guard. By the first few, statements are read.
constexpr std::array<const char*, 9> kReportedSettings = {"client_encoding",
                                                          "standard_conforming_strings",
                                                          "TimeZone",
                                                          "DateStyle",
                                                          "IntervalStyle",
                                                          "search_path",
                                                          "is_superuser",
                                                          "application_name",
                                                          "session_authorization"};
constexpr size_t kReadingSettings = 2;

struct ResultDeleter {
  void operator()(PGresult* result) const { PQclear(result); }
};
using ResultPtr = std::unique_ptr<PGresult, ResultDeleter>;

}  // namespace

PipelineBackend::PipelineBackend(loop::EventLoop& loop, loop::BlockingExecutor& executor, CancelRequests& cancels,
                                 const ConnectParameters& parameters, absl::Time connect_deadline, Events events)
    : loop_(loop),
      executor_(executor),
      cancels_(cancels),
      texts_(parameters.error_texts()),
      events_(std::move(events)),
      connect_timer_(loop),
      prepared_(kMaxPreparedStatements),
      self_(std::make_shared<PipelineBackend*>(this)) {
  connect_timer_.SetAt(connect_deadline, [this] {
    FailConnecting(ConnectFailed(texts_.target, "no answer within the time allowed for connecting", ""));
  });
  // Never from within the constructor: the owner does not have us yet.
  loop_.Post([self = self_, parameters] {
    if (*self != nullptr) (*self)->Resolve(parameters);
  });
}

PipelineBackend::~PipelineBackend() {
  *self_ = nullptr;
  Close();
}

void PipelineBackend::Resolve(const ConnectParameters& parameters) {
  if (state_ != State::kConnecting) return;
  if (!parameters.NeedsResolving()) {
    StartConnecting(parameters);
    return;
  }
  executor_.Run([self = self_, &loop = loop_, resolved = parameters]() mutable {
    absl::Status status = resolved.ResolveHost();
    loop.Post([self = std::move(self), resolved = std::move(resolved), status = std::move(status)] {
      PipelineBackend* backend = *self;
      if (backend == nullptr || backend->state_ != State::kConnecting) return;
      if (status.ok()) {
        backend->StartConnecting(resolved);
      } else {
        backend->FailConnecting(status);
      }
    });
  });
}

void PipelineBackend::StartConnecting(const ConnectParameters& parameters) {
  parameters_ = parameters;
  connection_ = PQconnectStart(parameters.ConnectionString().c_str());
  if (connection_ == nullptr || PQstatus(connection_) == CONNECTION_BAD) {
    FailConnecting(connection_ == nullptr ? "out of memory" : PQerrorMessage(connection_));
    return;
  }
  PQsetNoticeReceiver(connection_, &PipelineBackend::OnNotice, this);
  PQsetErrorVerbosity(connection_, PQERRORS_VERBOSE);  // ConnectFailed() reads the SQLSTATE out of the text
  watched_fd_ = PQsocket(connection_);
  loop_.Watch(watched_fd_, EPOLLOUT, [this](uint32_t) { ContinueConnecting(); });
}

void PipelineBackend::ContinueConnecting() {
  const PostgresPollingStatusType status = PQconnectPoll(connection_);
  // libpq may have moved on to another socket under the same number.
  loop_.Unwatch(watched_fd_);
  watched_fd_ = -1;
  switch (status) {
    case PGRES_POLLING_OK:
      OnConnected();
      return;
    case PGRES_POLLING_READING:
    case PGRES_POLLING_WRITING:
      watched_fd_ = PQsocket(connection_);
      loop_.Watch(watched_fd_, status == PGRES_POLLING_READING ? EPOLLIN : EPOLLOUT,
                  [this](uint32_t) { ContinueConnecting(); });
      return;
    default:
      FailConnecting(PQerrorMessage(connection_));
  }
}

bool PipelineBackend::ConnectsAgain() {
  const auto reported = [this](const char* name) {
    const char* value = PQparameterStatus(connection_, name);
    return value == nullptr ? std::string_view() : std::string_view(value);
  };
  if (!parameters_->AdaptTo(reported("server_encoding"), reported("DateStyle"))) return false;
  PQfinish(std::exchange(connection_, nullptr));
  StartConnecting(*std::exchange(parameters_, std::nullopt));
  return true;
}

void PipelineBackend::OnConnected() {
  if (ConnectsAgain()) return;
  parameters_.reset();
  connect_timer_.Cancel();
  PQsetErrorVerbosity(connection_, PQERRORS_DEFAULT);
  if (PQsetnonblocking(connection_, 1) != 0 || PQenterPipelineMode(connection_) == 0) {
    FailConnecting(PQerrorMessage(connection_));
    return;
  }
  state_ = State::kOpen;
  pid_ = PQbackendPID(connection_);
  AcceptReportedSettings();
  watched_fd_ = PQsocket(connection_);
  loop_.Watch(watched_fd_, EPOLLIN, [this](uint32_t ready) { OnSocketReady(ready); });
  events_.opened(absl::OkStatus());
}

void PipelineBackend::FailConnecting(const char* message) {
  FailConnecting(ConnectFailed(texts_.target, message, texts_.password));
}

void PipelineBackend::FailConnecting(const absl::Status& status) {
  if (state_ != State::kConnecting) return;
  Close();
  events_.opened(status);
}

PipelineBackend::OperationId PipelineBackend::Run(const Operation& operation) {
  InFlight entry;
  entry.id = next_id_++;
  entry.text = operation.text;
  entry.receiver = operation.receiver;
  entry.sync = operation.sync;
  const OperationId id = entry.id;
  const bool sent = usable() && Send(operation, entry);
  if (in_flight_.empty()) front_since_ = loop_.Now();
  in_flight_.push_back(std::move(entry));
  if (!sent) {
    // libpq refuses to send only when the link is broken. Told later: callers of Run() expect no callback from within.
    loop_.Post([self = self_] {
      PipelineBackend* backend = *self;
      if (backend == nullptr) return;
      backend->Lose(absl::OkStatus());
      backend->FailInFlight();  // if it was lost before
    });
    return id;
  }
  if (operation.sync) {
    if (const std::optional<std::string> name = prepared_.Evict()) SendDeallocate(*name);
  }
  FlushAtEndOfRound();
  return id;
}

bool PipelineBackend::Send(const Operation& operation, InFlight& entry) {
  if (operation.text == nullptr) {  // just a Sync
    entry.stage = Stage::kSync;
    return SendSync(connection_);
  }
  const sql::BoundText& text = *operation.text;
  const int count = operation.parameters == nullptr ? 0 : operation.parameters->size();
  const char* const* values = count == 0 ? nullptr : operation.parameters->values();
  const int* lengths = count == 0 ? nullptr : operation.parameters->lengths();
  const int* formats = count == 0 ? nullptr : operation.parameters->formats();

  const bool keeps = prepares_ && operation.keep_prepared;
  PreparedStatements::Entry* prepared = keeps ? prepared_.Find(text) : nullptr;
  const char* name = "";
  if (prepared != nullptr) name = prepared->name.c_str();
  if (prepared == nullptr && (keeps || operation.describe_only)) {
    if (keeps) name = (prepared = prepared_.Add(operation.text))->name.c_str();
    entry.has_prepare = true;
    entry.stage = Stage::kPrepare;
    // As many types as there are parameters, also where it is only described: what takes none of them, the server
    // refuses here, as a fault of the statement, rather than when values are bound to it, as one of the link.
    std::vector<Oid> types(text.parameter_types.begin(), text.parameter_types.end());
    types.resize(std::max<size_t>(text.parameter_count, count), InvalidOid);
    if (PQsendPrepare(connection_, name, text.sql.c_str(), static_cast<int>(types.size()), types.data()) == 0) {
      return false;
    }
  }
  bool sent = false;
  if (operation.describe_only) {
    sent = PQsendDescribePrepared(connection_, name) != 0;
  } else if (entry.has_prepare || (prepared != nullptr && prepared->state == PreparedStatements::State::kPrepared)) {
    sent = PQsendQueryPrepared(connection_, name, count, values, lengths, formats, 0) != 0;
  } else {
    // Not kept, or somebody ahead in this pipeline prepares it, which may yet fail: this one stands on its own feet.
    std::vector<Oid> types = text.parameter_types;
    types.resize(count);
    sent = PQsendQueryParams(connection_, text.sql.c_str(), count, types.data(), values, lengths, formats, 0) != 0;
  }
  if (!sent) return false;
  entry.sent = true;
  return !operation.sync || SendSync(connection_);
}

void PipelineBackend::SendDeallocate(const std::string& name) {
  // The name is ours ("engine_db_…_17"), not the caller's. A failed transaction refuses DEALLOCATE: the statement then
  // stays until the session ends, which is harmless, for its name is not used again.
  InFlight entry;
  entry.id = next_id_++;
  const std::string command = absl::StrCat("DEALLOCATE ", name);
  if (PQsendQueryParams(connection_, command.c_str(), 0, nullptr, nullptr, nullptr, nullptr, 0) == 0 ||
      !SendSync(connection_)) {
    return;
  }
  in_flight_.push_back(std::move(entry));
  FlushAtEndOfRound();
}

void PipelineBackend::FlushAtEndOfRound() {
  if (flush_planned_) return;
  flush_planned_ = true;
  loop_.RunAtEndOfRound([self = self_] {
    if (*self == nullptr) return;
    (*self)->flush_planned_ = false;
    (*self)->Flush();
  });
}

void PipelineBackend::Flush() {
  if (!usable()) return;
  const int left = PQflush(connection_);
  if (left < 0) {
    Lose(absl::OkStatus());
    return;
  }
  write_blocked_ = left > 0;
  UpdateWatch();
}

void PipelineBackend::StopPreparing() {
  prepares_ = false;
  prepared_.Clear();
}

void PipelineBackend::StartPreparing() {
  prepares_ = true;
  prepared_.Clear();
}

void PipelineBackend::Detach(OperationId id) {
  for (InFlight& entry : in_flight_) {
    if (entry.id == id) entry.receiver = nullptr;
  }
}

void PipelineBackend::ResumeReading() {
  if (!reading_paused_) return;
  reading_paused_ = false;
  if (!usable()) return;
  UpdateWatch();
  // Rows that libpq has already read make no socket ready.
  loop_.Post([self = self_] {
    if (*self != nullptr) (*self)->ProcessResults();
  });
}

void PipelineBackend::Cancel() {
  if (!usable()) return;
  CancelRequests::CancelPtr cancel(PQgetCancel(connection_));
  if (cancel == nullptr) return;
  ++cancels_pending_;
  cancels_.Send(std::move(cancel), [self = self_] {
    PipelineBackend* backend = *self;
    if (backend == nullptr) return;
    --backend->cancels_pending_;
    if (!backend->usable()) return;
    // A round trip: a signal that came late finds nothing to cancel, and is forgotten before the next command.
    Operation barrier;
    backend->Run(barrier);
  });
}

void PipelineBackend::Close() {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  connect_timer_.Cancel();
  if (watched_fd_ >= 0) loop_.Unwatch(watched_fd_);
  watched_fd_ = -1;
  if (connection_ != nullptr) PQfinish(connection_);
  connection_ = nullptr;
  reading_paused_ = false;
  FailInFlight();
}

void PipelineBackend::FailInFlight() {
  std::deque<InFlight> failed;
  failed.swap(in_flight_);
  const absl::Status status = LinkLost(last_fatal_);
  for (InFlight& entry : failed) {
    if (entry.receiver == nullptr) continue;
    if (!entry.error.ok()) {
      entry.receiver->OnEnd(entry.error);  // it had failed before, which is all there is to know
    } else if (!entry.sent) {
      entry.receiver->OnEnd(WithDetail(status, [](v1::DatabaseError& d) { d.set_outcome(v1::OUTCOME_NOT_EXECUTED); }));
    } else {
      entry.receiver->OnEnd(status);
    }
  }
}

void PipelineBackend::CheckAlive() {
  char ignored = 0;
  if (!usable() || busy()) return;
  // Nothing is due: whatever can be read is a farewell, a notice, or a parameter's change.
  if (recv(watched_fd_, &ignored, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN) return;
  OnSocketReady(EPOLLIN);
}

bool PipelineBackend::SettingChanged(size_t index) const {
  const char* value = PQparameterStatus(connection_, kReportedSettings[index]);
  return reported_settings_[index] != (value == nullptr ? "" : value);
}

bool PipelineBackend::ReportedSettingsChanged() const {
  for (size_t i = 0; i < kReportedSettings.size(); ++i) {
    if (SettingChanged(i)) return true;
  }
  return false;
}

bool PipelineBackend::ReadsTextOtherwise() const {
  for (size_t i = 0; usable() && i < kReadingSettings; ++i) {
    if (SettingChanged(i)) return true;
  }
  return false;
}

void PipelineBackend::AcceptReportedSettings() {
  reported_settings_.clear();
  for (const char* name : kReportedSettings) {
    const char* value = PQparameterStatus(connection_, name);
    reported_settings_.emplace_back(value == nullptr ? "" : value);
  }
}

bool PipelineBackend::in_transaction() const {
  return usable() && PQtransactionStatus(connection_) != PQTRANS_IDLE &&
         PQtransactionStatus(connection_) != PQTRANS_ACTIVE;
}

bool PipelineBackend::server_is_read_only() const {
  if (!usable()) return false;
  const char* standby = PQparameterStatus(connection_, "in_hot_standby");
  if (standby == nullptr) return true;  // before PostgreSQL 14, which does not say
  const char* by_default = PQparameterStatus(connection_, "default_transaction_read_only");
  return std::string_view(standby) == "on" || (by_default != nullptr && std::string_view(by_default) == "on");
}

// While something is in flight (the round trip behind a cancel request, a DEALLOCATE) libpq says no more than that. But
// in a transaction block every error aborts it, and nothing works in an aborted one but what mends or ends it.
bool PipelineBackend::transaction_failed() const {
  if (!usable()) return false;
  const PGTransactionStatusType status = PQtransactionStatus(connection_);
  return status == PQTRANS_INERROR || (status == PQTRANS_ACTIVE && last_failed_);
}

void PipelineBackend::OnSocketReady(uint32_t ready) {
  if ((ready & EPOLLOUT) != 0) Flush();
  if (!usable() || (ready & ~static_cast<uint32_t>(EPOLLOUT)) == 0) return;
  if (PQconsumeInput(connection_) == 0) {
    // What came before the end may still hold results, and the reason.
    ProcessResults();
    if (usable()) Lose(absl::OkStatus());
    return;
  }
  ProcessResults();
}

void PipelineBackend::UpdateWatch() {
  if (!usable()) return;
  uint32_t events = 0;
  if (!reading_paused_) events |= EPOLLIN;
  if (write_blocked_) events |= EPOLLOUT;
  loop_.ChangeWatch(watched_fd_, events);
}

void PipelineBackend::ProcessResults() {
  if (processing_) return;
  processing_ = true;
  while (usable() && !reading_paused_ && !in_flight_.empty()) {
    InFlight& front = in_flight_.front();
    // Takes effect only before libpq parses the first of the statement's result.
    if (front.stage == Stage::kResult && !front.single_row_set) {
      front.single_row_set = true;
      PQsetSingleRowMode(connection_);
    }
    if (PQisBusy(connection_) != 0) break;
    const ResultPtr result(PQgetResult(connection_));
    if (result == nullptr && PQstatus(connection_) == CONNECTION_BAD) {
      Lose(absl::OkStatus());
      break;
    }
    HandleResult(result.get());
  }
  processing_ = false;
  if (!usable()) return;
  if (in_flight_.empty()) {
    PQisBusy(connection_);  // parses notices, by which a server that shuts down says so
    while (PGnotify* notification = PQnotifies(connection_)) PQfreemem(notification);
    if (farewell_heard_) {  // the end of the stream may be some time behind it
      Lose(absl::OkStatus());
      return;
    }
  }
  UpdateWatch();
}

void PipelineBackend::HandleResult(const PGresult* result) {
  InFlight& front = in_flight_.front();
  const ExecStatusType status = result == nullptr ? PGRES_EMPTY_QUERY : PQresultStatus(result);
  if (result != nullptr && status == PGRES_FATAL_ERROR) {
    absl::Status error = StatusOfResult(*result, front.text == nullptr ? std::string_view() : front.text->sql, texts_);
    if (ErrorDetail(error).reason() == kLinkLost) {  // also when the server, having said so, should leave it open
      Lose(error);
      return;
    }
    // The first error is the telling one; but an error at the Sync (a deferred constraint) undoes a success.
    if (front.error.ok()) front.error = std::move(error);
    return;
  }
  switch (front.stage) {
    case Stage::kPrepare:
      if (result == nullptr) {
        PreparedStatements::Entry* prepared = prepared_.Find(*front.text);
        if (!front.error.ok()) {
          prepared_.Remove(*front.text);
        } else if (prepared != nullptr) {
          prepared->state = PreparedStatements::State::kPrepared;
        }
        front.stage = Stage::kResult;
      } else if (status == PGRES_PIPELINE_ABORTED && front.error.ok()) {
        front.error = absl::AbortedError("skipped");
      }
      return;
    case Stage::kResult:
      if (result != nullptr) {
        HandleStatementResult(front, *result);
      } else if (front.sync) {
        front.stage = Stage::kSync;
      } else {
        FinishFront();
      }
      return;
    case Stage::kSync:
      if (status == PGRES_PIPELINE_SYNC) FinishFront();
      return;
  }
}

void PipelineBackend::HandleStatementResult(InFlight& front, const PGresult& result) {
  switch (PQresultStatus(&result)) {
    case PGRES_SINGLE_TUPLE:
    case PGRES_TUPLES_OK:
      if (front.receiver != nullptr && !front.columns_told) {
        front.columns_told = true;
        if (front.receiver->OnColumns(result) == ResultReceiver::Flow::kPause) reading_paused_ = true;
      }
      for (int row = 0; row < PQntuples(&result) && front.receiver != nullptr; ++row) {
        if (front.receiver->OnRow(result, row) == ResultReceiver::Flow::kPause) reading_paused_ = true;
      }
      [[fallthrough]];
    case PGRES_COMMAND_OK: {
      if (PQresultStatus(&result) == PGRES_SINGLE_TUPLE) return;
      if (PQresultStatus(&result) == PGRES_COMMAND_OK && front.receiver != nullptr &&
          (PQnfields(&result) > 0 || PQnparams(&result) > 0)) {
        // The answer to describe_only.
        if (front.receiver->OnColumns(result) == ResultReceiver::Flow::kPause) reading_paused_ = true;
      }
      PGresult& mutable_result = const_cast<PGresult&>(result);  // libpq's accessors lack const
      front.completion.command_tag = PQcmdStatus(&mutable_result);
      if (!absl::SimpleAtoi(PQcmdTuples(&mutable_result), &front.completion.rows_affected)) {
        front.completion.rows_affected = 0;
      }
      return;
    }
    case PGRES_PIPELINE_ABORTED:
      if (front.error.ok()) front.error = absl::AbortedError("skipped");
      return;
    case PGRES_COPY_IN:
    case PGRES_COPY_OUT:
    case PGRES_COPY_BOTH:
      // The analysis refuses COPY; should one come through (a newer server's syntax), only a new connection gets out of
      // it.
      Lose(MakeError(absl::StatusCode::kInvalidArgument, v1::ERROR_KIND_INVALID_REQUEST, "COPY_NOT_SUPPORTED",
                     "COPY can't be run as a statement"));
      return;
    default:
      return;
  }
}

void PipelineBackend::FinishFront() {
  InFlight done = std::move(in_flight_.front());
  in_flight_.pop_front();
  const absl::Time now = loop_.Now();
  front_took_ = now - front_since_;
  front_since_ = now;
  if (done.text != nullptr) last_failed_ = !done.error.ok();
  if (!done.error.ok() && done.text != nullptr && ErrorDetail(done.error).reason() == "STALE_PLAN") {
    if (PreparedStatements::Entry* stale = prepared_.Find(*done.text)) {
      SendDeallocate(stale->name);
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

void PipelineBackend::Lose(const absl::Status& cause) {
  if (state_ != State::kOpen) return;
  const absl::Status status = LinkLost(!cause.ok() ? cause : last_fatal_);
  if (!cause.ok()) last_fatal_ = cause;
  Close();
  events_.lost(status);
}

void PipelineBackend::OnNotice(void* self, const PGresult* notice) {
  PipelineBackend& backend = *static_cast<PipelineBackend*>(self);
  const char* severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
  if (severity == nullptr || std::string_view(severity) != "FATAL") {
    ReportNotice(backend.texts_.target, *notice);
    return;
  }
  // A server that ends a session says why in one.
  backend.last_fatal_ = StatusOfResult(*notice, "", backend.texts_);
  backend.farewell_heard_ = true;
}

std::unique_ptr<Backend> PipelineBackendFactory::Open(std::string password, absl::Time connect_deadline,
                                                      Backend::Events events) {
  return std::make_unique<PipelineBackend>(loop_, executor_, cancels_,
                                           ConnectParameters(settings_, std::move(password)), connect_deadline,
                                           std::move(events));
}

}  // namespace engine::db::postgres

#include "server/postgres/connection_attempt.h"

#include <libpq-fe.h>
#include <sys/epoll.h>

#include <string_view>
#include <utility>

#include "server/postgres/notices.h"
#include "server/postgres/sqlstate.h"

namespace engine::db::postgres {

ConnectionAttempt::ConnectionAttempt(loop::EventLoop& loop, loop::BlockingExecutor& executor,
                                     ConnectParameters parameters, absl::Time deadline, Callback done)
    : loop_(loop),
      executor_(executor),
      parameters_(std::move(parameters)),
      done_(std::move(done)),
      deadline_(loop),
      self_(this) {
  deadline_.SetAt(deadline, [this] { Fail("no answer within the time allowed for connecting"); });
  loop_.Post(self_.Bind([](ConnectionAttempt& self) { self.Resolve(); }));
}

ConnectionAttempt::~ConnectionAttempt() { Unwatch(); }

void ConnectionAttempt::Resolve() {
  if (!parameters_.NeedsResolving()) {
    Start();
    return;
  }
  executor_.RunAndTell(
      loop_,
      [resolved = parameters_]() mutable {
        const absl::Status status = resolved.ResolveHost();
        return std::pair(status, std::move(resolved));
      },
      self_.Bind([](ConnectionAttempt& self, std::pair<absl::Status, ConnectParameters> result) {
        if (!result.first.ok()) {
          self.End(std::move(result.first));
          return;
        }
        self.parameters_ = std::move(result.second);
        self.Start();
      }));
}

void ConnectionAttempt::Start() {
  connection_.reset(PQconnectStart(parameters_.ConnectionString().c_str()));
  if (connection_ == nullptr || PQstatus(connection_.get()) == CONNECTION_BAD) {
    Fail(connection_ == nullptr ? "out of memory" : PQerrorMessage(connection_.get()));
    return;
  }
  PQsetNoticeReceiver(connection_.get(), &ConnectionAttempt::OnNotice, this);
  PQsetErrorVerbosity(connection_.get(), PQERRORS_VERBOSE);  // ConnectFailed() reads the SQLSTATE out of the text
  Watch(EPOLLOUT);
}

void ConnectionAttempt::Continue() {
  const PostgresPollingStatusType status = PQconnectPoll(connection_.get());
  Unwatch();  // libpq may have moved on to another socket under the same number
  switch (status) {
    case PGRES_POLLING_OK:
      OnConnected();
      return;
    case PGRES_POLLING_READING:
      Watch(EPOLLIN);
      return;
    case PGRES_POLLING_WRITING:
      Watch(EPOLLOUT);
      return;
    default:
      Fail(PQerrorMessage(connection_.get()));
  }
}

void ConnectionAttempt::OnConnected() {
  if (ConnectsAgain()) return;
  PQsetErrorVerbosity(connection_.get(), PQERRORS_DEFAULT);
  if (PQsetnonblocking(connection_.get(), 1) != 0 || PQenterPipelineMode(connection_.get()) == 0) {
    Fail(PQerrorMessage(connection_.get()));
    return;
  }
  End(std::move(connection_));
}

bool ConnectionAttempt::ConnectsAgain() {
  const auto reported = [this](const char* name) {
    const char* value = PQparameterStatus(connection_.get(), name);
    return value == nullptr ? std::string_view() : std::string_view(value);
  };
  if (!parameters_.AdaptTo(reported("server_encoding"), reported("DateStyle"))) return false;
  Start();
  return true;
}

void ConnectionAttempt::Fail(const char* message) {
  End(ConnectFailed(parameters_.target_name(), message, parameters_.error_texts().password));
}

void ConnectionAttempt::End(absl::StatusOr<ConnectionPtr> result) {
  Unwatch();
  deadline_.Cancel();
  Callback done = std::move(done_);
  done(std::move(result));  // which may be the end of this object
}

void ConnectionAttempt::Watch(uint32_t events) {
  watched_fd_ = PQsocket(connection_.get());
  loop_.Watch(watched_fd_, events, [this](uint32_t) { Continue(); });
}

void ConnectionAttempt::Unwatch() {
  if (watched_fd_ >= 0) loop_.Unwatch(std::exchange(watched_fd_, -1));
}

void ConnectionAttempt::OnNotice(void* self, const PGresult* notice) {
  ReportNotice(static_cast<ConnectionAttempt*>(self)->parameters_.target_name(), *notice);
}

}  // namespace engine::db::postgres

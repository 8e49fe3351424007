#include "server/postgres/control_link.h"

#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>

#include "server/loop/clock.h"
#include "server/postgres/notices.h"
#include "server/postgres/sqlstate.h"

namespace engine::db::postgres {
namespace {

void OnNotice(void* parameters, const PGresult* notice) {
  ReportNotice(static_cast<const ConnectParameters*>(parameters)->target_name(), *notice);
}

// Whether the socket became ready in time.
bool Wait(int socket, bool for_reading, const loop::Clock& clock, absl::Time deadline) {
  pollfd wanted = {.fd = socket, .events = static_cast<short>(for_reading ? POLLIN : POLLOUT), .revents = 0};
  while (true) {
    const absl::Duration left = std::clamp(deadline - clock.Now(), absl::ZeroDuration(), absl::Hours(1));
    const int ready =
        poll(&wanted, 1, static_cast<int>(absl::ToInt64Milliseconds(absl::Ceil(left, absl::Milliseconds(1)))));
    if (ready >= 0 || errno != EINTR) return ready > 0;
  }
}

}  // namespace

absl::StatusOr<ConnectionPtr> OpenLink(const ConnectParameters& parameters, const loop::Clock& clock,
                                       absl::Time deadline) {
  ConnectionPtr link(PQconnectStart(parameters.ConnectionString().c_str()));
  if (link == nullptr) return ConnectFailed(parameters.target_name(), "out of memory", "");
  PQsetNoticeReceiver(link.get(), &OnNotice, const_cast<ConnectParameters*>(&parameters));  // libpq passes it on
  PQsetErrorVerbosity(link.get(), PQERRORS_VERBOSE);  // ConnectFailed() reads the SQLSTATE out of the text
  PostgresPollingStatusType status =
      PQstatus(link.get()) == CONNECTION_BAD ? PGRES_POLLING_FAILED : PGRES_POLLING_WRITING;
  while (status == PGRES_POLLING_READING || status == PGRES_POLLING_WRITING) {
    if (!Wait(PQsocket(link.get()), status == PGRES_POLLING_READING, clock, deadline)) {
      return ConnectFailed(parameters.target_name(), kNoAnswer, "");
    }
    status = PQconnectPoll(link.get());
  }
  if (status != PGRES_POLLING_OK) {
    return ConnectFailed(parameters.target_name(), PQerrorMessage(link.get()), parameters.error_texts().password);
  }
  PQsetErrorVerbosity(link.get(), PQERRORS_DEFAULT);
  return link;
}

}  // namespace engine::db::postgres

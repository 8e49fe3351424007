#include "server/postgres/pooler.h"

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "server/base/failure.h"
#include "server/postgres/control_connection.h"

namespace engine::db::postgres {
namespace {

// A pooler with one server connection for each session may have none left for the second.
constexpr absl::Duration kSecondSessionTimeout = absl::Seconds(2);
// A pooler without other clients shows itself in the first round; one that others use at the same time soon.
constexpr int kRounds = 10;

int ProcessId(pqxx::nontransaction& session) { return session.exec("SELECT pg_backend_pid()")[0][0].as<int>(); }

// Both sessions twice in a row, so that neither two connections in turn nor the one used last look like one's own.
bool SharesConnections(const ConnectParameters& parameters, pqxx::nontransaction& session) {
  const int own = ProcessId(session);
  const absl::StatusOr<bool> shared =
      WithControlConnection(parameters, kSecondSessionTimeout, [&](pqxx::nontransaction& second) {
        const int others = ProcessId(second);
        for (int round = 0; round < kRounds; ++round) {
          if (own == others || ProcessId(second) != others || ProcessId(session) != own) return true;
        }
        return false;
      });
  return shared.ok() ? *shared : ProcessId(session) != own;
}

absl::Status Refused(const ConnectParameters& parameters, Reason reason, const char* why, const char* hint) {
  return ToStatus({.code = absl::StatusCode::kFailedPrecondition,
                   .reason = reason,
                   .kind = ErrorKind::kConnection,
                   .phase = Phase::kConnecting,
                   .outcome = Outcome::kNotExecuted,
                   .message = absl::StrCat("can't work with ", parameters.target_name(), ": ", why),
                   .hint = hint});
}

}  // namespace

absl::Status CheckPooler(const ConnectParameters& parameters, pqxx::nontransaction& session) {
  if (ProcessId(session) == session.conn().backendpid()) return absl::OkStatus();
  if (SharesConnections(parameters, session)) {
    return Refused(
        parameters, Reason::kTransactionPooler,
        "behind this address is a pooler (PgBouncer, Supavisor, RDS Proxy...) that gives the transactions of "
        "one session to different server connections, so that prepared statements and session settings are "
        "lost or meet other clients",
        "connect to PostgreSQL itself (the \"direct\" address of hosting providers), or to the pooler in "
        "session mode (pool_mode = session)");
  }
  // As ConnectParameters asks for them.
  const pqxx::result settings = session.exec(
      "SELECT current_setting('standard_conforming_strings') = 'on' AND current_setting('IntervalStyle') = 'postgres' "
      "AND current_setting('extra_float_digits')::int > 0 AND current_setting('bytea_output') = 'hex' "
      "AND current_setting('DateStyle') LIKE 'ISO%'");
  if (settings[0][0].as<bool>()) return absl::OkStatus();
  return Refused(
      parameters, Reason::kPoolerDropsSettings,
      "the pooler behind this address does not pass on the settings that the gateway logs in with (options), "
      "and the role's or the database's own write values in another form",
      "connect to PostgreSQL itself, or give the role standard_conforming_strings = on, IntervalStyle = "
      "postgres, extra_float_digits = 1, bytea_output = hex and DateStyle = ISO");
}

}  // namespace engine::db::postgres

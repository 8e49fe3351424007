// Another pooler between the gateway and PostgreSQL: PgBouncer, Odyssey, pgcat, Supavisor, RDS Proxy…
#ifndef ENGINE_DB_SERVER_POSTGRES_POOLER_H_
#define ENGINE_DB_SERVER_POSTGRES_POOLER_H_

#include <pqxx/pqxx>

#include "absl/status/status.h"
#include "server/postgres/connect_parameters.h"

namespace engine::db::postgres {

// FAILED_PRECONDITION, reason TRANSACTION_POOLER, when a pooler gives this session's transactions or statements to
// different server connections: prepared statements vanish there, and what the gateway sets for a session (the
// read-only guard of shared reads) meets other people's. Reason POOLER_DROPS_SETTINGS when it does not pass on the
// settings that the gateway logs in with, and the role's are others. A pooler that keeps one server connection for a
// session (pool_mode = session) is as good as none. Leaves nothing behind in the session. Throws what libpqxx throws.
//
// How it is seen: whoever shares server connections can't tell a client the real process id, which is what cancel
// requests name. Where the server's own word, pg_backend_pid(), is another than the one of the login, a second session
// is opened, and both ask in turn: of sessions with a connection each, neither's answer changes, nor is the same.
[[nodiscard]] absl::Status CheckPooler(const ConnectParameters& parameters, pqxx::nontransaction& session);

}  // namespace engine::db::postgres

#endif  // ENGINE_DB_SERVER_POSTGRES_POOLER_H_

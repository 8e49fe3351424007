// How an operation goes into libpq's pipeline.
#ifndef ENGINE_DB_SERVER_POSTGRES_PIPELINE_SEND_H_
#define ENGINE_DB_SERVER_POSTGRES_PIPELINE_SEND_H_

#include <string>

#include "server/postgres/backend.h"
#include "server/postgres/libpq_types.h"
#include "server/postgres/operations_in_flight.h"
#include "server/postgres/prepared_statements.h"

namespace engine::db::postgres {

// Hands the operation to libpq, with a Parse ahead where `prepared` does not have its text, and a Sync behind where it
// wants one. Says in `entry` what is awaited first, and whether the server may see the statement. False: libpq refuses,
// which it does only when the link is broken.
[[nodiscard]] bool SendOperation(PGconn& connection, PreparedStatements& prepared, const Operation& operation,
                                 InFlight& entry);

// DEALLOCATE of one of the gateway's own prepared statements, and a Sync.
[[nodiscard]] bool SendDeallocate(PGconn& connection, const std::string& name);

}  // namespace engine::db::postgres

#endif  // ENGINE_DB_SERVER_POSTGRES_PIPELINE_SEND_H_

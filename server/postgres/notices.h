// PostgreSQL's notices and warnings, of every connection that the gateway has.
#ifndef ENGINE_DB_SERVER_POSTGRES_NOTICES_H_
#define ENGINE_DB_SERVER_POSTGRES_NOTICES_H_

#include <string_view>

#include "server/postgres/libpq_types.h"

namespace engine::db::postgres {

// Counts the notice, and writes a line to the log unless one of the same kind on the same target has been written
// within the last minute; the line says how many there were. It has the name of the
// server's function that sent it; its text, which may hold row data, only where that is of the database as such. Any
// thread.
void ReportNotice(std::string_view target_name, const PGresult& notice);

}  // namespace engine::db::postgres

#endif  // ENGINE_DB_SERVER_POSTGRES_NOTICES_H_

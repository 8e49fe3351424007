#include "server/postgres/libpq_types.h"

#include <libpq-fe.h>

namespace engine::db::postgres {

void LibpqDeleter::operator()(PGconn* connection) const { PQfinish(connection); }

void LibpqDeleter::operator()(PGresult* result) const { PQclear(result); }

void LibpqDeleter::operator()(PGcancel* cancel) const { PQfreeCancel(cancel); }

}  // namespace engine::db::postgres

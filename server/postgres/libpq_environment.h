// libpq's environment variables, which have no say in where the gateway's backends lead.
#ifndef ENGINE_DB_SERVER_POSTGRES_LIBPQ_ENVIRONMENT_H_
#define ENGINE_DB_SERVER_POSTGRES_LIBPQ_ENVIRONMENT_H_

namespace engine::db::postgres {

// Forgets every variable that libpq may read: all whose names begin with "PG". (Its own list, PQconndefaults(), lacks
// PGSERVICEFILE, PGSYSCONFDIR, PGTZ, PGDATESTYLE, PGGEQO and more.) Otherwise PGHOSTADDR would send a caller's password
// elsewhere, and an empty one would be PGPASSWORD. Before there are threads, and after whatever of the configuration
// names a variable has been read.
void ForgetLibpqEnvironment();

}  // namespace engine::db::postgres

#endif  // ENGINE_DB_SERVER_POSTGRES_LIBPQ_ENVIRONMENT_H_

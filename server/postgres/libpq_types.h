// libpq's types by their names alone, for headers: libpq itself is seen by this layer's sources only.
#ifndef ENGINE_DB_SERVER_POSTGRES_LIBPQ_TYPES_H_
#define ENGINE_DB_SERVER_POSTGRES_LIBPQ_TYPES_H_

// NOLINTBEGIN(modernize-use-using): as libpq-fe.h has them.
typedef struct pg_conn PGconn;
typedef struct pg_result PGresult;
typedef struct pg_cancel PGcancel;
// NOLINTEND(modernize-use-using)

#endif  // ENGINE_DB_SERVER_POSTGRES_LIBPQ_TYPES_H_

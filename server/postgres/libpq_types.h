// libpq's types by their names alone, and who frees them: libpq itself is seen by this layer's sources only.
#ifndef ENGINE_DB_SERVER_POSTGRES_LIBPQ_TYPES_H_
#define ENGINE_DB_SERVER_POSTGRES_LIBPQ_TYPES_H_

#include <memory>

// As libpq-fe.h has them.
typedef struct pg_conn PGconn;
typedef struct pg_result PGresult;
typedef struct pg_cancel PGcancel;

namespace engine::db::postgres {

struct LibpqDeleter {
  void operator()(PGconn* connection) const;
  void operator()(PGresult* result) const;
  void operator()(PGcancel* cancel) const;
};
using ConnectionPtr = std::unique_ptr<PGconn, LibpqDeleter>;
using ResultPtr = std::unique_ptr<PGresult, LibpqDeleter>;
using CancelPtr = std::unique_ptr<PGcancel, LibpqDeleter>;

}  // namespace engine::db::postgres

#endif  // ENGINE_DB_SERVER_POSTGRES_LIBPQ_TYPES_H_

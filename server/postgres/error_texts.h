// What becomes of the texts of a target's errors.
#ifndef ENGINE_DB_SERVER_POSTGRES_ERROR_TEXTS_H_
#define ENGINE_DB_SERVER_POSTGRES_ERROR_TEXTS_H_

#include <string>
#include <string_view>

#include "server/postgres/libpq_types.h"

namespace engine::db::postgres {

struct ErrorTexts {
  std::string target;         // its name, for the caller and the log
  std::string password;       // never shown, even if the server should repeat it
  bool logged = false;        // whole, in the gateway's log
  bool hides_raised = false;  // what functions raise is not shown either
};

// A field of an error (PG_DIAG_…); empty for none.
[[nodiscard]] std::string_view ErrorField(const PGresult& result, int code);

// One line in the gateway's log: the message, DETAIL, HINT, CONTEXT and inner query of an error, with all the data that
// is in them. But for what is about passwords or keys, by the word in any of them or in `sql`, the statement that was
// sent: then only where the error comes from.
void LogWholeError(const PGresult& result, std::string_view sql, const ErrorTexts& texts);

}  // namespace engine::db::postgres

#endif  // ENGINE_DB_SERVER_POSTGRES_ERROR_TEXTS_H_

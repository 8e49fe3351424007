// Errors of steps: a DatabaseError that says in which.
#ifndef ENGINE_DB_BUILTINS_SRC_FAILURE_H_
#define ENGINE_DB_BUILTINS_SRC_FAILURE_H_

#include <string>
#include <string_view>

#include "engine_db/builtins/pipeline.h"
#include "engine_db/error.h"

namespace engine::db::builtins {

// The same error, its message beginning with the place.
[[noreturn]] void throw_at(const Place& place, const DatabaseError& error);

// The step itself is wrong, or got something wrong: nothing was sent to the database.
[[noreturn]] void throw_request_error(const Place& place, std::string_view reason, const std::string& message);

}  // namespace engine::db::builtins

#endif  // ENGINE_DB_BUILTINS_SRC_FAILURE_H_

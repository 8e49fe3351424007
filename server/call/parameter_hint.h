// What to do about an error that comes of how parameters are given.
#ifndef ENGINE_DB_SERVER_CALL_PARAMETER_HINT_H_
#define ENGINE_DB_SERVER_CALL_PARAMETER_HINT_H_

#include <string_view>

#include "server/base/failure.h"
#include "server/sql/bind.h"

namespace engine::db::call {

// "" where the parameters are not at fault, as far as one can tell.
[[nodiscard]] std::string_view ParameterHint(const Failure& error, const sql::BoundStatement& bound);

}  // namespace engine::db::call

#endif  // ENGINE_DB_SERVER_CALL_PARAMETER_HINT_H_

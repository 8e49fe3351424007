// Functions that a statement calls, told by name.
#ifndef ENGINE_DB_SDK_SQL_FUNCTIONS_H_
#define ENGINE_DB_SDK_SQL_FUNCTIONS_H_

#include <string_view>

namespace engine::db::sql {

enum class FunctionEffect {
  kNone,     // only looks: may be repeated, and leaves nothing behind
  kWrites,   // changes data or waits for others, but leaves nothing in the session once the transaction is over
  kUnknown,  // not PostgreSQL's own, or leaves something in the session
};

// `name` is that of a function of pg_catalog, as it is stored (lower case). A function of another schema is kUnknown,
// and not asked here.
FunctionEffect EffectOf(std::string_view name);

}  // namespace engine::db::sql

#endif  // ENGINE_DB_SDK_SQL_FUNCTIONS_H_

// Parameters that stand where PostgreSQL infers no type.
#ifndef ENGINE_DB_SDK_SQL_UNTYPED_PARAMETERS_H_
#define ENGINE_DB_SDK_SQL_UNTYPED_PARAMETERS_H_

#include <string_view>
#include <vector>

namespace engine::db::sql {

// The numbers of the parameters that stand in no other place than one where PostgreSQL takes a quoted literal as it is,
// and refuses a parameter without a type (42P18): $1 IS NULL, concat($1) and its like, whose arguments may be of any
// type, ROW($1) that nothing gives a type to, xmlelement(name a, $1). Sorted. `tree` is libpg_query's, as JSON.
std::vector<int> UntypedParameters(std::string_view tree);

}  // namespace engine::db::sql

#endif  // ENGINE_DB_SDK_SQL_UNTYPED_PARAMETERS_H_

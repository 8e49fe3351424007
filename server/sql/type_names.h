// PostgreSQL's built-in types by name.
#ifndef ENGINE_DB_SERVER_SQL_TYPE_NAMES_H_
#define ENGINE_DB_SERVER_SQL_TYPE_NAMES_H_

#include <cstdint>
#include <string_view>

namespace engine::db::sql {

inline constexpr uint32_t kByteaOid = 17;

// The pg_type OID of a built-in type as SQL writes it: "int", "timestamp with time zone", "varchar(20)" (a parameter
// has no modifier; it is ignored), "text[]", "_text", "pg_catalog.int4". Case and blanks don't matter. 0: none of
// these.
uint32_t BuiltInTypeOid(std::string_view name);

}  // namespace engine::db::sql

#endif  // ENGINE_DB_SERVER_SQL_TYPE_NAMES_H_

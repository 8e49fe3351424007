// Names of types, as parameters give them.
#ifndef ENGINE_DB_SERVER_SQL_TYPE_NAMES_H_
#define ENGINE_DB_SERVER_SQL_TYPE_NAMES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace engine::db::sql {

inline constexpr uint32_t kBoolOid = 16;
inline constexpr uint32_t kByteaOid = 17;
inline constexpr uint32_t kInt8Oid = 20;
inline constexpr uint32_t kInt4Oid = 23;
inline constexpr uint32_t kTextOid = 25;
inline constexpr uint32_t kFloat8Oid = 701;

// How a statement gets the type that a parameter names.
struct TypeReference {
  // Of a built-in type without modifiers: goes beside the statement's text.
  uint32_t oid = 0;
  // Of any other, when `oid` is 0: a cast to stand behind the placeholder, ::public.mood[], ::varchar(10). PostgreSQL
  // itself finds the type, by the session's own search path, created in the same transaction or not.
  std::string cast = {};
};

// Reads a type's name as PostgreSQL's own parser does: "int", "timestamp with time zone", "text[]", "_text",
// "pg_catalog.int4", "numeric(10,2)", "public.mood", "\"Mood\"". nullopt: not the name of a type. An
// unusual name takes some microseconds. Any thread. `name` has no NUL and is short.
std::optional<TypeReference> FindTypeReference(std::string_view name);

}  // namespace engine::db::sql

#endif  // ENGINE_DB_SERVER_SQL_TYPE_NAMES_H_

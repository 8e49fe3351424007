// Text from PostgreSQL is UTF-8, except from a database in SQL_ASCII, which holds what it was given; protobuf's strings
// must be.
#ifndef ENGINE_DB_SERVER_BASE_UTF8_H_
#define ENGINE_DB_SERVER_BASE_UTF8_H_

#include <string>
#include <string_view>

namespace engine::db {

[[nodiscard]] bool IsValidUtf8(std::string_view text);

// The text with U+FFFD for each byte that belongs to no character: for names and messages, which have to be legible
// rather than exact.
[[nodiscard]] std::string ToValidUtf8(std::string_view text);

}  // namespace engine::db

#endif  // ENGINE_DB_SERVER_BASE_UTF8_H_

// UTF-8 text. Protobuf's strings must be; text from PostgreSQL is, except from a database in SQL_ASCII, which holds
// whatever bytes it was given.
#ifndef ENGINE_DB_SDK_COMMON_UTF8_H_
#define ENGINE_DB_SDK_COMMON_UTF8_H_

#include <string>
#include <string_view>

namespace engine::db::common {

[[nodiscard]] bool is_utf8(std::string_view text);

// The text with U+FFFD for each byte that belongs to no character: for names and messages, which have to be legible
// rather than exact.
[[nodiscard]] std::string to_utf8(std::string_view text);

}  // namespace engine::db::common

#endif  // ENGINE_DB_SDK_COMMON_UTF8_H_

// What may stand in the settings of a connection. A password in the wrong setting would be shown with it.
#ifndef ENGINE_DB_SDK_COMMON_CONNECTION_TEXT_H_
#define ENGINE_DB_SDK_COMMON_CONNECTION_TEXT_H_

#include <string>
#include <string_view>

namespace engine::db::common {

// Whether a password may stand in a text that is shown as a name: in a URL, with or without its scheme, or in a
// connection string.
[[nodiscard]] bool may_hold_password(std::string_view text);

// Whether the text has one of the characters `refused`: those that stand in "app:password" (":", which may be encoded
// as in "app%3Apassword") and in "dbname=orders password=…" ("="), which libpq itself may take for a connection string.
[[nodiscard]] bool has_refused_character(std::string_view text, std::string_view refused);

// Whether a text that is not empty is one host name, an IP address without brackets, or the folder of a unix socket.
// Excludes what libpq would read as something else: several hosts ("a,b"), an abstract socket ("@…"), a URL.
[[nodiscard]] bool is_host(const std::string& text);

}  // namespace engine::db::common

#endif  // ENGINE_DB_SDK_COMMON_CONNECTION_TEXT_H_

// Internal to the SDK and its implementations.
#ifndef ENGINE_DB_SDK_SRC_UTF8_H_
#define ENGINE_DB_SDK_SRC_UTF8_H_

#include <string_view>

namespace engine::db::internal {

[[nodiscard]] bool is_utf8(std::string_view text);

}  // namespace engine::db::internal

#endif  // ENGINE_DB_SDK_SRC_UTF8_H_

// abseil's string functions take absl::string_view, which on Debian 12 is a class of its own.
#ifndef ENGINE_DB_SERVER_BASE_TEXT_H_
#define ENGINE_DB_SERVER_BASE_TEXT_H_

#include <string_view>

#include "absl/strings/string_view.h"

namespace engine::db {

[[nodiscard]] inline absl::string_view ToAbsl(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace engine::db

#endif  // ENGINE_DB_SERVER_BASE_TEXT_H_

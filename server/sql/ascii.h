// Comparison without regard to case. abseil's own takes absl::string_view, which on Debian 12 is not std::string_view.
#ifndef ENGINE_DB_SERVER_SQL_ASCII_H_
#define ENGINE_DB_SERVER_SQL_ASCII_H_

#include <algorithm>
#include <string_view>

#include "absl/strings/ascii.h"

namespace engine::db::sql {

// Whether `text` is that word, in whatever case.
inline bool IsWord(std::string_view text, std::string_view word) {
  return std::equal(text.begin(), text.end(), word.begin(), word.end(), [](char a, char b) {
    return absl::ascii_tolower(static_cast<unsigned char>(a)) == absl::ascii_tolower(static_cast<unsigned char>(b));
  });
}

}  // namespace engine::db::sql

#endif  // ENGINE_DB_SERVER_SQL_ASCII_H_

#include "sdk/common/utf8.h"

#include <cstdint>
#include <cstring>

namespace engine::db::common {
namespace {

// Bytes of the character at the beginning of `text`, which is not empty; 0 if there is none (RFC 3629, section 4).
size_t character_length(std::string_view text) {
  const auto is_tail = [&text](size_t i, unsigned low = 0x80, unsigned high = 0xBF) {
    if (i >= text.size()) return false;
    const auto byte = static_cast<unsigned char>(text[i]);
    return byte >= low && byte <= high;
  };
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return is_tail(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    const bool second = is_tail(1, first == 0xE0 ? 0xA0 : 0x80, first == 0xED ? 0x9F : 0xBF);
    return second && is_tail(2) ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const bool second = is_tail(1, first == 0xF0 ? 0x90 : 0x80, first == 0xF4 ? 0x8F : 0xBF);
    return second && is_tail(2) && is_tail(3) ? 4 : 0;
  }
  return 0;
}

// The bytes at the beginning that are valid.
size_t valid_prefix(std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    uint64_t eight = 0;
    if (text.size() - i >= sizeof(eight)) {
      std::memcpy(&eight, text.data() + i, sizeof(eight));
      if ((eight & 0x8080808080808080U) == 0) {  // all ASCII, as nearly always
        i += sizeof(eight);
        continue;
      }
    }
    const size_t length = character_length(text.substr(i));
    if (length == 0) return i;
    i += length;
  }
  return i;
}

}  // namespace

bool is_utf8(std::string_view text) { return valid_prefix(text) == text.size(); }

std::string to_utf8(std::string_view text) {
  std::string valid;
  while (true) {
    const size_t length = valid_prefix(text);
    valid.append(text.substr(0, length));
    if (length == text.size()) return valid;
    valid.append("\xEF\xBF\xBD");
    text.remove_prefix(length + 1);
  }
}

}  // namespace engine::db::common

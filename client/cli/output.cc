#include "client/cli/output.h"

#include <cwchar>
#include <nlohmann/json.hpp>

#include "client/cli/arguments.h"

namespace engine::db::cli {
namespace {

// The character that begins at text[at], and how many bytes it has. What is no UTF-8 is taken byte by byte.
struct Character {
  char32_t code = 0;
  size_t bytes = 1;
};

Character decode(std::string_view text, size_t at) {
  const auto first = static_cast<unsigned char>(text[at]);
  const size_t bytes = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC0 ? 2 : 1;
  if (bytes == 1 || at + bytes > text.size()) return {first, 1};
  char32_t code = first & (0x7FU >> bytes);
  for (size_t i = 1; i < bytes; ++i) code = (code << 6U) | (static_cast<unsigned char>(text[at + i]) & 0x3FU);
  return {code, bytes};
}

bool is_control(char32_t code) { return code < 0x20 || (code >= 0x7F && code < 0xA0); }

}  // namespace

size_t byte_of(std::string_view text, uint32_t position) {
  uint32_t character = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    const bool begins = (static_cast<unsigned char>(text[at]) & 0xC0U) != 0x80U;
    if (begins && ++character == position) return at;
  }
  return text.size();
}

Format choose_format(std::string_view name, bool terminal) {
  if (name.empty()) return terminal ? Format::kTable : Format::kCsv;
  if (name == "table") return Format::kTable;
  if (name == "csv") return Format::kCsv;
  if (name == "json") return Format::kJson;
  throw UsageError("--format is table, csv or json");
}

void require_written(std::ostream& out) {
  if (!out) throw OutputError("the output cannot be written");
}

std::string printable(std::string_view text) {
  std::string shown;
  for (size_t at = 0; at < text.size();) {
    const Character character = decode(text, at);
    if (character.code == '\n') {
      shown += "\\n";
    } else if (character.code == '\t') {
      shown += "\\t";
    } else if (is_control(character.code)) {
      constexpr char kDigits[] = "0123456789abcdef";
      shown += "\\x";
      shown += kDigits[character.code >> 4U];
      shown += kDigits[character.code & 0xFU];
    } else {
      shown += text.substr(at, character.bytes);
    }
    at += character.bytes;
  }
  return shown;
}

size_t display_width(std::string_view text) {
  size_t width = 0;
  for (size_t at = 0; at < text.size();) {
    const Character character = decode(text, at);
    const int columns = wcwidth(static_cast<wchar_t>(character.code));
    width += columns < 0 ? 1 : static_cast<size_t>(columns);
    at += character.bytes;
  }
  return width;
}

std::string json_text(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string csv_text(std::string_view text) {
  if (!text.empty() && text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string quoted = "\"";
  for (const char letter : text) {
    if (letter == '"') quoted.push_back('"');
    quoted.push_back(letter);
  }
  quoted.push_back('"');
  return quoted;
}

std::string count(uint64_t number, std::string_view noun) {
  std::string text = std::to_string(number);
  for (size_t at = text.size(); at > 3;) text.insert(at -= 3, 1, ',');
  text += ' ';
  text += noun;
  if (number != 1) text += 's';
  return text;
}

}  // namespace engine::db::cli

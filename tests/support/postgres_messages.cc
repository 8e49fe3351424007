#include "tests/support/postgres_messages.h"

#include <utility>

namespace engine::db::test {

uint32_t ReadUint32(std::string_view bytes) {
  uint32_t number = 0;
  for (size_t i = 0; i < 4; ++i) number = number << 8U | static_cast<unsigned char>(bytes[i]);
  return number;
}

std::string_view TakeText(std::string_view& bytes) {
  const std::string_view text = bytes.substr(0, bytes.find('\0'));
  bytes.remove_prefix(text.size() < bytes.size() ? text.size() + 1 : text.size());
  return text;
}

std::map<std::string, std::string> ReadStartupParameters(std::string_view bytes) {
  std::map<std::string, std::string> parameters;
  while (!bytes.empty() && bytes.front() != '\0') {
    const std::string_view name = TakeText(bytes);
    parameters[std::string(name)] = TakeText(bytes);
  }
  return parameters;
}

std::string MakeMessage(char type, std::string_view content) {
  std::string message(1, type);
  const auto length = static_cast<uint32_t>(content.size() + 4);
  for (int shift = 24; shift >= 0; shift -= 8) message += static_cast<char>(length >> static_cast<unsigned>(shift));
  return message.append(content);
}

std::string MakeErrorResponse(const ServerError& error) {
  std::string content;
  const auto field = [&content](char code, const std::string& value) {
    if (!value.empty()) content.append(1, code).append(value).append(1, '\0');
  };
  field('S', error.severity);
  field('V', error.severity);
  field('C', error.sqlstate);
  field('M', error.message);
  field('D', error.detail);
  field('H', error.hint);
  field('P', error.position);
  field('W', error.context);
  field('s', error.schema_name);
  field('t', error.table_name);
  field('c', error.column_name);
  field('d', error.data_type_name);
  field('n', error.constraint_name);
  field('F', error.source_file);
  field('R', error.source_function);
  content += '\0';
  return MakeMessage('E', content);
}

}  // namespace engine::db::test

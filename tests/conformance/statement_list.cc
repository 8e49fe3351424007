#include "tests/conformance/statement_list.h"

#include <fstream>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace engine::db::test {
namespace {

std::string Replaced(std::string text, std::string_view what, std::string_view with) {
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += with.size()) {
    text.replace(at, what.size(), with);
  }
  return text;
}

std::string WithControlCharacters(std::string text) {
  for (const auto& [shown, control] : {std::pair{"␊", "\n"}, {"␍", "\r"}, {"␉", "\t"}, {"␌", "\f"}}) {
    text = Replaced(std::move(text), shown, control);
  }
  return text;
}

std::string FromHex(const std::string& hex) {
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) bytes += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return bytes;
}

// `line` without its "<".
ListedParameter ReadParameter(const std::string& line) {
  using Kind = ListedParameter::Kind;
  if (line.empty()) return {Kind::kText, "", ""};
  const std::string text = line.size() > 2 ? WithControlCharacters(line.substr(2)) : "";
  switch (line[0]) {
    case ' ':
      return {Kind::kText, WithControlCharacters(line.substr(1)), ""};
    case '0':
      return {Kind::kNull, "", ""};
    case 't':
      return {Kind::kText, text, "", true};
    case 'n':
      return {Kind::kNull, "", "", true};
    case 'i':
      return {Kind::kInteger, text, ""};
    case 'd':
      return {Kind::kDouble, text, ""};
    case 'b':
      return {Kind::kBool, text, ""};
    case 'x':
      return {Kind::kBytes, FromHex(text), ""};
    case '=':
      return {Kind::kExpression, text, ""};
    case ':': {
      const size_t blank = line.find(' ');
      return {Kind::kText, WithControlCharacters(line.substr(blank + 1)), line.substr(1, blank - 1)};
    }
    default:
      throw std::runtime_error("no kind of parameter");
  }
}

void ReadLine(const std::string& line, int number, StatementList& list) {
  if (line.empty() || line[0] == '#') return;
  const std::string rest = line.size() > 2 ? WithControlCharacters(line.substr(2)) : "";
  if (line[0] == '@') {
    list.setup.push_back(rest);
    return;
  }
  if (line[0] == '?') {
    list.statements.emplace_back();
    list.statements.back().line = number;
    list.statements.back().caller_sql = rest;
    return;
  }
  if (list.statements.empty()) throw std::runtime_error("no statement yet");
  ListedStatement& statement = list.statements.back();
  switch (line[0]) {
    case '$':
      statement.numbered_sql = rest;
      break;
    case '<':
      statement.parameters.push_back(ReadParameter(line.substr(1)));
      break;
    case '>':
      statement.rows.push_back(rest);
      break;
    case '=':
      statement.command_tag = rest;
      break;
    case '!':
      statement.sqlstate = rest;
      break;
    default:
      throw std::runtime_error("what kind of line is this?");
  }
}

}  // namespace

void PrintTo(const ListedStatement& statement, std::ostream* out) {
  *out << "placeholders.txt:" << statement.line << ": " << statement.caller_sql;
}

StatementList ReadStatementList() {
  const std::string path = ENGINE_DB_STATEMENT_LIST;
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path);
  StatementList list;
  int number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    try {
      ReadLine(line, number, list);
    } catch (const std::exception& fault) {
      throw std::runtime_error(path + ":" + std::to_string(number) + ": " + fault.what());
    }
  }
  return list;
}

std::string RowText(const std::vector<std::string>& cells) {
  std::string text;
  for (size_t i = 0; i < cells.size(); ++i) text += (i == 0 ? "" : " | ") + cells[i];
  return text;
}

}  // namespace engine::db::test

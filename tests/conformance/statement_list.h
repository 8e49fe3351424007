// The list of statements in placeholders.txt, which says what its lines mean.
#ifndef ENGINE_DB_TESTS_CONFORMANCE_STATEMENT_LIST_H_
#define ENGINE_DB_TESTS_CONFORMANCE_STATEMENT_LIST_H_

#include <ostream>
#include <string>
#include <vector>

namespace engine::db::test {

struct ListedParameter {
  enum class Kind { kNull, kText, kInteger, kDouble, kBool, kBytes, kExpression };
  Kind kind = Kind::kNull;
  std::string text;  // bytes as they are
  std::string type_name;
  bool client_names_text = false;  // PostgreSQL's own client has to, where PostgreSQL infers no type
};

struct ListedStatement {
  int line = 0;
  std::string caller_sql;    // with "?"
  std::string numbered_sql;  // with $1, $2…
  std::vector<ListedParameter> parameters;
  std::vector<std::string> rows;  // RowText of each
  std::string command_tag;        // "" when there are rows, or it fails
  std::string sqlstate;           // "" when it succeeds
};
void PrintTo(const ListedStatement& statement, std::ostream* out);

struct StatementList {
  std::vector<std::string> setup;
  std::vector<ListedStatement> statements;
};

// Throws std::runtime_error that names the line when the file is broken.
[[nodiscard]] StatementList ReadStatementList();

// "a | b" of the cells, of which NULL ones are "NULL".
[[nodiscard]] std::string RowText(const std::vector<std::string>& cells);

}  // namespace engine::db::test

#endif  // ENGINE_DB_TESTS_CONFORMANCE_STATEMENT_LIST_H_

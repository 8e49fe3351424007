// The statements of placeholders.txt through the gateway, and through libpq with $1, $2… written by hand: no difference
// in rows, command tags, SQLSTATEs, or in the place that an error points to.
#include <libpq-fe.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tests/conformance/statement_list.h"
#include "tests/integration/integration_test.h"

namespace engine::db::test {
namespace {

using Kind = ListedParameter::Kind;

Expression ExpressionOf(const std::string& text) {
  for (const auto& [name, expression] : {std::pair{"CURRENT_TIMESTAMP", Expression::kCurrentTimestamp},
                                         {"CURRENT_DATE", Expression::kCurrentDate},
                                         {"CURRENT_TIME", Expression::kCurrentTime},
                                         {"LOCALTIMESTAMP", Expression::kLocalTimestamp},
                                         {"LOCALTIME", Expression::kLocalTime},
                                         {"DEFAULT", Expression::kDefault}}) {
    if (text == name) return expression;
  }
  throw std::runtime_error("no such expression: " + text);
}

Value ValueOf(const ListedParameter& parameter) {
  switch (parameter.kind) {
    case Kind::kNull:
      return nullptr;
    case Kind::kInteger:
      return static_cast<int64_t>(std::stoll(parameter.text));
    case Kind::kDouble:
      return std::stod(parameter.text);
    case Kind::kBool:
      return parameter.text == "true";
    case Kind::kBytes:
      return Bytes{parameter.text};
    case Kind::kExpression:
      return ExpressionOf(parameter.text);
    case Kind::kText:
      return parameter.type_name.empty() ? Value(parameter.text) : Value::typed(parameter.type_name, parameter.text);
  }
  return nullptr;
}

// What either side says.
struct Answer {
  std::vector<std::string> columns;
  std::vector<std::vector<std::optional<std::string>>> rows;
  std::string command_tag;
  std::string sqlstate;  // "" when it succeeded
  uint32_t position = 0;
};

// The role `app`, with PostgreSQL's own client.
class Oracle {
 public:
  explicit Oracle(const std::string& target) : connection_(PQconnectdb(target.c_str())) {
    if (PQstatus(connection_) != CONNECTION_OK) throw std::runtime_error(PQerrorMessage(connection_));
    PQsetNoticeProcessor(
        connection_, [](void*, const char*) {}, nullptr);
  }
  ~Oracle() { PQfinish(connection_); }
  Oracle(const Oracle&) = delete;
  Oracle& operator=(const Oracle&) = delete;

  Answer Run(const ListedStatement& statement) {
    std::vector<const char*> values;
    std::vector<int> lengths;
    std::vector<int> formats;
    std::vector<Oid> types;
    for (const ListedParameter& parameter : statement.parameters) {
      if (parameter.kind == Kind::kExpression) continue;
      const bool bytes = parameter.kind == Kind::kBytes;
      values.push_back(parameter.kind == Kind::kNull ? nullptr : parameter.text.data());
      lengths.push_back(static_cast<int>(parameter.text.size()));
      formats.push_back(bytes ? 1 : 0);
      types.push_back(bytes                         ? 17
                      : parameter.client_names_text ? 25
                      : parameter.type_name.empty() ? 0
                                                    : OidOf(parameter.type_name));
    }
    PGresult* result = PQexecParams(connection_, statement.numbered_sql.c_str(), static_cast<int>(values.size()),
                                    types.data(), values.data(), lengths.data(), formats.data(), 0);
    const Answer answer = Read(result);
    PQclear(result);
    return answer;
  }
  void Command(const char* sql) { PQclear(PQexec(connection_, sql)); }

 private:
  Oid OidOf(const std::string& type_name) {
    PGresult* result = PQexec(connection_, ("SELECT '" + type_name + "'::regtype::oid").c_str());
    const Oid oid = static_cast<Oid>(std::stoul(PQgetvalue(result, 0, 0)));
    PQclear(result);
    return oid;
  }

  static Answer Read(const PGresult* result) {
    Answer answer;
    if (PQresultStatus(result) == PGRES_FATAL_ERROR) {
      answer.sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
      const char* position = PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION);
      if (position != nullptr) answer.position = static_cast<uint32_t>(std::stoul(position));
      return answer;
    }
    answer.command_tag = PQcmdStatus(const_cast<PGresult*>(result));
    for (int i = 0; i < PQnfields(result); ++i) answer.columns.emplace_back(PQfname(result, i));
    for (int row = 0; row < PQntuples(result); ++row) {
      answer.rows.emplace_back();
      for (int i = 0; i < PQnfields(result); ++i) {
        answer.rows.back().push_back(
            PQgetisnull(result, row, i) != 0 ? std::nullopt : std::optional<std::string>(PQgetvalue(result, row, i)));
      }
    }
    return answer;
  }

  PGconn* connection_;
};

// As PostgreSQL writes it. (A double is compared as a number: the same may be written in several ways.)
std::optional<std::string> TextOf(const Cell& cell, const std::optional<std::string>& wanted) {
  if (cell.is_null()) return std::nullopt;
  if (cell.kind() == CellKind::kBool) return cell.as<bool>() ? "t" : "f";
  if (cell.kind() == CellKind::kDouble && wanted && std::strtod(wanted->c_str(), nullptr) == cell.as<double>()) {
    return wanted;
  }
  return cell.to_string();
}

Answer ThroughGateway(PostgresSyncConnector& connector, const ListedStatement& statement, const Answer& wanted) {
  Parameters parameters;
  for (const ListedParameter& parameter : statement.parameters) parameters.push_back(ValueOf(parameter));
  Answer answer;
  try {
    const Result result = connector.execute(statement.caller_sql, parameters);
    answer.command_tag = result.command_tag();
    for (const Column& column : result.columns()) answer.columns.push_back(column.name);
    for (const Row row : result.rows()) {
      const size_t y = answer.rows.size();
      answer.rows.emplace_back();
      for (size_t x = 0; x < row.size(); ++x) {
        const bool known = y < wanted.rows.size() && x < wanted.rows[y].size();
        answer.rows.back().push_back(TextOf(row[x], known ? wanted.rows[y][x] : std::nullopt));
      }
    }
    EXPECT_EQ(result.bound_sql(), statement.numbered_sql);
  } catch (const DatabaseExecutionError& error) {
    answer.sqlstate = error.sqlstate();
    answer.position = error.position();
    EXPECT_FALSE(error.sqlstate().empty()) << error.what();
  }
  return answer;
}

std::vector<std::string> Characters(const std::string& text) {
  std::vector<std::string> characters;
  for (const char c : text) {
    if ((static_cast<unsigned char>(c) & 0xC0U) == 0x80U) {
      characters.back() += c;
    } else {
      characters.emplace_back(1, c);
    }
  }
  return characters;
}

// Whether the two texts go on in the same way from there, up to the next placeholder, behind as many commas.
bool IsSamePlace(const std::string& caller, uint32_t position, const std::string& numbered,
                 uint32_t numbered_position) {
  if (position == 0 || numbered_position == 0) return position == numbered_position;
  const std::vector<std::string> a = Characters(caller);
  const std::vector<std::string> b = Characters(numbered);
  size_t i = position - 1;
  size_t j = numbered_position - 1;
  if (i > a.size() || j > b.size()) return false;
  if (std::count(a.begin(), a.begin() + i, ",") != std::count(b.begin(), b.begin() + j, ",")) return false;
  for (; i < a.size() && a[i] != "?"; ++i, ++j) {
    if (j == b.size() || a[i] != b[j]) return false;
  }
  return i < a.size() || j == b.size();
}

class Placeholders : public IntegrationTest {
 protected:
  Placeholders() {
    static bool made = false;
    if (made) return;
    made = true;
    for (const std::string& sql : list_.setup) Postgres().Exec(sql);
  }
  const StatementList list_ = ReadStatementList();
};

void ExpectSame(const Answer& gateway, const Answer& oracle) {
  EXPECT_EQ(gateway.sqlstate, oracle.sqlstate);
  EXPECT_EQ(gateway.command_tag, oracle.command_tag);
  EXPECT_EQ(gateway.columns, oracle.columns);
  EXPECT_EQ(gateway.rows, oracle.rows);
}

void ExpectAsListed(const Answer& oracle, const ListedStatement& statement) {
  EXPECT_EQ(oracle.sqlstate, statement.sqlstate);
  if (!statement.command_tag.empty()) {
    EXPECT_EQ(oracle.command_tag, statement.command_tag);
  }
  std::vector<std::string> rows;
  for (const auto& row : oracle.rows) {
    std::vector<std::string> cells;
    for (const auto& cell : row) cells.push_back(cell.value_or("NULL"));
    rows.push_back(RowText(cells));
  }
  EXPECT_EQ(rows, statement.rows);
}

// Each in a transaction of its own that is rolled back, so that none finds what another left.
TEST_F(Placeholders, InTransactionsThereIsNoDifference) {
  const auto connector = Connect();
  Oracle oracle(Postgres().AppUser());
  for (const ListedStatement& statement : list_.statements) {
    SCOPED_TRACE(testing::PrintToString(statement));
    oracle.Command("BEGIN");
    const Answer wanted = oracle.Run(statement);
    oracle.Command("ROLLBACK");
    ExpectAsListed(wanted, statement);

    connector->begin();
    const Answer got = ThroughGateway(*connector, statement, wanted);
    connector->rollback();
    ExpectSame(got, wanted);
    EXPECT_TRUE(IsSamePlace(statement.caller_sql, got.position, statement.numbered_sql, wanted.position))
        << "at " << got.position << ", and " << wanted.position << " of " << statement.numbered_sql;
  }
}

// What only looks, by the way that most statements take: prepared once, sent twice, in a pipeline with others' reads.
TEST_F(Placeholders, WithoutTransactionsThereIsNoDifference) {
  const auto connector = Connect();
  Oracle oracle(Postgres().AppUser());
  int compared = 0;
  for (const ListedStatement& statement : list_.statements) {
    if (statement.rows.empty() || statement.caller_sql.find("SELECT") > 2) continue;
    SCOPED_TRACE(testing::PrintToString(statement));
    const Answer wanted = oracle.Run(statement);
    for (int i = 0; i < 2; ++i) ExpectSame(ThroughGateway(*connector, statement, wanted), wanted);
    ++compared;
  }
  EXPECT_GT(compared, 300);
}

}  // namespace
}  // namespace engine::db::test

// Each statement of values_corpus.sql runs through the gateway, in both formats, and through libpq on a database with
// the same content. Names, types, modifiers, cells, tags and SQLSTATEs are the same.
#include <libpq-fe.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>

#include "tests/conformance/values_generator.h"
#include "tests/integration/gateway_calls.h"

namespace engine::db::test {
namespace {

constexpr const char* kTables = R"(
  SET ROLE app;
  CREATE TABLE scratch (id int PRIMARY KEY CHECK (id > 0), words varchar(30));
  CREATE TABLE "Values of types" (i int, n numeric(10,2), vc varchar(20), c char(5), ts timestamp(3), tz timestamptz,
                                  iv interval, tm time(2), b bit(4), vb varbit(6), na int[]);
  INSERT INTO "Values of types" VALUES
    (1, 1.5, 'é', 'a', '2024-02-29 13:14:15.1239', '2024-01-01 00:00Z', '1 mon', '10:00:00.125', '1010', '11', '{1,NULL}'),
    (NULL, NULL, '', '', 'infinity', NULL, NULL, '24:00', NULL, '', '{}'), (-1, 'NaN', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);)";

// One answer, from either side.
struct Reply {
  std::string sqlstate;  // empty: it worked
  std::string tag;
  std::vector<std::string> columns;  // name, type and modifier
  std::vector<std::vector<std::string>> rows;
};

std::string Describe(const std::string& name, const std::string& type, uint32_t oid, int modifier) {
  // OIDs of types of the database's own differ from one database to the next.
  return name + " " + type + (oid < 16384 ? " #" + std::to_string(oid) : "") + " " + std::to_string(modifier);
}

std::string Hex(const std::string& bytes) {
  std::string text = "\\x";
  for (const char c : bytes) {
    text += "0123456789abcdef"[static_cast<unsigned char>(c) >> 4];
    text += "0123456789abcdef"[static_cast<unsigned char>(c) & 15];
  }
  return text;
}

// As text that can be compared with PostgreSQL's: of doubles, what both read.
std::string NumberText(double number) {
  char text[40];
  std::snprintf(text, sizeof(text), "%a", number);
  return text;
}

std::string TextOf(const v1::Value& value) {
  switch (value.kind_case()) {
    case v1::Value::kBoolValue:
      return value.bool_value() ? "t" : "f";
    case v1::Value::kInt64Value:
      return std::to_string(value.int64_value());
    case v1::Value::kDoubleValue:
      return NumberText(value.double_value());
    case v1::Value::kTextValue:
      return "'" + value.text_value();
    case v1::Value::kBytesValue:
      return Hex(value.bytes_value());
    default:
      return "NULL";
  }
}

std::string TextOf(const Cell& cell) {
  switch (cell.kind()) {
    case CellKind::kNull:
      return "NULL";
    case CellKind::kBool:
      return cell.as<bool>() ? "t" : "f";
    case CellKind::kInt64:
      return std::to_string(cell.as<int64_t>());
    case CellKind::kDouble:
      return NumberText(cell.as<double>());
    case CellKind::kBytes:
      return Hex(cell.as<Bytes>().data);
    case CellKind::kText:
      return "'" + cell.as<std::string>();
  }
  return "";
}

struct PqDeleter {
  void operator()(PGconn* connection) const { PQfinish(connection); }
  void operator()(PGresult* result) const { PQclear(result); }
};
using Connection = std::unique_ptr<PGconn, PqDeleter>;
using PqResult = std::unique_ptr<PGresult, PqDeleter>;

class ValuesCorpus : public GatewayCallsTest {
 protected:
  static std::string OracleTarget(const std::string& target) { return target + " dbname=oracle"; }

  static void SetUpTestSuite() {
    Postgres().Exec("CREATE DATABASE oracle OWNER app");
    for (const std::string& target : {Postgres().Superuser() + " dbname=app", OracleTarget(Postgres().Superuser())}) {
      pqxx::connection connection(target);
      pqxx::nontransaction work(connection);
      work.exec("GRANT CREATE ON SCHEMA public TO app");
      work.exec(SetUpTypes());
      work.exec(kTables);
    }
  }

  void SetUp() override {
    oracle_.reset(PQconnectdb(OracleTarget(Postgres().AppUser()).c_str()));
    ASSERT_EQ(PQstatus(oracle_.get()), CONNECTION_OK) << PQerrorMessage(oracle_.get());
  }

  std::string TypeName(uint32_t oid) {
    const std::string text = std::to_string(oid);
    const char* values[] = {text.c_str()};
    const PqResult result(
        PQexecParams(oracle_.get(), "SELECT format_type($1::oid, NULL)", 1, nullptr, values, nullptr, nullptr, 0));
    return PQgetvalue(result.get(), 0, 0);
  }

  Reply Direct(const std::string& sql) {
    const PqResult result(PQexecParams(oracle_.get(), sql.c_str(), 0, nullptr, nullptr, nullptr, nullptr, 0));
    Reply answer;
    if (const char* sqlstate = PQresultErrorField(result.get(), PG_DIAG_SQLSTATE)) {
      answer.sqlstate = sqlstate;
      return answer;
    }
    answer.tag = PQcmdStatus(result.get());
    for (int c = 0; c < PQnfields(result.get()); ++c) {
      answer.columns.push_back(Describe(PQfname(result.get(), c), TypeName(PQftype(result.get(), c)),
                                        PQftype(result.get(), c), PQfmod(result.get(), c)));
    }
    for (int r = 0; r < PQntuples(result.get()); ++r) {
      std::vector<std::string>& row = answer.rows.emplace_back();
      for (int c = 0; c < PQnfields(result.get()); ++c) {
        const std::string text(PQgetvalue(result.get(), r, c), static_cast<size_t>(PQgetlength(result.get(), r, c)));
        const Oid type = PQftype(result.get(), c);
        if (PQgetisnull(result.get(), r, c) != 0) {
          row.emplace_back("NULL");
        } else if (type == 700 || type == 701) {
          row.push_back(NumberText(std::strtod(text.c_str(), nullptr)));
        } else {
          const bool native = type == 16 || type == 17 || type == 20 || type == 21 || type == 23 || type == 26;
          row.push_back(native ? text : "'" + text);
        }
      }
    }
    return answer;
  }

  Reply ByRows(const std::string& connection, const std::string& sql) {
    const auto reply = Execute(connection, sql);
    Reply answer;
    if (!reply.ok()) {
      const Failure failure = Decode(reply.status);
      answer.sqlstate =
          failure.error.sqlstate().empty() ? failure.error.reason() + ": " + failure.message : failure.error.sqlstate();
      return answer;
    }
    answer.tag = reply.response.command_tag();
    for (const v1::Column& column : reply.response.columns()) {
      answer.columns.push_back(Describe(column.name(), column.type_name(), column.type_oid(), column.type_modifier()));
    }
    for (const v1::Row& row : reply.response.rows()) {
      std::vector<std::string>& cells = answer.rows.emplace_back();
      for (const v1::Value& value : row.values()) cells.push_back(TextOf(value));
    }
    return answer;
  }

  static Reply ByColumns(PostgresSyncConnector& connector, const std::string& sql) {
    Reply answer;
    const Result result = connector.execute(sql);
    answer.tag = result.command_tag();
    for (const Column& column : result.columns()) {
      answer.columns.push_back(Describe(column.name, column.type_name, column.type_oid, column.type_modifier));
    }
    for (const Row row : result.rows()) {
      std::vector<std::string>& cells = answer.rows.emplace_back();
      for (size_t c = 0; c < row.size(); ++c) cells.push_back(TextOf(row[c]));
    }
    return answer;
  }

  static void ExpectEqual(const Reply& expected, const Reply& actual) {
    EXPECT_EQ(expected.sqlstate, actual.sqlstate);
    EXPECT_EQ(expected.tag, actual.tag);
    EXPECT_EQ(expected.columns, actual.columns);
    ASSERT_EQ(expected.rows.size(), actual.rows.size());
    for (size_t r = 0; r < expected.rows.size(); ++r) EXPECT_EQ(expected.rows[r], actual.rows[r]) << "row " << r;
  }

 private:
  Connection oracle_;
};

std::string ForLibpq(std::string sql) {
  for (size_t at = sql.find("??"); at != std::string::npos; at = sql.find("??", at + 1)) sql.erase(at, 1);
  return sql;
}

bool OnlyReads(const std::string& sql) {
  return sql.starts_with("SELECT") || sql.starts_with("VALUES") || sql.starts_with("TABLE") ||
         sql.starts_with("WITH RECURSIVE");
}

TEST_F(ValuesCorpus, NoDifference) {
  const std::string connection = Open(2);
  const auto connector = Connect(Config(2));
  std::ifstream file(std::string(ENGINE_DB_CONFORMANCE_FOLDER) + "/values_corpus.sql");
  ASSERT_TRUE(file.good());
  int statements = 0;
  int failing = 0;
  int number = 0;
  for (std::string sql; std::getline(file, sql);) {
    ++number;
    if (sql.empty() || sql.starts_with("--")) continue;
    SCOPED_TRACE("line " + std::to_string(number) + ": " + sql.substr(0, 200));
    ++statements;
    const Reply expected = Direct(ForLibpq(sql));
    ExpectEqual(expected, ByRows(connection, sql));
    if (!expected.sqlstate.empty()) {
      ++failing;
    } else if (OnlyReads(sql)) {
      Reply columns = ByColumns(*connector, sql);
      if (expected.columns.empty()) columns.rows = expected.rows;  // rows without columns carry nothing
      ExpectEqual(expected, columns);
    }
  }
  std::cout << statements << " statements, " << failing << " of them fail the same way" << std::endl;
  EXPECT_GT(statements, 300);
}

}  // namespace
}  // namespace engine::db::test

// Thousands of values a type, stored through the gateway as parameters and past it by libpqxx, and read back along
// every way there is: none may differ from another, nor from what psql prints.
//
// ENGINE_DB_SEED makes other values (the seed is printed), ENGINE_DB_VALUES_PER_TYPE more or fewer.
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <iostream>

#include "tests/conformance/values_generator.h"
#include "tests/integration/gateway_calls.h"
#include "tests/support/process.h"

namespace engine::db::test {
namespace {

constexpr uint64_t kSeed = 20240229;
constexpr size_t kValuesPerType = 200;

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

using Texts = std::vector<std::optional<std::string>>;  // nullopt for NULL

bool IsFloat(uint32_t oid) { return oid == 700 || oid == 701; }

// A number as PostgreSQL writes it, in the one form in which equal doubles are equal: that of std::to_chars.
std::string Canonical(double number) {
  if (std::isnan(number)) return "NaN";
  char text[64];
  return {text, std::to_chars(text, text + sizeof(text), number).ptr};
}

// A cell of the gateway's as PostgreSQL's text.
std::optional<std::string> TextOf(const v1::Value& value) {
  switch (value.kind_case()) {
    case v1::Value::kBoolValue:
      return value.bool_value() ? "t" : "f";
    case v1::Value::kInt64Value:
      return std::to_string(value.int64_value());
    case v1::Value::kDoubleValue:
      return Canonical(value.double_value());
    case v1::Value::kTextValue:
      return value.text_value();
    case v1::Value::kBytesValue: {
      std::string text = "\\x";
      for (const char c : value.bytes_value()) {
        text += "0123456789abcdef"[static_cast<unsigned char>(c) >> 4];
        text += "0123456789abcdef"[static_cast<unsigned char>(c) & 15];
      }
      return text;
    }
    default:
      return std::nullopt;
  }
}

std::optional<std::string> TextOf(const Cell& cell) {
  switch (cell.kind()) {
    case CellKind::kNull:
      return std::nullopt;
    case CellKind::kBool:
      return cell.as<bool>() ? "t" : "f";
    case CellKind::kDouble:
      return Canonical(cell.as<double>());
    default:
      return cell.to_string();
  }
}

// A parameter as a program would give it: of its own kind where there is one.
Value ParameterFor(const std::string& type, const std::string& text) {
  if (type == "smallint" || type == "integer" || type == "bigint" || type == "oid") return std::stoll(text);
  if (type == "double precision") {
    if (text == "NaN") return std::nan("");
    return std::strtod(text.c_str(), nullptr);
  }
  if (type == "bytea") {
    Bytes bytes;
    for (size_t i = 2; i < text.size(); i += 2) {
      bytes.data += static_cast<char>(std::stoi(text.substr(i, 2), nullptr, 16));
    }
    return bytes;
  }
  return text;
}

class ValuesRoundTrip : public GatewayCallsTest {
 protected:
  static void SetUpTestSuite() {
    Postgres().Exec("ALTER DATABASE app SET timezone = 'America/St_Johns'");  // with minutes, and seconds before 1935
    Postgres().Exec(SetUpTypes());
  }

  // What libpqxx and psql read.
  static Texts Direct(const std::string& sql) {
    Texts texts;
    const pqxx::result rows = Sql(sql);
    for (const auto& row : rows) {
      if (row[0].is_null()) {
        texts.emplace_back();
      } else if (IsFloat(row[0].type())) {
        texts.emplace_back(Canonical(std::strtod(row[0].c_str(), nullptr)));
      } else {
        texts.emplace_back(row[0].c_str());
      }
    }
    return texts;
  }
  // psql drops characters such as U+1FFFF when it prints; the server and libpq know nothing of that.
  static bool PrintedByPsql(const std::string& text) {
    for (size_t i = 0; i + 3 < text.size(); ++i) {
      const auto byte = [&](size_t k) { return static_cast<unsigned char>(text[i + k]); };
      if (byte(0) >= 0xF0 && (byte(1) & 0x0FU) == 0x0F && byte(2) == 0xBF && byte(3) >= 0xBE) return false;
    }
    return true;
  }
  static Texts ByPsql(const std::string& sql, bool floats) {
    ProcessOptions options;
    options.command = {PostgresProgram("psql"), "-X", "-A", "-t", "-0", "-P", "null=<<NULL>>", "-c", sql,
                       Postgres().Superuser()};
    options.environment = {{"PGCLIENTENCODING", "UTF8"}};
    const Completed done = RunProgram(options);
    EXPECT_EQ(done.exit_code, 0) << done.err;
    Texts texts;
    for (size_t begin = 0; begin < done.out.size();) {
      const size_t end = std::min(done.out.find('\0', begin), done.out.size());
      const std::string text = done.out.substr(begin, end - begin);
      begin = end + 1;
      if (text == "<<NULL>>") {
        texts.emplace_back();
      } else {
        texts.emplace_back(floats ? Canonical(std::strtod(text.c_str(), nullptr)) : text);
      }
    }
    return texts;
  }

  Texts ByRows(const std::string& connection, const std::string& sql) {
    Texts texts;
    const auto answer = Execute(connection, sql);
    EXPECT_TRUE(answer.ok()) << answer.status.error_message();
    for (const v1::Row& row : answer.response.rows()) texts.push_back(TextOf(row.values(0)));
    return texts;
  }
  Texts ByStream(const std::string& connection, const std::string& sql) {
    v1::ExecuteStreamRequest request;
    request.set_connection_id(connection);
    request.set_sql(sql);
    const StreamAnswer answer = Stream(request);
    EXPECT_TRUE(answer.status.ok()) << answer.status.error_message();
    Texts texts;
    for (const v1::ExecuteStreamResponse& message : answer.messages) {
      for (const v1::Row& row : message.rows()) texts.push_back(TextOf(row.values(0)));
    }
    return texts;
  }
  static Texts ByColumns(PostgresSyncConnector& connector, const std::string& sql) {
    Texts texts;
    const Result result = connector.execute(sql);
    for (const Row row : result.rows()) texts.push_back(TextOf(row[0]));
    return texts;
  }
  static Texts ByColumnStream(PostgresSyncConnector& connector, const std::string& sql) {
    Texts texts;
    for (const Row row : connector.execute_stream(sql)) texts.push_back(TextOf(row[0]));
    return texts;
  }

  static void ExpectEqual(const Texts& expected, const Texts& actual, const std::string& what) {
    ASSERT_EQ(expected.size(), actual.size()) << what;
    int shown = 0;
    for (size_t i = 0; i < expected.size() && shown < 3; ++i) {
      if (expected[i] == actual[i]) continue;
      ++shown;
      ADD_FAILURE() << what << ", row " << i << ": " << expected[i].value_or("NULL") << " is not "
                    << actual[i].value_or("NULL");
    }
  }
};

TEST_F(ValuesRoundTrip, EveryTypeAlongEveryWay) {
  const uint64_t seed = FromEnvironment("ENGINE_DB_SEED", kSeed);
  const size_t count = FromEnvironment("ENGINE_DB_VALUES_PER_TYPE", kValuesPerType);
  std::cout << "ENGINE_DB_SEED=" << seed << " ENGINE_DB_VALUES_PER_TYPE=" << count << std::endl;
  const std::string connection = Open();
  const auto connector = Connect();
  size_t values_in_all = 0;
  size_t types = 0;
  for (const TypeOfValues& type : AllTypes()) {
    SCOPED_TRACE(type.sql);
    Random random(seed + types++);
    // A name of its own: what is prepared for a table keeps its parameters' types when another takes the table's place.
    const std::string table = name() + "_" + std::to_string(types);
    const std::vector<std::string> values = ValuesOf(type, count, random);
    values_in_all += values.size();
    Sql("CREATE TABLE " + table + " (id int PRIMARY KEY, gateway " + type.sql + ", direct " + type.sql + ")");

    // As parameters through the gateway; every ninth row stays NULL.
    BatchStatement insert{"INSERT INTO " + table + " (id, gateway) VALUES (?, ?)"};
    for (size_t i = 0; i < values.size(); ++i) {
      insert.parameter_lists.push_back({static_cast<int>(i), i % 9 == 8 ? Value() : ParameterFor(type.sql, values[i])});
    }
    BatchOptions atomic;
    atomic.atomic = true;
    ASSERT_NO_THROW(static_cast<void>(connector->execute_batch({insert}, atomic)));

    // Past it: as literals, by libpqxx.
    std::string update = "SET ROLE app; UPDATE " + table + " t SET direct = v.x FROM (VALUES ";
    pqxx::connection quoting(Postgres().Superuser());
    const char* separator = "";
    for (size_t i = 0; i < values.size(); ++i) {
      if (i % 9 == 8) continue;
      update += separator + ("(" + std::to_string(i) + ", " + quoting.quote(values[i]) + "::" + type.sql + ")");
      separator = ", ";
    }
    Postgres().Exec(update + ") v (id, x) WHERE v.id = t.id");

    // The server's own opinion.
    EXPECT_EQ(
        Scalar("SELECT count(*) FROM " + table + " WHERE gateway::text COLLATE \"C\" IS DISTINCT FROM direct::text"),
        "0")
        << Scalar(
               "SELECT string_agg(id || ': ' || gateway::text || ' <> ' || direct::text, E'\\n') FROM (SELECT * FROM " +
               table + " WHERE gateway::text COLLATE \"C\" IS DISTINCT FROM direct::text LIMIT 3) t");
    // (IS NULL is true of a composite of NULLs as well.)
    EXPECT_EQ(Scalar("SELECT count(*) - count(gateway) FROM " + table), std::to_string(values.size() / 9));

    const std::string read = "SELECT gateway FROM " + table + " ORDER BY id";
    const std::string read_direct = "SELECT direct FROM " + table + " ORDER BY id";
    const Texts expected = Direct(read_direct);
    ASSERT_EQ(expected.size(), values.size());
    const bool floats = type.sql == "real" || type.sql == "double precision";
    ExpectEqual(expected, ByRows(connection, read), "Execute, rows");
    ExpectEqual(expected, ByStream(connection, read), "ExecuteStream, rows");
    ExpectEqual(expected, ByColumns(*connector, read), "execute(), columns");
    ExpectEqual(expected, ByColumnStream(*connector, read), "execute_stream(), columns");
    if (floats) {  // psql and the gateway have the same digits as well
      ExpectEqual(ByPsql(read_direct, false), ByRows(connection, "SELECT gateway::text FROM " + table + " ORDER BY id"),
                  "digits");
    }
    Texts printed = ByPsql(read_direct, floats);
    for (size_t i = 0; i < std::min(printed.size(), expected.size()); ++i) {
      if (expected[i] && !PrintedByPsql(*expected[i])) printed[i] = expected[i];
    }
    ExpectEqual(expected, printed, "psql");
    Sql("DROP TABLE " + table);
    if (HasFatalFailure()) return;
  }
  std::cout << values_in_all << " values of " << types << " types, no difference unless told above" << std::endl;
}

// A parameter of the type that it names itself, where no column tells.
TEST_F(ValuesRoundTrip, EveryTypeByItsName) {
  const auto connector = Connect();
  for (const TypeOfValues& type : AllTypes()) {
    SCOPED_TRACE(type.sql);
    Random random(kSeed);
    const std::vector<std::string> values = ValuesOf(type, type.edges.size() + 3, random);
    BatchStatement select{"SELECT ?"};
    for (const std::string& value : values) select.parameter_lists.push_back({Value::typed(type.sql, value)});
    select.parameter_lists.push_back({Value::typed(type.sql, nullptr)});
    const BatchResults results = connector->execute_batch({select});
    pqxx::connection direct(Postgres().Superuser());
    pqxx::nontransaction work(direct);
    for (size_t i = 0; i < values.size(); ++i) {
      ASSERT_NO_THROW(static_cast<void>(results[i].result())) << values[i];
      const engine::db::Cell cell = results[i].result().rows()[0][0];
      const pqxx::row expected = work.exec("SELECT " + work.quote(values[i]) + "::" + type.sql)[0];
      const std::string text =
          IsFloat(expected[0].type()) ? Canonical(std::strtod(expected[0].c_str(), nullptr)) : expected[0].c_str();
      EXPECT_EQ(TextOf(cell).value_or("NULL"), text) << values[i];
      EXPECT_EQ(results[i].result().columns()[0].type_oid, expected[0].type());
    }
    EXPECT_TRUE(results.back().result().rows()[0][0].is_null());
  }
}

}  // namespace
}  // namespace engine::db::test

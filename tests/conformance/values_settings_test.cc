// What sessions are like must not change what values are: settings of roles, encodings of databases, SET by a caller;
// and the shapes of results that few have.
#include <algorithm>
#include <numeric>

#include "tests/integration/gateway_calls.h"

namespace engine::db::test {
namespace {

class ValuesSettings : public GatewayCallsTest {
 protected:
  // A role of its own, whose settings (and the database's) are these.
  std::string OpenAs(const std::string& role, const std::vector<std::string>& settings,
                     const std::string& dbname = "app") {
    Postgres().Exec("CREATE ROLE " + role + " LOGIN PASSWORD 'x'");
    for (const std::string& setting : settings) Postgres().Exec("ALTER ROLE " + role + " SET " + setting);
    v1::ConnectRequest request = ConnectTo();
    request.mutable_config()->set_user(role);
    request.mutable_config()->set_password("x");
    request.mutable_config()->set_dbname(dbname);
    return Open(request);
  }
  std::string OpenDatabase(const std::string& encoding) {
    const std::string dbname = name() + "_db";
    Postgres().Exec("CREATE DATABASE " + dbname + " OWNER app ENCODING '" + encoding +
                    "' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
    v1::ConnectRequest request = ConnectTo();
    request.mutable_config()->set_dbname(dbname);
    return Open(request);
  }
  pqxx::result InDatabase(const std::string& sql) {
    pqxx::connection connection(Postgres().Superuser() + " dbname=" + name() + "_db client_encoding=SQL_ASCII");
    pqxx::nontransaction work(connection);
    return work.exec(sql);
  }
  v1::Row First(const std::string& connection, const std::string& sql, const std::vector<v1::Value>& parameters = {}) {
    const auto answer = Execute(connection, sql, parameters);
    EXPECT_TRUE(answer.ok()) << sql << ": " << answer.status.error_message();
    return answer.response.rows_size() > 0 ? answer.response.rows(0) : v1::Row();
  }
};

TEST_F(ValuesSettings, ARolesSettingsDoNotChangeTheForm) {
  const std::string connection =
      OpenAs("odd", {"DateStyle = 'German, DMY'", "IntervalStyle = 'sql_standard'", "extra_float_digits = -10",
                     "bytea_output = 'escape'", "client_encoding = 'LATIN1'", "standard_conforming_strings = off"});
  for (int i = 0; i < 2; ++i) {
    const v1::Row row =
        First(connection,
              "SELECT date '2024-02-29', timestamp '2024-02-29 13:14:15.5', interval '1 day -2 hours', 0.1::float8 + "
              "0.2::float8, 0.1::float4, '\\x00ff'::bytea, 'é', 'a\\b'");
    EXPECT_EQ(row.values(0).text_value(), "2024-02-29");
    EXPECT_EQ(row.values(1).text_value(), "2024-02-29 13:14:15.5");
    EXPECT_EQ(row.values(2).text_value(), "1 day -02:00:00");
    EXPECT_EQ(row.values(3).double_value(), 0.1 + 0.2);
    EXPECT_EQ(row.values(5).bytes_value(), std::string("\0\xff", 2));
    EXPECT_EQ(row.values(6).text_value(), "é");
    EXPECT_EQ(row.values(7).text_value(), "a\\b");
    // Not even after the caller has meddled and the backend was reset.
    ASSERT_TRUE(Execute(connection, "SET DateStyle = 'SQL'").ok());
    ASSERT_TRUE(Execute(connection, "RESET ALL").ok());
  }
}

// 01/02/2003 is the first of February to a role that says so, as it is to one who connects directly.
TEST_F(ValuesSettings, ARolesOrderOfDayAndMonthIsKept) {
  const char* sql = "SELECT ?::date";
  EXPECT_EQ(First(OpenAs("dmy", {"DateStyle = 'SQL, DMY'"}), sql, {Text("01/02/2003")}).values(0).text_value(),
            "2003-02-01");
  EXPECT_EQ(First(OpenAs("iso_dmy", {"DateStyle = 'ISO, DMY'"}), sql, {Text("01/02/2003")}).values(0).text_value(),
            "2003-02-01");
  EXPECT_EQ(First(OpenAs("mdy", {"DateStyle = 'Postgres, MDY'"}), sql, {Text("01/02/2003")}).values(0).text_value(),
            "2003-01-02");
  EXPECT_EQ(First(OpenAs("ymd", {"DateStyle = 'German, YMD'"}), sql, {Text("01/02/03")}).values(0).text_value(),
            "2001-02-03");
}

TEST_F(ValuesSettings, ARolesTimeZoneIsItsOwn) {
  const v1::Row row = First(OpenAs("far", {"TimeZone = 'Asia/Kathmandu'"}),
                            "SELECT ?::timestamptz, ?::timestamptz, timestamptz '1900-01-01 00:00Z'",
                            {Text("2024-01-01 00:00"), Text("2024-01-01 00:00Z")});
  EXPECT_EQ(row.values(0).text_value(), "2024-01-01 00:00:00+05:45");
  EXPECT_EQ(row.values(1).text_value(), "2024-01-01 05:45:00+05:45");
  EXPECT_EQ(row.values(2).text_value(), "1900-01-01 05:41:16+05:41:16");
}

TEST_F(ValuesSettings, ByteaIsBytesWhateverTheCallerHasSet) {
  const std::string connection = Open();
  const auto begun = Begin(connection);
  ASSERT_TRUE(begun.status.ok());
  const std::string id = begun.response.transaction().transaction_id();
  std::string all(256, '\0');
  std::iota(all.begin(), all.end(), '\0');
  all += "\\\\x41";
  ASSERT_TRUE(ExecuteIn(connection, id, "SET LOCAL bytea_output = 'escape'").ok());
  for (const std::string& bytes :
       {all, std::string(), std::string("\\"), std::string("\\x00"), std::string("a\\001")}) {
    EXPECT_EQ(Cell(ExecuteIn(connection, id, "SELECT ?::bytea", {Blob(bytes)})).bytes_value(), bytes);
  }
  EXPECT_TRUE(Rollback(connection, id).ok());
}

TEST_F(ValuesSettings, TextThatIsNotUtf8ArrivesAsBytes) {
  const std::string connection = OpenDatabase("SQL_ASCII");
  InDatabase(
      "CREATE TABLE t (x text); INSERT INTO t VALUES ('plain'), ('\xe9t\xe9'), ('\xc3\xa9'), (NULL), (''); GRANT ALL "
      "ON t TO app");
  const std::string sql = "SELECT x FROM t";
  const auto rows = Execute(connection, sql);
  ASSERT_TRUE(rows.ok()) << rows.status.error_message();
  EXPECT_EQ(rows.response.rows(0).values(0).text_value(), "plain");
  EXPECT_EQ(rows.response.rows(1).values(0).bytes_value(), "\xe9t\xe9");
  EXPECT_EQ(rows.response.rows(2).values(0).text_value(), "\xc3\xa9");
  EXPECT_TRUE(rows.response.rows(3).values(0).has_null_value());
  EXPECT_TRUE(rows.response.rows(4).values(0).has_text_value());

  ConnectionConfig config = Config();
  config.dbname = name() + "_db";
  const auto connector = Connect(config);
  const Result result = connector->execute(sql);
  EXPECT_EQ(result.rows()[0][0].as<std::string>(), "plain");
  EXPECT_EQ(result.rows()[0][0].kind(), CellKind::kText);
  EXPECT_EQ(result.rows()[1][0].as<Bytes>().data, "\xe9t\xe9");
  EXPECT_EQ(result.rows()[1][0].kind(), CellKind::kBytes);
  const auto refused = Catch<DatabaseRequestError>([&] { static_cast<void>(result.rows()[1][0].as<std::string>()); });
  EXPECT_THAT(refused.what(), testing::HasSubstr("\"x\" (text) holds bytes"));
  EXPECT_EQ(result.rows()[2][0].as<std::string_view>(), "\xc3\xa9");
  EXPECT_TRUE(result.rows()[3][0].is_null());
  EXPECT_EQ(result.rows()[4][0].as<std::string>(), "");

  // And is written as what it is told to be.
  ASSERT_TRUE(Execute(connection, "INSERT INTO t VALUES (convert_from(?, 'SQL_ASCII'))", {Blob("\xfe\x80")}).ok());
  EXPECT_EQ(InDatabase("SELECT count(*) FROM t WHERE x = '\xfe\x80'")[0][0].as<int>(), 1);
}

TEST_F(ValuesSettings, NamesAndMessagesThatAreNotUtf8AreLegible) {
  const std::string connection = OpenDatabase("SQL_ASCII");
  InDatabase(
      "CREATE TYPE \"t\xff\" AS ENUM ('a'); CREATE TABLE t (\"c\xff\" \"t\xff\", i int CONSTRAINT \"k\xff\" CHECK (i > "
      "0)); "
      "GRANT ALL ON t TO app");
  const auto described = Execute(connection, "SELECT * FROM t");
  ASSERT_TRUE(described.ok()) << described.status.error_message();
  EXPECT_EQ(described.response.columns(0).name(), "c\xEF\xBF\xBD");
  EXPECT_EQ(described.response.columns(0).type_name(), "\"t\xEF\xBF\xBD\"");
  const Failure failure = Decode(Execute(connection, "INSERT INTO t (i) VALUES (0)").status);
  EXPECT_EQ(failure.error.sqlstate(), "23514");
  EXPECT_EQ(failure.error.constraint_name(), "k\xEF\xBF\xBD");
}

TEST_F(ValuesSettings, ALatin1DatabaseIsConverted) {
  const std::string connection = OpenDatabase("LATIN1");
  ASSERT_TRUE(Execute(connection, "CREATE TABLE t (\"ü\" text)").ok());
  ASSERT_TRUE(Execute(connection, "INSERT INTO t VALUES (?), ('ß')", {Text("é")}).ok());
  EXPECT_EQ(InDatabase("SELECT count(*) FROM t WHERE octet_length(t::text) = 3")[0][0].as<int>(), 2);
  const auto read = Execute(connection, "SELECT * FROM t");
  EXPECT_EQ(read.response.columns(0).name(), "ü");
  EXPECT_EQ(read.response.rows(0).values(0).text_value(), "é");
  EXPECT_EQ(read.response.rows(1).values(0).text_value(), "ß");
  EXPECT_EQ(Decode(Execute(connection, "INSERT INTO t VALUES (?)", {Text("€")}).status).error.sqlstate(), "22P05");
}

// By PostgreSQL's own rule for a literal of the kind; what was left to the context would be text where there is none.
TEST_F(ValuesSettings, ParametersAreOfTheirKindsType) {
  const std::string connection = Open();
  const v1::Row row =
      First(connection,
            "SELECT pg_typeof(?)::text, pg_typeof(?)::text, pg_typeof(?)::text, pg_typeof(?)::text, pg_typeof(?)::text",
            {Int(1), Int(int64_t{1} << 40), Double(1), Bool(true), Blob("x")});
  EXPECT_EQ(row.values(0).text_value(), "integer");
  EXPECT_EQ(row.values(1).text_value(), "bigint");
  EXPECT_EQ(row.values(2).text_value(), "double precision");
  EXPECT_EQ(row.values(3).text_value(), "boolean");
  EXPECT_EQ(row.values(4).text_value(), "bytea");
  EXPECT_EQ(First(connection, "SELECT '[7, 8]'::jsonb -> ?", {Int(1)}).values(0).text_value(), "8");
  EXPECT_EQ(First(connection, "SELECT '[7, 8]'::jsonb -> ?", {Text("1")}).values(0).kind_case(), v1::Value::kNullValue);
  EXPECT_EQ(First(connection, "SELECT substring('foobar' from ?)", {Int(4)}).values(0).text_value(), "bar");
  EXPECT_EQ(First(connection, "SELECT ?", {Int(5)}).values(0).int64_value(), 5);
  EXPECT_EQ(First(connection, "SELECT concat('a', ?, ?), ARRAY[1] || ?, date '2024-01-01' + ?",
                  {Int(1), Bool(true), Int(2), Int(3)})
                .values(2)
                .text_value(),
            "2024-01-04");
  EXPECT_EQ(
      First(connection, "SELECT ?::text, ?::text, ?::numeric, ?::int", {Int(5), Bool(true), Double(0.5), Double(2.5)})
          .values(3)
          .int64_value(),
      2);
  EXPECT_EQ(Decode(Execute(connection, "SELECT 1 WHERE 'x' = ?::text AND 5 = ?", {Text("x"), Bool(true)}).status)
                .error.sqlstate(),
            "42883");
  v1::Value exact = Double(123456789.12345679);
  exact.set_type_name("numeric");
  EXPECT_EQ(First(connection, "SELECT ?", {exact}).values(0).text_value(), "123456789.12345679");
}

TEST_F(ValuesSettings, ATypeOfTheUsersOwnIsFoundAsInSql) {
  const std::string connection = Open();
  Sql("CREATE SCHEMA places; CREATE TYPE places.\"Kind of\" AS ENUM ('a', 'b'); CREATE TYPE fresh AS (x int)");
  for (const char* type : {"places.\"Kind of\"", "PLACES . \"Kind of\""}) {
    EXPECT_EQ(First(connection, "SELECT ?", {Text("b", type)}).values(0).text_value(), "b") << type;
  }
  for (const char* type : {"fresh", "\"fresh\"", "Fresh", "public.fresh"}) {
    EXPECT_EQ(First(connection, "SELECT ?", {Text("(1)", type)}).values(0).text_value(), "(1)") << type;
  }
  EXPECT_EQ(First(connection, "SELECT ?", {Text("(5)", "public.fresh")}).values(0).text_value(), "(5)");
  EXPECT_EQ(First(connection, "SELECT (?)[2]", {Text("{a,b}", "places.\"Kind of\"[]")}).values(0).text_value(), "b");
  // Dropped and made again; made in the same transaction; found by that transaction's search_path.
  Sql("DROP TYPE fresh; CREATE TYPE fresh AS (x int, y int)");
  EXPECT_EQ(First(connection, "SELECT ?", {Text("(5,6)", "fresh")}).values(0).text_value(), "(5,6)");
  const auto begun = Begin(connection);
  const std::string id = begun.response.transaction().transaction_id();
  ASSERT_TRUE(ExecuteIn(connection, id, "CREATE TYPE today AS ENUM ('x')").ok());
  EXPECT_EQ(Cell(ExecuteIn(connection, id, "SELECT ?", {Text("x", "today")})).text_value(), "x");
  ASSERT_TRUE(ExecuteIn(connection, id, "SET LOCAL search_path = places").ok());
  EXPECT_EQ(Cell(ExecuteIn(connection, id, "SELECT ?", {Text("b", "\"Kind of\"")})).text_value(), "b");
  EXPECT_TRUE(Rollback(connection, id).ok());
  // Modifiers act as in a cast.
  EXPECT_EQ(First(connection, "SELECT ?", {Text("1.555", "numeric(10,2)")}).values(0).text_value(), "1.56");
  EXPECT_EQ(First(connection, "SELECT ?", {Text("2024-01-01 00:00:00.5678Z", "timestamp(2)")}).values(0).text_value(),
            "2024-01-01 00:00:00.57");
  // One that is not there, and what is no type at all.
  const Failure unknown = Decode(Execute(connection, "SELECT 1, ?", {Text("x", "no_such")}).status);
  EXPECT_EQ(unknown.error.sqlstate(), "42704");
  EXPECT_EQ(unknown.error.position(), 11U);
  const Failure injection = Decode(Execute(connection, "SELECT ?", {Text("x", "text) FROM pg_class --")}).status);
  EXPECT_EQ(injection.error.reason(), "UNKNOWN_TYPE");
  EXPECT_EQ(injection.error.field(), "parameters[0].type_name");
  Sql("DROP SCHEMA places CASCADE; DROP TYPE fresh");
}

TEST_F(ValuesSettings, ShapesThatFewResultsHave) {
  const std::string connection = Open();
  const auto connector = Connect();
  const Result no_columns = connector->execute("SELECT FROM generate_series(1, 3)");
  EXPECT_EQ(no_columns.rowcount(), 3);
  EXPECT_TRUE(no_columns.columns().empty());

  std::string wide = "CREATE TABLE wide (";
  for (int i = 0; i < 1600; ++i)
    wide += (i == 0 ? "c" : ", c") + std::to_string(i) + (i % 2 == 0 ? " bool" : " \"char\"");
  Sql(wide + ")");
  Sql("INSERT INTO wide (c0, c1599) VALUES (true, 'x'), (NULL, NULL)");
  const Result columns = connector->execute("SELECT * FROM wide");
  ASSERT_EQ(columns.columns().size(), 1600U);
  EXPECT_TRUE(columns.rows()[0]["c0"].as<bool>());
  EXPECT_EQ(columns.rows()[0]["c1599"].as<std::string>(), "x");
  for (size_t c = 1; c < 1599; ++c) ASSERT_TRUE(columns.rows()[1][c].is_null()) << c;
  EXPECT_EQ(First(connection, "SELECT * FROM wide").values_size(), 1600);
  Sql("DROP TABLE wide");

  // NULL everywhere, over the boundaries of bitmaps and of messages.
  const char* nulls =
      "SELECT NULL::int AS i, NULL::text AS t, NULL::float8 AS f, NULL::bool AS b, NULL::bytea AS y, NULL::jsonb AS j, "
      "n "
      "FROM generate_series(1, 5003) n";
  int64_t n = 0;
  for (const Row row : connector->execute_stream(nulls)) {
    for (size_t c = 0; c < 6; ++c) ASSERT_TRUE(row[c].is_null());
    ASSERT_EQ(row["n"].as<int64_t>(), ++n);
  }
  EXPECT_EQ(n, 5003);
  const char* mixed =
      "SELECT CASE WHEN n % 3 > 0 THEN n END AS i, CASE WHEN n % 5 > 0 THEN n::text END AS t, CASE WHEN n % 7 > 0 THEN "
      "n / 8::float8 END AS f, "
      "CASE WHEN n % 11 > 0 THEN n % 2 = 0 END AS b, CASE WHEN n % 13 > 0 THEN n::text::bytea END AS y, n FROM "
      "generate_series(1, 5003) n";
  for (const Row row : connector->execute_stream(mixed)) {
    const auto at = row["n"].as<int64_t>();
    ASSERT_EQ(row["i"].as<std::optional<int>>(), at % 3 > 0 ? std::optional<int>(static_cast<int>(at)) : std::nullopt);
    ASSERT_EQ(row["t"].as<std::optional<std::string>>(), at % 5 > 0 ? std::optional(std::to_string(at)) : std::nullopt);
    ASSERT_EQ(row["f"].as<std::optional<double>>(),
              at % 7 > 0 ? std::optional(static_cast<double>(at) / 8) : std::nullopt);
    ASSERT_EQ(row["b"].as<std::optional<bool>>(), at % 11 > 0 ? std::optional(at % 2 == 0) : std::nullopt);
    ASSERT_EQ(row["y"].is_null(), at % 13 == 0);
  }
}

// A cell larger than a message may be is refused, and nobody else notices.
TEST_F(ValuesSettings, ACellOfAHundredMegabytesIsAnError) {
  const std::string connection = Open();
  const auto unary = Execute(connection, "SELECT repeat('x', 100000000)", {}, seconds(120));
  EXPECT_EQ(Decode(unary.status).error.reason(), "RESULT_TOO_LARGE");
  v1::ExecuteStreamRequest request;
  request.set_connection_id(connection);
  request.set_sql("SELECT repeat('x', 100000000)");
  const StreamAnswer stream = Stream(request, seconds(120));
  EXPECT_FALSE(stream.status.ok());
  EXPECT_TRUE(Gateway().Running());
  EXPECT_EQ(First(connection, "SELECT 1").values(0).int64_value(), 1);
}

}  // namespace
}  // namespace engine::db::test

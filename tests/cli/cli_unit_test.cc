// The command line's parts that need no gateway.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <clocale>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "client/cli/arguments.h"
#include "client/cli/failure.h"
#include "client/cli/output.h"
#include "client/cli/row_writer.h"
#include "client/cli/statement_reader.h"
#include "engine_db/error.h"
#include "engine_db/row_batch.h"

namespace engine::db::cli {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::ThrowsMessage;

TEST(ParseParameterTest, PrefixSaysTheKindAndEverythingElseIsText) {
  EXPECT_EQ(parse_parameter("C-1001", 0), Value("C-1001"));
  EXPECT_EQ(parse_parameter("", 0), Value(""));
  EXPECT_EQ(parse_parameter("https://example.org", 0), Value("https://example.org"));
  EXPECT_EQ(parse_parameter("int:-5", 0), Value(-5));
  EXPECT_EQ(parse_parameter("int:9223372036854775807", 0), Value(std::numeric_limits<int64_t>::max()));
  EXPECT_EQ(parse_parameter("float:1.5", 0), Value(1.5));
  EXPECT_EQ(parse_parameter("float:-inf", 0), Value(-std::numeric_limits<double>::infinity()));
  EXPECT_EQ(parse_parameter("bool:true", 0), Value(true));
  EXPECT_EQ(parse_parameter("bool:f", 0), Value(false));
  EXPECT_EQ(parse_parameter("text:int:5", 0), Value("int:5"));
  EXPECT_EQ(parse_parameter("bytes:00ff", 0), Value(Bytes{std::string("\0\xff", 2)}));
  EXPECT_EQ(parse_parameter("bytes:\\x00ff", 0), Value(Bytes{std::string("\0\xff", 2)}));
  EXPECT_TRUE(parse_parameter("null:", 0).is_null());
  EXPECT_EQ(parse_parameter("expr:CURRENT_TIMESTAMP", 0), Value(Expression::kCurrentTimestamp));
  EXPECT_EQ(parse_parameter("expr:currentdatetime()", 0), Value(Expression::kCurrentTimestamp));
  EXPECT_EQ(parse_parameter("expr:currentdate()", 0), Value(Expression::kCurrentDate));
  EXPECT_EQ(parse_parameter("expr:default", 0), Value(Expression::kDefault));
  EXPECT_EQ(parse_parameter("cast:jsonb:{\"a\": 1}", 0), Value::typed("jsonb", R"({"a": 1})"));
}

TEST(ParseParameterTest, WrongValueNamesTheParameterButNotItsValue) {
  for (const char* wrong : {"int:secret", "int:", "int:9223372036854775808", "float:secret", "bool:secret",
                            "bytes:secre", "bytes:secret", "null:secret", "expr:secret", "cast:secret"}) {
    EXPECT_THAT([wrong] { (void)parse_parameter(wrong, 1); },
                ThrowsMessage<UsageError>(AllOf(HasSubstr("--param number 2"), Not(HasSubstr("secre")))));
  }
}

TEST(ParseDurationTest, TakesUnits) {
  using std::chrono::milliseconds;
  EXPECT_EQ(parse_duration("500ms"), milliseconds(500));
  EXPECT_EQ(parse_duration("30s"), milliseconds(30'000));
  EXPECT_EQ(parse_duration("30"), milliseconds(30'000));
  EXPECT_EQ(parse_duration("5m"), milliseconds(300'000));
  for (const char* wrong : {"", "s", "-1s", "0", "1h", "25 s", "1441m", "99999999999999999999"}) {
    EXPECT_THROW((void)parse_duration(wrong), UsageError) << wrong;
  }
}

// The environment decides much here, so that each test begins with an empty one.
class MakeTargetTest : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"DB_URL", "DB_USERNAME", "DB_PASSWORD", "ENGINE_DB_PASSWORD", "PGPASSWORD"}) {
      unsetenv(name);
    }
  }
  void TearDown() override { SetUp(); }

  static ConnectionConfig Config(const ConnectionArguments& arguments) {
    return std::get<ConnectionConfig>(make_target(arguments));
  }
};

TEST_F(MakeTargetTest, TakesTheDatabaseFromOptions) {
  setenv("ENGINE_DB_PASSWORD", "from-environment", 1);
  ConnectionArguments arguments;
  arguments.host = "db.example";
  arguments.port = "6543";
  arguments.user = "app";
  arguments.dbname = "loyalty";
  arguments.tls_mode = "verify-full";
  const ConnectionConfig config = Config(arguments);
  EXPECT_EQ(config.host, "db.example");
  EXPECT_EQ(config.port, 6543);
  EXPECT_EQ(config.password, "from-environment");
  EXPECT_EQ(config.tls_mode, TlsMode::kVerifyFull);
}

TEST_F(MakeTargetTest, TakesTheDatabaseFromTheEnvironment) {
  setenv("DB_URL", "postgresql://ann:one@db.example:6543/loyalty", 1);
  EXPECT_EQ(Config({}).user, "ann");
  EXPECT_EQ(Config({}).password, "one");
  setenv("DB_USERNAME", "bob", 1);
  setenv("DB_PASSWORD", "two", 1);
  EXPECT_EQ(Config({}).user, "bob");
  EXPECT_EQ(Config({}).password, "two");
}

TEST_F(MakeTargetTest, DataSourceNeedsNothingElse) {
  ConnectionArguments arguments;
  arguments.data_source = "orders";
  EXPECT_EQ(std::get<DataSource>(make_target(arguments)).name, "orders");
}

TEST_F(MakeTargetTest, RefusesWhatIsAmbiguousMissingOrUnsafe) {
  EXPECT_THAT([] { (void)make_target({}); }, ThrowsMessage<UsageError>(HasSubstr("--data-source")));
  ConnectionArguments both;
  both.data_source = "orders";
  both.host = "db.example";
  EXPECT_THAT([&] { (void)make_target(both); }, ThrowsMessage<UsageError>(HasSubstr("exclude each other")));
  ConnectionArguments url;
  url.url = "postgresql://app:secret@db.example/loyalty";
  EXPECT_THAT([&] { (void)make_target(url); },
              ThrowsMessage<UsageError>(AllOf(HasSubstr("ENGINE_DB_PASSWORD"), Not(HasSubstr("secret")))));
  ConnectionArguments port;
  port.host = "db.example";
  port.user = "app";
  port.dbname = "loyalty";
  port.port = "abc";
  EXPECT_THAT([&] { (void)make_target(port); }, ThrowsMessage<ConfigurationError>(HasSubstr("port")));
}

std::vector<std::string> Statements(const std::string& text) {
  std::istringstream in(text);
  StatementReader reader(in);
  std::vector<std::string> statements;
  while (const std::optional<BatchRun> run = reader.next()) statements.push_back(run->sql);
  return statements;
}

TEST(StatementReaderTest, SplitsAtSemicolonsOnlyBetweenStatements) {
  EXPECT_THAT(Statements("SELECT 1; SELECT 2"), ElementsAre("SELECT 1", "SELECT 2"));
  EXPECT_THAT(Statements("SELECT ';', \";\", 'it''s;';\nSELECT 2;\n"),
              ElementsAre("SELECT ';', \";\", 'it''s;'", "SELECT 2"));
  EXPECT_THAT(Statements("SELECT E'\\';', 'a\\'; SELECT 2"), ElementsAre("SELECT E'\\';', 'a\\'", "SELECT 2"));
  EXPECT_THAT(Statements("DO $x$ BEGIN; $$;$$; END $x$; SELECT $1; SELECT a$b$c;"),
              ElementsAre("DO $x$ BEGIN; $$;$$; END $x$", "SELECT $1", "SELECT a$b$c"));
  EXPECT_THAT(Statements("SELECT 1 -- one; two\n; /* a; /* b; */ c; */ SELECT 2"),
              ElementsAre("SELECT 1 -- one; two\n", "SELECT 2"));
  EXPECT_THAT(Statements("SELECT 4-2, 4/2;;; ; -- the end;\n"), ElementsAre("SELECT 4-2, 4/2"));
  EXPECT_THAT(Statements(""), ElementsAre());
}

TEST(StatementReaderTest, LeavesFunctionBodiesAndRulesWhole) {
  const std::string function =
      "CREATE OR REPLACE FUNCTION f(x int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1 AS end; SELECT CASE WHEN x > "
      "1 "
      "THEN 1 ELSE 2 END; SELECT x.\"begin\" FROM t AS x; END";
  const std::string procedure = "create procedure p() begin atomic insert into t values (';'); end";
  const std::string rule = "CREATE RULE r AS ON INSERT TO t DO ALSO (DELETE FROM u; UPDATE u SET a = (1); NOTIFY x)";
  EXPECT_THAT(Statements(function + ";\n" + procedure + ";" + rule + ";BEGIN; SELECT 1; END;"),
              ElementsAre(function, procedure, rule, "BEGIN", "SELECT 1", "END"));
  EXPECT_THAT(Statements("CREATE FUNCTION f() RETURNS int AS 'SELECT 1;' LANGUAGE sql; SELECT (1;\nSELECT 2"),
              ElementsAre("CREATE FUNCTION f() RETURNS int AS 'SELECT 1;' LANGUAGE sql", "SELECT (1", "SELECT 2"));
}

TEST(StatementReaderTest, ReadsLiteralsAsPostgresqlDoes) {
  EXPECT_THAT(Statements("SELECT E'a'\n'b\\';c'; SELECT U&'\\0041;', U&\"x;y\"; SELECT a->';', 1-- ;\n;"),
              ElementsAre("SELECT E'a'\n'b\\';c'", "SELECT U&'\\0041;', U&\"x;y\"", "SELECT a->';', 1-- ;\n"));
}

TEST(StatementReaderTest, ReadsPiecesOfAnySize) {
  std::string text;
  std::vector<std::string> expected;
  for (int i = 0; i < 3000; ++i) {
    expected.push_back("INSERT INTO t VALUES (" + std::to_string(i) + ", 'it''s; " + std::string(i % 500, 'x') + "')");
    text += "-- " + std::to_string(i) + "; it's a comment\n" + expected.back() + "; /* ' */\n";
  }
  EXPECT_EQ(Statements(text), expected);
  const std::string large = "SELECT '" + std::string(900'000, ';') + "'";
  EXPECT_THAT(Statements(large + ";" + large), ElementsAre(large, large));
  EXPECT_THAT([] { Statements("SELECT 1;\nSELECT '" + std::string(4 << 20, 'x') + "'"); },
              ThrowsMessage<UsageError>(HasSubstr("line 2: a statement or a comment has more than 1048576 bytes")));
  EXPECT_THAT(Statements(std::string(3 << 20, '\n') + "--" + std::string(70'000, ';') + "\nSELECT 1;"),
              ElementsAre("SELECT 1"));
}

TEST(StatementReaderTest, PassesOverAByteOrderMark) {
  EXPECT_THAT(Statements("\xEF\xBB\xBFSELECT 1;\n"), ElementsAre("SELECT 1"));
  EXPECT_THAT(Statements("\xEF\xBB\xBF"), ElementsAre());
  EXPECT_THAT([] { Statements(std::string("\xFF\xFES\0E\0", 6)); },
              ThrowsMessage<UsageError>(HasSubstr("line 1: there is a NUL byte: the file must be UTF-8 text")));
}

TEST(StatementReaderTest, NamesWhatOnlyPsqlUnderstands) {
  const auto fault_behind = [](const std::string& text, size_t statements) -> std::string {
    std::istringstream in(text);
    StatementReader reader(in);
    try {
      for (size_t i = 0; i < statements; ++i) EXPECT_TRUE(reader.next().has_value());
      reader.next();
    } catch (const UsageError& error) {
      return error.what();
    }
    return "none";
  };
  EXPECT_THAT(fault_behind("--\n-- PostgreSQL database dump\n--\n\n\\restrict it's\n\nSET x = 0;\n", 0),
              AllOf(HasSubstr("line 5: \\restrict is a command of psql"), Not(HasSubstr("it's"))));
  EXPECT_THAT(fault_behind("SELECT 1;\n\\connect db\n", 1), HasSubstr("line 2: \\connect is a command of psql"));
  EXPECT_THAT(fault_behind("SELECT 1 \\gset\n", 0), HasSubstr("line 1: \\gset is a command of psql"));
  EXPECT_THAT(fault_behind("SELECT 1;\n\nCOPY public.t (id, note) FROM stdin;\n1\tit's\n2\t\\N\n\\.\n\nSELECT 2;", 1),
              HasSubstr("line 3: COPY … FROM stdin takes the data from the lines below it"));
  EXPECT_EQ(fault_behind("SELECT '\\x'; COPY t TO stdout;", 2), "none");
}

TEST(StatementReaderTest, KnowsWhereAStatementBegins) {
  std::istringstream in("-- first\n\nSELECT\n 1;\n\nSELECT 2;");
  StatementReader reader(in);
  EXPECT_EQ(reader.next()->line, 3U);
  EXPECT_EQ(reader.next()->line, 6U);
  EXPECT_EQ(reader.next(), std::nullopt);
}

TEST(StatementReaderTest, SaysWhatIsNotClosedAndWhere) {
  for (const char* text : {"SELECT 1;\n'open", "SELECT 1;\n\"open", "SELECT 1;\n$x$ open $x", "SELECT 1;\n/* open"}) {
    EXPECT_THAT([text] { Statements(text); }, ThrowsMessage<UsageError>(HasSubstr("line 2"))) << text;
  }
}

TEST(CsvReaderTest, ReadsFieldsAsPostgresqlWritesThem) {
  std::istringstream in("id,note\r\n1,plain\n2,\n3,\"\"\n4,\"a \"\"b\"\", c\nd\"\n,x");
  CsvReader reader(in, "INSERT INTO t VALUES (?, ?)", true);
  const auto row = [&reader] { return reader.next()->parameters; };
  EXPECT_THAT(row(), ElementsAre(Value("1"), Value("plain")));
  EXPECT_THAT(row(), ElementsAre(Value("2"), Value()));
  EXPECT_THAT(row(), ElementsAre(Value("3"), Value("")));
  EXPECT_THAT(row(), ElementsAre(Value("4"), Value("a \"b\", c\nd")));
  const std::optional<BatchRun> last = reader.next();
  EXPECT_THAT(last->parameters, ElementsAre(Value(), Value("x")));
  EXPECT_EQ(last->line, 7U);
  EXPECT_EQ(last->sql, "INSERT INTO t VALUES (?, ?)");
  EXPECT_EQ(reader.next(), std::nullopt);
}

TEST(CsvReaderTest, PassesOverAByteOrderMark) {
  for (const std::string beginning : {"", "\xEF\xBB\xBF"}) {
    std::istringstream in(beginning + "\"a\",\xEF\xBC\x81\n");
    CsvReader reader(in, "SELECT ?", false);
    EXPECT_THAT(reader.next()->parameters, ElementsAre(Value("a"), Value("\xEF\xBC\x81")));
  }
  std::istringstream in("\xEF\xBC\x81\n");
  CsvReader reader(in, "SELECT ?", false);
  EXPECT_THAT(reader.next()->parameters, ElementsAre(Value("\xEF\xBC\x81")));
}

TEST(CsvReaderTest, SaysWhereAQuoteIsNotClosed) {
  std::istringstream in("1\n\"2\n");
  CsvReader reader(in, "SELECT ?", false);
  reader.next();
  EXPECT_THAT([&] { reader.next(); }, ThrowsMessage<UsageError>(HasSubstr("line 2")));
}

class RowWriterTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { std::setlocale(LC_CTYPE, "C.UTF-8"); }

  static std::string Write(Format format, const RowBatch& rows) {
    std::ostringstream out;
    const std::unique_ptr<RowWriter> writer = make_row_writer(format, rows.columns(), out);
    writer->write(rows);
    writer->finish();
    return out.str();
  }
};

TEST_F(RowWriterTest, TableAlignsByWidthAndEscapesControlCharacters) {
  const RowBatch rows =
      RowBatch::from_rows({{"n", "bigint"}, {"text", "text"}, {"x", "text"}},
                          {{1, "größe", "a"}, {-12345, "日本", "b"}, {nullptr, "\x1b[31m\n", nullptr}});
  EXPECT_EQ(Write(Format::kTable, rows),
            "      n | text       | x\n"
            "--------+------------+------\n"
            "      1 | größe      | a\n"
            " -12345 | 日本       | b\n"
            "   NULL | \\x1b[31m\\n | NULL\n"
            "(3 rows)\n");
}

TEST_F(RowWriterTest, CsvTellsNullFromEmptyText) {
  const RowBatch rows = RowBatch::from_rows({{"a", "text"}, {"a,b", "text"}, {"t", "boolean"}},
                                            {{"", nullptr, true}, {"say \"hi\"", "x\ny", nullptr}});
  EXPECT_EQ(Write(Format::kCsv, rows),
            "a,\"a,b\",t\n\"\",," + std::string(rows[0][2].to_string()) + "\n\"say \"\"hi\"\"\",\"x\ny\",\n");
}

TEST_F(RowWriterTest, JsonKeepsTypesAndRepeatedNames) {
  const RowBatch rows = RowBatch::from_rows(
      {{"n", "bigint"}, {"n", "double precision"}, {"b", "boolean"}, {"j", "jsonb"}, {"x", "bytea"}, {"m", "numeric"}},
      {{std::numeric_limits<int64_t>::max(), 0.5, true, "{\"a\":\n1}", Bytes{"\x01"}, "1.50"},
       {nullptr, std::nan(""), false, nullptr, nullptr, nullptr}});
  EXPECT_EQ(Write(Format::kJson, rows),
            "{\"n\":9223372036854775807,\"n#2\":0.5,\"b\":true,\"j\":{\"a\": 1},\"x\":\"\\\\x01\",\"m\":\"1.50\"}\n"
            "{\"n\":null,\"n#2\":\"NaN\",\"b\":false,\"j\":null,\"x\":null,\"m\":null}\n");
}

TEST_F(RowWriterTest, EmptyResultStillShowsItsColumns) {
  const RowBatch rows = RowBatch::from_rows({{"n", "bigint"}}, {});
  EXPECT_EQ(Write(Format::kTable, rows), " n\n---\n(0 rows)\n");
  EXPECT_EQ(Write(Format::kCsv, rows), "n\n");
  EXPECT_EQ(Write(Format::kJson, rows), "");
}

std::string Printed(ErrorInfo info, const std::string& sql) {
  std::ostringstream err;
  print_error(DatabaseExecutionError(std::move(info)), sql, err);
  return err.str();
}

TEST(PrintErrorTest, CaretPointsAtThePositionInItsLine) {
  ErrorInfo info;
  info.message = "syntax error at or near \"FRM\"";
  info.sqlstate = "42601";
  info.position = 14;
  info.hint = "Look there.";
  EXPECT_EQ(Printed(info, "SELECT 'ü',\n  FRM t"),
            "error: syntax error at or near \"FRM\" [42601]\n"
            "line 2:   FRM t\n"
            "         ^\n"
            "hint: Look there.\n");
}

TEST(PrintErrorTest, UnknownOutcomeIsSaid) {
  ErrorInfo info;
  info.message = "the connection was lost";
  info.outcome = Outcome::kUnknown;
  EXPECT_THAT(Printed(info, ""), HasSubstr("unknown whether"));
}

TEST(ExitCodeTest, TellsTheKindsApartAndUnknownOutcomeFirst) {
  const auto code = [](ErrorKind kind, Outcome outcome) {
    ErrorInfo info;
    info.kind = kind;
    info.outcome = outcome;
    return exit_code_of(DatabaseError(info));
  };
  EXPECT_EQ(code(ErrorKind::kExecution, Outcome::kRolledBack), kExecutionFailed);
  EXPECT_EQ(code(ErrorKind::kInvalidRequest, Outcome::kNotExecuted), kWrongUsage);
  EXPECT_EQ(code(ErrorKind::kConnection, Outcome::kNotExecuted), kNoConnection);
  EXPECT_EQ(code(ErrorKind::kTimeout, Outcome::kUnspecified), kTimedOut);
  EXPECT_EQ(code(ErrorKind::kTransaction, Outcome::kRolledBack), kTransactionFailed);
  EXPECT_EQ(code(ErrorKind::kConnection, Outcome::kUnknown), kOutcomeUnknown);
}

TEST(OutputTest, CountsReadWell) {
  EXPECT_EQ(count(0, "row"), "0 rows");
  EXPECT_EQ(count(1, "row"), "1 row");
  EXPECT_EQ(count(999, "row"), "999 rows");
  EXPECT_EQ(count(1234567, "row"), "1,234,567 rows");
  EXPECT_EQ(choose_format("", true), Format::kTable);
  EXPECT_EQ(choose_format("", false), Format::kCsv);
  EXPECT_THROW((void)choose_format("xml", true), UsageError);
}

}  // namespace
}  // namespace engine::db::cli

// Parameters where PostgreSQL has something to say about them: types that it can't infer, places where it takes none,
// and what its errors should tell.
#include <string>
#include <vector>

#include "tests/integration/gateway_calls.h"

namespace engine::db::test {
namespace {

using grpc::StatusCode;
using testing::HasSubstr;

class ParametersTest : public GatewayCallsTest {
 protected:
  void SetUp() override { connection_ = Open(); }

  // What the text means with quoted literals for its "?".
  static std::string WithLiterals(const std::string& sql, const std::vector<v1::Value>& values) {
    std::string text;
    size_t next = 0;
    for (const char c : sql) {
      if (c != '?') {
        text += c;
      } else {
        const v1::Value& value = values.at(next++);
        text += value.has_null_value() ? "NULL" : "'" + value.text_value() + "'";
      }
    }
    return text;
  }
  Answer<v1::DescribeResponse> Describe(const std::string& sql) {
    v1::DescribeRequest request;
    request.set_connection_id(connection_);
    request.set_sql(sql);
    return Call(&Stub::Describe, request);
  }
  std::string connection_;
};

struct Untyped {
  const char* sql;
  std::vector<v1::Value> values;
};

const std::vector<Untyped>& UntypedCases() {
  static const auto* const cases = new std::vector<Untyped>{
      {"SELECT (? IS NULL)::text", {Text("a")}},
      {"SELECT (? IS NULL)::text", {Null()}},
      {"SELECT string_agg(g::text, ',') FROM generate_series(1, 3) g WHERE (? IS NULL OR g = ?) AND ? IS NOT NULL",
       {Null(), Null(), Text("x")}},
      {"SELECT string_agg(g::text, ',') FROM generate_series(1, 3) g WHERE ? IS NULL OR g = ?", {Text("2"), Text("2")}},
      {"SELECT concat(?, 1, ?, ?)", {Text("a"), Null(), Text("b")}},
      {"SELECT concat_ws(?, ?, ?)", {Text("-"), Text("a"), Text("b")}},
      {"SELECT format(?, ?, ?)", {Text("%s=%L"), Text("a"), Text("b")}},
      {"SELECT jsonb_build_object(?, ?, ?, ?)::text", {Text("a"), Text("b"), Text("c"), Null()}},
      {"SELECT json_build_array(?, 1, ?)::text", {Text("a"), Null()}},
      {"SELECT jsonb_object_agg(?, ?)::text", {Text("a"), Text("b")}},
      {"SELECT (count(?) + num_nulls(?, ?))::text", {Text("a"), Text("b"), Null()}},
      {"SELECT ROW(?, ?)::text", {Text("a"), Null()}},
      {"SELECT ((?, ?) IS NULL)::text", {Null(), Null()}},
      {"SELECT row_to_json(ROW(?, 1))::text", {Text("a")}},
      {"SELECT xmlelement(name a, ?)::text", {Text("b")}},
  };
  return *cases;
}

// value.proto: a text has the type that a quoted literal has.
TEST_F(ParametersTest, WithoutATypeAreWhatAQuotedLiteralIs) {
  const auto transaction = Begin(connection_);
  ASSERT_TRUE(transaction.ok());
  for (const Untyped& untyped : UntypedCases()) {
    SCOPED_TRACE(untyped.sql);
    const std::string literal = Scalar("SELECT (" + WithLiterals(untyped.sql, untyped.values) + ")::text");
    const auto alone = Execute(connection_, untyped.sql, untyped.values);
    ASSERT_TRUE(alone.ok()) << alone.status.error_message();
    EXPECT_EQ(Cell(alone).text_value(), literal);
    const auto inside = ExecuteIn(connection_, transaction.response.transaction_id(), untyped.sql, untyped.values);
    ASSERT_TRUE(inside.ok()) << inside.status.error_message();
    EXPECT_EQ(Cell(inside).text_value(), literal);

    v1::ExecuteBatchRequest batch;
    batch.set_connection_id(connection_);
    for (int i = 0; i < 2; ++i) {
      batch.add_statements()->set_sql(untyped.sql);
      SetParameters(*batch.mutable_statements(i), untyped.values);
    }
    const auto results = Call(&Stub::ExecuteBatch, batch);
    ASSERT_TRUE(results.ok()) << results.status.error_message();
    for (const v1::BatchResult& result : results.response.results()) {
      ASSERT_FALSE(result.has_error()) << result.error().message();
      EXPECT_EQ(result.response().rows(0).values(0).text_value(), literal);
    }
    v1::ExecuteStreamRequest stream;
    stream.set_connection_id(connection_);
    stream.set_sql(untyped.sql);
    SetParameters(stream, untyped.values);
    EXPECT_TRUE(Stream(stream).status.ok());
    EXPECT_TRUE(Describe(untyped.sql).ok());
  }
  EXPECT_TRUE(Rollback(connection_, transaction.response.transaction_id()).ok());
}

// Nothing is asked first, and nothing is sent twice.
TEST_F(ParametersTest, ThatAreNamedTextCostNothingMore) {
  constexpr char kSql[] = "SELECT count(*) FROM pg_stat_activity WHERE ? IS NULL";
  for (int i = 0; i < 3; ++i) {
    const auto answer = Execute(connection_, kSql, {Null()});
    ASSERT_TRUE(answer.ok());
    EXPECT_EQ(answer.response.attempts(), 1U);
  }
}

TEST_F(ParametersTest, WhoseTypeNobodyCanTellAreTheirOwnFault) {
  Postgres().Exec("CREATE FUNCTION kind_of(\"any\") RETURNS regtype LANGUAGE internal STABLE AS 'pg_typeof'");
  const Failure failure = Decode(Execute(connection_, "SELECT 1, kind_of(?)", {Text("a")}).status);
  EXPECT_EQ(failure.code, StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(failure.error.sqlstate(), "42P18");
  EXPECT_EQ(failure.error.field(), "parameters[0]");
  EXPECT_THAT(failure.error.hint(), HasSubstr("type_name"));
  EXPECT_TRUE(Execute(connection_, "SELECT 1, kind_of(?)", {Text("a", "text")}).ok());
  const Failure twice = Decode(Execute(connection_, "SELECT $1 IS NULL OR 1 = $1", {Text("1")}).status);
  EXPECT_EQ(twice.error.sqlstate(), "42P08");
  EXPECT_THAT(twice.error.hint(), HasSubstr("type_name"));
}

TEST_F(ParametersTest, OfACommandThatTakesNoneAreRefusedWhateverWasCalledBefore) {
  CreateTable("v int");
  const std::vector<std::string> commands = {"ALTER TABLE " + name() + " ALTER v SET DEFAULT ?",
                                             "CREATE TABLE bad (a int DEFAULT ?)",
                                             "CREATE VIEW bad AS SELECT ?::int AS a",
                                             "CREATE INDEX bad ON " + name() + " (v) WHERE v > ?",
                                             "CREATE TABLE bad AS EXECUTE p(?)",
                                             "EXPLAIN EXECUTE p(?)",
                                             "PREPARE p AS SELECT ?::int"};
  const auto expect_refused = [](const grpc::Status& status, const std::string& sql) {
    const Failure failure = Decode(status);
    EXPECT_EQ(failure.code, StatusCode::INVALID_ARGUMENT) << sql << ": " << failure.message;
    EXPECT_EQ(failure.error.reason(), "PARAMETERS_NOT_SUPPORTED") << sql;
    EXPECT_EQ(failure.error.outcome(), v1::OUTCOME_NOT_EXECUTED) << sql;
    EXPECT_THAT(failure.error.message(), HasSubstr("? at character " + std::to_string(sql.find('?') + 1)));
  };
  const auto transaction = Begin(connection_);
  for (const std::string& sql : commands) {
    for (int i = 0; i < 2; ++i) {
      expect_refused(Describe(sql).status, sql);
      expect_refused(Execute(connection_, sql, {Text("1")}).status, sql);
      expect_refused(ExecuteIn(connection_, transaction.response.transaction_id(), sql, {Text("1")}).status, sql);
    }
  }
  EXPECT_TRUE(ExecuteIn(connection_, transaction.response.transaction_id(), "SELECT 1").ok()) << "it goes on";
  EXPECT_TRUE(Rollback(connection_, transaction.response.transaction_id()).ok());
}

// As above for a text that the gateway's parser does not know: PostgreSQL's own refusal, and not a fault of the
// protocol.
TEST_F(ParametersTest, OfATextThatTheParserDoesNotKnowAreRefusedByPostgresql) {
  constexpr char kSql[] = "ALTER TABLE unknown FROBNICATE ?";
  EXPECT_EQ(Decode(Describe(kSql).status).error.sqlstate(), "42601");
  EXPECT_EQ(Decode(Execute(connection_, kSql, {Text("1")}).status).error.sqlstate(), "42601");
}

TEST_F(ParametersTest, ThatAreTwoWhereOneIsMeantAreExplained) {
  CreateTable("at timestamptz, n int");
  const auto hint_of = [this](const std::string& sql, const std::vector<v1::Value>& values, const char* sqlstate) {
    const Failure failure = Decode(Execute(connection_, sql, values).status);
    EXPECT_EQ(failure.error.sqlstate(), sqlstate) << sql << failure.message;
    return failure.error.hint();
  };
  const std::vector<v1::Value> two = {Text("day"), Text("day")};
  const std::string select = "SELECT date_trunc(?, at) FROM " + name();
  EXPECT_THAT(hint_of(select + " GROUP BY date_trunc(?, at)", two, "42803"), HasSubstr("$1"));
  EXPECT_THAT(hint_of("SELECT DISTINCT date_trunc(?, at) FROM " + name() + " ORDER BY date_trunc(?, at)", two, "42P10"),
              HasSubstr("$1"));
  EXPECT_EQ(hint_of("SELECT n, date_trunc(?, at) FROM " + name() + " GROUP BY 2", {Text("day")}, "42803"), "");
  EXPECT_TRUE(
      Execute(connection_, "SELECT date_trunc($1, at) FROM " + name() + " GROUP BY date_trunc($1, at)", {Text("day")})
          .ok());
}

TEST_F(ParametersTest, ThatAreNumbersWhereTextIsWantedAreExplained) {
  CreateTable("customer_id text, data jsonb");
  const auto failure_of = [this](const std::string& sql, const v1::Value& value) {
    return Decode(Execute(connection_, sql, {value}).status).error;
  };
  const std::string where = "SELECT 1 FROM " + name() + " WHERE customer_id = ?";
  for (const v1::Value& value : {Int(1001), Int(int64_t{1} << 40), Double(1.5), Bool(true)}) {
    EXPECT_EQ(failure_of(where, value).sqlstate(), "42883");
    EXPECT_THAT(failure_of(where, value).hint(), HasSubstr("send it as text"));
    const v1::DatabaseError stored = failure_of("INSERT INTO " + name() + " (data) VALUES (?)", value);
    EXPECT_EQ(stored.sqlstate(), "42804");
    EXPECT_THAT(stored.hint(), HasSubstr("send it as text"));
  }
  EXPECT_TRUE(Execute(connection_, where, {Text("1001")}).ok());
  v1::Value named = Int(1001);
  named.set_type_name("text");
  EXPECT_TRUE(Execute(connection_, where, {named}).ok());
  EXPECT_THAT(failure_of("SELECT no_such_function(?)", Text("x")).hint(), testing::Not(HasSubstr("send it as text")));
}

TEST_F(ParametersTest, AreFoundInTheTextAsPostgresqlReadsItWhateverTheSessionAsks) {
  for (const char* sql : {"SET standard_conforming_strings = off", "SET LOCAL standard_conforming_strings TO off",
                          "SELECT set_config('standard_conforming_strings', 'off', false)", "SET NAMES 'LATIN1'"}) {
    const Failure failure = Decode(Execute(connection_, sql).status);
    EXPECT_EQ(failure.error.reason(), "SETTING_NOT_SUPPORTED") << sql;
    EXPECT_EQ(failure.error.outcome(), v1::OUTCOME_NOT_EXECUTED) << sql;
  }
  EXPECT_TRUE(Execute(connection_, "SET standard_conforming_strings = on").ok());
  // What no text shows is seen when it has happened.
  const auto transaction = Begin(connection_);
  const std::string id = transaction.response.transaction_id();
  ASSERT_TRUE(
      ExecuteIn(connection_, id, "SELECT set_config(?, 'off', true)", {Text("standard_conforming_strings")}).ok());
  const Failure failure = Decode(ExecuteIn(connection_, id, R"(SELECT '\' || ?)", {Text("x")}).status);
  EXPECT_EQ(failure.code, StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(failure.error.reason(), "SETTING_NOT_SUPPORTED");
  EXPECT_EQ(failure.error.outcome(), v1::OUTCOME_NOT_EXECUTED);
  EXPECT_EQ(failure.error.transaction_state(), v1::TRANSACTION_STATE_OPEN);
  EXPECT_TRUE(Rollback(connection_, id).ok());
  EXPECT_EQ(Cell(Execute(connection_, R"(SELECT '\' || ?)", {Text("x")})).text_value(), R"(\x)");
}

}  // namespace
}  // namespace engine::db::test

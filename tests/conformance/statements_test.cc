// What is refused, and with which method to call instead; what is run although it looks as if it should be refused; and
// texts at the bounds of what is sensible. Through the gateway.
#include "engine_db/value.h"
#include "tests/integration/gateway_calls.h"

namespace engine::db::test {
namespace {

using grpc::StatusCode;
using testing::HasSubstr;

class Statements : public GatewayCallsTest {
 protected:
  void SetUp() override { connection_ = Open(); }
  // Whatever came before, the connection serves.
  void ExpectServing() { EXPECT_EQ(Cell(Execute(connection_, "SELECT 42")).int64_value(), 42); }
  std::string connection_;
};

struct Refusal {
  const char* sql;
  const char* reason;
  const char* instead;  // what the message must name
};

constexpr Refusal kRefusals[] = {
    {"BEGIN", "TRANSACTION_CONTROL", "Begin"},
    {"begin;", "TRANSACTION_CONTROL", "Begin"},
    {"BEGIN WORK", "TRANSACTION_CONTROL", "Begin"},
    {"BEGIN TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE", "TRANSACTION_CONTROL", "Begin"},
    {"bEgIn READ WRITE", "TRANSACTION_CONTROL", "Begin"},
    {"-- first\nBEGIN", "TRANSACTION_CONTROL", "Begin"},
    {"/* a /* b */ c */BEGIN", "TRANSACTION_CONTROL", "Begin"},
    {";;  BEGIN", "TRANSACTION_CONTROL", "Begin"},
    {"; -- x\n ; /* y */ BEGIN;", "TRANSACTION_CONTROL", "Begin"},
    {"BEGIN/**/", "TRANSACTION_CONTROL", "Begin"},
    {"START TRANSACTION", "TRANSACTION_CONTROL", "Begin"},
    {"start\ttransaction isolation level repeatable read", "TRANSACTION_CONTROL", "Begin"},
    {"COMMIT", "TRANSACTION_CONTROL", "Commit"},
    {"COMMIT WORK", "TRANSACTION_CONTROL", "Commit"},
    {"COMMIT TRANSACTION", "TRANSACTION_CONTROL", "Commit"},
    {"COMMIT AND CHAIN", "TRANSACTION_CONTROL", "Commit"},
    {"COMMIT WORK AND NO CHAIN", "TRANSACTION_CONTROL", "Commit"},
    {"END", "TRANSACTION_CONTROL", "Commit"},
    {"END TRANSACTION AND CHAIN", "TRANSACTION_CONTROL", "Commit"},
    {"ROLLBACK", "TRANSACTION_CONTROL", "Rollback"},
    {"ROLLBACK WORK AND CHAIN", "TRANSACTION_CONTROL", "Rollback"},
    {"ABORT", "TRANSACTION_CONTROL", "Rollback"},
    {"ABORT TRANSACTION", "TRANSACTION_CONTROL", "Rollback"},
    {"PREPARE TRANSACTION 'x'", "TRANSACTION_CONTROL", "Commit"},
    {"COMMIT PREPARED 'x'", "TRANSACTION_CONTROL", "Commit"},
    {"ROLLBACK PREPARED 'x'", "TRANSACTION_CONTROL", "Rollback"},
    {"COPY w FROM STDIN", "COPY_NOT_SUPPORTED", "ExecuteBatch"},
    {"COPY w TO STDOUT", "COPY_NOT_SUPPORTED", "ExecuteStream"},
    {"COPY BINARY w FROM STDIN", "COPY_NOT_SUPPORTED", "ExecuteBatch"},
    {"copy (VALUES (1)) to stdout", "COPY_NOT_SUPPORTED", "ExecuteStream"},
    {"COPY w FROM PROGRAM 'id'", "COPY_NOT_SUPPORTED", "ExecuteBatch"},
    {"/**/;COPY w FROM '/etc/passwd'", "COPY_NOT_SUPPORTED", "ExecuteBatch"},
    {"SELECT 1; SELECT 2", "MULTIPLE_STATEMENTS", "ExecuteBatch"},
    {"SELECT 1;;SELECT 2;", "MULTIPLE_STATEMENTS", "ExecuteBatch"},
    {"SELECT 1; COMMIT", "MULTIPLE_STATEMENTS", "ExecuteBatch"},
    {"SELECT 1; /* ; */ COPY w FROM STDIN", "MULTIPLE_STATEMENTS", "ExecuteBatch"},
    {"SELECT 1; nonsense", "MULTIPLE_STATEMENTS", "ExecuteBatch"},
    {"nonsense; SELECT 1", "MULTIPLE_STATEMENTS", "ExecuteBatch"},
    {"", "EMPTY_STATEMENT", "empty"},
    {";", "EMPTY_STATEMENT", "nothing but blanks and comments"},
    {"-- BEGIN", "EMPTY_STATEMENT", "nothing but blanks and comments"},
};

TEST_F(Statements, WhatHasAMethodIsRefusedAndTheMethodNamed) {
  const std::string transaction = Begin(connection_).response.transaction_id();
  for (const Refusal& refusal : kRefusals) {
    SCOPED_TRACE(refusal.sql);
    for (const bool in_transaction : {false, true}) {
      const auto answer =
          in_transaction ? ExecuteIn(connection_, transaction, refusal.sql) : Execute(connection_, refusal.sql);
      const Failure failure =
          ExpectFailure(answer.status, StatusCode::INVALID_ARGUMENT, v1::ERROR_KIND_INVALID_REQUEST, refusal.reason);
      EXPECT_THAT(failure.error.message(), HasSubstr(refusal.instead));
      EXPECT_EQ(failure.error.field(), "sql");
      EXPECT_EQ(failure.error.outcome(), v1::OUTCOME_NOT_EXECUTED);
    }
  }
  // None of them has touched the transaction.
  EXPECT_EQ(Cell(ExecuteIn(connection_, transaction, "SELECT 1")).int64_value(), 1);
  EXPECT_TRUE(Commit(connection_, transaction).ok());
}

TEST_F(Statements, SavepointsRunInATransactionOnly) {
  const char* const kTexts[] = {
      "SAVEPOINT a",         "ROLLBACK WORK TO a",          "ROLLBACK TO a", "ROLLBACK TRANSACTION TO SAVEPOINT a",
      "SAVEPOINT \"begin\"", "RELEASE SAVEPOINT \"begin\"", "RELEASE a"};
  const std::string transaction = Begin(connection_).response.transaction_id();
  for (const char* sql : kTexts) {
    const auto answer = ExecuteIn(connection_, transaction, sql);
    EXPECT_TRUE(answer.ok()) << sql << ": " << answer.status.error_message();
  }
  EXPECT_TRUE(Commit(connection_, transaction).ok());
  for (const char* sql : kTexts) {
    const Failure failure = ExpectFailure(Execute(connection_, sql).status, StatusCode::INVALID_ARGUMENT,
                                          v1::ERROR_KIND_INVALID_REQUEST, "TRANSACTION_CONTROL");
    EXPECT_THAT(failure.error.message(), HasSubstr("Begin")) << sql;
    EXPECT_EQ(failure.error.outcome(), v1::OUTCOME_NOT_EXECUTED) << sql;
  }
}

// The same words where they are no commands of their own; and brackets, which make them nothing at all.
TEST_F(Statements, WordsOfTransactionControlElsewhereRun) {
  CreateTable("a int");
  for (const std::string sql :
       {"SELECT 'COMMIT; ROLLBACK'", "SELECT 1 AS begin", "SELECT $$;COMMIT;$$", "SELECT 1 -- ; COMMIT", "SELECT 1;;;",
        "DO $$ BEGIN NULL; END $$", "DO 'BEGIN PERFORM 1; END'", "EXPLAIN ANALYZE INSERT INTO TABLE_NAME VALUES (1)",
        "EXPLAIN (ANALYZE, COSTS OFF) DELETE FROM TABLE_NAME", "PREPARE copy AS SELECT 1", "SELECT 1 AS \"copy\""}) {
    std::string text = sql;
    if (const size_t at = text.find("TABLE_NAME"); at != std::string::npos) text.replace(at, 10, name());
    const auto answer = Execute(connection_, text);
    EXPECT_TRUE(answer.ok()) << text << ": " << answer.status.error_message();
  }
  for (const std::string sql : {"(BEGIN)", "(COMMIT)", "\"begin\"", "U&\"COMMIT\"", "BEGINNING", "COMMITS"}) {
    const auto answer = Execute(connection_, sql);
    EXPECT_EQ(Decode(answer.status).error.sqlstate(), "42601") << sql;
  }
  ExpectServing();
}

TEST_F(Statements, ExplainAnalyzeOfAWriteIsAWriteAndRolledBackWithItsTransaction) {
  CreateTable("a int");
  const std::string transaction = Begin(connection_).response.transaction_id();
  EXPECT_TRUE(ExecuteIn(connection_, transaction, "EXPLAIN ANALYZE INSERT INTO " + name() + " VALUES (1)").ok());
  EXPECT_TRUE(Rollback(connection_, transaction).ok());
  EXPECT_EQ(Rows(), 0);
  EXPECT_TRUE(Execute(connection_, "EXPLAIN ANALYZE INSERT INTO " + name() + " VALUES (1)").ok());
  EXPECT_EQ(Rows(), 1);
}

TEST_F(Statements, PreparedByNameServeWithinATransaction) {
  const std::string transaction = Begin(connection_).response.transaction_id();
  EXPECT_TRUE(ExecuteIn(connection_, transaction, "PREPARE mine (int) AS SELECT $1 + 1").ok());
  EXPECT_EQ(Cell(ExecuteIn(connection_, transaction, "EXECUTE mine (41)")).int64_value(), 42);
  EXPECT_TRUE(ExecuteIn(connection_, transaction, "DEALLOCATE mine").ok());
  EXPECT_TRUE(Commit(connection_, transaction).ok());
  EXPECT_EQ(Decode(Execute(connection_, "EXECUTE mine (1)").status).error.sqlstate(), "26000");
}

// A procedure that commits and then fails is not undone by its failure: no retry, and no claim that it was.
TEST_F(Statements, AProcedureThatCommitsIsNeverRepeated) {
  CreateTable("a int");
  Sql("CREATE PROCEDURE " + name() + "_commits(code text) LANGUAGE plpgsql AS $$ BEGIN INSERT INTO " + name() +
      " VALUES (1); COMMIT; RAISE EXCEPTION 'late' USING ERRCODE = code; END $$");
  for (const std::string code : {"40001", "40P01", "23505"}) {
    SCOPED_TRACE(code);
    const int before = Rows();
    const Failure failure = Decode(Execute(connection_, "CALL " + name() + "_commits(?)", {Text(code)}).status);
    EXPECT_EQ(failure.error.sqlstate(), code);
    EXPECT_EQ(failure.error.outcome(), v1::OUTCOME_UNKNOWN);
    EXPECT_FALSE(failure.error.retryable());
    EXPECT_FALSE(failure.has_retry_info);
    EXPECT_EQ(Rows(), before + 1);
  }
  const int before = Rows();
  const Failure block =
      Decode(Execute(connection_, "DO $$ BEGIN INSERT INTO " + name() +
                                      " VALUES (1); COMMIT; RAISE EXCEPTION 'late' USING ERRCODE = '40001'; END $$")
                 .status);
  EXPECT_EQ(block.error.outcome(), v1::OUTCOME_UNKNOWN);
  EXPECT_EQ(Rows(), before + 1);
  // One that can't commit is rolled back, and repeated, as any other statement.
  const Failure plain =
      Decode(Execute(connection_, "DO $$ BEGIN RAISE EXCEPTION 'early' USING ERRCODE = '23505'; END $$").status);
  EXPECT_EQ(plain.error.outcome(), v1::OUTCOME_ROLLED_BACK);
  // One that does not exist has not run.
  EXPECT_NE(Decode(Execute(connection_, "CALL nowhere()").status).error.outcome(), v1::OUTCOME_UNKNOWN);
  // In a transaction PostgreSQL lets nobody commit but the transaction's owner.
  const std::string transaction = Begin(connection_).response.transaction_id();
  EXPECT_EQ(Decode(ExecuteIn(connection_, transaction, "CALL " + name() + "_commits('40001')").status).error.sqlstate(),
            "2D000");
  EXPECT_TRUE(Rollback(connection_, transaction).ok());
  EXPECT_EQ(Rows(), before + 1);
}

TEST_F(Statements, ParametersWhereACommandTakesNoneAreTheStatementsFault) {
  for (const std::string sql : {"CREATE VIEW v AS SELECT ?::int AS a", "PREPARE p AS SELECT ?::int",
                                "CREATE TABLE q (a int DEFAULT ?)", "CREATE TABLE q (a int CHECK (a > ?))"}) {
    const Failure failure = Decode(Execute(connection_, sql, {Text("1")}).status);
    EXPECT_EQ(failure.code, StatusCode::INVALID_ARGUMENT) << sql << ": " << failure.message;
    EXPECT_EQ(failure.error.kind(), v1::ERROR_KIND_EXECUTION) << sql;
    EXPECT_EQ(failure.error.sqlstate(), "42P18") << sql;
  }
  ExpectServing();
}

TEST_F(Statements, AWrongCountSaysHowManyOfEachAndMentionsTheOperators) {
  const auto message = [this](const std::string& sql, const std::vector<v1::Value>& values) {
    const Failure failure = ExpectFailure(Execute(connection_, sql, values).status, StatusCode::INVALID_ARGUMENT,
                                          v1::ERROR_KIND_INVALID_REQUEST, "PARAMETER_COUNT");
    EXPECT_EQ(failure.error.field(), "parameters");
    EXPECT_EQ(failure.error.outcome(), v1::OUTCOME_NOT_EXECUTED);
    return failure.error.message();
  };
  EXPECT_EQ(message("SELECT ?, ?", {Int(1)}), "the statement has 2 placeholders (?) but 1 parameter was given");
  EXPECT_EQ(message("SELECT ?", {Int(1), Int(2)}), "the statement has 1 placeholder (?) but 2 parameters were given");
  EXPECT_EQ(message("SELECT 1", {Int(1)}), "the statement has 0 placeholders (?) but 1 parameter was given");
  EXPECT_EQ(message("SELECT $2", {Int(1)}), "the statement has parameters up to $2 but 1 parameter was given");
  EXPECT_EQ(message("SELECT '?', \"?\" /* ? */ FROM t", {Int(1)}),
            "the statement has 0 placeholders (?) but 1 parameter was given; a ? in a string, a name or a comment is "
            "not a placeholder");
  EXPECT_THAT(message("SELECT data ? 'k' FROM t", {}), HasSubstr("??"));
  EXPECT_THAT(message("SELECT data ?| ? FROM t", {Text("{a}")}), HasSubstr("??|"));
  EXPECT_THAT(message("SELECT a->?? FROM t", {Int(1), Int(2)}), HasSubstr("?? is the operator ?"));
}

// Fact 13: the protocol counts in 16 bits.
TEST_F(Statements, AsManyParametersAsTheProtocolCounts) {
  std::string sql = "SELECT ?::int";
  std::vector<v1::Value> values = {Text("1")};
  for (int i = 1; i < 65'535; ++i) {
    sql += "+?";
    values.push_back(Text("1"));
  }
  // (A chain of additions is as deep as it is long: PostgreSQL's own stack gives up, and says so.)
  EXPECT_EQ(Decode(Execute(connection_, sql, values).status).error.sqlstate(), "54001");
  std::string list = "SELECT cardinality(ARRAY[?::int";
  for (int i = 1; i < 65'535; ++i) list += ",?";
  list += "])";
  EXPECT_EQ(Cell(Execute(connection_, list, values)).int64_value(), 65'535);
  list.insert(list.size() - 2, ",?");
  values.push_back(Text("1"));
  EXPECT_EQ(Decode(Execute(connection_, list, values).status).error.reason(), "TOO_MANY_PARAMETERS");
  ExpectServing();
}

TEST_F(Statements, LongAndDeepTextsRunOrAreRefusedByPostgreSql) {
  constexpr size_t kLimit = size_t{1} << 20;
  const std::string longest = "SELECT length('" + std::string(kLimit - 17, 'x') + "')";
  ASSERT_EQ(longest.size(), kLimit);
  EXPECT_EQ(Cell(Execute(connection_, longest)).int64_value(), static_cast<int64_t>(kLimit - 17));
  EXPECT_EQ(Decode(Execute(connection_, longest + " ").status).error.reason(), "STATEMENT_TOO_LARGE");
  std::string deep = std::string(300'000, '(') + "SELECT 1" + std::string(300'000, ')');
  EXPECT_EQ(Decode(Execute(connection_, deep).status).error.kind(), v1::ERROR_KIND_EXECUTION);
  std::string chain = "SELECT 1";
  for (int i = 0; i < 3'000; ++i) chain += "+1";
  EXPECT_EQ(Cell(Execute(connection_, chain)).int64_value(), 3'001);
  ExpectServing();
}

// A server that is newer than the parser decides itself; this one is as old, and says so.
TEST_F(Statements, WhatTheParserDoesNotKnowIsSentAllTheSame) {
  const Failure failure = Decode(Execute(connection_, "SELECT 1 AS a QUALIFY a = ?", {Text("1")}).status);
  EXPECT_EQ(failure.error.kind(), v1::ERROR_KIND_EXECUTION);
  EXPECT_FALSE(failure.error.sqlstate().empty());
  EXPECT_GT(failure.error.position(), 0U);
  ExpectServing();
}

TEST_F(Statements, BytesThatAreNoTextAreRefused) {
  EXPECT_EQ(Decode(Execute(connection_, std::string("SELECT 1\0", 9)).status).error.reason(), "NUL_BYTE");
  EXPECT_FALSE(Execute(connection_, "SELECT '\xff'").ok());  // by protobuf, on whichever side looks first
  ExpectServing();
}

// The text of a statement is read in one way, whatever the role or the database would have it.
TEST_F(Statements, BackslashesInPlainStringsAreBackslashesForEveryRole) {
  Postgres().Exec("ALTER ROLE app SET standard_conforming_strings = off");
  v1::ConnectRequest request = ConnectTo();
  request.mutable_config()->set_application_name(name() + "_own");
  const std::string own = Open(request);
  EXPECT_EQ(Cell(Execute(own, R"(SELECT '\' || ? || '\')", {Text("?")})).text_value(), R"(\?\)");
  EXPECT_TRUE(Close(own).ok());
  Postgres().Exec("ALTER ROLE app RESET standard_conforming_strings");
}

}  // namespace
}  // namespace engine::db::test

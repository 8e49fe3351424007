// Which texts are refused, and with which words.
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "sdk/common/limits.h"
#include "server/base/failure.h"
#include "server/sql/statement.h"
#include "tests/unit/sql/analysed.h"

namespace engine::db::sql {
namespace {

struct Refusal {
  std::string_view sql;
  std::string_view reason;
  std::string_view names;  // what the message must point to
};

TEST(Refusals, NameTheMethodToCallInstead) {
  for (const Refusal& refusal : {
           Refusal{"BEGIN", "TRANSACTION_CONTROL", "Begin"},
           Refusal{"begin isolation level serializable;", "TRANSACTION_CONTROL", "Begin"},
           Refusal{"/* x */ Begin -- y", "TRANSACTION_CONTROL", "Begin"},
           Refusal{"START TRANSACTION READ ONLY", "TRANSACTION_CONTROL", "Begin"},
           Refusal{"BEGIN THIS IS NO SYNTAX", "TRANSACTION_CONTROL", "Begin"},
           Refusal{"COMMIT", "TRANSACTION_CONTROL", "Commit"},
           Refusal{";COMMIT;", "TRANSACTION_CONTROL", "Commit"},
           Refusal{"commit work and chain", "TRANSACTION_CONTROL", "Commit"},
           Refusal{"END", "TRANSACTION_CONTROL", "Commit"},
           Refusal{"ROLLBACK", "TRANSACTION_CONTROL", "Rollback"},
           Refusal{"ABORT", "TRANSACTION_CONTROL", "Rollback"},
           Refusal{"PREPARE TRANSACTION 'x'", "TRANSACTION_CONTROL", "Commit"},
           Refusal{"COMMIT PREPARED 'x'", "TRANSACTION_CONTROL", "Commit"},
           Refusal{"ROLLBACK PREPARED 'x'", "TRANSACTION_CONTROL", "Commit"},
           Refusal{"COPY t FROM STDIN", "COPY_NOT_SUPPORTED", "ExecuteBatch"},
           Refusal{"COPY t TO STDOUT", "COPY_NOT_SUPPORTED", "ExecuteStream"},
           Refusal{"copy (SELECT 1) TO '/tmp/x'", "COPY_NOT_SUPPORTED", "ExecuteStream"},
           Refusal{"COPY t FROM STDIN WITH NEW OPTIONS", "COPY_NOT_SUPPORTED", "ExecuteBatch"},
           Refusal{"SELECT 1; SELECT 2", "MULTIPLE_STATEMENTS", "ExecuteBatch"},
           Refusal{"SELECT 1; SELECT 2;", "MULTIPLE_STATEMENTS", "ExecuteBatch"},
           Refusal{"BEGIN; UPDATE t SET a = 1; COMMIT", "MULTIPLE_STATEMENTS", "ExecuteBatch"},
           Refusal{"FROBNICATE a; DROP TABLE t", "MULTIPLE_STATEMENTS", "ExecuteBatch"},
           Refusal{"SELECT ?; COMMIT", "MULTIPLE_STATEMENTS", "ExecuteBatch"},
           Refusal{"", "EMPTY_STATEMENT", "empty"},
           Refusal{" \n\t", "EMPTY_STATEMENT", "blanks"},
           Refusal{"-- SELECT 1", "EMPTY_STATEMENT", "comments"},
           Refusal{"/* SELECT 1 */ ; ;", "EMPTY_STATEMENT", "comments"},
           Refusal{std::string_view("SELECT 1\0, 2", 12), "NUL_BYTE", "NUL"},
       }) {
    const auto statement = Analyze(refusal.sql);
    ASSERT_FALSE(statement.ok()) << refusal.sql;
    const Failure error = FailureOf(statement.status());
    EXPECT_EQ(error.kind, ErrorKind::kInvalidRequest);
    EXPECT_EQ(error.field, "sql");
    EXPECT_EQ(NameOf(error.reason), refusal.reason) << refusal.sql;
    EXPECT_NE(error.message.find(refusal.names), std::string::npos) << refusal.sql << ": " << error.message;
  }
}

TEST(Refusals, AParameterIsNamedWhereItsCommandTakesNone) {
  struct Case {
    std::string_view sql;
    std::string_view parameter;  // with its place, as the message has it
  };
  for (const auto& [sql, parameter] : {
           Case{"ALTER TABLE w ALTER v SET DEFAULT ?", "? at character 35"},
           Case{"/* ü */ CREATE TABLE bad (a int DEFAULT $1)", "$1 at character 41"},
           Case{"CREATE TABLE bad (a int CHECK (a ?? 1), b int DEFAULT ?)", "? at character 55"},
           Case{"CREATE VIEW v AS SELECT ?::int", "? at character 25"},
           Case{"CREATE INDEX i ON t (a) WHERE b = ?", "? at character 35"},
           Case{"CREATE RULE r AS ON INSERT TO t DO ALSO UPDATE u SET a = ?", "? at character 58"},
           Case{"CREATE POLICY p ON t USING (a = ?)", "? at character 33"},
           Case{"PREPARE p AS SELECT ?", "? at character 21"},
           Case{"EXECUTE p(?)", "? at character 11"},
           Case{"EXPLAIN EXECUTE p(?)", "? at character 19"},
           Case{"CREATE TABLE t AS EXECUTE p(?)", "? at character 29"},
           Case{"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT ?; END", "? at character 53"},
       }) {
    const auto statement = Analyze(sql);
    ASSERT_FALSE(statement.ok()) << sql;
    const Failure error = FailureOf(statement.status());
    EXPECT_EQ(statement.status().code(), absl::StatusCode::kInvalidArgument) << sql;
    EXPECT_EQ(error.reason, Reason::kParametersNotSupported) << sql << ": " << error.message;
    EXPECT_EQ(error.outcome, Outcome::kNotExecuted);
    EXPECT_NE(error.message.find(parameter), std::string::npos) << sql << ": " << error.message;
  }
  for (const std::string_view sql :
       {"SELECT ?", "VALUES (?)", "INSERT INTO t VALUES (?)", "UPDATE t SET a = ?", "DELETE FROM t WHERE a = ?",
        "CALL p(?)", "MERGE INTO t USING u ON t.a = ? WHEN MATCHED THEN DELETE", "EXPLAIN (ANALYZE) SELECT ?",
        "EXPLAIN CREATE TABLE t AS SELECT ?", "DECLARE c CURSOR FOR SELECT ?", "CREATE TABLE t AS SELECT ?",
        "SELECT ? AS a INTO t", "PREPARE p AS SELECT $1", "CREATE FUNCTION f(int) RETURNS int RETURN $1",
        "CREATE TABLE t (a int DEFAULT 1)", "FROBNICATE ?"}) {
    EXPECT_TRUE(Analyze(sql).ok()) << sql;
  }
}

TEST(Refusals, SettingsByWhichTextIsReadStayAsTheyAre) {
  for (const std::string_view sql :
       {"SET standard_conforming_strings = off", "set local Standard_Conforming_Strings to 'off'",
        "SET SESSION \"standard_conforming_strings\" = false", "SET standard_conforming_strings TO 0",
        "SELECT set_config('standard_conforming_strings', 'off', false)",
        "SELECT 1, pg_catalog.set_config ( 'STANDARD_conforming_strings' , ?, true)", "SET client_encoding = 'LATIN1'",
        "SET CLIENT_ENCODING TO sql_ascii", "SET NAMES 'SJIS'",
        "select set_config('client_encoding', 'latin1', true)"}) {
    const auto statement = Analyze(sql);
    ASSERT_FALSE(statement.ok()) << sql;
    EXPECT_EQ(ReasonOf(statement.status()), Reason::kSettingNotSupported) << sql;
    EXPECT_EQ(FailureOf(statement.status()).field, "sql") << sql;
  }
  for (const std::string_view sql :
       {"SET standard_conforming_strings = on", "SET standard_conforming_strings TO DEFAULT",
        "RESET standard_conforming_strings", "SET LOCAL standard_conforming_strings = 'true'",
        "SET client_encoding = 'UTF8'", "SET NAMES 'utf-8'", "SET NAMES DEFAULT",
        "SELECT set_config('client_encoding', 'UTF8', false)", "SET work_mem = '4MB'", "SET LOCAL a.b TO 'off'",
        "SET TIME ZONE 'UTC'", "SET", "SET TRANSACTION READ ONLY", "ALTER ROLE r SET standard_conforming_strings = off",
        "SELECT set_config(?, ?, ?)", "SELECT 'SET standard_conforming_strings = off'",
        "UPDATE t SET standard_conforming_strings = 'off'", "SHOW standard_conforming_strings"}) {
    EXPECT_TRUE(Analyze(sql).ok()) << sql;
  }
}

// Which parameters the gateway names text for, by what PostgreSQL 15 was seen to infer.
TEST(Refusals, TooLongATextIsRefusedAndTheLongestIsNot) {
  const std::string longest = "SELECT '" + std::string(limits::kMaxStatementBytes - 9, 'x') + "'";
  ASSERT_EQ(longest.size(), limits::kMaxStatementBytes);
  EXPECT_TRUE(Analyze(longest).ok());
  EXPECT_EQ(ReasonOf(Analyze(longest + " ").status()), Reason::kStatementTooLarge);
}

TEST(Refusals, WordsOfTransactionControlElsewhereAreNoHarm) {
  for (const std::string_view sql : {"SELECT 'COMMIT; ROLLBACK'", "SELECT \"begin\" FROM \"commit\"", "SELECT 1 AS end",
                                     "SELECT begin, commit FROM t", "SELECT 1 -- ; COMMIT", "SELECT $$;$$;",
                                     "COMMENT ON TABLE t IS 'x'", "SELECT 1 /* ; */ ;;"}) {
    EXPECT_TRUE(Analyze(sql).ok()) << sql;
  }
}

}  // namespace
}  // namespace engine::db::sql

// What a text tells: read or write, what it leaves in the session, and what is refused.
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <thread>

#include "sdk/common/limits.h"
#include "server/base/error.h"
#include "server/sql/statement.h"

namespace engine::db::sql {
namespace {

std::shared_ptr<const Statement> Analysed(std::string_view sql) {
  absl::StatusOr<std::shared_ptr<const Statement>> statement = Analyze(sql);
  EXPECT_TRUE(statement.ok()) << sql << ": " << statement.status();
  return statement.ok() ? *statement : nullptr;
}

TEST(StatementClass, ReadsAreWhatTheTextProves) {
  for (const std::string_view sql : {
           "SELECT 1",
           "select * from t where id = ?",
           "TABLE t",
           "VALUES (1), (?)",
           "(SELECT 1) UNION ALL (SELECT 2)",
           "WITH a AS (SELECT 1) SELECT * FROM a",
           "WITH RECURSIVE a(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM a WHERE n < 9) SELECT sum(n) FROM a",
           "SELECT count(*), max(a), string_agg(b, ',' ORDER BY c) FROM t GROUP BY d HAVING avg(e) > ?",
           "SELECT row_number() OVER (PARTITION BY a ORDER BY b) FROM t",
           "SELECT lower(a), coalesce(b, c), greatest(d, e), nullif(f, g), CASE WHEN h THEN i END FROM t",
           "SELECT now(), CURRENT_TIMESTAMP, clock_timestamp(), random(), gen_random_uuid(), pg_sleep(0)",
           "SELECT pg_catalog.lower(a), extract(year FROM b), substring(c FROM 1 FOR 2), trim(d)",
           "SELECT a AT TIME ZONE 'UTC', b IS NORMALIZED, COLLATION FOR (c) FROM t",
           "SELECT a LIKE ? ESCAPE '!', b SIMILAR TO ?, overlay(c placing 'x' from 1), position('a' in d) FROM t",
           "SELECT * FROM generate_series(1, ?) g, unnest(ARRAY[1, 2]) u, jsonb_array_elements(?) j",
           "SELECT a ?? ?, a ??| ?, a @> ? FROM t",
           "SELECT * FROM t TABLESAMPLE system (1)",
           "SELECT * FROM t, LATERAL (SELECT * FROM u WHERE u.a = t.a LIMIT 1) l",
           "SELECT 'INSERT INTO t', \"delete\" FROM \"update\"",
           "SHOW search_path",
           "SHOW ALL",
           "EXPLAIN SELECT * FROM t",
           "EXPLAIN (ANALYZE, BUFFERS) SELECT * FROM t",
           "EXPLAIN INSERT INTO t VALUES (1)",
           "EXPLAIN UPDATE t SET a = 1",
           "/* INSERT */ SELECT 1 -- FOR UPDATE",
           ";SELECT 1;",
           "SELECT current_setting('search_path'), pg_backend_pid(), version(), txid_current_if_assigned()",
       }) {
    const auto statement = Analysed(sql);
    ASSERT_NE(statement, nullptr);
    EXPECT_EQ(statement->statement_class(), StatementClass::kRead) << sql;
    EXPECT_FALSE(statement->changes_session()) << sql;
  }
}

TEST(StatementClass, WritesThatLeaveTheSessionAlone) {
  for (const std::string_view sql : {
           "INSERT INTO t VALUES (?)",
           "INSERT INTO t SELECT * FROM u ON CONFLICT DO NOTHING",
           "UPDATE t SET a = lower(?) WHERE b = ?",
           "DELETE FROM t",
           "MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN DELETE",
           "TRUNCATE t",
           "SELECT * FROM t FOR UPDATE",
           "SELECT * FROM t FOR NO KEY UPDATE SKIP LOCKED",
           "SELECT * FROM t FOR KEY SHARE NOWAIT",
           "SELECT * FROM (SELECT * FROM t FOR SHARE) x",
           "SELECT * INTO new_table FROM t",
           "WITH a AS (DELETE FROM t RETURNING *) SELECT * FROM a",
           "WITH a AS (SELECT 1), b AS (INSERT INTO t VALUES (1)) SELECT 1",
           "EXPLAIN ANALYZE INSERT INTO t VALUES (1)",
           "EXPLAIN (ANALYZE) SELECT * FROM t FOR UPDATE",
           "EXPLAIN CREATE TABLE u AS SELECT 1",
           "CREATE TABLE u (a int DEFAULT 1)",
           "CREATE INDEX CONCURRENTLY i ON t (a)",
           "DROP TABLE t",
           "ALTER TABLE t ADD COLUMN b int",
           "VACUUM t",
           "NOTIFY c, 'x'",
           "LOCK TABLE t",
           "SELECT nextval('s')",
           "SELECT setval('s', 1), currval('s')",
           "SELECT pg_advisory_xact_lock(1)",
           "SELECT pg_notify('c', 'x')",
           "SELECT * FROM t WHERE nextval('s') > 1",
           "SELECT txid_current()",
           "SELECT lo_create(0)",
           "SET LOCAL work_mem = '1MB'",
           "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
           "SET CONSTRAINTS ALL DEFERRED",
           "DECLARE c CURSOR FOR SELECT 1",
           "FETCH 10 FROM c",
           "CLOSE c",
           "GRANT SELECT ON t TO PUBLIC",
           "REFRESH MATERIALIZED VIEW v",
           "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET search_path = a AS 'SELECT 1'",
           "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END",
           "CREATE RULE r AS ON INSERT TO t DO (DELETE FROM u; DELETE FROM v)",
           "ALTER ROLE r SET search_path = a",
       }) {
    const auto statement = Analysed(sql);
    ASSERT_NE(statement, nullptr);
    EXPECT_EQ(statement->statement_class(), StatementClass::kWrite) << sql;
    EXPECT_FALSE(statement->changes_session()) << sql;
  }
}

TEST(StatementClass, WhatMayStayInTheSessionIsToldSo) {
  for (const std::string_view sql : {
           "SET search_path = a",
           "SET SESSION work_mem = '1MB'",
           "SET TIME ZONE 'UTC'",
           "SET ROLE r",
           "SET SESSION AUTHORIZATION r",
           "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
           "SET LOCAL search_path = pg_temp",
           "SET LOCAL TIME ZONE 'UTC'",
           "RESET ALL",
           "RESET ROLE",
           "LISTEN c",
           "UNLISTEN *",
           "PREPARE p AS SELECT 1",
           "EXECUTE p",
           "EXPLAIN EXECUTE p",
           "CREATE TABLE a AS EXECUTE p",
           "DEALLOCATE ALL",
           "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
           "CREATE TEMP TABLE u (a int)",
           "CREATE TEMPORARY TABLE u AS SELECT 1",
           "CREATE TEMP VIEW v AS SELECT 1",
           "CREATE TEMP SEQUENCE s",
           "CREATE TABLE pg_temp.u (a int)",
           "CREATE TYPE pg_temp.u AS (a int)",
           "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
           "SELECT * INTO TEMP u FROM t",
           "INSERT INTO pg_temp.u VALUES (1)",
           "SELECT pg_temp.f()",
           "LOAD 'auto_explain'",
           "DISCARD ALL",
           "DO $$ BEGIN END $$",
           "CALL f(1)",
           "CREATE EXTENSION hstore",
           "SELECT set_config('a.b', 'c', false)",
           "SELECT setseed(0.5)",
           "SELECT pg_advisory_lock(1)",
           "SELECT pg_try_advisory_lock(1)",
           "SELECT pg_advisory_unlock_all()",
           "SELECT * FROM t WHERE pg_try_advisory_lock_shared(a)",
           "SELECT dblink_connect('x')",
           "SELECT dblink('x', 'SELECT 1')",
           "SELECT my_function(1)",
           "SELECT public.lower('A')",
           "SELECT \"Lower\"('A')",
           "SELECT other.pg_catalog.lower('A')",
           "INSERT INTO t SELECT my_function(a) FROM u",
           "UPDATE t SET a = my_function(a)",
           "WITH a AS (SELECT my_function(1)) SELECT * FROM a",
           "SELECT * FROM my_function(1)",
           "SELECT count(*) FILTER (WHERE my_function(a)) FROM t",
           "SELECT query_to_xml('SELECT pg_advisory_lock(1)', true, true, '')",
           "SELECT ts_rewrite('a'::tsquery, 'SELECT t, s FROM aliases')",
           "SELECT pg_replication_origin_session_setup('x')",
           "EXPLAIN SELECT my_function(1)",
       }) {
    const auto statement = Analysed(sql);
    ASSERT_NE(statement, nullptr);
    EXPECT_EQ(statement->statement_class(), StatementClass::kWrite) << sql;
    EXPECT_TRUE(statement->changes_session()) << sql;
    EXPECT_TRUE(statement->parsed()) << sql;
  }
}

TEST(StatementClass, WhatChangesTheMeaningOfTextsIsToldSo) {
  for (const std::string_view sql :
       {"SET LOCAL search_path = a", "SET LOCAL ROLE r", "SET LOCAL SESSION AUTHORIZATION r",
        "SET LOCAL TIME ZONE 'UTC'", "SET LOCAL datestyle = 'German'", "SET LOCAL a_setting_that_nobody_knows = 1",
        "SELECT set_config('search_path', 'a', true)", "SELECT f()", "CREATE TEMP TABLE u (a int)",
        "CREATE VIEW v AS SELECT 1", "ALTER TABLE t ADD b int", "DROP TABLE t", "SELECT * INTO u FROM t",
        "IMPORT FOREIGN SCHEMA s FROM SERVER r INTO t", "DO $$ BEGIN END $$", "CALL p()", "FROBNICATE"}) {
    EXPECT_TRUE(Analysed(sql)->changes_meanings()) << sql;
  }
  for (const std::string_view sql :
       {"SELECT 1", "INSERT INTO t VALUES (1)", "UPDATE t SET a = 1 RETURNING a", "SET LOCAL lock_timeout = '5s'",
        "SET LOCAL statement_timeout = 0", "SET LOCAL app.tenant = '1'", "SET LOCAL enable_seqscan = off",
        "SET LOCAL work_mem = '1MB'", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SET CONSTRAINTS ALL DEFERRED",
        "SAVEPOINT a", "RELEASE a", "ROLLBACK TO a"}) {
    EXPECT_FALSE(Analysed(sql)->changes_meanings()) << sql;
  }
}

TEST(StatementClass, WhatIsAboutSavepointsIsToldSo) {
  for (const std::string_view sql :
       {"SAVEPOINT a", "savepoint \"Begin\";", "RELEASE a", "RELEASE SAVEPOINT a", "ROLLBACK TO a",
        "ROLLBACK WORK TO a", "ROLLBACK TRANSACTION TO SAVEPOINT a", "/* x */ rollback to b"}) {
    const auto statement = Analysed(sql);
    ASSERT_NE(statement, nullptr) << sql;
    EXPECT_TRUE(statement->is_about_savepoint()) << sql;
    EXPECT_TRUE(statement->parsed()) << sql;
    EXPECT_EQ(statement->statement_class(), StatementClass::kWrite) << sql;
    EXPECT_FALSE(statement->changes_session()) << sql;
  }
  EXPECT_FALSE(Analysed("SELECT 'SAVEPOINT a'")->is_about_savepoint());
}

TEST(StatementClass, WhatOutlastsAResetIsToldSo) {
  for (const std::string_view sql : {
           "LOAD 'auto_explain'",
           "SELECT dblink_connect('x')",
           "SELECT extensions.dblink_connect_u('a', 'x')",
           "SELECT pg_replication_origin_session_setup('x')",
           "SELECT * FROM pg_create_logical_replication_slot('s', 'pgoutput', true)",
           "SELECT pg_backup_start('x')",
           "DO LANGUAGE plperl $$ $_SHARED{x} = 1; $$",
           "DO $$ GD['x'] = 1 $$ LANGUAGE plpython3u",
       }) {
    const auto statement = Analysed(sql);
    ASSERT_NE(statement, nullptr);
    EXPECT_TRUE(statement->outlasts_reset()) << sql;
  }
  for (const std::string_view sql : {"SELECT 1", "SET work_mem = '1MB'", "DO $$ BEGIN END $$",
                                     "DO LANGUAGE plpgsql $$ BEGIN END $$", "SELECT dblink('x', 'SELECT 1')"}) {
    const auto statement = Analysed(sql);
    ASSERT_NE(statement, nullptr);
    EXPECT_FALSE(statement->outlasts_reset()) << sql;
  }
}

TEST(StatementClass, WhatReadsTheSessionsSequencesIsToldSo) {
  for (const std::string_view sql :
       {"SELECT lastval()", "SELECT 1 + pg_catalog.currval('s')", "INSERT INTO t VALUES (currval('s'))",
        "SELECT my_function()", "DO $$ BEGIN END $$", "CALL p()", "EXECUTE p", "FROBNICATE"}) {
    const auto statement = Analysed(sql);
    ASSERT_NE(statement, nullptr);
    EXPECT_TRUE(statement->reads_sequences()) << sql;
    EXPECT_EQ(statement->statement_class(), StatementClass::kWrite) << sql << ": not among others in a pipeline";
  }
  for (const std::string_view sql :
       {"SELECT nextval('s')", "INSERT INTO t VALUES (1)", "UPDATE t SET a = 1", "SELECT 1"}) {
    const auto statement = Analysed(sql);
    ASSERT_NE(statement, nullptr);
    EXPECT_FALSE(statement->reads_sequences()) << sql;
  }
}

TEST(StatementClass, WhatChangesSettingsIsToldSo) {
  const auto statement = [](std::string_view sql) { return Analysed(sql); };
  for (const std::string_view sql :
       {"SET a.b = 1", "SET LOCAL synchronous_commit = off", "SELECT set_config('a.b', '', true)", "SELECT f()"}) {
    EXPECT_TRUE(statement(sql)->may_change_settings()) << sql;
  }
  for (const std::string_view sql : {"INSERT INTO t VALUES (1)", "SELECT 1"}) {
    EXPECT_FALSE(statement(sql)->may_change_settings()) << sql;
  }
}

TEST(StatementClass, WhatTakesNoSnapshotAndDoesNothingElsewhereIsToldSo) {
  for (const std::string_view sql : {"SET LOCAL work_mem = '1MB'", "SET TRANSACTION READ ONLY", "RESET ALL", "SHOW all",
                                     "LOCK TABLE t", "LISTEN c"}) {
    EXPECT_FALSE(Analysed(sql)->takes_snapshot()) << sql;
    EXPECT_TRUE(Analysed(sql)->is_neutral()) << sql;
  }
  // Their effect comes later, or is somebody's trigger.
  for (const std::string_view sql : {"NOTIFY c", "SET CONSTRAINTS ALL IMMEDIATE"}) {
    EXPECT_FALSE(Analysed(sql)->takes_snapshot()) << sql;
    EXPECT_FALSE(Analysed(sql)->is_neutral()) << sql;
  }
  for (const std::string_view sql :
       {"SELECT 1", "SELECT pg_notify('c', '')", "INSERT INTO t VALUES (1)", "SELECT set_config('a.b', '', true)",
        "CREATE TABLE t ()", "DECLARE c CURSOR FOR SELECT 1", "DO $$ BEGIN END $$", "FROBNICATE t"}) {
    EXPECT_TRUE(Analysed(sql)->takes_snapshot()) << sql;
    EXPECT_FALSE(Analysed(sql)->is_neutral()) << sql;
  }
}

TEST(StatementClass, CodeThatIsNotPostgreSqlsOwnIsToldOf) {
  for (const std::string_view sql :
       {"SELECT f()", "INSERT INTO t VALUES (s.f(1))", "DO $$ BEGIN END $$", "CALL p()", "EXECUTE s", "FROBNICATE t"}) {
    EXPECT_TRUE(Analysed(sql)->calls_unknown_code()) << sql;
  }
  for (const std::string_view sql :
       {"SELECT lower(n) FROM t", "INSERT INTO t VALUES (nextval('s'))", "UPDATE t SET n = n + 1", "NOTIFY c"}) {
    EXPECT_FALSE(Analysed(sql)->calls_unknown_code()) << sql;
  }
}

TEST(StatementClass, TextThatTheParserDoesNotKnowIsAWriteThatMayDoAnything) {
  // What a newer PostgreSQL knows: newer_syntax_test.cc.
  for (const std::string_view sql : {"SELECT FROM WHERE", "FROBNICATE t", "( SELECT"}) {
    const auto statement = Analysed(sql);
    ASSERT_NE(statement, nullptr);
    EXPECT_FALSE(statement->parsed()) << sql;
    EXPECT_EQ(statement->statement_class(), StatementClass::kWrite) << sql;
    EXPECT_TRUE(statement->changes_session()) << sql;
    EXPECT_EQ(statement->fingerprint(), "");
  }
}

TEST(MayCommitItself, IsToldOfCallsOfBlocksThatCommitAndOfConcurrently) {
  for (const std::string_view sql : {
           "CALL f(1)",
           "/* x */ ; call f()",
           "DO $$ BEGIN COMMIT; END $$",
           "DO 'begin rollback; end'",
           "DO $$ BEGIN CALL f(); END $$",
           "DO $$ BEGIN EXECUTE 'COMM' || 'IT'; END $$",
           "CREATE INDEX CONCURRENTLY i ON t (a)",
           "DROP INDEX concurrently i",
       }) {
    EXPECT_TRUE(Analysed(sql)->may_commit_itself()) << sql;
  }
  for (const std::string_view sql : {
           "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40001'; END $$",
           "SELECT 'COMMIT', \"commit\" FROM call",
           "SELECT 1 AS \"CONCURRENTLY\"",
           "INSERT INTO t VALUES ('call', 'do')",
           "CREATE INDEX i ON t (a)",
       }) {
    EXPECT_FALSE(Analysed(sql)->may_commit_itself()) << sql;
  }
}

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
    const v1::DatabaseError error = ErrorDetail(statement.status());
    EXPECT_EQ(error.kind(), v1::ERROR_KIND_INVALID_REQUEST);
    EXPECT_EQ(error.field(), "sql");
    EXPECT_EQ(error.reason(), refusal.reason) << refusal.sql;
    EXPECT_NE(error.message().find(refusal.names), std::string::npos) << refusal.sql << ": " << error.message();
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
    const v1::DatabaseError error = ErrorDetail(statement.status());
    EXPECT_EQ(statement.status().code(), absl::StatusCode::kInvalidArgument) << sql;
    EXPECT_EQ(error.reason(), "PARAMETERS_NOT_SUPPORTED") << sql << ": " << error.message();
    EXPECT_EQ(error.outcome(), v1::OUTCOME_NOT_EXECUTED);
    EXPECT_NE(error.message().find(parameter), std::string::npos) << sql << ": " << error.message();
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
    EXPECT_EQ(ErrorDetail(statement.status()).reason(), "SETTING_NOT_SUPPORTED") << sql;
    EXPECT_EQ(ErrorDetail(statement.status()).field(), "sql") << sql;
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
TEST(UntypedParameters, AreThoseThatPostgresqlWouldTakeOnlyAsLiterals) {
  struct Case {
    std::string_view sql;
    std::string_view untyped;  // a letter for each parameter: t for text, - for what PostgreSQL infers
  };
  for (const auto& [sql, untyped] : {
           Case{"SELECT ? IS NULL, ? IS NOT NULL, ?::int IS NULL, (? || 'x') IS NULL", "tt--"},
           Case{"SELECT * FROM t WHERE (? IS NULL OR a = ?) AND b = ?", "t--"},
           Case{"SELECT $1 IS NULL, $2 IS NULL OR a = $2, $3 IS NULL AND $3 IS NOT NULL FROM t", "t-t"},
           Case{"SELECT concat(?, a, ?), pg_catalog.concat_ws(?, ?), other.concat(?), lower(?)", "tttt--"},
           Case{"SELECT format('%s', ?), count(?), count(DISTINCT ?) FILTER (WHERE ? IS NULL)", "tttt"},
           Case{"SELECT jsonb_build_object(?, ?, 'k', jsonb_build_array(?)), json_object_agg(?, 1)", "tttt"},
           Case{"SELECT concat(lower(?), ?::int, coalesce(?, ?), CASE WHEN a THEN ? END, (SELECT ?), ?)", "------t"},
           Case{"SELECT num_nulls(?), num_nonnulls(?), pg_typeof(?), pg_column_size(?)", "tttt"},
           Case{"SELECT ROW(?, ?), (?, lower(?)), ROW(ROW(?))", "ttt-t"},
           Case{"SELECT (?, ?) IS NULL, row_to_json(ROW(?)), concat(ROW(?)), mine(ROW(?))", "tttt-"},
           Case{"SELECT 1 WHERE (a, b) = (?, ?) OR (a, b) IN ((?, ?)) OR ROW(?) = ROW(?)", "------"},
           Case{"SELECT (? COLLATE \"C\") IS NULL, a = ? COLLATE \"C\", ? COLLATE \"C\" FROM t", "t--"},
           Case{"SELECT xmlelement(name a, xmlattributes(? AS b), ?), xmlforest(? AS c), xmlconcat(?)", "ttt-"},
           Case{"SELECT ROW(?)::text, (?, 1)::varchar, ROW(?)::pair, ?::text", "tt--"},
           Case{"SELECT (? IS NULL)::int, concat(?)::date, ROW(concat(?), ?)::pair, ROW(ROW(?))::text", "ttt-t"},
           Case{"INSERT INTO t SELECT ROW(?), ?", "--"},
           Case{"INSERT INTO t VALUES (ROW(?), ?) RETURNING ? IS NULL", "--t"},
           Case{"UPDATE t SET (a, b) = (?, ?), c = ROW(?) WHERE ? IS NULL", "---t"},
           Case{"SELECT rank(?) WITHIN GROUP (ORDER BY a) FROM t", "-"},
           Case{"SELECT ROW(?) UNION ALL SELECT ROW(1)", "-"},
           Case{"CALL p(?, concat(?))", "-t"},
           Case{"EXPLAIN SELECT ? IS NULL", "t"},
           Case{"SELECT ?, ? = a, ARRAY[?], coalesce(?), greatest(?, 1), to_json(?) FROM t LIMIT ?", "-------"},
       }) {
    const auto statement = Analysed(sql);
    ASSERT_NE(statement, nullptr);
    std::string found;
    for (size_t i = 0; i < static_cast<size_t>(statement->parameter_count()); ++i) {
      found += statement->TypeOfUntyped(i) == 0 ? '-' : 't';
    }
    EXPECT_EQ(found, untyped) << sql;
  }
}

TEST(Refusals, TooLongATextIsRefusedAndTheLongestIsNot) {
  const std::string longest = "SELECT '" + std::string(limits::kMaxStatementBytes - 9, 'x') + "'";
  ASSERT_EQ(longest.size(), limits::kMaxStatementBytes);
  EXPECT_TRUE(Analyze(longest).ok());
  EXPECT_EQ(ErrorDetail(Analyze(longest + " ").status()).reason(), "STATEMENT_TOO_LARGE");
}

TEST(Refusals, WordsOfTransactionControlElsewhereAreNoHarm) {
  for (const std::string_view sql : {"SELECT 'COMMIT; ROLLBACK'", "SELECT \"begin\" FROM \"commit\"", "SELECT 1 AS end",
                                     "SELECT begin, commit FROM t", "SELECT 1 -- ; COMMIT", "SELECT $$;$$;",
                                     "COMMENT ON TABLE t IS 'x'", "SELECT 1 /* ; */ ;;"}) {
    EXPECT_TRUE(Analyze(sql).ok()) << sql;
  }
}

TEST(Summary, IsACommandAndNothingOfTheCallers) {
  EXPECT_EQ(Analysed("select 'secret'")->summary(), "SELECT");
  EXPECT_EQ(Analysed("(VALUES (1))")->summary(), "SELECT");
  EXPECT_EQ(Analysed("WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a")->summary(), "INSERT");
  EXPECT_EQ(Analysed("merge into t using u on true when matched then delete")->summary(), "MERGE");
  EXPECT_EQ(Analysed("CREATE TABLE secret (a int)")->summary(), "CREATE");
  EXPECT_EQ(Analysed("EXPLAIN SELECT 1")->summary(), "EXPLAIN");
  EXPECT_EQ(Analysed("secret command")->summary(), "OTHER");
  EXPECT_EQ(Analysed("SELECT FROM FROM")->summary(), "SELECT");
}

TEST(Fingerprint, IsTheSameForTextsThatDifferInLiterals) {
  const std::string one = Analysed("SELECT a FROM t WHERE b = 'secret' AND c = 1")->fingerprint();
  EXPECT_EQ(one.size(), 16U);
  EXPECT_EQ(Analysed("SELECT a FROM t  WHERE b = 'other' AND c = 2")->fingerprint(), one);
  EXPECT_EQ(Analysed("SELECT a FROM t WHERE b = ? AND c = ?")->fingerprint(), one);
  EXPECT_NE(Analysed("SELECT a FROM u WHERE b = 'secret' AND c = 1")->fingerprint(), one);
  EXPECT_EQ(Analysed("SELECT a FROM t WHERE b = 'x' AND c = 1_000")->fingerprint(), one);
}

std::string Repeated(std::string_view before, std::string_view what, std::string_view after) {
  std::string text(before);
  while (text.size() + what.size() + 2 * after.size() < limits::kMaxStatementBytes) text += what;
  return text.append(after);
}

// libpg_query recurses without a limit into what it calls a tree; a text must not bring the process down.
TEST(HostileText, DeepNestingIsHarmless) {
  for (const auto& [before, what, after] : {
           std::tuple{"SELECT ", "(", "1"},
           std::tuple{"SELECT 1", "+1", ""},
           std::tuple{"SELECT ", "- ", "1"},
           std::tuple{"SELECT ", "NOT ", "true"},
           std::tuple{"SELECT 1", "::int", ""},
           std::tuple{"SELECT 1", " UNION SELECT 1", ""},
           std::tuple{"SELECT 1, 2", " UNION SELECT 1, 2", ""},
           std::tuple{"SELECT ", "(SELECT ", "1"},
           std::tuple{"SELECT ", "CASE WHEN true THEN ", "1"},
           std::tuple{"SELECT ARRAY", "[", "1"},
           std::tuple{"SELECT ", "abs(", "1"},
           std::tuple{"SELECT 1 FROM a", " CROSS JOIN a", ""},
           std::tuple{"SELECT true", " AND true", ""},
           std::tuple{"SELECT true", " OR false", ""},
           std::tuple{"SELECT a", "[1]", ""},
           std::tuple{"SELECT a", " COLLATE x", ""},
           std::tuple{"SELECT a", " IS NULL", ""},
           std::tuple{"SELECT ?", "+?", ""},
           std::tuple{"SELECT a ", "??", " b"},
           std::tuple{"SELECT 0", "+f(a.end, 1)", ""},
           std::tuple{"SELECT 0", "+f(a.case, 1)", ""},
           std::tuple{"SELECT 0", "+(SELECT 1 end, 2)", ""},
           std::tuple{"SELECT 0", "+CASE a.end WHEN f(1, 2) THEN 1 END", ""},
           std::tuple{"SELECT 1", ",1", ""},
           std::tuple{"INSERT INTO t VALUES (1, 'a')", ",(1, 'a')", ""},
           std::tuple{"WITH a AS (", "WITH a AS (", "SELECT 1"},
           std::tuple{"EXPLAIN ", "EXPLAIN ", "SELECT 1"},
           std::tuple{"SELECT ", "/*", "1"},
           std::tuple{"SELECT '", "''", "'"},
           std::tuple{"SELECT ", "+", "1"},
           std::tuple{"SELECT ", "+-", "1"},
           std::tuple{"SELECT ", "/*/*x*/", "1"},
           std::tuple{"SELECT ", "/*++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++*/", "1"},
           std::tuple{"SELECT 1", " ++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++1", ""},
           std::tuple{"SELECT a", ".b", " FROM t"},
       }) {
    const std::string text = Repeated(before, what, after);
    const auto statement = Analyze(text);
    if (statement.ok()) {
      EXPECT_TRUE((*statement)->statement_class() == StatementClass::kWrite || (*statement)->parsed())
          << text.substr(0, 40);
      EXPECT_TRUE((*statement)->fingerprint().size() <= 16);
    }
  }
}

// The same at the depth that is just allowed, on a thread with a small stack.
TEST(HostileText, WhatIsParsedFitsASmallStack) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, size_t{2} << 20);
  pthread_t thread = {};
  const auto run = [](void*) -> void* {
    for (const auto& [before, what, times] :
         {std::tuple{"SELECT 1", "+1", 2'480}, std::tuple{"SELECT 1", "::int", 2'480},
          std::tuple{"SELECT ?", "+?", 2'480}, std::tuple{"SELECT 1 FROM a", " CROSS JOIN a", 1'650},
          std::tuple{"SELECT 1", " UNION SELECT 1", 1'200}}) {
      std::string text = before;
      for (int i = 0; i < times; ++i) text += what;
      const auto statement = Analyze(text);
      EXPECT_TRUE(statement.ok());
      if (!statement.ok()) continue;
      EXPECT_TRUE((*statement)->parsed()) << what;
      EXPECT_EQ((*statement)->statement_class(), StatementClass::kRead) << what;
      EXPECT_FALSE((*statement)->fingerprint().empty());
    }
    return nullptr;
  };
  ASSERT_EQ(pthread_create(&thread, &attributes, run, nullptr), 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

TEST(HostileText, RandomBytesAreReadOrRefused) {
  constexpr std::string_view kPieces[] = {"?",    "??",   "'",    "\"",  "$$",   "$1",      "--",    "/*",   "*/", "\n",
                                          " ",    "E'",   "\\",   "U&'", "U&\"", "a",       "1",     ";",    "(",  ")",
                                          "-",    "|",    "@",    "0x",  "1_",   "SELECT ", "CASE ", " END", ",",  "ä",
                                          "\x80", "\xff", "\x01", ".",   "::",   "[",       "]"};
  uint32_t random = 12'345;
  for (int i = 0; i < 20'000; ++i) {
    std::string text = i % 2 == 0 ? "SELECT " : "";
    random = random * 1'664'525 + 1'013'904'223;
    for (uint32_t n = (random >> 16) % 12; n > 0; --n) {
      random = random * 1'664'525 + 1'013'904'223;
      text += kPieces[(random >> 16) % std::size(kPieces)];
    }
    const auto statement = Analyze(text);
    if (!statement.ok()) continue;
    // What we send holds what the caller wrote, and as many parameters as we said.
    EXPECT_GE((*statement)->bound_sql().size() + text.size(), text.size());
    if ((*statement)->numbered() || (*statement)->parameter_count() == 0) continue;
    const auto again = Analyze((*statement)->bound_sql());
    if (again.ok()) {
      EXPECT_EQ((*again)->parameter_count(), (*statement)->parameter_count()) << text;
    }
  }
}

}  // namespace
}  // namespace engine::db::sql

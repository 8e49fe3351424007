// What a text tells of its effects: read or write, what it leaves in the session, what it may commit by itself.
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "server/sql/statement.h"
#include "tests/unit/sql/analysed.h"

namespace engine::db::sql {
namespace {

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

}  // namespace
}  // namespace engine::db::sql

// Nothing of one caller's session is seen by the next one: all of these share the only backend of their pool.
#include "tests/integration/integration_test.h"

namespace engine::db::test {
namespace {

class SessionState : public IntegrationTest {
 protected:
  void SetUp() override {
    one_ = Connect(Config(1));
    two_ = Connect(Config(1));
  }
  void TearDown() override {
    one_.reset();
    two_.reset();
    IntegrationTest::TearDown();
  }
  std::string Text(const std::string& sql) { return two_->execute(sql).rows()[0][0].to_string(); }

  std::unique_ptr<PostgresSyncConnector> one_;
  std::unique_ptr<PostgresSyncConnector> two_;
};

TEST_F(SessionState, SettingsDoNotLeak) {
  const std::string before = Text("SHOW work_mem");
  one_->execute("SET work_mem = '77MB'");
  EXPECT_EQ(Text("SHOW work_mem"), before);
  one_->execute("SELECT set_config('work_mem', '78MB', false)");
  EXPECT_EQ(Text("SHOW work_mem"), before);
  one_->begin();
  one_->execute("SET work_mem = '79MB'");
  EXPECT_EQ(one_->execute("SHOW work_mem").rows()[0][0].to_string(), "79MB");
  one_->commit();
  EXPECT_EQ(Text("SHOW work_mem"), before);
  one_->execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY");
  two_->begin();  // reads outside transactions may run under the gateway's own guard
  EXPECT_EQ(Text("SHOW default_transaction_read_only"), "off");
  two_->commit();
  two_->execute("CREATE TABLE " + name() + " (n int)");
}

TEST_F(SessionState, SettingsOfAFunctionDoNotLeak) {
  Sql("CREATE FUNCTION " + name() +
      "_set() RETURNS text LANGUAGE sql AS "
      "$$ SELECT set_config('myapp.secret', 'canary', false) $$");
  one_->execute("SELECT " + name() + "_set()");
  EXPECT_EQ(Text("SELECT coalesce(current_setting('myapp.secret', true), '')"), "");
  one_->execute("DO $$ BEGIN SET search_path = pg_temp; END $$");
  EXPECT_EQ(Text("SHOW search_path"), Scalar("SHOW search_path"));
}

TEST_F(SessionState, TheSearchPathDoesNotLeak) {
  Sql("CREATE SCHEMA " + name());
  one_->execute("SET search_path = " + name());
  EXPECT_NE(Text("SHOW search_path"), name());
}

TEST_F(SessionState, RolesDoNotLeak) {
  one_->execute("SET ROLE app");
  EXPECT_EQ(Text("SHOW role"), "none");
}

TEST_F(SessionState, TemporaryTablesDoNotLeak) {
  one_->execute("CREATE TEMPORARY TABLE leak (secret text)");
  EXPECT_EQ(Text("SELECT count(*) FROM pg_class WHERE relname = 'leak'"), "0");
  EXPECT_EQ(Catch<DatabaseExecutionError>([&] { two_->execute("SELECT * FROM leak"); }).sqlstate(), "42P01");
  one_->execute("CREATE TABLE pg_temp.leak2 AS SELECT 1");
  EXPECT_EQ(Catch<DatabaseExecutionError>([&] { two_->execute("SELECT * FROM leak2"); }).sqlstate(), "42P01");
  one_->execute("SELECT 1 AS n INTO TEMPORARY leak3");
  EXPECT_EQ(Catch<DatabaseExecutionError>([&] { two_->execute("SELECT * FROM leak3"); }).sqlstate(), "42P01");
}

TEST_F(SessionState, AdvisoryLocksDoNotLeak) {
  one_->execute("SELECT pg_advisory_lock(4711)");
  EXPECT_EQ(Text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711"), "0");
  one_->execute("SELECT pg_try_advisory_lock(4712)");
  EXPECT_EQ(Text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4712"), "0");
}

TEST_F(SessionState, ListenDoesNotLeak) {
  one_->execute("LISTEN gossip");
  EXPECT_EQ(Text("SELECT count(*) FROM pg_listening_channels()"), "0");
}

TEST_F(SessionState, PreparedStatementsAndCursorsDoNotLeak) {
  one_->execute("PREPARE leak AS SELECT 1");
  EXPECT_EQ(Catch<DatabaseExecutionError>([&] { two_->execute("EXECUTE leak"); }).sqlstate(), "26000");
  one_->begin();
  one_->execute("DECLARE leak CURSOR WITH HOLD FOR SELECT 1");
  one_->commit();
  EXPECT_EQ(Text("SELECT count(*) FROM pg_cursors WHERE name = 'leak'"), "0");
}

TEST_F(SessionState, ACancelledStatementLeavesNothingBehind) {
  static_cast<void>(Catch<DatabaseTimeoutError>([&] {
    one_->execute("SELECT set_config('work_mem', '79MB', false), pg_sleep(30)", {}, {.timeout = milliseconds(300)});
  }));
  EXPECT_NE(Text("SHOW work_mem"), "79MB");
}

TEST_F(SessionState, ResettingItKeepsTheGatewaysOwnStateRight) {
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(one_->execute("SELECT ?::int AS n", {i}).rows()[0]["n"].as<int>(), i);
    one_->execute("SET work_mem = '8MB'");
    EXPECT_EQ(two_->execute("SELECT ?::int AS n", {i}).rows()[0]["n"].as<int>(), i);
  }
  EXPECT_EQ(Text("SHOW default_transaction_read_only"), "on") << "reads that share a backend run under the guard";
  EXPECT_EQ(Text("SHOW application_name"), name());
}

TEST_F(SessionState, AResetKeepsWhatIsPrepared) {
  const std::string kept =
      "SELECT prepare_time::text FROM pg_prepared_statements WHERE NOT from_sql AND statement LIKE '%kept prepared%'";
  Sql("CREATE FUNCTION " + name() +
      "_locks() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_lock(1); END $$");
  two_->execute("SELECT 'kept prepared'");
  const std::string since = Text(kept);
  for (const std::string& changes :
       {std::string("SET work_mem = '8MB'"), "SELECT " + name() + "_locks()", std::string("LISTEN gossip")}) {
    one_->execute(changes);
    two_->execute("SELECT 'kept prepared'");
    EXPECT_EQ(Text(kept), since) << changes;
  }
  one_->execute("DEALLOCATE ALL");
  two_->execute("SELECT 'kept prepared'");
  EXPECT_NE(Text(kept), since);
}

TEST_F(SessionState, OneTransactionSeesItsOwnState) {
  one_->begin();
  one_->execute("SET LOCAL work_mem = '5MB'");
  one_->execute("CREATE TEMPORARY TABLE mine (n int) ON COMMIT DROP");
  one_->execute("INSERT INTO mine VALUES (1)");
  EXPECT_EQ(
      one_->execute("SELECT current_setting('work_mem') AS w, (SELECT n FROM mine) AS n").rows()[0]["w"].to_string(),
      "5MB");
  one_->commit();
}

}  // namespace
}  // namespace engine::db::test

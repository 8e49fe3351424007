// In a transaction the gateway runs statements of its own beside the caller's: BEGIN and COMMIT, and the question by
// which the transaction is known if its COMMIT's answer should be lost. They change nothing of what the caller's may do
// or see: docs/outcomes.md lists them.
#include "tests/integration/gateway_calls.h"

namespace engine::db::test {
namespace {

class AddedStatements : public GatewayCallsTest {
 protected:
  void SetUp() override {
    CreateTable("n int");
    connection_ = Open();
    transaction_ = Begin(connection_).response.transaction_id();
  }
  Answer<v1::ExecuteResponse> Run(const std::string& sql) { return ExecuteIn(connection_, transaction_, sql); }
  // What psql sees at the same place.
  std::string Ask(const std::string& sql) {
    const auto answer = Run(sql);
    EXPECT_TRUE(answer.ok()) << sql << ": " << answer.status.error_message();
    if (!answer.ok()) return "";
    const v1::Value cell = Cell(answer);
    return cell.has_int64_value() ? std::to_string(cell.int64_value()) : cell.text_value();
  }
  void ExpectCommit() { EXPECT_TRUE(Commit(connection_, transaction_).ok()); }

  std::string connection_;
  std::string transaction_;
};

TEST_F(AddedStatements, LeaveTheIsolationLevelToTheCaller) {
  for (const char* first : {"SET LOCAL lock_timeout = '5s'", "SHOW work_mem", "NOTIFY c", "LISTEN c", "UNLISTEN c",
                            "SET CONSTRAINTS ALL DEFERRED", "RESET work_mem"}) {
    SCOPED_TRACE(first);
    ASSERT_TRUE(Run(first).ok());
    const auto set = Run("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE");
    EXPECT_TRUE(set.ok()) << set.status.error_message();
    EXPECT_EQ(Ask("SHOW transaction_isolation"), "serializable");
    EXPECT_TRUE(Run("INSERT INTO " + name() + " VALUES (1)").ok());
    ExpectCommit();
    transaction_ = Begin(connection_).response.transaction_id();
  }
  ExpectCommit();
  EXPECT_EQ(Rows(), 7);
}

TEST_F(AddedStatements, TakeNoSnapshotBeforeTheCallersFirst) {
  v1::TransactionOptions options;
  options.set_isolation_level(v1::ISOLATION_LEVEL_REPEATABLE_READ);
  for (const std::string& first : {"LOCK TABLE " + name() + " IN SHARE ROW EXCLUSIVE MODE",
                                   std::string("SET LOCAL work_mem = '1MB'"), std::string("NOTIFY c")}) {
    SCOPED_TRACE(first);
    const std::string other = name() + "_other";
    ExpectCommit();
    Sql("DROP TABLE IF EXISTS " + other + "; CREATE TABLE " + other + " (n int)");
    transaction_ = Begin(connection_, options).response.transaction_id();
    ASSERT_TRUE(Run(first).ok());
    v1::SavepointRequest savepoint;
    savepoint.set_connection_id(connection_);
    savepoint.set_transaction_id(transaction_);
    savepoint.set_name("s");
    ASSERT_TRUE(Call(&Stub::Savepoint, savepoint).ok());
    Sql("INSERT INTO " + other + " VALUES (1)");
    EXPECT_EQ(Ask("SELECT count(*) FROM " + other), "1") << "it was committed before the transaction looked";
    Sql("INSERT INTO " + other + " VALUES (1)");
    EXPECT_EQ(Ask("SELECT count(*) FROM " + other), "1") << "and this one after";
  }
  ExpectCommit();
}

TEST_F(AddedStatements, LeaveTheSessionsStateAlone) {
  Sql("CREATE SEQUENCE " + name() + "_s; CREATE SCHEMA " + name() + "_own; CREATE FUNCTION " + name() +
      "_own.never(oid, oid) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'called'; "
      "END $$; CREATE OPERATOR " +
      name() + "_own.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = " + name() + "_own.never)");
  const std::string began = Ask("SELECT now()::text");
  EXPECT_EQ(Ask("SELECT nextval('" + name() + "_s')"), "1");
  EXPECT_EQ(Ask("SELECT lastval()"), "1");
  ASSERT_TRUE(Run("INSERT INTO " + name() + " VALUES (1)").ok());
  EXPECT_EQ(Ask("SELECT lastval()"), "1");
  EXPECT_EQ(Ask("SELECT now()::text"), began);
  // Operators of the caller's own, in front of PostgreSQL's.
  ASSERT_TRUE(Run("SET LOCAL search_path = " + name() + "_own, pg_catalog, public").ok());
  EXPECT_TRUE(Run("UPDATE public." + name() + " SET n = 2").ok());
  EXPECT_TRUE(Run("SELECT n FROM public." + name()).ok());
  // Time limits count for each statement by itself.
  ASSERT_TRUE(Run("SET LOCAL statement_timeout = '400ms'").ok());
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(Run("SELECT pg_sleep(0.2)").ok());
  // Nothing is held that another session could wait for, but for what reading takes.
  EXPECT_EQ(Ask("SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation' AND mode <> "
                "'AccessShareLock' AND relation < 16384"),
            "0");
  ExpectCommit();
}

TEST_F(AddedStatements, AreNotSeenByAFailedTransaction) {
  ASSERT_TRUE(Run("INSERT INTO " + name() + " VALUES (1)").ok());
  EXPECT_EQ(Decode(Run("SELECT 1/0").status).error.sqlstate(), "22012");
  EXPECT_EQ(Decode(Run("SELECT 1").status).error.sqlstate(), "25P02");
  EXPECT_EQ(Decode(Commit(connection_, transaction_).status).error.outcome(), v1::OUTCOME_ROLLED_BACK);
}

}  // namespace
}  // namespace engine::db::test

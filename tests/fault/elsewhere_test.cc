// What a transaction does beside its own server: on foreign tables, through dblink, in functions that may do anything.
// Such a transaction need have no id of its own, commits elsewhere before it commits here, or is not undone elsewhere
// when it is undone here. It is never done twice, and never told as undone where it may be there: docs/outcomes.md.
#include <future>

#include "tests/fault/contract_fault_test.h"

namespace engine::db::test {
namespace {

// The test's table lies in another database, "elsewhere"; the database that the gateway works in has foreign tables for
// it and, if asked for, functions that reach it.
class Elsewhere : public ContractFaultTest {
 protected:
  void SetUp() override {
    CreateTable("n int");
    database_ = name() + "_here";
    static_cast<void>(Postgres().Exec("CREATE DATABASE \"" + database_ + "\" OWNER app"));
    Here("CREATE TABLE local (n int); GRANT ALL ON local TO app");
  }
  void TearDown() override {
    ContractFaultTest::TearDown();
    EXPECT_TRUE(WaitForBackends(0));
    static_cast<void>(Postgres().Exec("DROP DATABASE \"" + database_ + "\" WITH (FORCE)"));
  }

  // As the superuser, past the gateway.
  pqxx::result Here(const std::string& sql) const {
    pqxx::connection connection(Postgres().Superuser() + " dbname=" + database_);
    pqxx::nontransaction work(connection);
    return work.exec(sql);
  }
  [[nodiscard]] std::string LocalRows() const { return Here("SELECT count(*) FROM local")[0][0].c_str(); }
  // Another link to where the table is: "server" reaches it as foreign table "far".
  void AddForeignTable(const std::string& server = "far", int port = 0) const {
    Here("CREATE EXTENSION IF NOT EXISTS postgres_fdw; CREATE SERVER " + server +
         " FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '" + Postgres().host() + "', port '" +
         std::to_string(port == 0 ? Postgres().port() : port) +
         "', dbname 'app'); CREATE USER MAPPING FOR app SERVER " + server + " OPTIONS (user 'app', password '" +
         Postgres().password() + "'); CREATE FOREIGN TABLE " + server + " (n int) SERVER " + server +
         " OPTIONS (table_name '" + name() + "'); GRANT ALL ON " + server + " TO app");
  }
  // A function that inserts there by dblink, which no transaction of here undoes.
  void AddFunction() const {
    Here(
        "CREATE EXTENSION dblink; CREATE FUNCTION insert_far() RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM "
        "dblink_exec('host=" +
        Postgres().host() + " port=" + std::to_string(Postgres().port()) + " dbname=app user=app password=" +
        Postgres().password() + "', 'INSERT INTO " + name() + " VALUES (1)'); RETURN 1; END $$");
  }

  [[nodiscard]] std::string OpenHere(int attempts = 3) { return OpenFaulty(attempts, 6, database_); }
  [[nodiscard]] v1::ExecuteRequest Request(const std::string& connection, const std::string& sql) const {
    v1::ExecuteRequest request;
    request.set_connection_id(connection);
    request.set_sql(sql);
    return request;
  }
  // Until the gateway knows that the transaction is gone.
  bool WaitUntilLost(const std::string& connection, const std::string& transaction) {
    v1::KeepAliveRequest request;
    request.set_connection_id(connection);
    request.set_transaction_id(transaction);
    return WaitUntil(kSoon, [&] {
      return Call(&Stub::KeepAlive, request).response.transaction().state() == v1::TRANSACTION_STATE_LOST;
    });
  }
  // Each way to have a statement committed in a call of its own.
  grpc::Status RunAs(const std::string& way, const std::string& connection, const std::string& sql) {
    v1::ExecuteRequest request = Request(connection, sql);
    if (way == "batch") {
      v1::ExecuteBatchRequest batch;
      batch.set_connection_id(connection);
      batch.set_atomic(true);
      batch.add_statements()->set_sql(sql);
      return Call(&Stub::ExecuteBatch, batch).status;
    }
    if (way == "exactly_once") request.set_exactly_once(true);
    if (way == "idempotency_key") request.set_idempotency_key(name());
    if (way == "one call") {
      request.mutable_begin();
      request.set_commit(true);
    }
    if (way == "transaction") {
      const std::string transaction = Begin(connection).response.transaction_id();
      const auto run = ExecuteIn(connection, transaction, sql);
      if (!run.ok()) return run.status;
      token_ = run.response.transaction().recovery_token();
      transaction_ = transaction;
      return Commit(connection, transaction).status;
    }
    return Call(&Stub::Execute, request).status;
  }
  v1::Outcome OutcomeByToken(const std::string& connection) {
    v1::GetTransactionOutcomeRequest request;
    request.set_connection_id(connection);
    request.set_recovery_token(token_);
    const auto answer = Call(&Stub::GetTransactionOutcome, request);
    EXPECT_TRUE(answer.ok()) << answer.status.error_message();
    return answer.response.outcome();
  }
  v1::Outcome OutcomeByHandle(const std::string& connection) {
    v1::GetTransactionOutcomeRequest request;
    request.set_connection_id(connection);
    request.set_transaction_id(transaction_);
    const auto answer = Call(&Stub::GetTransactionOutcome, request);
    EXPECT_TRUE(answer.ok()) << answer.status.error_message();
    return answer.response.outcome();
  }
  static void ExpectElsewhere(const grpc::Status& status) {
    const Failure failure = Decode(status);
    EXPECT_EQ(failure.error.outcome(), v1::OUTCOME_UNKNOWN) << failure.error.ShortDebugString();
    EXPECT_EQ(failure.error.reason(), "EFFECTS_ELSEWHERE");
    EXPECT_EQ(failure.code, grpc::StatusCode::UNKNOWN);
    EXPECT_FALSE(failure.error.retryable());
  }

  std::string database_;
  std::string token_;
  std::string transaction_;
};

const char* const kWays[] = {"transaction", "one call", "batch", "exactly_once", "idempotency_key"};

// --- COMMIT's answer is lost

TEST_F(Elsewhere, WhatWasCommittedOnAForeignTableIsTold) {
  AddForeignTable();
  int rows = 0;
  for (const char* way : kWays) {
    SCOPED_TRACE(way);
    const std::string connection = OpenHere();
    const auto rule = Fault("^COMMIT", FaultPoint::kBeforeReply);
    const grpc::Status status = RunAs(way, connection, "INSERT INTO far VALUES (1)");
    EXPECT_EQ(proxy().Fired(rule), 1);
    EXPECT_TRUE(status.ok()) << Decode(status).error.ShortDebugString();
    EXPECT_EQ(Rows(), ++rows);
  }
  EXPECT_NE(token_, "");
  EXPECT_EQ(OutcomeByToken(OpenHere()), v1::OUTCOME_COMMITTED);
}

TEST_F(Elsewhere, UpdatesOfForeignTablesAreRunOnce) {
  AddForeignTable();
  Sql("INSERT INTO " + name() + " VALUES (0)");
  const std::string connection = OpenHere();
  const std::string transaction = Begin(connection).response.transaction_id();
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(ExecuteIn(connection, transaction, "UPDATE far SET n = n + 1").ok());
  const auto rule = Fault("^COMMIT", FaultPoint::kBeforeReply);
  EXPECT_TRUE(Commit(connection, transaction).ok());
  EXPECT_EQ(proxy().Fired(rule), 1);
  EXPECT_EQ(Number("SELECT n FROM " + name()), 2);
}

// --- COMMIT's request is lost: nothing was committed, and nobody can see that from here

TEST_F(Elsewhere, ACommitThatNeverArrivedIsNotToldAsUndone) {
  AddForeignTable();
  for (const char* way : kWays) {
    SCOPED_TRACE(way);
    const std::string connection = OpenHere();
    const auto rule = Fault("^COMMIT", FaultPoint::kBeforeRequest);
    ExpectElsewhere(RunAs(way, connection, "INSERT INTO far VALUES (1)"));
    EXPECT_EQ(proxy().Fired(rule), 1);
    EXPECT_EQ(Rows(), 0);
    if (way != std::string("transaction")) continue;
    EXPECT_EQ(OutcomeByToken(connection), v1::OUTCOME_UNKNOWN);
    EXPECT_EQ(OutcomeByHandle(connection), v1::OUTCOME_UNKNOWN);
    ExpectElsewhere(Commit(connection, transaction_).status);
  }
}

// ... but for what is only of this server, in the same database.
TEST_F(Elsewhere, ALocalTransactionBesideForeignTablesIsTold) {
  AddForeignTable();
  AddFunction();
  const std::string connection = OpenHere();
  static_cast<void>(Fault("^COMMIT", FaultPoint::kBeforeRequest));
  EXPECT_EQ(Decode(RunAs("transaction", connection, "INSERT INTO local VALUES (1)")).error.outcome(),
            v1::OUTCOME_ROLLED_BACK);
  EXPECT_EQ(OutcomeByToken(connection), v1::OUTCOME_ROLLED_BACK);
  for (const char* way : {"one call", "batch", "exactly_once", "idempotency_key"}) {
    SCOPED_TRACE(way);
    const auto rule = Fault("^COMMIT", FaultPoint::kBeforeRequest);
    const grpc::Status status = RunAs(way, connection, "INSERT INTO local VALUES (1)");
    EXPECT_EQ(proxy().Fired(rule), 1);
    EXPECT_TRUE(status.ok()) << "it is run again: " << Decode(status).error.ShortDebugString();
  }
  EXPECT_EQ(LocalRows(), "4");
}

// --- foreign tables that no text shows

TEST_F(Elsewhere, ForeignTablesBehindTriggersViewsAndPartitionsAreSeen) {
  AddForeignTable();
  Here(
      "CREATE TABLE audited (n int); CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO "
      "far "
      "VALUES (NEW.n); RETURN NEW; END $$; CREATE TRIGGER audit AFTER INSERT ON audited FOR EACH ROW EXECUTE FUNCTION "
      "audit(); CREATE FUNCTION write() RETURNS int LANGUAGE sql AS $$ INSERT INTO far VALUES (1) RETURNING n $$; "
      "CREATE VIEW writes AS SELECT write() AS n; CREATE TABLE parted (n int) PARTITION BY LIST (n); CREATE FOREIGN "
      "TABLE "
      "part PARTITION OF parted FOR VALUES IN (1) SERVER far OPTIONS (table_name '" +
      name() + "'); GRANT ALL ON audited, writes, parted, part TO app");
  int rows = 0;
  for (const char* sql : {"INSERT INTO audited VALUES (1)", "SELECT n FROM writes", "INSERT INTO parted VALUES (1)"}) {
    SCOPED_TRACE(sql);
    const std::string connection = OpenHere();
    for (const char* way : kWays) {
      SCOPED_TRACE(way);
      const auto kept = Fault("^COMMIT", FaultPoint::kBeforeReply);
      const grpc::Status status = RunAs(way, connection, sql);
      EXPECT_EQ(proxy().Fired(kept), 1);
      EXPECT_TRUE(status.ok()) << Decode(status).error.ShortDebugString();
      EXPECT_EQ(Rows(), ++rows);
      if (way == std::string("idempotency_key")) continue;  // it is answered from what was kept
      const auto lost = Fault("^COMMIT", FaultPoint::kBeforeRequest);
      ExpectElsewhere(RunAs(way, connection, sql));
      EXPECT_EQ(proxy().Fired(lost), 1);
      EXPECT_EQ(Rows(), rows);
    }
    Here("DELETE FROM engine_db.calls");
  }
}

// --- the link breaks before COMMIT: postgres_fdw undoes with this server

TEST_F(Elsewhere, WhatWaitsForCommitOnAForeignTableIsUndoneWithTheTransaction) {
  AddForeignTable();
  const std::string connection = OpenHere();
  const std::string transaction = Begin(connection).response.transaction_id();
  ASSERT_TRUE(ExecuteIn(connection, transaction, "INSERT INTO far VALUES (1)").ok());
  TerminateBackends("state = 'idle in transaction'");
  ASSERT_TRUE(WaitUntilLost(connection, transaction)) << "or COMMIT may be sent, and with it to the other server";
  const Failure failure = Decode(Commit(connection, transaction).status);
  EXPECT_EQ(failure.error.outcome(), v1::OUTCOME_ROLLED_BACK) << failure.error.ShortDebugString();
  EXPECT_EQ(failure.error.reason(), "TRANSACTION_LOST");
  EXPECT_TRUE(WaitUntil(kSoon, [&] { return Rows() == 0; }));

  const auto rule = Fault("^INSERT", FaultPoint::kBeforeReply);
  EXPECT_TRUE(RunAs("exactly_once", connection, "INSERT INTO far VALUES (1)").ok()) << "it is run again";
  EXPECT_EQ(proxy().Fired(rule), 1);
  EXPECT_TRUE(WaitUntil(kSoon, [&] { return Rows() == 1; }));
}

// --- functions: what they do is done at once

TEST_F(Elsewhere, WhatAFunctionDidIsNotToldAsUndone) {
  AddFunction();
  Here(
      "CREATE TABLE audited (n int); CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM "
      "insert_far(); RETURN NEW; END $$; CREATE TRIGGER audit AFTER INSERT ON audited FOR EACH ROW EXECUTE FUNCTION "
      "audit(); CREATE VIEW calls AS SELECT insert_far() AS n; CREATE TABLE defaulting (n int DEFAULT insert_far(), m "
      "int); "
      "CREATE TABLE checked (n int CHECK (insert_far() = n)); GRANT ALL ON audited, calls, defaulting, checked TO app");
  int rows = 0;
  for (const char* sql :
       {"SELECT insert_far()", "DO $$ BEGIN PERFORM insert_far(); END $$", "SELECT n FROM calls",
        "INSERT INTO audited VALUES (1)", "INSERT INTO defaulting (m) VALUES (1)", "INSERT INTO checked VALUES (1)"}) {
    SCOPED_TRACE(sql);
    const std::string connection = OpenHere();
    // The backend goes between the statement and COMMIT.
    const std::string transaction = Begin(connection).response.transaction_id();
    const auto run = ExecuteIn(connection, transaction, sql);
    ASSERT_TRUE(run.ok()) << run.status.error_message();
    TerminateBackends("state = 'idle in transaction'");
    ExpectElsewhere(ExecuteIn(connection, transaction, sql).status);
    ExpectElsewhere(Commit(connection, transaction).status);
    EXPECT_EQ(Rows(), ++rows);
    // COMMIT's request is lost.
    const auto rule = Fault("^COMMIT", FaultPoint::kBeforeRequest);
    ExpectElsewhere(RunAs("transaction", connection, sql));
    EXPECT_EQ(proxy().Fired(rule), 1);
    EXPECT_EQ(Rows(), ++rows);
  }
}

TEST_F(Elsewhere, AFunctionIsNotRunAgainWhereverTheLinkBreaks) {
  AddFunction();
  int rows = 0;
  for (const char* way : {"one call", "batch", "exactly_once", "idempotency_key"}) {
    for (const char* statement : {"^SELECT insert_far", "pg_current_xact_id", "^COMMIT"}) {
      for (const FaultPoint point : {FaultPoint::kAfterRequest, FaultPoint::kBeforeReply}) {
        SCOPED_TRACE(std::string(way) + ", " + statement + " at " + std::to_string(static_cast<int>(point)));
        const std::string connection = OpenHere();
        const auto rule = Fault(statement, point);
        const grpc::Status status = RunAs(way, connection, "SELECT insert_far()");
        EXPECT_EQ(proxy().Fired(rule), 1);
        const v1::Outcome outcome = status.ok() ? v1::OUTCOME_COMMITTED : Decode(status).error.outcome();
        EXPECT_TRUE(outcome == v1::OUTCOME_COMMITTED || outcome == v1::OUTCOME_UNKNOWN) << status.error_message();
        EXPECT_TRUE(WaitUntil(kSoon, [&] { return Active() == 0; }));
        EXPECT_EQ(Rows(), ++rows);
        if (Here("SELECT to_regclass('engine_db.calls')")[0][0].is_null()) continue;
        Here("DELETE FROM engine_db.calls");
      }
    }
  }
}

TEST_F(Elsewhere, AFunctionIsNotRunAgainBecauseOfWhatFailsAfterIt) {
  AddFunction();
  Here(
      "CREATE FUNCTION fail() RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM insert_far(); RAISE 'in the way' USING "
      "ERRCODE = '40001'; END $$");
  int rows = 0;
  for (const char* way : {"autocommit", "one call", "batch", "exactly_once", "transaction"}) {
    SCOPED_TRACE(way);
    const Failure failure = Decode(RunAs(way, OpenHere(), "SELECT fail()"));
    EXPECT_EQ(failure.error.sqlstate(), "40001");
    EXPECT_FALSE(failure.error.retryable()) << failure.error.ShortDebugString();
    EXPECT_EQ(Rows(), ++rows);
  }
}

TEST_F(Elsewhere, WhereNoFunctionCanActOutsideATransactionIsRunAgain) {
  Here(
      "CREATE SEQUENCE attempts; GRANT ALL ON attempts TO app; CREATE FUNCTION fail() RETURNS int LANGUAGE plpgsql AS "
      "$$ "
      "BEGIN IF nextval('attempts') < 3 THEN RAISE 'in the way' USING ERRCODE = '40001'; END IF; RETURN 1; END $$");
  EXPECT_TRUE(RunAs("exactly_once", OpenHere(), "SELECT fail()").ok());
  const auto rule = Fault("^SELECT fail", FaultPoint::kBeforeReply);
  EXPECT_TRUE(RunAs("exactly_once", OpenHere(), "SELECT fail()").ok());
  EXPECT_EQ(proxy().Fired(rule), 1);
}

// A language that is not trusted: here one that PL/pgSQL's handler runs, so that none has to be installed.
TEST_F(Elsewhere, LanguagesThatMayDoAnythingCount) {
  const std::string connection = OpenHere();
  ASSERT_TRUE(RunAs("transaction", connection, "SELECT 1").ok());
  // After the gateway has looked at the database.
  Here(
      "CREATE LANGUAGE anything HANDLER plpgsql_call_handler; CREATE FUNCTION f() RETURNS int LANGUAGE anything AS "
      "'BEGIN RETURN 1; END'");
  static_cast<void>(Fault("^COMMIT", FaultPoint::kBeforeRequest));
  ExpectElsewhere(RunAs("transaction", connection, "SELECT f()"));
}

TEST_F(Elsewhere, AReplayedTransactionIsNotRunAgainWhenItActedAtOnce) {
  AddFunction();
  const std::string connection = OpenHere();
  v1::TransactionOptions options;
  options.set_replay(true);
  const std::string transaction = Begin(connection, options).response.transaction_id();
  ASSERT_TRUE(ExecuteIn(connection, transaction, "SELECT insert_far()").ok());
  TerminateBackends("state = 'idle in transaction'");
  ExpectElsewhere(ExecuteIn(connection, transaction, "INSERT INTO local VALUES (1)").status);
  EXPECT_EQ(Rows(), 1);
}

// --- PostgreSQL refuses to commit

// The first of two foreign servers has committed when the second one fails.
TEST_F(Elsewhere, ACommitThatFailedOnTheSecondServerIsUnknown) {
  FaultProxy second(Postgres().host(), Postgres().port());
  AddForeignTable("far");
  AddForeignTable("farther", second.port());
  const std::string both = "WITH one AS (INSERT INTO far VALUES (1)) INSERT INTO farther VALUES (2)";
  for (const char* way : {"autocommit", "transaction", "one call", "batch", "exactly_once"}) {
    SCOPED_TRACE(way);
    const auto rule = second.Add({.statement = "^COMMIT TRANSACTION", .point = FaultPoint::kBeforeRequest});
    const int before = Rows();
    const std::string connection = OpenHere();
    const grpc::Status status = RunAs(way, connection, both);
    EXPECT_EQ(second.Fired(rule), 1);
    const Failure failure = Decode(status);
    EXPECT_EQ(failure.error.outcome(), v1::OUTCOME_UNKNOWN) << failure.error.ShortDebugString();
    EXPECT_EQ(failure.error.phase(), v1::PHASE_COMMITTING);
    EXPECT_FALSE(failure.error.retryable());
    if (way == std::string("transaction")) {
      EXPECT_EQ(OutcomeByHandle(connection), v1::OUTCOME_UNKNOWN);
      ExpectElsewhere(Commit(connection, transaction_).status);
    }
    EXPECT_LE(Rows(), before + 1);
    second.Heal();
  }
}

// The check for serializability comes last.
TEST_F(Elsewhere, ASerializationFailureAtCommitIsUnknownWithForeignTables) {
  AddForeignTable();
  for (const bool foreign : {true, false}) {
    SCOPED_TRACE(foreign);
    Here("TRUNCATE local; INSERT INTO local VALUES (1), (2)");
    const std::string connection = OpenHere();
    v1::TransactionOptions options;
    options.set_isolation_level(v1::ISOLATION_LEVEL_SERIALIZABLE);
    const std::string first = Begin(connection, options).response.transaction_id();
    const std::string second = Begin(connection, options).response.transaction_id();
    // Each reads what the other one writes.
    for (const std::string& transaction : {first, second}) {
      const auto read = ExecuteIn(connection, transaction, "SELECT sum(n) FROM local");
      EXPECT_TRUE(read.ok()) << Decode(read.status).error.ShortDebugString();
      const char* const sql = foreign ? "INSERT INTO far VALUES (1)" : "SELECT 1";
      EXPECT_TRUE(ExecuteIn(connection, transaction, sql).ok());
    }
    for (const std::string& transaction : {first, second}) {
      ASSERT_TRUE(ExecuteIn(connection, transaction, "INSERT INTO local VALUES (3)").ok());
    }
    ASSERT_TRUE(Commit(connection, first).ok());
    const Failure failure = Decode(Commit(connection, second).status);
    EXPECT_EQ(failure.error.sqlstate(), "40001") << failure.error.ShortDebugString();
    EXPECT_EQ(failure.error.outcome(), foreign ? v1::OUTCOME_UNKNOWN : v1::OUTCOME_ROLLED_BACK);
    EXPECT_EQ(failure.error.retryable(), !foreign);
  }
}

// --- what is only this server's, although it may have no id of its own

TEST_F(Elsewhere, WhatThisServerDoesByItselfIsTold) {
  Here(
      "CREATE SEQUENCE numbers; CREATE UNLOGGED TABLE volatile (n int); CREATE FUNCTION nothing() RETURNS int LANGUAGE "
      "sql "
      "AS 'SELECT 1'; GRANT ALL ON numbers, volatile TO app");
  for (const char* sql :
       {"UPDATE local SET n = 1", "SELECT nextval('numbers')", "SELECT setval('numbers', 5)", "NOTIFY channel",
        "SELECT pg_notify('channel', '')", "SELECT lo_create(0)", "SELECT pg_advisory_xact_lock(1)",
        "INSERT INTO volatile VALUES (1)", "SELECT nothing()", "SET CONSTRAINTS ALL IMMEDIATE"}) {
    SCOPED_TRACE(sql);
    for (const char* way : {"transaction", "batch", "exactly_once"}) {
      SCOPED_TRACE(way);
      const std::string connection = OpenHere(1);
      const auto kept = Fault("^COMMIT", FaultPoint::kBeforeReply);
      const grpc::Status status = RunAs(way, connection, sql);
      EXPECT_EQ(proxy().Fired(kept), 1);
      EXPECT_TRUE(status.ok()) << Decode(status).error.ShortDebugString();
      const auto lost = Fault("^COMMIT", FaultPoint::kBeforeRequest);
      const Failure failure = Decode(RunAs(way, connection, sql));
      EXPECT_EQ(proxy().Fired(lost), 1);
      EXPECT_EQ(failure.error.outcome(), v1::OUTCOME_ROLLED_BACK) << failure.error.ShortDebugString();
    }
  }
}

TEST_F(Elsewhere, TransactionsThatOnlyReadGetNoId) {
  AddForeignTable();
  Here(
      "CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw; CREATE FOREIGN TABLE words (w "
      "text) "
      "SERVER files OPTIONS (program 'echo word'); GRANT ALL ON words TO app");
  const std::string connection = OpenHere();
  for (const char* sql :
       {"SELECT n FROM local", "SELECT w FROM words", "SHOW work_mem", "SET LOCAL work_mem = '1MB'"}) {
    const std::string transaction = Begin(connection).response.transaction_id();
    ASSERT_TRUE(ExecuteIn(connection, transaction, sql).ok());
    const auto asked = ExecuteIn(connection, transaction, "SELECT pg_current_xact_id_if_assigned() IS NULL");
    EXPECT_TRUE(Cell(asked).bool_value()) << sql;
    EXPECT_EQ(asked.response.transaction().recovery_token(), "");
    const auto rule = Fault("^COMMIT", FaultPoint::kBeforeReply);
    EXPECT_EQ(Decode(Commit(connection, transaction).status).error.outcome(), v1::OUTCOME_ROLLED_BACK) << sql;
    EXPECT_EQ(proxy().Fired(rule), 1);
  }
}

}  // namespace
}  // namespace engine::db::test

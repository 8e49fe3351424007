// Nothing of a session passes from one caller to the next: every kind of state that a session of PostgreSQL has, in
// every way in which a caller can come to have set it. The pool has one backend, so that the next caller gets the same
// one, or one that replaced it.
#include "tests/integration/gateway_calls.h"
#include "tests/support/wait.h"

namespace engine::db::test {
namespace {

// Something a session keeps.
struct Kind {
  std::string name;
  std::vector<std::string> set;  // run one after the other by the first caller
  std::string probe;             // one cell, or an error, which is another one for the next caller if it sees anything
  bool refused_in_transaction = false;  // PostgreSQL refuses `set` there
};

const std::vector<Kind>& Kinds() {
  static const auto* const kinds = new std::vector<Kind>{
      {"SET", {"SET work_mem = '77MB'"}, "SELECT current_setting('work_mem')"},
      {"SET of a limit", {"SET statement_timeout = '77s'"}, "SELECT current_setting('statement_timeout')"},
      {"set_config", {"SELECT set_config('work_mem', '77MB', false)"}, "SELECT current_setting('work_mem')"},
      {"a setting of one's own",
       {"SET myapp.tenant = 'canary'"},
       "SELECT coalesce(current_setting('myapp.tenant', true), '')"},
      {"the time zone", {"SET TIME ZONE 'Asia/Kathmandu'"}, "SELECT current_setting('TimeZone')"},
      {"DateStyle", {"SET DateStyle = 'SQL, DMY'"}, "SELECT current_setting('DateStyle')"},
      {"the client's encoding",
       {"SELECT set_config('client_' || 'encoding', 'LATIN1', false)"},
       "SELECT current_setting('client_encoding')"},
      {"search_path", {"SET search_path = matrix"}, "SELECT current_setting('search_path')"},
      {"SET ROLE", {"SET ROLE app"}, "SELECT current_user"},
      {"SET SESSION AUTHORIZATION", {"SET SESSION AUTHORIZATION app"}, "SELECT session_user"},
      {"SESSION CHARACTERISTICS",
       {"SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE"},
       "SELECT current_setting('default_transaction_isolation')"},
      {"RESET", {"RESET ALL"}, "SELECT 'clean'"},  // of the gateway's own guard
      {"LISTEN", {"LISTEN gossip"}, "SELECT count(*) FROM pg_listening_channels()"},
      {"a temporary table", {"CREATE TEMPORARY TABLE leak (secret text)"}, "SELECT count(*) FROM leak"},
      {"SELECT INTO TEMPORARY", {"SELECT 'canary' AS secret INTO TEMPORARY leak"}, "SELECT count(*) FROM leak"},
      {"a temporary view", {"CREATE TEMPORARY VIEW leak AS SELECT 'canary' AS secret"}, "SELECT count(*) FROM leak"},
      {"a temporary sequence", {"CREATE TEMPORARY SEQUENCE leak"}, "SELECT count(*) FROM leak"},
      {"a temporary function",
       {"CREATE FUNCTION pg_temp.leak() RETURNS text LANGUAGE sql AS $$ SELECT 'canary' $$"},
       "SELECT pg_temp.leak()"},
      {"a temporary type", {"CREATE TYPE pg_temp.leak AS ENUM ('canary')"}, "SELECT 'canary'::pg_temp.leak"},
      {"an advisory lock",
       {"SELECT pg_advisory_lock(4711)"},
       "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"},
      {"an advisory lock that was tried for",
       {"SELECT pg_try_advisory_lock_shared(4712)"},
       "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"},
      {"PREPARE", {"PREPARE leak AS SELECT 'canary'"}, "SELECT count(*) FROM pg_prepared_statements WHERE from_sql"},
      {"a cursor WITH HOLD",
       {"DECLARE leak CURSOR WITH HOLD FOR SELECT 'canary'"},
       "SELECT count(*) FROM pg_cursors WHERE name = 'leak'"},
      {"currval", {"SELECT nextval('matrix.numbers')"}, "SELECT currval('matrix.numbers')"},
      {"currval after setval", {"SELECT setval('matrix.numbers', 4711)"}, "SELECT currval('matrix.numbers')"},
      {"lastval", {"INSERT INTO matrix.items (what) VALUES ('canary')"}, "SELECT lastval()"},
      {"lastval within an expression",
       {"INSERT INTO matrix.items (what) VALUES ('canary') RETURNING id"},
       "SELECT coalesce(nullif(lastval(), 0), 0)"},
      {"lastval of a view", {"INSERT INTO matrix.items (what) VALUES ('canary')"}, "SELECT * FROM matrix.last_value"},
      {"lastval of a function",
       {"INSERT INTO matrix.items (what) VALUES ('canary')"},
       "SELECT matrix.last_value_of_session()"},
      {"the seed of random()", {"SELECT setseed(0.5)"}, "SELECT random()"},
      {"a library", {"LOAD 'auto_explain'"}, "SELECT current_setting('auto_explain.log_min_duration', true) IS NULL"},
      {"a connection of dblink",
       {"SELECT dblink_connect('leak', 'host=127.0.0.1 user=matrix password=matrix dbname=app port=' || "
        "current_setting('port'))"},
       "SELECT coalesce(array_length(dblink_get_connections(), 1), 0)"},
      {"DO", {"DO $$ BEGIN SET work_mem = '77MB'; END $$"}, "SELECT current_setting('work_mem')"},
      {"DO with COMMIT",
       {"DO $$ BEGIN SET work_mem = '77MB'; COMMIT; END $$"},
       "SELECT current_setting('work_mem')",
       true},
      {"CALL", {"CALL matrix.set_setting()"}, "SELECT current_setting('work_mem')"},
      {"CALL with COMMIT",
       {"CALL matrix.set_and_commit()"},
       "SELECT current_setting('work_mem') || (SELECT count(*) FROM pg_class WHERE relname = 'leak' AND "
       "pg_table_is_visible(oid))",
       true},
      {"a function with set_config", {"SELECT matrix.set_setting_of_function()"}, "SELECT current_setting('work_mem')"},
      {"a function with a lock",
       {"SELECT matrix.take_lock()"},
       "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"},
      {"a function with a temporary table", {"SELECT matrix.make_table()"}, "SELECT count(*) FROM leak"},
      {"a function with PREPARE",
       {"SELECT matrix.prepare_statement()"},
       "SELECT count(*) FROM pg_prepared_statements WHERE from_sql"},
      {"a function with LISTEN", {"SELECT matrix.start_listening()"}, "SELECT count(*) FROM pg_listening_channels()"},
      {"a function with setseed", {"SELECT matrix.seed()"}, "SELECT random()"},
      {"EXPLAIN ANALYZE",
       {"EXPLAIN ANALYZE SELECT matrix.set_setting_of_function()"},
       "SELECT current_setting('work_mem')"},
      {"a function in FROM", {"SELECT * FROM matrix.set_setting_of_function()"}, "SELECT current_setting('work_mem')"},
      {"a function in INSERT",
       {"INSERT INTO matrix.items (what) SELECT matrix.set_setting_of_function()"},
       "SELECT current_setting('work_mem')"},
      {"DISCARD", {"DISCARD ALL"}, "SELECT 'clean'", true},
      {"DEALLOCATE", {"DEALLOCATE ALL"}, "SELECT 'clean'"},
      {"a trigger with a time zone", {"INSERT INTO matrix.triggers VALUES (1)"}, "SELECT current_setting('TimeZone')"},
      {"a view with DateStyle", {"SELECT * FROM matrix.setting_view"}, "SELECT current_setting('DateStyle')"},
      {"an operator with a role", {"SELECT 1 OPERATOR(matrix.@!) 2"}, "SELECT session_user"},
      {"a function in a default that is being made",
       {"CREATE TABLE matrix.scratch AS SELECT matrix.set_setting_of_function()", "DROP TABLE matrix.scratch"},
       "SELECT current_setting('work_mem')"},
  };
  return *kinds;
}

constexpr char kSetUp[] = R"(
CREATE ROLE matrix SUPERUSER LOGIN PASSWORD 'matrix';
CREATE EXTENSION dblink;
CREATE SCHEMA matrix;
CREATE SEQUENCE matrix.numbers;
CREATE TABLE matrix.items (id serial PRIMARY KEY, what text);
CREATE VIEW matrix.last_value AS SELECT lastval() AS last_value;
CREATE FUNCTION matrix.last_value_of_session() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN lastval(); END';
CREATE PROCEDURE matrix.set_setting() LANGUAGE plpgsql AS
  $$ BEGIN PERFORM set_config('work_mem', '77MB', false); END $$;
CREATE PROCEDURE matrix.set_and_commit() LANGUAGE plpgsql AS
  $$ BEGIN SET work_mem = '77MB'; COMMIT; CREATE TEMPORARY TABLE leak (secret text); COMMIT; END $$;
CREATE FUNCTION matrix.set_setting_of_function() RETURNS text LANGUAGE plpgsql AS
  $$ BEGIN RETURN set_config('work_mem', '77MB', false); END $$;
CREATE FUNCTION matrix.take_lock() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_lock(4713); END $$;
CREATE FUNCTION matrix.make_table() RETURNS void LANGUAGE plpgsql AS
  $$ BEGIN CREATE TEMPORARY TABLE leak AS SELECT 'canary' AS secret; END $$;
CREATE FUNCTION matrix.prepare_statement() RETURNS void LANGUAGE plpgsql AS
  $$ BEGIN EXECUTE 'PREPARE leak AS SELECT 1'; END $$;
CREATE FUNCTION matrix.start_listening() RETURNS void LANGUAGE plpgsql AS $$ BEGIN LISTEN gossip; END $$;
CREATE FUNCTION matrix.set_time_zone() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN SET TIME ZONE 'Asia/Kathmandu'; RETURN NEW; END $$;
CREATE TABLE matrix.triggers (n int);
CREATE TRIGGER sets BEFORE INSERT ON matrix.triggers FOR EACH ROW EXECUTE FUNCTION matrix.set_time_zone();
CREATE VIEW matrix.setting_view AS SELECT set_config('DateStyle', 'SQL, DMY', false);
CREATE FUNCTION matrix.become(int, int) RETURNS text LANGUAGE plpgsql AS
  $$ BEGIN SET SESSION AUTHORIZATION app; RETURN session_user; END $$;
CREATE OPERATOR matrix.@! (FUNCTION = matrix.become, LEFTARG = int, RIGHTARG = int);
CREATE VIEW matrix.table_view AS SELECT matrix.make_table()::text;
CREATE FUNCTION matrix.seed() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM setseed(0.5); END $$;
)";

// How the first caller's statements run.
enum class Mode {
  kAutocommit,
  kStream,
  kAtomicBatch,
  kIndependentBatch,
  kCommitted,
  kRolledBack,
  kExpired,    // the lease of the transaction ran out
  kVanished,   // the caller went away with the transaction open
  kCancelled,  // the transaction's next statement was cancelled at its deadline
};

std::string NameOf(const testing::TestParamInfo<Mode>& info) {
  static constexpr const char* kNames[] = {"Autocommit", "Stream",  "AtomicBatch", "IndependentBatch", "Committed",
                                           "RolledBack", "Expired", "Vanished",    "Cancelled"};
  return kNames[static_cast<size_t>(info.param)];
}

class SessionMatrix : public GatewayCallsTest, public testing::WithParamInterface<Mode> {
 protected:
  void SetUp() override {
    static const pqxx::result once = Postgres().Exec(kSetUp);
    first_ = Open(ConnectAsMatrix());
    second_ = Open(ConnectAsMatrix());
  }

  [[nodiscard]] v1::ConnectRequest ConnectAsMatrix() const {
    v1::ConnectRequest request = ConnectTo(1);
    request.mutable_config()->set_user("matrix");
    request.mutable_config()->set_password("matrix");
    return request;
  }

  // What the probe shows in a session of PostgreSQL itself, after these statements.
  static std::string Direct(const std::vector<std::string>& set, const std::string& probe) {
    pqxx::connection connection("host=" + Postgres().host() + " port=" + std::to_string(Postgres().port()) +
                                " user=matrix password=matrix dbname=" + Postgres().dbname());
    pqxx::nontransaction work(connection);
    try {
      const bool cursor = set[0].starts_with("DECLARE");
      if (cursor) work.exec("BEGIN");
      for (const std::string& sql : set) work.exec(sql);
      if (cursor) work.exec("COMMIT");
      return work.exec(probe)[0][0].c_str();
    } catch (const pqxx::sql_error& error) {
      return "error " + error.sqlstate();
    }
  }

  static std::string Shown(const Answer<v1::ExecuteResponse>& answer) {
    if (!answer.ok()) return "error " + Decode(answer.status).error.sqlstate();
    return Cell(answer).ShortDebugString();
  }

  // The second caller's look, outside a transaction or in one.
  std::string Probe(const Kind& kind, bool in_transaction) {
    const std::string sql = "SELECT (" + kind.probe + ")::text";
    if (!in_transaction) return Shown(Execute(second_, sql));
    const auto begun = Begin(second_);
    EXPECT_TRUE(begun.ok()) << begun.status.error_message();
    std::string shown = Shown(ExecuteIn(second_, begun.response.transaction_id(), sql));
    EXPECT_TRUE(Rollback(second_, begun.response.transaction_id()).ok());
    return shown;
  }

  void Set(const Kind& kind) {
    switch (GetParam()) {
      case Mode::kAutocommit:
        for (const std::string& sql : kind.set) ExpectOk(kind, Execute(first_, sql).status, /*in_transaction=*/false);
        return;
      case Mode::kStream:
        for (const std::string& sql : kind.set) {
          v1::ExecuteStreamRequest request;
          request.set_connection_id(first_);
          request.set_sql(sql);
          ExpectOk(kind, Stream(request).status, /*in_transaction=*/false);
        }
        return;
      case Mode::kAtomicBatch:
        SetByBatch(kind, /*atomic=*/true);
        return;
      case Mode::kIndependentBatch:
        SetByBatch(kind, /*atomic=*/false);
        return;
      case Mode::kCommitted: {
        const std::string transaction = SetInTransaction(kind);
        static_cast<void>(Commit(first_, transaction));  // refused when a statement failed, which ends it as well
        return;
      }
      case Mode::kRolledBack:
        EXPECT_TRUE(Rollback(first_, SetInTransaction(kind)).ok());
        return;
      case Mode::kExpired: {
        v1::TransactionOptions options;
        options.set_idle_timeout_ms(500);
        static_cast<void>(SetInTransaction(kind, options));  // the next caller waits until it has expired
        return;
      }
      case Mode::kVanished:
        SetAndVanish(kind);
        return;
      case Mode::kCancelled: {
        const std::string transaction = SetInTransaction(kind);
        v1::ExecuteRequest request;
        request.set_connection_id(first_);
        request.set_transaction_id(transaction);
        request.set_sql("SELECT pg_sleep(60)");
        EXPECT_FALSE(Call(&Stub::Execute, request, milliseconds(100)).ok());
        EXPECT_TRUE(Rollback(first_, transaction).ok());
        return;
      }
    }
  }

  void ExpectOk(const Kind& kind, const grpc::Status& status, bool in_transaction) {
    if (in_transaction && kind.refused_in_transaction) return;
    // On a loaded machine the lease may run out before anything was set.
    if (status.error_code() == grpc::StatusCode::FAILED_PRECONDITION && GetParam() == Mode::kExpired) return;
    EXPECT_TRUE(status.ok()) << kind.name << ": " << status.error_message();
  }

  void SetByBatch(const Kind& kind, bool atomic) {
    v1::ExecuteBatchRequest request;
    request.set_connection_id(first_);
    request.set_atomic(atomic);
    for (const std::string& sql : kind.set) request.add_statements()->set_sql(sql);
    const auto answer = Call(&Stub::ExecuteBatch, request);
    ExpectOk(kind, answer.status, atomic);
    for (const v1::BatchResult& result : answer.response.results()) {
      EXPECT_FALSE(result.has_error() && result.error().message() != "")
          << kind.name << ": " << result.error().message();
    }
  }

  std::string SetInTransaction(const Kind& kind, const v1::TransactionOptions& options = {}) {
    const auto begun = Begin(first_, options);
    EXPECT_TRUE(begun.ok()) << begun.status.error_message();
    for (const std::string& sql : kind.set) {
      ExpectOk(kind, ExecuteIn(first_, begun.response.transaction_id(), sql).status, /*in_transaction=*/true);
    }
    return begun.response.transaction_id();
  }

  void SetAndVanish(const Kind& kind) {
    grpc::ClientContext context;
    const auto stream = stub().Session(&context);
    v1::SessionRequest request;
    request.add_calls()->set_correlation_id(1);
    request.mutable_calls(0)->mutable_begin()->set_connection_id(first_);
    ASSERT_TRUE(stream->Write(request));
    v1::SessionResponse response;
    ASSERT_TRUE(stream->Read(&response));
    const std::string transaction = response.replies(0).begin().transaction_id();
    ASSERT_FALSE(transaction.empty()) << response.ShortDebugString();
    for (const std::string& sql : kind.set) {
      v1::ExecuteRequest& execute = *request.mutable_calls(0)->mutable_execute();
      execute.set_connection_id(first_);
      execute.set_transaction_id(transaction);
      execute.set_sql(sql);
      ASSERT_TRUE(stream->Write(request));
      ASSERT_TRUE(stream->Read(&response));
      EXPECT_TRUE(response.replies(0).has_execute() || kind.refused_in_transaction) << response.ShortDebugString();
    }
    context.TryCancel();
    static_cast<void>(stream->Finish());
  }

  int64_t Pid(const std::string& connection) {
    return Cell(Execute(connection, "SELECT pg_backend_pid()")).int64_value();
  }

  std::string first_;
  std::string second_;
};

TEST_P(SessionMatrix, NothingPassesToTheNextCaller) {
  int reset = 0;
  int replaced = 0;
  for (const Kind& kind : Kinds()) {
    for (const bool in_transaction : {false, true}) {
      if (in_transaction && GetParam() == Mode::kExpired) continue;  // each takes as long as the lease
      SCOPED_TRACE(kind.name + (in_transaction ? ", seen in a transaction" : ""));
      // What a session of one's own would show: so the probe can tell.
      const std::string leaked = Direct(kind.set, "SELECT (" + kind.probe + ")::text");
      const int64_t pid = Pid(first_);
      const std::string before = Probe(kind, in_transaction);
      Set(kind);
      const std::string after = Probe(kind, in_transaction);
      // What only disturbs the gateway's own state leaves nothing to be seen.
      if (kind.probe != "SELECT 'clean'") {
        EXPECT_EQ(after.find('"' + leaked + '"'), std::string::npos) << after;
      }
      if (kind.probe != "SELECT random()") {
        EXPECT_EQ(after, before);
      }
      const int64_t pid_after = Pid(second_);
      if (pid_after == pid) {
        ++reset;
      } else {
        ++replaced;
        // The link is closed; PostgreSQL's process takes a moment longer.
        EXPECT_TRUE(WaitUntil(std::chrono::seconds(10), [&] {
          return Number("SELECT count(*) FROM pg_stat_activity WHERE pid = " + std::to_string(pid)) == 0;
        }));
      }
    }
  }
  RecordProperty("same_backend", reset);
  RecordProperty("replaced", replaced);
  std::cout << reset << " times the same backend, " << replaced << " times another one\n";
}

class SessionMatrixOnce : public SessionMatrix {};

// A read runs behind default_transaction_read_only. If that refuses it, it runs code that its text does not show, and
// is repeated on a backend of its own, which is reset afterwards.
TEST_P(SessionMatrixOnce, WhatTheGuardRefusedIsReset) {
  EXPECT_EQ(Shown(Execute(first_, "SELECT * FROM matrix.table_view")), "text_value: \"\"");
  EXPECT_EQ(Shown(Execute(second_, "SELECT count(*) FROM leak")), "error 42P01");
}

// A statement that takes prepared statements away leaves the gateway knowing which are left.
TEST_P(SessionMatrixOnce, PreparedStatementsAreForgottenWithinALease) {
  v1::ExecuteBatchRequest request;
  request.set_connection_id(first_);
  for (const char* sql : {"SELECT 41 + 1", "DISCARD ALL", "SELECT 41 + 1", "DEALLOCATE ALL", "SELECT 41 + 1"}) {
    request.add_statements()->set_sql(sql);
  }
  const auto answer = Call(&Stub::ExecuteBatch, request);
  ASSERT_TRUE(answer.ok()) << answer.status.error_message();
  for (const v1::BatchResult& result : answer.response.results()) {
    EXPECT_FALSE(result.has_error()) << result.error().message();
  }
  const auto begun = Begin(first_);
  for (const char* sql : {"SELECT 41 + 1", "DEALLOCATE ALL", "SELECT 41 + 1"}) {
    EXPECT_TRUE(ExecuteIn(first_, begun.response.transaction_id(), sql).ok()) << sql;
  }
  EXPECT_TRUE(Commit(first_, begun.response.transaction_id()).ok());
}

// One's own currval() and lastval() work where they mean something: in a transaction, and in a batch.
TEST_P(SessionMatrixOnce, SequencesAreOnesOwnWithinATransaction) {
  const auto begun = Begin(first_);
  const std::string& transaction = begun.response.transaction_id();
  const std::string id =
      Shown(ExecuteIn(first_, transaction, "INSERT INTO matrix.items (what) VALUES ('mine') RETURNING id"));
  EXPECT_EQ(Shown(ExecuteIn(first_, transaction, "SELECT lastval()")), id);
  EXPECT_TRUE(Commit(first_, transaction).ok());
  v1::ExecuteBatchRequest request;
  request.set_connection_id(first_);
  request.add_statements()->set_sql("INSERT INTO matrix.items (what) VALUES ('mine') RETURNING id");
  request.add_statements()->set_sql("SELECT lastval()");
  const auto answer = Call(&Stub::ExecuteBatch, request);
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer.response.results(0).response().rows(0).values(0).int64_value(),
            answer.response.results(1).response().rows(0).values(0).int64_value());
  // Outside of one, nobody can say whose it would be: an error each time, rather than a wrong number sometimes.
  EXPECT_EQ(Shown(Execute(first_, "SELECT lastval()")), "error 55000");
}

INSTANTIATE_TEST_SUITE_P(Once, SessionMatrixOnce, testing::Values(Mode::kAutocommit), NameOf);
INSTANTIATE_TEST_SUITE_P(Ways, SessionMatrix,
                         testing::Values(Mode::kAutocommit, Mode::kStream, Mode::kAtomicBatch, Mode::kIndependentBatch,
                                         Mode::kCommitted, Mode::kRolledBack, Mode::kExpired, Mode::kVanished,
                                         Mode::kCancelled),
                         NameOf);

}  // namespace
}  // namespace engine::db::test

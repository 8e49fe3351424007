// What a caller hears of each failure: shared/reliability.md's table, row by row, as far as SQL can provoke it. (What
// takes a broken link is in failures_test.cc and tests/fault.)
#include "tests/integration/gateway_calls.h"

namespace engine::db::test {
namespace {

using grpc::StatusCode;
using testing::HasSubstr;
using testing::Not;

struct Row {
  const char* sqlstate;
  StatusCode code;
  v1::ErrorKind kind;
  v1::Outcome outcome;
  bool repeated;  // by the gateway, as an autocommit statement
  StatusCode code_in_transaction;
};

constexpr v1::ErrorKind kConnection = v1::ERROR_KIND_CONNECTION;
constexpr v1::ErrorKind kExecution = v1::ERROR_KIND_EXECUTION;
constexpr v1::ErrorKind kTimeout = v1::ERROR_KIND_TIMEOUT;
constexpr v1::ErrorKind kTransaction = v1::ERROR_KIND_TRANSACTION;
constexpr v1::Outcome kNotExecuted = v1::OUTCOME_NOT_EXECUTED;
constexpr v1::Outcome kRolledBack = v1::OUTCOME_ROLLED_BACK;
constexpr v1::Outcome kUnknown = v1::OUTCOME_UNKNOWN;

// Raised by a function while its session goes on.
const std::vector<Row> kRows = {
    {"40001", StatusCode::ABORTED, kTransaction, kRolledBack, true, StatusCode::ABORTED},
    {"40P01", StatusCode::ABORTED, kTransaction, kRolledBack, true, StatusCode::ABORTED},
    {"40000", StatusCode::ABORTED, kTransaction, kRolledBack, false, StatusCode::ABORTED},
    {"40002", StatusCode::ABORTED, kTransaction, kRolledBack, false, StatusCode::ABORTED},
    {"40003", StatusCode::UNKNOWN, kTransaction, kUnknown, false, StatusCode::UNKNOWN},
    {"08007", StatusCode::UNKNOWN, kTransaction, kUnknown, false, StatusCode::UNKNOWN},
    {"08006", StatusCode::UNKNOWN, kConnection, kUnknown, false, StatusCode::UNKNOWN},
    {"57P01", StatusCode::UNKNOWN, kConnection, kUnknown, false, StatusCode::UNKNOWN},
    {"08001", StatusCode::UNAVAILABLE, kConnection, kRolledBack, true, StatusCode::UNAVAILABLE},
    {"55P03", StatusCode::ABORTED, kTimeout, kRolledBack, true, StatusCode::ABORTED},
    {"53000", StatusCode::RESOURCE_EXHAUSTED, kExecution, kRolledBack, false, StatusCode::ABORTED},
    {"53100", StatusCode::RESOURCE_EXHAUSTED, kExecution, kRolledBack, false, StatusCode::ABORTED},
    {"53200", StatusCode::RESOURCE_EXHAUSTED, kExecution, kRolledBack, false, StatusCode::ABORTED},
    {"53400", StatusCode::RESOURCE_EXHAUSTED, kExecution, kRolledBack, false, StatusCode::ABORTED},
    {"57014", StatusCode::CANCELLED, kTimeout, kRolledBack, false, StatusCode::CANCELLED},
    {"25006", StatusCode::FAILED_PRECONDITION, kExecution, kNotExecuted, false, StatusCode::FAILED_PRECONDITION},
    {"25P02", StatusCode::FAILED_PRECONDITION, kTransaction, kNotExecuted, false, StatusCode::FAILED_PRECONDITION},
    {"25001", StatusCode::FAILED_PRECONDITION, kTransaction, kRolledBack, false, StatusCode::FAILED_PRECONDITION},
    {"26000", StatusCode::INVALID_ARGUMENT, kExecution, kRolledBack, false, StatusCode::INVALID_ARGUMENT},
    {"0A000", StatusCode::UNIMPLEMENTED, kExecution, kRolledBack, false, StatusCode::UNIMPLEMENTED},
    {"22012", StatusCode::INVALID_ARGUMENT, kExecution, kRolledBack, false, StatusCode::INVALID_ARGUMENT},
    {"22P02", StatusCode::INVALID_ARGUMENT, kExecution, kRolledBack, false, StatusCode::INVALID_ARGUMENT},
    {"23505", StatusCode::ALREADY_EXISTS, kExecution, kRolledBack, false, StatusCode::ALREADY_EXISTS},
    {"23502", StatusCode::FAILED_PRECONDITION, kExecution, kRolledBack, false, StatusCode::FAILED_PRECONDITION},
    {"23503", StatusCode::FAILED_PRECONDITION, kExecution, kRolledBack, false, StatusCode::FAILED_PRECONDITION},
    {"23514", StatusCode::FAILED_PRECONDITION, kExecution, kRolledBack, false, StatusCode::FAILED_PRECONDITION},
    {"23P01", StatusCode::FAILED_PRECONDITION, kExecution, kRolledBack, false, StatusCode::FAILED_PRECONDITION},
    {"42501", StatusCode::PERMISSION_DENIED, kExecution, kRolledBack, false, StatusCode::PERMISSION_DENIED},
    {"42601", StatusCode::INVALID_ARGUMENT, kExecution, kRolledBack, false, StatusCode::INVALID_ARGUMENT},
    {"42P01", StatusCode::INVALID_ARGUMENT, kExecution, kRolledBack, false, StatusCode::INVALID_ARGUMENT},
    {"42883", StatusCode::INVALID_ARGUMENT, kExecution, kRolledBack, false, StatusCode::INVALID_ARGUMENT},
    {"P0001", StatusCode::FAILED_PRECONDITION, kExecution, kRolledBack, false, StatusCode::FAILED_PRECONDITION},
    {"XX000", StatusCode::INTERNAL, kExecution, kRolledBack, false, StatusCode::INTERNAL},
    {"XX001", StatusCode::INTERNAL, kExecution, kRolledBack, false, StatusCode::INTERNAL},
};

class US009Errors : public GatewayCallsTest {
 protected:
  void SetUp() override {
    // A sequence counts the runs, since those are not rolled back.
    Sql("CREATE SEQUENCE " + name() + "_runs; CREATE FUNCTION " + name() +
        "_raise(code text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('" + name() +
        "_runs'); RAISE EXCEPTION 'as told' USING ERRCODE = code; END $$");
  }
  [[nodiscard]] std::string Raise() const { return "SELECT " + name() + "_raise(?)"; }
  [[nodiscard]] int Runs() const {
    return Number("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM " + name() + "_runs");
  }
  [[nodiscard]] v1::ConnectRequest WithRetries(int attempts) const {
    v1::ConnectRequest request = ConnectTo(1);
    v1::RetrySettings& retry = *request.mutable_config()->mutable_retry();
    retry.set_max_attempts(attempts);
    retry.set_initial_delay_ms(0);
    retry.set_max_delay_ms(0);
    return request;
  }
};

TEST_F(US009Errors, EachSqlStateOfAnAutocommitStatementHasItsMeaning) {
  const std::string connection = Open(WithRetries(3));
  for (const Row& row : kRows) {
    SCOPED_TRACE(row.sqlstate);
    const int before = Runs();
    const Failure failure = ExpectFailure(Execute(connection, Raise(), {Text(row.sqlstate)}).status, row.code, row.kind,
                                          "POSTGRESQL_ERROR");
    EXPECT_EQ(failure.error.sqlstate(), row.sqlstate);
    EXPECT_EQ(failure.error.outcome(), row.outcome);
    EXPECT_EQ(failure.error.retryable(), row.repeated);
    EXPECT_EQ(failure.error.phase(), v1::PHASE_EXECUTING);
    EXPECT_EQ(failure.error.transaction_state(), v1::TRANSACTION_STATE_UNSPECIFIED);
    EXPECT_EQ(Runs() - before, row.repeated ? 3 : 1);
  }
  EXPECT_EQ(Backends(), 1) << "none of them costs a backend";
}

TEST_F(US009Errors, InATransactionNoneIsRepeatedAndTheTransactionHasFailed) {
  const std::string connection = Open(WithRetries(3));
  for (const Row& row : kRows) {
    SCOPED_TRACE(row.sqlstate);
    const std::string transaction = Begin(connection).response.transaction_id();
    const int before = Runs();
    const Failure failure = ExpectFailure(ExecuteIn(connection, transaction, Raise(), {Text(row.sqlstate)}).status,
                                          row.code_in_transaction, row.kind, "POSTGRESQL_ERROR");
    EXPECT_EQ(failure.error.transaction_state(), v1::TRANSACTION_STATE_FAILED);
    EXPECT_EQ(Runs() - before, 1);
    const Failure next = ExpectFailure(ExecuteIn(connection, transaction, "SELECT 1").status,
                                       StatusCode::FAILED_PRECONDITION, kTransaction, "POSTGRESQL_ERROR");
    EXPECT_EQ(next.error.sqlstate(), "25P02");
    EXPECT_EQ(next.error.outcome(), kNotExecuted);
    EXPECT_THAT(next.error.hint(), HasSubstr("roll back"));
    EXPECT_TRUE(Rollback(connection, transaction).ok());
  }
}

TEST_F(US009Errors, TheKindOfTheServersOwnErrorsIsKnownByTheirSession) {
  // What ends the session is another matter than the same SQLSTATE out of a function: see above.
  CreateTable("n int");
  const std::string connection = Open(WithRetries(3));
  const auto terminate = [&] {
    return Execute(connection, "INSERT INTO " + name() + " SELECT 1 WHERE pg_terminate_backend(pg_backend_pid())");
  };
  const Failure failure = ExpectFailure(terminate().status, StatusCode::UNKNOWN, kConnection, "LINK_LOST");
  EXPECT_EQ(failure.error.sqlstate(), "57P01");
  EXPECT_EQ(failure.error.outcome(), kUnknown);
  EXPECT_FALSE(failure.error.retryable());
}

TEST_F(US009Errors, APositionIsThatOfTheCallersText) {
  const std::string connection = Open();
  const auto position = [&](const std::string& sql, const std::vector<v1::Value>& parameters) {
    return Decode(Execute(connection, sql, parameters).status).error.position();
  };
  EXPECT_EQ(position("SELECT ?::int, ?::text, nix", {Int(1), Text("a")}), 25U);
  EXPECT_EQ(position("SELECT 'häß\?\?', ?::int, nix", {Int(1)}), 25U);
  EXPECT_EQ(position("SELECT ?, ?::int, nix", {Expr(v1::EXPRESSION_CURRENT_TIMESTAMP), Int(1)}), 19U);
  EXPECT_EQ(position("SELECT 1 FROM", {}), 14U) << "at the end of the text";
}

TEST_F(US009Errors, TheParameterThatPostgresRefusesIsNamed) {
  const std::string connection = Open();
  const auto field = [&](const std::string& sql, const std::vector<v1::Value>& parameters) {
    return Decode(Execute(connection, sql, parameters).status).error.field();
  };
  EXPECT_EQ(field("SELECT ?::int, ?::int", {Int(1), Text("secret-canary")}), "parameters[1]");
  EXPECT_EQ(field("SELECT ?, ?::int, ?::int", {Expr(v1::EXPRESSION_CURRENT_DATE), Int(1), Text("secret-canary")}),
            "parameters[2]");
  EXPECT_EQ(field("SELECT $2::int, $1::date", {Text("secret-canary"), Int(1)}), "parameters[0]");

  v1::ExecuteBatchRequest batch;
  batch.set_connection_id(connection);
  batch.set_atomic(true);
  batch.add_statements()->set_sql("SELECT 1");
  v1::BatchStatement& lists = *batch.add_statements();
  lists.set_sql("SELECT ?::int");
  *lists.add_parameter_lists()->add_parameters() = Int(1);
  *lists.add_parameter_lists()->add_parameters() = Text("secret-canary");
  const Failure failure = Decode(Call(&Stub::ExecuteBatch, batch).status);
  EXPECT_EQ(failure.error.field(), "statements[1].parameter_lists[1].parameters[0]");
  EXPECT_EQ(failure.error.statement_index(), 1U);
  lists.mutable_parameter_lists(1)->mutable_parameters(0)->set_text_value(std::string("a\0b", 3));
  EXPECT_EQ(Decode(Call(&Stub::ExecuteBatch, batch).status).error.field(),
            "statements[1].parameter_lists[1].parameters[0]");
}

TEST_F(US009Errors, AReadOnlyTransactionSaysWhoAskedForIt) {
  CreateTable("n int");
  const std::string connection = Open();
  v1::TransactionOptions options;
  options.set_read_only(true);
  const std::string transaction = Begin(connection, options).response.transaction_id();
  const Failure failure =
      ExpectFailure(ExecuteIn(connection, transaction, "INSERT INTO " + name() + " VALUES (1)").status,
                    StatusCode::FAILED_PRECONDITION, kExecution, "POSTGRESQL_ERROR");
  EXPECT_EQ(failure.error.sqlstate(), "25006");
  EXPECT_THAT(failure.error.hint(), HasSubstr("read_only"));
  EXPECT_TRUE(Rollback(connection, transaction).ok());
}

TEST_F(US009Errors, AServerThatWasSwitchedToReadOnlyIsLookedUpAgainOnce) {
  PostgresCluster cluster;
  cluster.Exec("CREATE TABLE t (n int); GRANT ALL ON t TO app");
  v1::ConnectRequest request = WithRetries(1);
  request.mutable_config()->set_host(cluster.host());
  request.mutable_config()->set_port(cluster.port());
  request.mutable_config()->set_password(cluster.password());
  const std::string connection = Open(request);
  ASSERT_TRUE(Execute(connection, "INSERT INTO t VALUES (1)").ok());
  const std::string backend = "SELECT max(pid) FROM pg_stat_activity WHERE usename = 'app'";
  const std::string first = cluster.Scalar(backend);
  cluster.Exec("ALTER SYSTEM SET default_transaction_read_only = on");
  cluster.Exec("SELECT pg_reload_conf()");
  ASSERT_TRUE(WaitUntil(kSoon, [&] { return cluster.Scalar("SHOW default_transaction_read_only") == "on"; }));
  const auto refused = Execute(connection, "INSERT INTO t VALUES (2)");
  const Failure failure = ExpectFailure(refused.status, StatusCode::UNAVAILABLE, kConnection, "POSTGRESQL_ERROR");
  EXPECT_EQ(failure.error.sqlstate(), "25006");
  EXPECT_EQ(failure.error.outcome(), kNotExecuted);
  EXPECT_TRUE(failure.error.retryable());
  EXPECT_EQ(Execute(connection, "SELECT n FROM t").response.rows_size(), 1) << "reads go on";
  ASSERT_TRUE(WaitUntil(kSoon, [&] { return cluster.Scalar(backend) != first; })) << "its backend was not closed";
  cluster.Exec("ALTER SYSTEM RESET default_transaction_read_only");
  cluster.Exec("SELECT pg_reload_conf()");
  ASSERT_TRUE(WaitUntil(kSoon, [&] { return Execute(connection, "INSERT INTO t VALUES (3)").ok(); }));
  EXPECT_EQ(cluster.Scalar("SELECT sum(n) FROM t"), "4");
}

TEST_F(US009Errors, MessagesSayWhatToDo) {
  Sql("CREATE TABLE " + name() + " (n int); REVOKE ALL ON " + name() + " FROM app");
  const std::string connection = Open();
  EXPECT_THAT(Decode(Execute(connection, "SELECT pg_read_file('/etc/passwd')").status).error.hint(), Not(""));
  EXPECT_THAT(Decode(Execute(connection, "SELEC 1").status).message, HasSubstr("syntax error at or near \"SELEC\""));
  EXPECT_THAT(Decode(Execute(connection, "SELECT * FROM nowhere_at_all").status).message,
              HasSubstr("relation \"nowhere_at_all\" does not exist"));
  const Failure count = Decode(Execute(connection, "SELECT '{}'::jsonb ? 'a' AND 1 = ?", {Int(1)}).status);
  EXPECT_THAT(count.message, HasSubstr("2"));
  EXPECT_THAT(count.message, HasSubstr("??"));
}

}  // namespace
}  // namespace engine::db::test

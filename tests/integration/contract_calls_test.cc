// Every method over plain unary gRPC, and what its errors carry.
#include "tests/integration/gateway_calls.h"
#include "tests/support/network.h"

namespace engine::db::test {
namespace {

using grpc::StatusCode;
using testing::HasSubstr;
using testing::Not;

class Contract : public GatewayCallsTest {};

TEST_F(Contract, ConnectTellsAboutTheServerAndTheSettingsInForce) {
  const auto answer = Call(&Stub::Connect, ConnectTo());
  ASSERT_TRUE(answer.ok()) << answer.status.error_message();
  EXPECT_FALSE(answer.response.connection_id().empty());
  EXPECT_EQ(answer.response.server_version_num(), Number("SHOW server_version_num"));
  EXPECT_EQ(answer.response.server_version(), Scalar("SHOW server_version"));
  EXPECT_FALSE(answer.response.in_recovery());
  const v1::ConnectionConfig& settings = answer.response.settings();
  EXPECT_EQ(settings.max_pool_size(), 4);
  EXPECT_EQ(settings.min_pool_size(), 0);
  EXPECT_EQ(settings.timeout_ms(), 30000);
  EXPECT_EQ(settings.retry().max_attempts(), 3);
  EXPECT_EQ(settings.password(), "");
  EXPECT_TRUE(Close(answer.response.connection_id()).ok());
}

TEST_F(Contract, ExecuteReturnsEverythingThatIsKnown) {
  const std::string connection = Open();
  const auto answer = Execute(connection, "SELECT ?::int AS a, ?::text AS b", {Int(1), Text("x")});
  ASSERT_TRUE(answer.ok()) << answer.status.error_message();
  const v1::ExecuteResponse& response = answer.response;
  ASSERT_EQ(response.columns_size(), 2);
  EXPECT_EQ(response.columns(0).name(), "a");
  EXPECT_EQ(response.columns(0).type_name(), "integer");
  EXPECT_EQ(response.columns(0).type_oid(), 23U);
  EXPECT_EQ(response.columns(1).type_modifier(), -1);
  ASSERT_EQ(response.rows_size(), 1);
  EXPECT_EQ(response.rows(0).values(0).int64_value(), 1);
  EXPECT_EQ(response.rows(0).values(1).text_value(), "x");
  EXPECT_FALSE(response.has_column_batch());
  EXPECT_EQ(response.rows_affected(), 1);
  EXPECT_EQ(response.command_tag(), "SELECT 1");
  EXPECT_EQ(response.bound_sql(), "SELECT $1::int AS a, $2::text AS b");
  EXPECT_FALSE(response.has_transaction());
  EXPECT_EQ(response.attempts(), 1U);
}

TEST_F(Contract, TypeModifiersArrive) {
  const std::string connection = Open();
  const auto answer = Execute(connection, "SELECT 'x'::varchar(17) AS v, 1::numeric(12,3) AS n");
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer.response.columns(0).type_name(), "character varying");
  EXPECT_EQ(answer.response.columns(0).type_modifier(), 17 + 4);
  EXPECT_EQ(answer.response.columns(1).type_modifier(), ((12 << 16) | 3) + 4);
}

TEST_F(Contract, EveryMethodWorksOverUnaryCalls) {
  CreateTable("n int");
  const std::string connection = Open();
  const auto begun = Begin(connection);
  ASSERT_TRUE(begun.ok()) << begun.status.error_message();
  const std::string transaction = begun.response.transaction_id();
  EXPECT_EQ(begun.response.transaction().transaction_id(), transaction);
  EXPECT_EQ(begun.response.transaction().state(), v1::TRANSACTION_STATE_OPEN);
  EXPECT_GT(begun.response.transaction().idle_left_ms(), 50000U);
  EXPECT_GT(begun.response.transaction().lease_left_ms(), 1700000U);

  const auto inserted = ExecuteIn(connection, transaction, "INSERT INTO " + name() + " VALUES (?)", {Int(1)});
  ASSERT_TRUE(inserted.ok()) << inserted.status.error_message();
  EXPECT_EQ(inserted.response.transaction().state(), v1::TRANSACTION_STATE_OPEN);
  EXPECT_EQ(inserted.response.rows_affected(), 1);
  EXPECT_EQ(inserted.response.columns_size(), 0);

  v1::SavepointRequest savepoint;
  savepoint.set_connection_id(connection);
  savepoint.set_transaction_id(transaction);
  savepoint.set_name("Mixed_Case");
  const auto set = Call(&Stub::Savepoint, savepoint);
  ASSERT_TRUE(set.ok()) << set.status.error_message();
  EXPECT_EQ(set.response.transaction().state(), v1::TRANSACTION_STATE_OPEN);

  const auto failed = ExecuteIn(connection, transaction, "SELECT 1/0");
  static_cast<void>(
      ExpectFailure(failed.status, StatusCode::INVALID_ARGUMENT, v1::ERROR_KIND_EXECUTION, "POSTGRESQL_ERROR"));
  const auto refused = ExecuteIn(connection, transaction, "SELECT 1");
  static_cast<void>(
      ExpectFailure(refused.status, StatusCode::FAILED_PRECONDITION, v1::ERROR_KIND_TRANSACTION, "POSTGRESQL_ERROR"));

  v1::RollbackToSavepointRequest back;
  back.set_connection_id(connection);
  back.set_transaction_id(transaction);
  back.set_name("Mixed_Case");
  const auto mended = Call(&Stub::RollbackToSavepoint, back);
  ASSERT_TRUE(mended.ok()) << mended.status.error_message();
  EXPECT_EQ(mended.response.transaction().state(), v1::TRANSACTION_STATE_OPEN);

  v1::ReleaseSavepointRequest release;
  release.set_connection_id(connection);
  release.set_transaction_id(transaction);
  release.set_name("Mixed_Case");
  const auto released = Call(&Stub::ReleaseSavepoint, release);
  ASSERT_TRUE(released.ok()) << released.status.error_message();
  EXPECT_EQ(released.response.transaction().transaction_id(), transaction);
  EXPECT_EQ(released.response.transaction().state(), v1::TRANSACTION_STATE_OPEN);

  v1::KeepAliveRequest keep_alive;
  keep_alive.set_connection_id(connection);
  keep_alive.set_transaction_id(transaction);
  const auto kept = Call(&Stub::KeepAlive, keep_alive);
  ASSERT_TRUE(kept.ok()) << kept.status.error_message();
  EXPECT_EQ(kept.response.transaction().state(), v1::TRANSACTION_STATE_OPEN);

  v1::ListTransactionsResponse transactions;
  {
    grpc::ClientContext context;
    ASSERT_TRUE(admin().ListTransactions(&context, {}, &transactions).ok());
  }
  ASSERT_EQ(transactions.transactions_size(), 1);
  const v1::TransactionInfo& info = transactions.transactions(0);
  EXPECT_TRUE(transaction.starts_with(info.transaction_prefix()));
  EXPECT_LT(info.transaction_prefix().size(), transaction.size() / 2);
  EXPECT_GT(info.statements(), 0U);
  EXPECT_EQ(Scalar("SELECT application_name FROM pg_stat_activity WHERE pid = " + std::to_string(info.backend_pid())),
            name());

  const auto committed = Commit(connection, transaction);
  ASSERT_TRUE(committed.ok()) << committed.status.error_message();
  EXPECT_EQ(committed.response.transaction().state(), v1::TRANSACTION_STATE_COMMITTED);
  EXPECT_EQ(Rows(), 1);

  const auto second = Begin(connection);
  ASSERT_TRUE(second.ok());
  const auto rolled_back = Rollback(connection, second.response.transaction_id());
  ASSERT_TRUE(rolled_back.ok());
  EXPECT_EQ(rolled_back.response.transaction().state(), v1::TRANSACTION_STATE_ROLLED_BACK);

  ASSERT_TRUE(Begin(connection).ok());  // left open
  const auto closed = Close(connection);
  ASSERT_TRUE(closed.ok());
  EXPECT_EQ(closed.response.transactions_rolled_back(), 1U);
  EXPECT_TRUE(Close(connection).ok()) << "closing twice is no error";
  EXPECT_TRUE(Close("never-there").ok());
}

TEST_F(Contract, DescribeTellsColumnsAndParametersWithoutRunning) {
  CreateTable("id bigint, note text, tags text[]");
  const std::string connection = Open();
  v1::DescribeRequest request;
  request.set_connection_id(connection);
  request.set_sql("INSERT INTO " + name() + " VALUES (?, ?, ?) RETURNING id, tags");
  for (int i = 0; i < 2; ++i) {  // the second time it is prepared already
    const auto answer = Call(&Stub::Describe, request);
    ASSERT_TRUE(answer.ok()) << answer.status.error_message();
    EXPECT_THAT(answer.response.parameter_type_names(), testing::ElementsAre("bigint", "text", "text[]"));
    ASSERT_EQ(answer.response.columns_size(), 2);
    EXPECT_EQ(answer.response.columns(0).type_name(), "bigint");
    EXPECT_EQ(answer.response.columns(1).name(), "tags");
    EXPECT_EQ(answer.response.bound_sql(), "INSERT INTO " + name() + " VALUES ($1, $2, $3) RETURNING id, tags");
  }
  EXPECT_EQ(Rows(), 0);
  request.set_sql("UPDATE " + name() + " SET note = 'x'");
  const auto nothing = Call(&Stub::Describe, request);
  ASSERT_TRUE(nothing.ok());
  EXPECT_EQ(nothing.response.columns_size(), 0);
  EXPECT_EQ(nothing.response.parameter_type_names_size(), 0);
  request.set_sql("SELECT nope");
  static_cast<void>(ExpectFailure(Call(&Stub::Describe, request).status, StatusCode::INVALID_ARGUMENT,
                                  v1::ERROR_KIND_EXECUTION, "POSTGRESQL_ERROR"));
}

TEST_F(Contract, DescribeInATransactionSeesItsTables) {
  const std::string connection = Open();
  const auto begun = Begin(connection);
  ASSERT_TRUE(begun.ok());
  const std::string transaction = begun.response.transaction_id();
  ASSERT_TRUE(ExecuteIn(connection, transaction, "CREATE TEMPORARY TABLE mine (n int)").ok());
  v1::DescribeRequest request;
  request.set_connection_id(connection);
  request.set_transaction_id(transaction);
  request.set_sql("SELECT n FROM mine");
  const auto answer = Call(&Stub::Describe, request);
  ASSERT_TRUE(answer.ok()) << answer.status.error_message();
  EXPECT_EQ(answer.response.columns_size(), 1);
  EXPECT_TRUE(Rollback(connection, transaction).ok());
}

TEST_F(Contract, PostgresErrorsCarryAllThatPostgresSays) {
  CreateTable("n int CONSTRAINT positive CHECK (n > 0)");
  const std::string connection = Open();
  const auto answer = Execute(connection, "INSERT INTO " + name() + " VALUES (?)", {Int(-5)});
  const Failure failure =
      ExpectFailure(answer.status, StatusCode::FAILED_PRECONDITION, v1::ERROR_KIND_EXECUTION, "POSTGRESQL_ERROR");
  EXPECT_EQ(failure.error.sqlstate(), "23514");
  EXPECT_EQ(failure.error_info.metadata().at("sqlstate"), "23514");
  EXPECT_EQ(failure.error.constraint_name(), "positive");
  EXPECT_EQ(failure.error.table_name(), name());
  EXPECT_EQ(failure.error.schema_name(), "public");
  EXPECT_EQ(failure.error.phase(), v1::PHASE_EXECUTING);
  EXPECT_EQ(failure.error.outcome(), v1::OUTCOME_ROLLED_BACK);
  EXPECT_FALSE(failure.error.retryable());
  EXPECT_THAT(failure.error.ShortDebugString(), Not(HasSubstr("-5")));

  const auto hinted = Execute(connection, "SELECT m FROM " + name() + " AS t(n)");
  EXPECT_EQ(Decode(hinted.status).error.sqlstate(), "42703");
  EXPECT_EQ(Decode(hinted.status).error.position(), 8U);
}

TEST_F(Contract, DetailsStayWithinWhatTrailersHold) {
  const std::string connection = Open();
  const std::string long_name(60000, 'x');
  const auto answer = Execute(connection, "SELECT \"" + long_name + "\"(1)");
  static_cast<void>(
      ExpectFailure(answer.status, StatusCode::INVALID_ARGUMENT, v1::ERROR_KIND_EXECUTION, "POSTGRESQL_ERROR"));
  const auto raised = Execute(
      connection,
      "DO $$ BEGIN RAISE EXCEPTION USING MESSAGE = repeat('\xE2\x82\xAC', 20000), HINT = repeat('h', 50000); END $$");
  const Failure failure = Decode(raised.status);
  EXPECT_EQ(failure.error.sqlstate(), "P0001");
  EXPECT_LT(raised.status.error_details().size(), 4096U);
  EXPECT_FALSE(failure.error.hint().empty());
}

TEST_F(Contract, ExecuteCanBeginAndCommit) {
  CreateTable("n int");
  const std::string connection = Open();
  v1::ExecuteRequest request;
  request.set_connection_id(connection);
  request.set_sql("INSERT INTO " + name() + " VALUES (1)");
  request.mutable_begin();
  const auto first = Call(&Stub::Execute, request);
  ASSERT_TRUE(first.ok()) << first.status.error_message();
  const std::string transaction = first.response.transaction().transaction_id();
  EXPECT_FALSE(transaction.empty());
  EXPECT_EQ(first.response.transaction().state(), v1::TRANSACTION_STATE_OPEN);
  EXPECT_EQ(Rows(), 0);
  request.set_transaction_id(transaction);
  request.set_commit(true);
  const auto last = Call(&Stub::Execute, request);
  ASSERT_TRUE(last.ok()) << last.status.error_message();
  EXPECT_EQ(last.response.transaction().state(), v1::TRANSACTION_STATE_COMMITTED);
  EXPECT_EQ(last.response.command_tag(), "INSERT 0 1");
  EXPECT_EQ(last.response.rows_affected(), 1);
  EXPECT_EQ(Rows(), 2);
  EXPECT_TRUE(Commit(connection, transaction).ok()) << "a repeated commit gets the first answer";

  // Begin and commit with one statement.
  request.mutable_begin()->set_isolation_level(v1::ISOLATION_LEVEL_SERIALIZABLE);
  request.set_sql("INSERT INTO " + name() + " VALUES (2) RETURNING current_setting('transaction_isolation')");
  const auto whole = Call(&Stub::Execute, request);
  ASSERT_TRUE(whole.ok()) << whole.status.error_message();
  EXPECT_EQ(Cell(whole).text_value(), "serializable");
  EXPECT_EQ(whole.response.transaction().state(), v1::TRANSACTION_STATE_COMMITTED);
  EXPECT_EQ(Rows(), 3);
}

TEST_F(Contract, AFailureInAStatementThatBeginsOrCommitsRollsBack) {
  CreateTable("n int PRIMARY KEY");
  const std::string connection = Open(2);
  v1::ExecuteRequest request;
  request.set_connection_id(connection);
  request.set_sql("SELECT 1/0");
  request.mutable_begin();
  EXPECT_EQ(Decode(Call(&Stub::Execute, request).status).error.sqlstate(), "22012");
  EXPECT_TRUE(WaitForBackends(0, "state LIKE 'idle in transaction%'"));

  const auto begun = Begin(connection);
  ASSERT_TRUE(begun.ok());
  ASSERT_TRUE(ExecuteIn(connection, begun.response.transaction_id(), "INSERT INTO " + name() + " VALUES (1)").ok());
  request.set_transaction_id(begun.response.transaction_id());
  request.set_commit(true);
  EXPECT_EQ(Decode(Call(&Stub::Execute, request).status).error.sqlstate(), "22012");
  EXPECT_EQ(Rows(), 0);
  EXPECT_TRUE(WaitForBackends(0, "state LIKE 'idle in transaction%'"));
  const auto again = Commit(connection, begun.response.transaction_id());
  EXPECT_EQ(Decode(again.status).error.kind(), v1::ERROR_KIND_TRANSACTION);
  EXPECT_EQ(Decode(again.status).error.outcome(), v1::OUTCOME_ROLLED_BACK);
}

TEST_F(Contract, TimeoutOfTheRequestBoundsTheCall) {
  const std::string connection = Open();
  v1::ExecuteRequest request;
  request.set_connection_id(connection);
  request.set_sql("SELECT pg_sleep(30)");
  request.set_timeout_ms(200);
  const auto start = Now();
  const auto answer = Call(&Stub::Execute, request);
  static_cast<void>(
      ExpectFailure(answer.status, StatusCode::DEADLINE_EXCEEDED, v1::ERROR_KIND_TIMEOUT, "DEADLINE_EXCEEDED"));
  EXPECT_LT(Since(start), milliseconds(200) + Slack(start));
}

TEST_F(Contract, TheConnectionsTimeoutBoundsCallsThatNameNone) {
  v1::ConnectRequest connect = ConnectTo();
  connect.mutable_config()->set_timeout_ms(700);
  const std::string connection = Open(connect);
  v1::ExecuteRequest request;
  request.set_connection_id(connection);
  request.set_sql("SELECT pg_sleep(30)");
  v1::ExecuteResponse response;
  grpc::ClientContext context;  // without a deadline
  const auto start = Now();
  EXPECT_EQ(stub().Execute(&context, request, &response).error_code(), StatusCode::DEADLINE_EXCEEDED);
  EXPECT_LT(Since(start), milliseconds(700) + Slack(start));
}

TEST_F(Contract, AdminShowsPoolsStatementsAndCancelsOne) {
  const std::string connection = Open(3);
  v1::GetStatusResponse status;
  {
    grpc::ClientContext context;
    ASSERT_TRUE(admin().GetStatus(&context, {}, &status).ok());
  }
  EXPECT_FALSE(status.version().empty());
  EXPECT_FALSE(status.instance_id().empty());
  EXPECT_FALSE(status.draining());
  EXPECT_GE(status.connections(), 1U);
  EXPECT_THAT(connection, HasSubstr(status.instance_id()));

  v1::ExecuteRequest request;
  request.set_connection_id(connection);
  request.set_sql("SELECT pg_sleep(60), 'canary-literal'");
  v1::ExecuteResponse response;
  grpc::ClientContext running_context;
  grpc::Status running;
  std::thread caller([&] { running = stub().Execute(&running_context, request, &response); });
  ASSERT_TRUE(WaitForBackends(1, "state = 'active'"));

  v1::ListStatementsResponse statements;
  ASSERT_TRUE(WaitUntil(kSoon, [&] {
    grpc::ClientContext context;
    return admin().ListStatements(&context, {}, &statements).ok() && statements.statements_size() == 1;
  }));
  const v1::StatementInfo& info = statements.statements(0);
  EXPECT_FALSE(info.fingerprint().empty());
  EXPECT_FALSE(info.waiting());
  EXPECT_THAT(info.ShortDebugString(), Not(HasSubstr("canary")));
  EXPECT_EQ(std::to_string(info.backend_pid()),
            Scalar("SELECT pid FROM pg_stat_activity WHERE state = 'active' AND application_name = '" + name() + "'"));

  v1::ListPoolsResponse pools;
  {
    grpc::ClientContext context;
    ASSERT_TRUE(admin().ListPools(&context, {}, &pools).ok());
  }
  ASSERT_EQ(pools.pools_size(), 1);
  EXPECT_EQ(pools.pools(0).max_size(), 3U);
  EXPECT_EQ(pools.pools(0).connections(), 1U);
  EXPECT_GE(pools.pools(0).open(), 1U);
  EXPECT_EQ(pools.pools(0).leased() + pools.pools(0).shared(), 1U);
  EXPECT_EQ(pools.pools(0).server_version(), Scalar("SHOW server_version"));

  v1::CancelStatementRequest cancel;
  cancel.set_statement_id(info.statement_id());
  v1::CancelStatementResponse cancelled;
  {
    grpc::ClientContext context;
    ASSERT_TRUE(admin().CancelStatement(&context, cancel, &cancelled).ok());
  }
  EXPECT_TRUE(cancelled.found());
  caller.join();
  static_cast<void>(ExpectFailure(running, StatusCode::CANCELLED, v1::ERROR_KIND_TIMEOUT, "CANCELLED_BY_OPERATOR"));
  cancel.set_statement_id(987654321);
  {
    grpc::ClientContext context;
    ASSERT_TRUE(admin().CancelStatement(&context, cancel, &cancelled).ok());
  }
  EXPECT_FALSE(cancelled.found());
}

}  // namespace
}  // namespace engine::db::test

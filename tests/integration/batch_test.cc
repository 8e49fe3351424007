// ExecuteBatch: independent, in a transaction, and with parameter lists.
#include "tests/integration/gateway_calls.h"

namespace engine::db::test {
namespace {

using grpc::StatusCode;

class Batches : public GatewayCallsTest {
 protected:
  void SetUp() override {
    CreateTable("n int PRIMARY KEY");
    connection_ = Open();
    request_.set_connection_id(connection_);
  }
  v1::BatchStatement& Add(const std::string& sql) {
    v1::BatchStatement& statement = *request_.add_statements();
    statement.set_sql(sql);
    return statement;
  }
  Answer<v1::ExecuteBatchResponse> Run() { return Call(&Stub::ExecuteBatch, request_); }
  [[nodiscard]] std::string Insert() const { return "INSERT INTO " + name() + " VALUES (?)"; }

  std::string connection_;
  v1::ExecuteBatchRequest request_;
};

TEST_F(Batches, IndependentStatementsSucceedAndFailOnTheirOwn) {
  *Add(Insert()).add_parameters() = Int(1);
  *Add(Insert()).add_parameters() = Int(1);  // a duplicate
  *Add(Insert()).add_parameters() = Int(2);
  Add("SELECT count(*) FROM " + name());
  Add("SELEC 1");
  Add("SELECT 'last'");
  const auto answer = Run();
  ASSERT_TRUE(answer.ok()) << answer.status.error_message();
  ASSERT_EQ(answer.response.results_size(), 6);
  EXPECT_EQ(answer.response.results(0).response().rows_affected(), 1);
  EXPECT_EQ(answer.response.results(1).error().sqlstate(), "23505");
  EXPECT_EQ(answer.response.results(1).error().statement_index(), 1U);
  EXPECT_EQ(answer.response.results(2).response().rows_affected(), 1);
  EXPECT_EQ(answer.response.results(3).response().rows(0).values(0).int64_value(), 2);
  EXPECT_EQ(answer.response.results(4).error().sqlstate(), "42601");
  EXPECT_EQ(answer.response.results(5).response().rows(0).values(0).text_value(), "last");
  for (int i = 0; i < 6; ++i) EXPECT_EQ(answer.response.results(i).statement_index(), static_cast<uint32_t>(i));
  EXPECT_EQ(Rows(), 2);
}

TEST_F(Batches, ParameterListsRunAStatementOnceEach) {
  v1::BatchStatement& statement = Add(Insert());
  for (int i = 0; i < 500; ++i) *statement.add_parameter_lists()->add_parameters() = Int(i);
  Add("SELECT count(*) FROM " + name());
  const auto answer = Run();
  ASSERT_TRUE(answer.ok()) << answer.status.error_message();
  ASSERT_EQ(answer.response.results_size(), 501);
  EXPECT_EQ(answer.response.results(499).statement_index(), 0U);
  EXPECT_EQ(answer.response.results(499).parameter_list_index(), 499U);
  EXPECT_EQ(answer.response.results(500).statement_index(), 1U);
  EXPECT_EQ(answer.response.results(500).response().rows(0).values(0).int64_value(), 500);
  EXPECT_EQ(Rows(), 500);
}

TEST_F(Batches, AtomicCommitsAllOrNothing) {
  *Add(Insert()).add_parameters() = Int(1);
  *Add(Insert()).add_parameters() = Int(2);
  request_.set_atomic(true);
  const auto committed = Run();
  ASSERT_TRUE(committed.ok()) << committed.status.error_message();
  EXPECT_EQ(committed.response.transaction().state(), v1::TRANSACTION_STATE_COMMITTED);
  EXPECT_EQ(Rows(), 2);

  request_.clear_statements();
  *Add(Insert()).add_parameters() = Int(3);
  *Add(Insert()).add_parameters() = Int(1);  // a duplicate
  *Add(Insert()).add_parameters() = Int(4);
  const auto failed = Run();
  const Failure failure =
      ExpectFailure(failed.status, StatusCode::ALREADY_EXISTS, v1::ERROR_KIND_EXECUTION, "POSTGRESQL_ERROR");
  EXPECT_EQ(failure.error.statement_index(), 1U);
  EXPECT_EQ(failure.error.sqlstate(), "23505");
  EXPECT_EQ(failure.error.outcome(), v1::OUTCOME_ROLLED_BACK);
  EXPECT_EQ(Rows(), 2);
}

TEST_F(Batches, RunsInATransactionAndMayEndIt) {
  const auto begun = Begin(connection_);
  ASSERT_TRUE(begun.ok());
  request_.set_transaction_id(begun.response.transaction_id());
  *Add(Insert()).add_parameters() = Int(1);
  *Add(Insert()).add_parameters() = Int(2);
  const auto first = Run();
  ASSERT_TRUE(first.ok()) << first.status.error_message();
  EXPECT_EQ(first.response.transaction().state(), v1::TRANSACTION_STATE_OPEN);
  EXPECT_EQ(Rows(), 0);
  request_.clear_statements();
  *Add(Insert()).add_parameters() = Int(3);
  request_.set_commit(true);
  const auto second = Run();
  ASSERT_TRUE(second.ok()) << second.status.error_message();
  EXPECT_EQ(second.response.transaction().state(), v1::TRANSACTION_STATE_COMMITTED);
  EXPECT_EQ(Rows(), 3);
}

TEST_F(Batches, AFailureInATransactionFailsBoth) {
  const auto begun = Begin(connection_);
  ASSERT_TRUE(begun.ok());
  request_.set_transaction_id(begun.response.transaction_id());
  *Add(Insert()).add_parameters() = Int(1);
  Add("SELECT 1/0");
  *Add(Insert()).add_parameters() = Int(2);
  const auto answer = Run();
  EXPECT_EQ(Decode(answer.status).error.sqlstate(), "22012");
  EXPECT_EQ(Decode(answer.status).error.statement_index(), 1U);
  const auto commit = Commit(connection_, begun.response.transaction_id());
  EXPECT_EQ(Decode(commit.status).error.kind(), v1::ERROR_KIND_TRANSACTION);
  EXPECT_EQ(Rows(), 0);
}

TEST_F(Batches, BeginsATransactionThatGoesOn) {
  request_.mutable_begin();
  *Add(Insert()).add_parameters() = Int(1);
  const auto answer = Run();
  ASSERT_TRUE(answer.ok()) << answer.status.error_message();
  const std::string transaction = answer.response.transaction().transaction_id();
  EXPECT_FALSE(transaction.empty());
  ASSERT_TRUE(ExecuteIn(connection_, transaction, Insert(), {Int(2)}).ok());
  ASSERT_TRUE(Commit(connection_, transaction).ok());
  EXPECT_EQ(Rows(), 2);
}

TEST_F(Batches, ColumnsFormatWorks) {
  Add("SELECT 1 AS a, 'x' AS b");
  request_.set_result_format(v1::RESULT_FORMAT_COLUMNS);
  const auto answer = Run();
  ASSERT_TRUE(answer.ok());
  const v1::ExecuteResponse& response = answer.response.results(0).response();
  EXPECT_EQ(response.rows_size(), 0);
  EXPECT_EQ(response.column_batch().row_count(), 1U);
  EXPECT_EQ(response.column_batch().columns(0).int64_values(0), 1);
  EXPECT_EQ(response.column_batch().columns(1).data(), "x");
}

TEST_F(Batches, WhatIsWrongIsNamed) {
  static_cast<void>(
      ExpectFailure(Run().status, StatusCode::INVALID_ARGUMENT, v1::ERROR_KIND_INVALID_REQUEST, "EMPTY_BATCH"));
  Add("SELECT 1");
  *Add("SELECT ?::int, ?::int").add_parameters() = Int(1);
  const Failure count =
      ExpectFailure(Run().status, StatusCode::INVALID_ARGUMENT, v1::ERROR_KIND_INVALID_REQUEST, "PARAMETER_COUNT");
  EXPECT_EQ(count.error.statement_index(), 1U);
  EXPECT_EQ(count.error.field(), "statements[1].parameters");
  request_.clear_statements();
  Add("");
  EXPECT_EQ(Decode(Run().status).error.field(), "statements[0].sql");
  request_.clear_statements();
  v1::BatchStatement& twice = Add("SELECT ?::int");
  *twice.add_parameters() = Int(1);
  *twice.add_parameter_lists()->add_parameters() = Int(1);
  EXPECT_EQ(Decode(Run().status).error.reason(), "PARAMETERS_TWICE");
  request_.clear_statements();
  v1::BatchStatement& many = Add("SELECT 1");
  for (int i = 0; i < 10001; ++i) many.add_parameter_lists();
  EXPECT_EQ(Decode(Run().status).error.reason(), "BATCH_TOO_LARGE");
  request_.clear_statements();
  Add("SELECT 1");
  const auto begun = Begin(connection_);
  request_.set_transaction_id(begun.response.transaction_id());
  request_.set_atomic(true);
  EXPECT_EQ(Decode(Run().status).error.field(), "atomic");
  EXPECT_TRUE(Rollback(connection_, begun.response.transaction_id()).ok());
}

TEST_F(Batches, TenThousandRunsWork) {
  v1::BatchStatement& many = Add(Insert());
  for (int i = 0; i < 10000; ++i) *many.add_parameter_lists()->add_parameters() = Int(i);
  request_.set_atomic(true);
  const auto answer = Run();
  ASSERT_TRUE(answer.ok()) << answer.status.error_message();
  EXPECT_EQ(answer.response.results_size(), 10000);
  EXPECT_EQ(Rows(), 10000);
}

TEST_F(Batches, ADeadlineEndsTheBatchWithTheTruth) {
  Add("SELECT pg_sleep(60)");
  for (int i = 0; i < 50; ++i) *Add(Insert()).add_parameters() = Int(i);
  request_.set_timeout_ms(300);
  const auto start = Now();
  const auto answer = Run();
  EXPECT_LT(Since(start), milliseconds(300) + Slack(start));
  // Each run has its own result: the one that was stopped says so, and what the others say is true.
  ASSERT_TRUE(answer.ok()) << answer.status.error_message();
  EXPECT_EQ(answer.response.results(0).error().kind(), v1::ERROR_KIND_TIMEOUT);
  EXPECT_EQ(answer.response.results(0).error().reason(), "DEADLINE_EXCEEDED");
  int inserted = 0;
  for (const auto& result : answer.response.results()) inserted += result.has_response() ? 1 : 0;
  EXPECT_EQ(Rows(), inserted);
  EXPECT_TRUE(WaitForBackends(0, "state = 'active'"));
}

TEST_F(Batches, ThroughTheClientLibrary) {
  const auto connector = Connect();
  const BatchResults results = connector->execute_batch(
      {{.sql = Insert(), .parameter_lists = {{1}, {1}, {2}}}, {.sql = "SELECT count(*) AS n FROM " + name()}});
  ASSERT_EQ(results.size(), 4U);
  EXPECT_TRUE(results[0].ok());
  EXPECT_FALSE(results[1].ok());
  EXPECT_EQ(results[1].parameter_list_index, 1U);
  EXPECT_EQ(Catch<DatabaseExecutionError>([&] { static_cast<void>(results[1].result()); }).sqlstate(), "23505");
  EXPECT_EQ(results[3].result().rows()[0]["n"].as<int>(), 2);
  const auto error = Catch<DatabaseExecutionError>([&] {
    connector->execute_batch({{.sql = Insert(), .parameter_lists = {{3}, {3}}}}, {.atomic = true});
  });
  EXPECT_EQ(error.sqlstate(), "23505");
  EXPECT_EQ(Rows(), 2);
}

}  // namespace
}  // namespace engine::db::test

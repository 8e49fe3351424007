// What each method says of a request of its own that is wrong, and that it works when it is not.
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/base/failure.h"
#include "tests/unit/gateway/scripted_gateway.h"

namespace engine::db::gateway {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Rows final : public RowSink {
 public:
  bool Write(std::unique_ptr<v1::ExecuteStreamResponse> message) override {
    messages.push_back(std::move(message));
    return true;
  }

  std::vector<std::unique_ptr<v1::ExecuteStreamResponse>> messages;
};

class RequestsTest : public testing::Test {
 protected:
  template <typename Output, typename Request>
  Failure Refusal(Request request) {
    if constexpr (requires { request.set_connection_id(""); }) request.set_connection_id(connection_);
    Output output;
    return FailureOf(gateway_.Call(request, output));
  }

  static void ExpectInvalid(const Failure& failure, Reason reason, const std::string& field) {
    EXPECT_EQ(failure.code, absl::StatusCode::kInvalidArgument) << failure.message;
    EXPECT_EQ(failure.reason, reason) << failure.message;
    EXPECT_EQ(failure.field, field) << failure.message;
    EXPECT_EQ(failure.outcome, Outcome::kNotExecuted) << failure.message;
  }

  test::ScriptedGateway gateway_{{.statement_bytes = 1'000}, [](test::ScriptedServer& server) {
                                   server.Always("SELECT", test::Answer::Rows({{"n"}}, {{"1"}, {"2"}}));
                                 }};
  const std::string connection_ = gateway_.Connect();
};

TEST_F(RequestsTest, ConnectNamesATarget) {
  v1::ConnectRequest request;
  ExpectInvalid(Refusal<v1::ConnectResponse>(request), Reason::kMissingTarget, "target");
  request.set_data_source("none");
  ExpectInvalid(Refusal<v1::ConnectResponse>(request), Reason::kUnknownDataSource, "data_source");
  request.mutable_config()->set_port(70'000);
  EXPECT_THAT(Refusal<v1::ConnectResponse>(request).field, HasSubstr("config."));
}

TEST_F(RequestsTest, ExecuteRunsAStatement) {
  v1::ExecuteRequest request;
  request.set_connection_id(connection_);
  request.set_sql("SELECT n FROM t");
  v1::ExecuteResponse response;
  EXPECT_EQ(gateway_.Call(request, response), absl::OkStatus());
  EXPECT_EQ(response.rows_size(), 2);
  EXPECT_EQ(response.bound_sql(), "SELECT n FROM t");
  EXPECT_EQ(response.attempts(), 1);
}

TEST_F(RequestsTest, ExecuteTakesOneStatementWithItsParameters) {
  v1::ExecuteRequest request;
  ExpectInvalid(Refusal<v1::ExecuteResponse>(request), Reason::kEmptyStatement, "sql");
  request.set_sql(std::string(1'001, ' '));
  ExpectInvalid(Refusal<v1::ExecuteResponse>(request), Reason::kStatementTooLarge, "sql");
  request.set_sql("SELECT ?");
  ExpectInvalid(Refusal<v1::ExecuteResponse>(request), Reason::kParameterCount, "parameters");
  request.set_sql("SAVEPOINT a");
  ExpectInvalid(Refusal<v1::ExecuteResponse>(request), Reason::kTransactionControl, "sql");
}

TEST_F(RequestsTest, ExactlyOnceIsForAutocommit) {
  v1::ExecuteRequest request;
  request.set_sql("DELETE FROM t");
  request.set_exactly_once(true);
  request.mutable_begin();
  ExpectInvalid(Refusal<v1::ExecuteResponse>(request), Reason::kExactlyOnceInTransaction, "exactly_once");
  request.clear_begin();
  request.set_idempotency_key(std::string(201, 'k'));
  ExpectInvalid(Refusal<v1::ExecuteResponse>(request), Reason::kMalformedKey, "idempotency_key");
}

TEST_F(RequestsTest, ExecuteStreamHandsRowsOnAndSumsThemUp) {
  v1::ExecuteStreamRequest request;
  request.set_batch_rows(100'001);
  request.set_sql("SELECT n FROM t");
  ExpectInvalid(Refusal<Rows>(request), Reason::kOutOfRange, "batch_rows");

  request.set_connection_id(connection_);
  request.set_batch_rows(1);
  Rows rows;
  EXPECT_EQ(gateway_.Call(request, rows), absl::OkStatus());
  ASSERT_EQ(rows.messages.size(), 3);
  EXPECT_EQ(rows.messages.front()->bound_sql(), "SELECT n FROM t");
  EXPECT_THAT(rows.messages[1]->bound_sql(), IsEmpty());
  EXPECT_EQ(rows.messages.back()->summary().row_count(), 2);
}

TEST_F(RequestsTest, ExecuteBatchSaysWhichStatementIsWrong) {
  v1::ExecuteBatchRequest request;
  ExpectInvalid(Refusal<v1::ExecuteBatchResponse>(request), Reason::kEmptyBatch, "statements");
  request.add_statements()->set_sql("SELECT 1");
  v1::BatchStatement& second = *request.add_statements();
  second.set_sql("SELECT ?");
  second.add_parameters()->set_int64_value(1);
  second.add_parameter_lists()->add_parameters()->set_int64_value(1);
  const Failure twice = Refusal<v1::ExecuteBatchResponse>(request);
  EXPECT_EQ(twice.reason, Reason::kParametersTwice);
  EXPECT_THAT(twice.field, HasSubstr("parameter_lists"));
  EXPECT_EQ(twice.statement_index, 1);
}

TEST_F(RequestsTest, ExecuteBatchIsOneTransactionAtMost) {
  v1::ExecuteBatchRequest request;
  request.add_statements()->set_sql("SELECT 1");
  request.set_exactly_once(true);
  ExpectInvalid(Refusal<v1::ExecuteBatchResponse>(request), Reason::kExactlyOnceNotAtomic, "exactly_once");
  request.set_atomic(true);
  request.set_transaction_id("t-1");
  ExpectInvalid(Refusal<v1::ExecuteBatchResponse>(request), Reason::kAtomicInTransaction, "atomic");
}

TEST_F(RequestsTest, ABatchRunsSoMuchAtMost) {
  v1::ExecuteBatchRequest request;
  v1::BatchStatement& statement = *request.add_statements();
  statement.set_sql("SELECT 1");
  for (int i = 0; i <= 10'000; ++i) statement.add_parameter_lists();
  ExpectInvalid(Refusal<v1::ExecuteBatchResponse>(request), Reason::kBatchTooLarge, "statements");
}

TEST_F(RequestsTest, DescribeTakesAStatement) {
  v1::DescribeRequest request;
  ExpectInvalid(Refusal<v1::DescribeResponse>(request), Reason::kEmptyStatement, "sql");
}

TEST_F(RequestsTest, ATransactionBeginsAndEnds) {
  const std::string transaction = gateway_.Begin(connection_);
  v1::RollbackRequest request;
  request.set_connection_id(connection_);
  request.set_transaction_id(transaction);
  v1::RollbackResponse response;
  EXPECT_EQ(gateway_.Call(request, response), absl::OkStatus());
  EXPECT_EQ(response.transaction().state(), v1::TRANSACTION_STATE_ROLLED_BACK);
}

TEST_F(RequestsTest, ASavepointsNameIsPlain) {
  const std::string transaction = gateway_.Begin(connection_);
  v1::SavepointRequest request;
  request.set_transaction_id(transaction);
  for (const char* name : {"", "1a", "a b", "a\"b"}) {
    request.set_name(name);
    ExpectInvalid(Refusal<v1::SavepointResponse>(request), Reason::kSavepointName, "name");
  }
  request.set_name("a_1");
  EXPECT_EQ(Refusal<v1::SavepointResponse>(request).code, absl::StatusCode::kOk);
}

TEST_F(RequestsTest, KeepAliveNeedsATransactionOfTheConnection) {
  v1::KeepAliveRequest request;
  request.set_transaction_id("t-1");
  EXPECT_EQ(Refusal<v1::KeepAliveResponse>(request).kind, ErrorKind::kTransaction);
  request.set_transaction_id(gateway_.Begin(connection_));
  EXPECT_EQ(Refusal<v1::KeepAliveResponse>(request).code, absl::StatusCode::kOk);
}

TEST_F(RequestsTest, AnOutcomeIsAskedForByHandleOrToken) {
  v1::GetTransactionOutcomeRequest request;
  ExpectInvalid(Refusal<v1::GetTransactionOutcomeResponse>(request), Reason::kMissingTransaction, "transaction");
  request.set_recovery_token("nonsense");
  const Failure malformed = Refusal<v1::GetTransactionOutcomeResponse>(request);
  ExpectInvalid(malformed, Reason::kMalformedToken, "recovery_token");
  EXPECT_EQ(malformed.message, "recovery_token is not valid");
}

TEST_F(RequestsTest, ClosingTwiceIsNoError) {
  v1::CloseRequest request;
  v1::CloseResponse response;
  request.set_connection_id(gateway_.Connect());
  EXPECT_EQ(gateway_.Call(request, response), absl::OkStatus());
  EXPECT_EQ(gateway_.Call(request, response), absl::OkStatus());
}

TEST_F(RequestsTest, OperatorsAreAnsweredWhileTheGatewayDrains) {
  const std::string transaction = gateway_.Begin(connection_);
  gateway_.gateway().Drain(absl::ZeroDuration());
  v1::GetStatusRequest request;
  v1::GetStatusResponse response;
  EXPECT_EQ(gateway_.Call(request, response), absl::OkStatus());
  EXPECT_TRUE(response.draining());
  EXPECT_EQ(response.connections(), 1);
  EXPECT_EQ(response.transactions(), 0) << "rolled back";
  v1::ConnectRequest connect;
  connect.set_data_source("db");
  EXPECT_EQ(Refusal<v1::ConnectResponse>(connect).reason, Reason::kDraining);
}

}  // namespace
}  // namespace engine::db::gateway

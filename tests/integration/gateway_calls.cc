#include "tests/integration/gateway_calls.h"

#include "google/rpc/status.pb.h"

namespace engine::db::test {

Failure Decode(const grpc::Status& status) {
  Failure failure;
  failure.code = status.error_code();
  failure.message = status.error_message();
  google::rpc::Status rich;
  if (!rich.ParseFromString(status.error_details())) return failure;
  for (const auto& detail : rich.details()) {
    if (detail.Is<v1::DatabaseError>()) failure.has_error = detail.UnpackTo(&failure.error);
    if (detail.Is<google::rpc::ErrorInfo>()) failure.has_error_info = detail.UnpackTo(&failure.error_info);
    if (detail.Is<google::rpc::RetryInfo>()) failure.has_retry_info = true;
  }
  return failure;
}

Failure ExpectFailure(const grpc::Status& status, grpc::StatusCode code, v1::ErrorKind kind,
                      const std::string& reason) {
  Failure failure = Decode(status);
  const std::string shown =
      "code " + std::to_string(failure.code) + ": " + failure.message + "\n" + failure.error.ShortDebugString();
  EXPECT_EQ(failure.code, code) << shown;
  EXPECT_TRUE(failure.has_error) << shown;
  EXPECT_EQ(failure.error.kind(), kind) << shown;
  EXPECT_EQ(failure.error.reason(), reason) << shown;
  EXPECT_EQ(failure.error.status_code(), static_cast<int>(code)) << shown;
  EXPECT_FALSE(failure.error.message().empty()) << shown;
  EXPECT_TRUE(failure.has_error_info) << shown;
  EXPECT_EQ(failure.error_info.domain(), "engine.db") << shown;
  EXPECT_EQ(failure.error_info.reason(), reason) << shown;
  EXPECT_EQ(failure.has_retry_info, failure.error.retryable()) << shown;
  EXPECT_LT(status.error_details().size(), 4096U) << shown;
  return failure;
}

v1::Value Null() {
  v1::Value value;
  value.set_null_value(google::protobuf::NULL_VALUE);
  return value;
}

v1::Value Int(int64_t number) {
  v1::Value value;
  value.set_int64_value(number);
  return value;
}

v1::Value Double(double number) {
  v1::Value value;
  value.set_double_value(number);
  return value;
}

v1::Value Bool(bool truth) {
  v1::Value value;
  value.set_bool_value(truth);
  return value;
}

v1::Value Text(const std::string& text, const std::string& type_name) {
  v1::Value value;
  value.set_text_value(text);
  value.set_type_name(type_name);
  return value;
}

v1::Value Blob(const std::string& bytes) {
  v1::Value value;
  value.set_bytes_value(bytes);
  return value;
}

v1::Value Expr(v1::Expression expression) {
  v1::Value value;
  value.set_expression_value(expression);
  return value;
}

GatewayCallsTest::GatewayCallsTest() {
  const auto channel = grpc::CreateChannel(Gateway().address(), grpc::InsecureChannelCredentials());
  stub_ = v1::DatabaseConnector::NewStub(channel);
  admin_ = v1::GatewayAdmin::NewStub(channel);
}

void GatewayCallsTest::TearDown() {
  for (const std::string& connection : connections_) EXPECT_TRUE(Close(connection).ok());
  IntegrationTest::TearDown();
}

std::unique_ptr<GatewayCallsTest::Stub> GatewayCallsTest::StubFor(const GatewayProcess& gateway) {
  return v1::DatabaseConnector::NewStub(grpc::CreateChannel(gateway.address(), grpc::InsecureChannelCredentials()));
}

v1::ConnectRequest GatewayCallsTest::ConnectTo(int max_pool_size) const {
  v1::ConnectRequest request;
  v1::ConnectionConfig& config = *request.mutable_config();
  config.set_host(Postgres().host());
  config.set_port(Postgres().port());
  config.set_user(Postgres().user());
  config.set_password(Postgres().password());
  config.set_dbname(Postgres().dbname());
  config.set_max_pool_size(max_pool_size);
  config.set_application_name(name());
  return request;
}

std::string GatewayCallsTest::Open(const v1::ConnectRequest& request) {
  const auto answer = Call(&Stub::Connect, request);
  EXPECT_TRUE(answer.ok()) << answer.status.error_message();
  if (answer.ok()) connections_.push_back(answer.response.connection_id());
  return answer.response.connection_id();
}

Answer<v1::ExecuteResponse> GatewayCallsTest::Execute(const std::string& connection, const std::string& sql,
                                                      const std::vector<v1::Value>& parameters, milliseconds timeout) {
  v1::ExecuteRequest request;
  request.set_connection_id(connection);
  request.set_sql(sql);
  SetParameters(request, parameters);
  return Call(&Stub::Execute, request, timeout);
}

Answer<v1::ExecuteResponse> GatewayCallsTest::ExecuteIn(const std::string& connection, const std::string& transaction,
                                                        const std::string& sql,
                                                        const std::vector<v1::Value>& parameters) {
  v1::ExecuteRequest request;
  request.set_connection_id(connection);
  request.set_transaction_id(transaction);
  request.set_sql(sql);
  SetParameters(request, parameters);
  return Call(&Stub::Execute, request);
}

Answer<v1::BeginResponse> GatewayCallsTest::Begin(const std::string& connection,
                                                  const v1::TransactionOptions& options) {
  v1::BeginRequest request;
  request.set_connection_id(connection);
  *request.mutable_options() = options;
  return Call(&Stub::Begin, request);
}

Answer<v1::CommitResponse> GatewayCallsTest::Commit(const std::string& connection, const std::string& transaction) {
  v1::CommitRequest request;
  request.set_connection_id(connection);
  request.set_transaction_id(transaction);
  return Call(&Stub::Commit, request);
}

Answer<v1::RollbackResponse> GatewayCallsTest::Rollback(const std::string& connection, const std::string& transaction) {
  v1::RollbackRequest request;
  request.set_connection_id(connection);
  request.set_transaction_id(transaction);
  return Call(&Stub::Rollback, request);
}

Answer<v1::CloseResponse> GatewayCallsTest::Close(const std::string& connection) {
  v1::CloseRequest request;
  request.set_connection_id(connection);
  return Call(&Stub::Close, request);
}

StreamAnswer GatewayCallsTest::Stream(const v1::ExecuteStreamRequest& request, milliseconds timeout) {
  StreamAnswer answer;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + timeout);
  const auto reader = stub().ExecuteStream(&context, request);
  v1::ExecuteStreamResponse message;
  while (reader->Read(&message)) answer.messages.push_back(std::move(message));
  answer.status = reader->Finish();
  return answer;
}

v1::Value GatewayCallsTest::Cell(const Answer<v1::ExecuteResponse>& answer) {
  EXPECT_TRUE(answer.ok()) << answer.status.error_message();
  if (answer.response.rows_size() == 0 || answer.response.rows(0).values_size() == 0) {
    ADD_FAILURE() << "the result has no cell";
    return {};
  }
  return answer.response.rows(0).values(0);
}

}  // namespace engine::db::test

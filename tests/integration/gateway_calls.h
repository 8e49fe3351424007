// Plain gRPC calls, for tests of what the client library would hide.
#ifndef ENGINE_DB_TESTS_INTEGRATION_GATEWAY_CALLS_H_
#define ENGINE_DB_TESTS_INTEGRATION_GATEWAY_CALLS_H_

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "engine/db/v1/admin.grpc.pb.h"
#include "engine/db/v1/connector.grpc.pb.h"
#include "google/rpc/error_details.pb.h"
#include "tests/integration/integration_test.h"

namespace engine::db::test {

// What a failed call says.
struct Failure {
  grpc::StatusCode code = grpc::StatusCode::OK;
  std::string message;
  bool has_error = false;
  v1::DatabaseError error;
  bool has_error_info = false;
  google::rpc::ErrorInfo error_info;
  bool has_retry_info = false;
};
[[nodiscard]] Failure Decode(const grpc::Status& status);

// The failure of a call that must fail with details; what it says is shown when an expectation on it fails.
[[nodiscard]] Failure ExpectFailure(const grpc::Status& status, grpc::StatusCode code, v1::ErrorKind kind,
                                    const std::string& reason);

[[nodiscard]] v1::Value Null();
[[nodiscard]] v1::Value Int(int64_t number);
[[nodiscard]] v1::Value Double(double number);
[[nodiscard]] v1::Value Bool(bool truth);
[[nodiscard]] v1::Value Text(const std::string& text, const std::string& type_name = "");
[[nodiscard]] v1::Value Blob(const std::string& bytes);
[[nodiscard]] v1::Value Expr(v1::Expression expression);

template <typename Request>
void SetParameters(Request& request, const std::vector<v1::Value>& values) {
  for (const v1::Value& value : values) *request.add_parameters() = value;
}

// One answer: the status, and the response.
template <typename Response>
struct Answer {
  grpc::Status status;
  Response response;
  [[nodiscard]] bool ok() const { return status.ok(); }
};

// What one stream brought.
struct StreamAnswer {
  grpc::Status status;
  std::vector<v1::ExecuteStreamResponse> messages;
};

// Calls on the shared gateway, each with a deadline of 30 s unless told otherwise. Connections are closed after the
// test.
class GatewayCallsTest : public IntegrationTest {
 protected:
  using Stub = v1::DatabaseConnector::Stub;

  GatewayCallsTest();
  void TearDown() override;

  [[nodiscard]] Stub& stub() { return *stub_; }
  [[nodiscard]] v1::GatewayAdmin::Stub& admin() { return *admin_; }
  [[nodiscard]] static std::unique_ptr<Stub> StubFor(const GatewayProcess& gateway);

  // The role `app` on this test's own pool.
  [[nodiscard]] v1::ConnectRequest ConnectTo(int max_pool_size = 4) const;
  // The connection's id; a failure of the test when it does not work.
  std::string Open(int max_pool_size = 4) { return Open(ConnectTo(max_pool_size)); }
  std::string Open(const v1::ConnectRequest& request);

  // Any unary method: Call(&Stub::Execute, request).
  template <typename Request, typename Response>
  Answer<Response> Call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                        const Request& request, milliseconds timeout = seconds(30)) {
    Answer<Response> answer;
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + timeout);
    answer.status = (stub().*method)(&context, request, &answer.response);
    return answer;
  }

  Answer<v1::ExecuteResponse> Execute(const std::string& connection, const std::string& sql,
                                      const std::vector<v1::Value>& parameters = {},
                                      milliseconds timeout = seconds(30));
  // In a transaction.
  Answer<v1::ExecuteResponse> ExecuteIn(const std::string& connection, const std::string& transaction,
                                        const std::string& sql, const std::vector<v1::Value>& parameters = {});
  Answer<v1::BeginResponse> Begin(const std::string& connection, const v1::TransactionOptions& options = {});
  Answer<v1::CommitResponse> Commit(const std::string& connection, const std::string& transaction);
  Answer<v1::RollbackResponse> Rollback(const std::string& connection, const std::string& transaction);
  Answer<v1::CloseResponse> Close(const std::string& connection);
  StreamAnswer Stream(const v1::ExecuteStreamRequest& request, milliseconds timeout = seconds(60));

  // The first cell of a result that must be there.
  static v1::Value Cell(const Answer<v1::ExecuteResponse>& answer);

 private:
  std::unique_ptr<Stub> stub_;
  std::unique_ptr<v1::GatewayAdmin::Stub> admin_;
  std::vector<std::string> connections_;
};

}  // namespace engine::db::test

#endif  // ENGINE_DB_TESTS_INTEGRATION_GATEWAY_CALLS_H_

// Every method of the contract is served: gRPC answers for one that is forgotten.
#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>

#include <string>

#include "absl/synchronization/notification.h"
#include "engine/db/v1/admin.pb.h"
#include "engine/db/v1/connector.grpc.pb.h"
#include "gtest/gtest.h"
#include "tests/unit/rpc/served_gateway.h"

namespace engine::db::rpc {
namespace {

class ServicesTest : public testing::Test {
 protected:
  // An empty request to a unary method.
  grpc::Status Call(const std::string& service, const std::string& method) {
    grpc::GenericStub stub(served_.channel());
    grpc::ClientContext context;
    grpc::Slice nothing;
    grpc::ByteBuffer request(&nothing, 1);
    grpc::ByteBuffer response;
    grpc::Status status;
    absl::Notification ended;
    stub.UnaryCall(&context, "/" + service + "/" + method, grpc::StubOptions(), &request, &response,
                   [&](const grpc::Status& end) {
                     status = end;
                     ended.Notify();
                   });
    ended.WaitForNotification();
    return status;
  }

  void ExpectServed(const google::protobuf::ServiceDescriptor& service) {
    for (int i = 0; i < service.method_count(); ++i) {
      const google::protobuf::MethodDescriptor& method = *service.method(i);
      if (method.server_streaming()) continue;  // below
      EXPECT_NE(Call(service.full_name(), method.name()).error_code(), grpc::StatusCode::UNIMPLEMENTED)
          << method.full_name();
    }
  }

  test::ServedGateway served_;
};

TEST_F(ServicesTest, EveryUnaryMethodOfTheConnector) {
  ExpectServed(*v1::ConnectRequest::descriptor()->file()->FindServiceByName("DatabaseConnector"));
}

TEST_F(ServicesTest, EveryMethodForOperators) {
  ExpectServed(*v1::GetStatusRequest::descriptor()->file()->FindServiceByName("GatewayAdmin"));
}

TEST_F(ServicesTest, StreamsToo) {
  const auto stub = v1::DatabaseConnector::NewStub(served_.channel());
  grpc::ClientContext stream_context;
  const auto stream = stub->ExecuteStream(&stream_context, v1::ExecuteStreamRequest());
  v1::ExecuteStreamResponse message;
  EXPECT_FALSE(stream->Read(&message));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::INVALID_ARGUMENT) << "no connection_id";

  grpc::ClientContext session_context;
  const auto session = stub->Session(&session_context);
  EXPECT_TRUE(session->WritesDone());
  EXPECT_TRUE(session->Finish().ok());
}

}  // namespace
}  // namespace engine::db::rpc

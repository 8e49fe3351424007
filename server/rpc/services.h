// The contract's services. What their methods do is the gateway's: see server/gateway/methods.h. gRPC wants an override
// for each; one that is forgotten answers UNIMPLEMENTED, which a unit test finds.
#ifndef ENGINE_DB_SERVER_RPC_SERVICES_H_
#define ENGINE_DB_SERVER_RPC_SERVICES_H_

#include <grpcpp/support/server_callback.h>

#include "engine/db/v1/admin.grpc.pb.h"
#include "engine/db/v1/connector.grpc.pb.h"
#include "server/gateway/gateway.h"
#include "server/rpc/caller.h"
#include "server/rpc/session.h"
#include "server/rpc/stream_call.h"
#include "server/rpc/unary_call.h"

namespace engine::db::rpc {

// What the services have in common. The gateway must outlive it.
template <typename Service>
class GatewayService : public Service {
 public:
  explicit GatewayService(gateway::Gateway& gateway) : gateway_(gateway) {}

 protected:
  using Context = grpc::CallbackServerContext;
  using Unary = grpc::ServerUnaryReactor;

  template <typename Request, typename Response>
  Unary* Start(Context* context, const Request* request, Response* response) {
    return UnaryCall::Start(gateway_, *context, *request, *response);
  }

  gateway::Gateway& gateway_;
};

class ConnectorService final : public GatewayService<v1::DatabaseConnector::CallbackService> {
 public:
  using GatewayService::GatewayService;

  Unary* Connect(Context* c, const v1::ConnectRequest* q, v1::ConnectResponse* r) override { return Start(c, q, r); }
  Unary* Execute(Context* c, const v1::ExecuteRequest* q, v1::ExecuteResponse* r) override { return Start(c, q, r); }
  Unary* ExecuteBatch(Context* c, const v1::ExecuteBatchRequest* q, v1::ExecuteBatchResponse* r) override {
    return Start(c, q, r);
  }
  Unary* Describe(Context* c, const v1::DescribeRequest* q, v1::DescribeResponse* r) override { return Start(c, q, r); }
  Unary* Begin(Context* c, const v1::BeginRequest* q, v1::BeginResponse* r) override { return Start(c, q, r); }
  Unary* Commit(Context* c, const v1::CommitRequest* q, v1::CommitResponse* r) override { return Start(c, q, r); }
  Unary* Rollback(Context* c, const v1::RollbackRequest* q, v1::RollbackResponse* r) override { return Start(c, q, r); }
  Unary* Savepoint(Context* c, const v1::SavepointRequest* q, v1::SavepointResponse* r) override {
    return Start(c, q, r);
  }
  Unary* RollbackToSavepoint(Context* c, const v1::RollbackToSavepointRequest* q,
                             v1::RollbackToSavepointResponse* r) override {
    return Start(c, q, r);
  }
  Unary* ReleaseSavepoint(Context* c, const v1::ReleaseSavepointRequest* q, v1::ReleaseSavepointResponse* r) override {
    return Start(c, q, r);
  }
  Unary* KeepAlive(Context* c, const v1::KeepAliveRequest* q, v1::KeepAliveResponse* r) override {
    return Start(c, q, r);
  }
  Unary* GetTransactionOutcome(Context* c, const v1::GetTransactionOutcomeRequest* q,
                               v1::GetTransactionOutcomeResponse* r) override {
    return Start(c, q, r);
  }
  Unary* Close(Context* c, const v1::CloseRequest* q, v1::CloseResponse* r) override { return Start(c, q, r); }

  grpc::ServerWriteReactor<v1::ExecuteStreamResponse>* ExecuteStream(Context* c,
                                                                     const v1::ExecuteStreamRequest* q) override {
    return new StreamCall(gateway_, CallerOf(gateway_, *c), *q);
  }
  grpc::ServerBidiReactor<v1::SessionRequest, v1::SessionResponse>* Session(Context*) override {
    return new rpc::Session(gateway_);
  }
};

class AdminService final : public GatewayService<v1::GatewayAdmin::CallbackService> {
 public:
  using GatewayService::GatewayService;

  Unary* GetStatus(Context* c, const v1::GetStatusRequest* q, v1::GetStatusResponse* r) override {
    return Start(c, q, r);
  }
  Unary* ListPools(Context* c, const v1::ListPoolsRequest* q, v1::ListPoolsResponse* r) override {
    return Start(c, q, r);
  }
  Unary* ListTransactions(Context* c, const v1::ListTransactionsRequest* q, v1::ListTransactionsResponse* r) override {
    return Start(c, q, r);
  }
  Unary* ListStatements(Context* c, const v1::ListStatementsRequest* q, v1::ListStatementsResponse* r) override {
    return Start(c, q, r);
  }
  Unary* CancelStatement(Context* c, const v1::CancelStatementRequest* q, v1::CancelStatementResponse* r) override {
    return Start(c, q, r);
  }
};

}  // namespace engine::db::rpc

#endif  // ENGINE_DB_SERVER_RPC_SERVICES_H_

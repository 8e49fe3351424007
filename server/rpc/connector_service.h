// The service DatabaseConnector: hands each call to the gateway.
#ifndef ENGINE_DB_SERVER_RPC_CONNECTOR_SERVICE_H_
#define ENGINE_DB_SERVER_RPC_CONNECTOR_SERVICE_H_

#include "engine/db/v1/connector.grpc.pb.h"
#include "server/gateway/gateway.h"

namespace engine::db::rpc {

class ConnectorService final : public v1::DatabaseConnector::CallbackService {
 public:
  // The gateway must outlive the service.
  explicit ConnectorService(gateway::Gateway& gateway) : gateway_(gateway) {}

  grpc::ServerUnaryReactor* Connect(grpc::CallbackServerContext* context, const v1::ConnectRequest* request,
                                    v1::ConnectResponse* response) override;
  grpc::ServerUnaryReactor* Execute(grpc::CallbackServerContext* context, const v1::ExecuteRequest* request,
                                    v1::ExecuteResponse* response) override;
  grpc::ServerWriteReactor<v1::ExecuteStreamResponse>* ExecuteStream(grpc::CallbackServerContext* context,
                                                                     const v1::ExecuteStreamRequest* request) override;
  grpc::ServerUnaryReactor* ExecuteBatch(grpc::CallbackServerContext* context, const v1::ExecuteBatchRequest* request,
                                         v1::ExecuteBatchResponse* response) override;
  grpc::ServerUnaryReactor* Describe(grpc::CallbackServerContext* context, const v1::DescribeRequest* request,
                                     v1::DescribeResponse* response) override;
  grpc::ServerUnaryReactor* Begin(grpc::CallbackServerContext* context, const v1::BeginRequest* request,
                                  v1::BeginResponse* response) override;
  grpc::ServerUnaryReactor* Commit(grpc::CallbackServerContext* context, const v1::CommitRequest* request,
                                   v1::CommitResponse* response) override;
  grpc::ServerUnaryReactor* Rollback(grpc::CallbackServerContext* context, const v1::RollbackRequest* request,
                                     v1::RollbackResponse* response) override;
  grpc::ServerUnaryReactor* Savepoint(grpc::CallbackServerContext* context, const v1::SavepointRequest* request,
                                      v1::SavepointResponse* response) override;
  grpc::ServerUnaryReactor* RollbackToSavepoint(grpc::CallbackServerContext* context,
                                                const v1::RollbackToSavepointRequest* request,
                                                v1::RollbackToSavepointResponse* response) override;
  grpc::ServerUnaryReactor* ReleaseSavepoint(grpc::CallbackServerContext* context,
                                             const v1::ReleaseSavepointRequest* request,
                                             v1::ReleaseSavepointResponse* response) override;
  grpc::ServerUnaryReactor* KeepAlive(grpc::CallbackServerContext* context, const v1::KeepAliveRequest* request,
                                      v1::KeepAliveResponse* response) override;
  grpc::ServerUnaryReactor* GetTransactionOutcome(grpc::CallbackServerContext* context,
                                                  const v1::GetTransactionOutcomeRequest* request,
                                                  v1::GetTransactionOutcomeResponse* response) override;
  grpc::ServerBidiReactor<v1::SessionRequest, v1::SessionResponse>* Session(
      grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* Close(grpc::CallbackServerContext* context, const v1::CloseRequest* request,
                                  v1::CloseResponse* response) override;

 private:
  gateway::Gateway& gateway_;
};

}  // namespace engine::db::rpc

#endif  // ENGINE_DB_SERVER_RPC_CONNECTOR_SERVICE_H_

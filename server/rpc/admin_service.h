// The service GatewayAdmin.
#ifndef ENGINE_DB_SERVER_RPC_ADMIN_SERVICE_H_
#define ENGINE_DB_SERVER_RPC_ADMIN_SERVICE_H_

#include "engine/db/v1/admin.grpc.pb.h"
#include "server/gateway/gateway.h"

namespace engine::db::rpc {

class AdminService final : public v1::GatewayAdmin::CallbackService {
 public:
  // The gateway must outlive the service.
  explicit AdminService(gateway::Gateway& gateway) : gateway_(gateway) {}

  grpc::ServerUnaryReactor* GetStatus(grpc::CallbackServerContext* context, const v1::GetStatusRequest* request,
                                      v1::GetStatusResponse* response) override;
  grpc::ServerUnaryReactor* ListPools(grpc::CallbackServerContext* context, const v1::ListPoolsRequest* request,
                                      v1::ListPoolsResponse* response) override;
  grpc::ServerUnaryReactor* ListTransactions(grpc::CallbackServerContext* context,
                                             const v1::ListTransactionsRequest* request,
                                             v1::ListTransactionsResponse* response) override;
  grpc::ServerUnaryReactor* ListStatements(grpc::CallbackServerContext* context,
                                           const v1::ListStatementsRequest* request,
                                           v1::ListStatementsResponse* response) override;
  grpc::ServerUnaryReactor* CancelStatement(grpc::CallbackServerContext* context,
                                            const v1::CancelStatementRequest* request,
                                            v1::CancelStatementResponse* response) override;

 private:
  gateway::Gateway& gateway_;
};

}  // namespace engine::db::rpc

#endif  // ENGINE_DB_SERVER_RPC_ADMIN_SERVICE_H_

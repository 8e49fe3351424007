#include "server/rpc/admin_service.h"

#include <utility>

#include "server/rpc/unary_call.h"

namespace engine::db::rpc {

using Done = gateway::Gateway::Done;

grpc::ServerUnaryReactor* AdminService::GetStatus(grpc::CallbackServerContext*, const v1::GetStatusRequest*,
                                                  v1::GetStatusResponse* response) {
  return UnaryCall::Run(gateway_, [&](Done done) {
    gateway_.GetStatus(*response);
    done(absl::OkStatus());
  });
}

grpc::ServerUnaryReactor* AdminService::ListPools(grpc::CallbackServerContext*, const v1::ListPoolsRequest*,
                                                  v1::ListPoolsResponse* response) {
  return UnaryCall::Run(gateway_, [&](Done done) { gateway_.ListPools(*response, std::move(done)); });
}

grpc::ServerUnaryReactor* AdminService::ListTransactions(grpc::CallbackServerContext*,
                                                         const v1::ListTransactionsRequest*,
                                                         v1::ListTransactionsResponse* response) {
  return UnaryCall::Run(gateway_, [&](Done done) { gateway_.ListTransactions(*response, std::move(done)); });
}

grpc::ServerUnaryReactor* AdminService::ListStatements(grpc::CallbackServerContext*, const v1::ListStatementsRequest*,
                                                       v1::ListStatementsResponse* response) {
  return UnaryCall::Run(gateway_, [&](Done done) { gateway_.ListStatements(*response, std::move(done)); });
}

grpc::ServerUnaryReactor* AdminService::CancelStatement(grpc::CallbackServerContext*,
                                                        const v1::CancelStatementRequest* request,
                                                        v1::CancelStatementResponse* response) {
  return UnaryCall::Run(
      gateway_, [&](Done done) { gateway_.CancelStatement(request->statement_id(), *response, std::move(done)); });
}

}  // namespace engine::db::rpc

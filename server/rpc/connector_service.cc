#include "server/rpc/connector_service.h"

#include <utility>

#include "server/rpc/caller.h"
#include "server/rpc/session.h"
#include "server/rpc/stream_call.h"
#include "server/rpc/unary_call.h"

namespace engine::db::rpc {
namespace {

// Every unary method of the gateway has this shape.
template <typename Request, typename Response, typename Result>
grpc::ServerUnaryReactor* RunUnary(gateway::Gateway& gateway,
                                   Result (gateway::Gateway::*method)(const gateway::Caller&, const Request&, Response&,
                                                                      gateway::Gateway::Done),
                                   const grpc::CallbackServerContext& context, const Request& request,
                                   Response& response) {
  return UnaryCall::Run(gateway, [&](gateway::Gateway::Done done) {
    return (gateway.*method)(CallerOf(gateway, context), request, response, std::move(done));
  });
}

}  // namespace

grpc::ServerUnaryReactor* ConnectorService::Connect(grpc::CallbackServerContext* context,
                                                    const v1::ConnectRequest* request, v1::ConnectResponse* response) {
  return RunUnary(gateway_, &gateway::Gateway::Connect, *context, *request, *response);
}

grpc::ServerUnaryReactor* ConnectorService::Execute(grpc::CallbackServerContext* context,
                                                    const v1::ExecuteRequest* request, v1::ExecuteResponse* response) {
  return RunUnary(gateway_, &gateway::Gateway::Execute, *context, *request, *response);
}

grpc::ServerWriteReactor<v1::ExecuteStreamResponse>* ConnectorService::ExecuteStream(
    grpc::CallbackServerContext* context, const v1::ExecuteStreamRequest* request) {
  return new StreamCall(gateway_, CallerOf(gateway_, *context), *request);
}

grpc::ServerUnaryReactor* ConnectorService::ExecuteBatch(grpc::CallbackServerContext* context,
                                                         const v1::ExecuteBatchRequest* request,
                                                         v1::ExecuteBatchResponse* response) {
  return RunUnary(gateway_, &gateway::Gateway::ExecuteBatch, *context, *request, *response);
}

grpc::ServerUnaryReactor* ConnectorService::Describe(grpc::CallbackServerContext* context,
                                                     const v1::DescribeRequest* request,
                                                     v1::DescribeResponse* response) {
  return RunUnary(gateway_, &gateway::Gateway::Describe, *context, *request, *response);
}

grpc::ServerUnaryReactor* ConnectorService::Begin(grpc::CallbackServerContext* context, const v1::BeginRequest* request,
                                                  v1::BeginResponse* response) {
  return RunUnary(gateway_, &gateway::Gateway::Begin, *context, *request, *response);
}

grpc::ServerUnaryReactor* ConnectorService::Commit(grpc::CallbackServerContext* context,
                                                   const v1::CommitRequest* request, v1::CommitResponse* response) {
  return RunUnary(gateway_, &gateway::Gateway::Commit, *context, *request, *response);
}

grpc::ServerUnaryReactor* ConnectorService::Rollback(grpc::CallbackServerContext* context,
                                                     const v1::RollbackRequest* request,
                                                     v1::RollbackResponse* response) {
  return RunUnary(gateway_, &gateway::Gateway::Rollback, *context, *request, *response);
}

grpc::ServerUnaryReactor* ConnectorService::Savepoint(grpc::CallbackServerContext* context,
                                                      const v1::SavepointRequest* request,
                                                      v1::SavepointResponse* response) {
  return RunUnary(gateway_, &gateway::Gateway::Savepoint, *context, *request, *response);
}

grpc::ServerUnaryReactor* ConnectorService::RollbackToSavepoint(grpc::CallbackServerContext* context,
                                                                const v1::RollbackToSavepointRequest* request,
                                                                v1::RollbackToSavepointResponse* response) {
  return RunUnary(gateway_, &gateway::Gateway::RollbackToSavepoint, *context, *request, *response);
}

grpc::ServerUnaryReactor* ConnectorService::ReleaseSavepoint(grpc::CallbackServerContext* context,
                                                             const v1::ReleaseSavepointRequest* request,
                                                             v1::ReleaseSavepointResponse* response) {
  return RunUnary(gateway_, &gateway::Gateway::ReleaseSavepoint, *context, *request, *response);
}

grpc::ServerUnaryReactor* ConnectorService::KeepAlive(grpc::CallbackServerContext* context,
                                                      const v1::KeepAliveRequest* request,
                                                      v1::KeepAliveResponse* response) {
  return RunUnary(gateway_, &gateway::Gateway::KeepAlive, *context, *request, *response);
}

grpc::ServerUnaryReactor* ConnectorService::GetTransactionOutcome(grpc::CallbackServerContext* context,
                                                                  const v1::GetTransactionOutcomeRequest* request,
                                                                  v1::GetTransactionOutcomeResponse* response) {
  return RunUnary(gateway_, &gateway::Gateway::GetTransactionOutcome, *context, *request, *response);
}

grpc::ServerBidiReactor<v1::SessionRequest, v1::SessionResponse>* ConnectorService::Session(
    grpc::CallbackServerContext*) {
  return new rpc::Session(gateway_);
}

grpc::ServerUnaryReactor* ConnectorService::Close(grpc::CallbackServerContext* context, const v1::CloseRequest* request,
                                                  v1::CloseResponse* response) {
  return RunUnary(gateway_, &gateway::Gateway::Close, *context, *request, *response);
}

}  // namespace engine::db::rpc

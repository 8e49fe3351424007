// One unary call: starts it on the gateway, cancels it there when its caller does, finishes it when it is done.
#ifndef ENGINE_DB_SERVER_RPC_UNARY_CALL_H_
#define ENGINE_DB_SERVER_RPC_UNARY_CALL_H_

#include <grpcpp/support/server_callback.h>

#include "server/gateway/gateway.h"
#include "server/rpc/caller.h"
#include "server/rpc/status.h"

namespace engine::db::rpc {

// Owned by gRPC from the return of the handler that makes it: it deletes itself in OnDone, as the callback API has it.
class UnaryCall final : public grpc::ServerUnaryReactor {
 public:
  // What a service's handler does for any unary method. gRPC calls no method of ours before that handler has returned
  // the reactor.
  template <typename Request, typename Response>
  static grpc::ServerUnaryReactor* Start(gateway::Gateway& gateway, const grpc::CallbackServerContext& context,
                                         const Request& request, Response& response) {
    auto* call = new UnaryCall(gateway);
    call->ref_ = gateway.Call(CallerOf(gateway, context), request, response,
                              [call](const absl::Status& status) { call->Finish(ToGrpc(status)); });
    return call;
  }

 private:
  explicit UnaryCall(gateway::Gateway& gateway) : gateway_(gateway) {}

  void OnCancel() override { gateway_.Cancel(ref_); }
  void OnDone() override { delete this; }

  gateway::Gateway& gateway_;
  gateway::CallRef ref_;
};

}  // namespace engine::db::rpc

#endif  // ENGINE_DB_SERVER_RPC_UNARY_CALL_H_

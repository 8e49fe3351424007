// One unary call: starts it on the gateway, cancels it there when its caller does, finishes it when it is done.
#ifndef ENGINE_DB_SERVER_RPC_UNARY_CALL_H_
#define ENGINE_DB_SERVER_RPC_UNARY_CALL_H_

#include <grpcpp/support/server_callback.h>

#include <type_traits>

#include "server/gateway/gateway.h"
#include "server/rpc/status.h"

namespace engine::db::rpc {

// Owned by gRPC from the return of the handler that makes it: it deletes itself in OnDone, as the callback API has it.
class UnaryCall final : public grpc::ServerUnaryReactor {
 public:
  // `start(done)` starts the call, and returns its CallRef, or nothing when it can't be cancelled. gRPC calls no method
  // of ours before the handler has returned the reactor.
  template <typename Start>
  static grpc::ServerUnaryReactor* Run(gateway::Gateway& gateway, Start&& start) {
    auto* call = new UnaryCall(gateway);
    const auto done = [call](const absl::Status& status) { call->Finish(ToGrpc(status)); };
    if constexpr (std::is_void_v<decltype(start(done))>) {
      start(done);
    } else {
      call->ref_ = start(done);
    }
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

// What the gateway is told of a call.
#ifndef ENGINE_DB_SERVER_RPC_CALLER_H_
#define ENGINE_DB_SERVER_RPC_CALLER_H_

#include <grpcpp/server_context.h>

#include "absl/time/time.h"
#include "server/gateway/gateway.h"

namespace engine::db::rpc {

[[nodiscard]] inline gateway::Caller CallerOf(const grpc::CallbackServerContext& context) {
  gateway::Caller caller;
  const auto deadline = context.deadline();  // time_point::max() when the caller has set none
  if (deadline != std::chrono::system_clock::time_point::max()) caller.deadline = absl::FromChrono(deadline);
  return caller;
}

}  // namespace engine::db::rpc

#endif  // ENGINE_DB_SERVER_RPC_CALLER_H_

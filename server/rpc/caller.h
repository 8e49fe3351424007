// What the gateway is told of a call.
#ifndef ENGINE_DB_SERVER_RPC_CALLER_H_
#define ENGINE_DB_SERVER_RPC_CALLER_H_

#include <grpcpp/server_context.h>

#include <algorithm>
#include <chrono>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/gateway/gateway.h"
#include "server/loop/clock.h"

namespace engine::db::rpc {

// A tenth of the time that is left, 25 ms at most, is kept for cancelling and for the way back: so the caller hears
// what became of its statement, before its own library gives up on the call and can't say.
[[nodiscard]] inline gateway::Caller CallerOf(const gateway::Gateway& gateway,
                                              const grpc::CallbackServerContext& context) {
  gateway::Caller caller;
  const auto deadline = context.deadline();  // time_point::max() when the caller has set none
  if (deadline != std::chrono::system_clock::time_point::max()) {
    const absl::Duration left = std::max(absl::FromChrono(deadline) - absl::Now(), absl::ZeroDuration());
    caller.deadline = gateway.clock().Now() + left - std::min(left / 10, absl::Milliseconds(25));
  }
  return caller;
}

}  // namespace engine::db::rpc

#endif  // ENGINE_DB_SERVER_RPC_CALLER_H_

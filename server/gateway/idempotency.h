// Writes in autocommit whose outcome their caller will know (exactly_once), and calls with an idempotency key: whoever
// repeats one gets the first one's result, and nothing runs twice. The keys are kept in a table of the caller's own
// database, which is written in the transaction that does what the call is to do.
#ifndef ENGINE_DB_SERVER_GATEWAY_IDEMPOTENCY_H_
#define ENGINE_DB_SERVER_GATEWAY_IDEMPOTENCY_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "server/call/call_plan.h"
#include "server/call/target.h"
#include "server/gateway/parts.h"

namespace engine::db::gateway {

// Makes a transaction of a write in autocommit, of which the caller will know whether it is committed.
[[nodiscard]] absl::Status MakeExactlyOnce(call::CallPlan& plan);

// UNIMPLEMENTED if the plan is exactly-once, and its server can't be asked for a transaction's fate.
[[nodiscard]] absl::Status CheckMarks(const call::Target& target, const call::CallPlan& plan);

// A call that may be repeated.
struct IdempotentCall {
  std::string key;
  // Tells another call that comes with the same key: DigestOf what it is to do.
  int64_t digest = 0;
  // What the call returns, whole: asked for when all that it is to do has worked.
  absl::AnyInvocable<std::string()> response;
  // Gets what an earlier call with the key returned. Nothing was done then.
  absl::AnyInvocable<void(const std::string& response)> answered_before;
};

// The same for the same bytes, over restarts and versions.
[[nodiscard]] int64_t DigestOf(std::string_view bytes);

// `what` is all that tells the call from another one. The response must live as long as the call.
template <typename Response>
[[nodiscard]] IdempotentCall IdempotentBy(const std::string& key, std::string_view what, Response& response) {
  IdempotentCall call;
  call.key = key;
  call.digest = DigestOf(what);
  call.response = [&response] { return response.SerializeAsString(); };
  call.answered_before = [&response](const std::string& kept) {
    response.ParseFromString(kept);
    response.set_answered_before(true);
  };
  return call;
}

// Puts the plan's statements between those that look the key up and those that keep the response. The plan is
// exactly-once, its statements are bound.
[[nodiscard]] absl::Status MakeIdempotent(const Parts& parts, call::CallPlan& plan, IdempotentCall call);

}  // namespace engine::db::gateway

#endif  // ENGINE_DB_SERVER_GATEWAY_IDEMPOTENCY_H_

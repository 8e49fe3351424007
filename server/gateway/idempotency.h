// Calls with an idempotency key: whoever repeats one gets the first one's result, and nothing runs twice. The keys are
// kept in a table of the caller's own database, which is written in the transaction that does what the call is to do.
#ifndef ENGINE_DB_SERVER_GATEWAY_IDEMPOTENCY_H_
#define ENGINE_DB_SERVER_GATEWAY_IDEMPOTENCY_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/call/work.h"

namespace engine::db::gateway {

// Longest key, in bytes.
inline constexpr size_t kMaxIdempotencyKeyBytes = 200;

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

// Puts the work's runs between those that look the key up and those that keep the response. The work is exactly-once,
// its runs are bound. `make_run` makes a statement of the gateway's own a run.
[[nodiscard]] absl::Status MakeIdempotent(
    call::Work& work, IdempotentCall call,
    absl::FunctionRef<absl::StatusOr<call::Run>(const std::string& sql)> make_run);

}  // namespace engine::db::gateway

#endif  // ENGINE_DB_SERVER_GATEWAY_IDEMPOTENCY_H_

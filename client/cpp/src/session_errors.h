// The errors that a session itself finds.
#ifndef ENGINE_DB_CLIENT_CPP_SRC_SESSION_ERRORS_H_
#define ENGINE_DB_CLIENT_CPP_SRC_SESSION_ERRORS_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "engine_db/error.h"

namespace engine::db::internal {

// Outcome kNotExecuted.
[[nodiscard]] ErrorInfo session_error(ErrorKind kind, std::string_view reason, std::string message);

// Of a call that was cancelled before it was sent.
[[nodiscard]] ErrorInfo cancelled_error();
// Of a call whose message would be larger than the gateway takes.
[[nodiscard]] ErrorInfo too_large_error(size_t bytes, size_t limit);
// Of a call beyond the session's limit of calls in flight.
[[nodiscard]] ErrorInfo too_many_calls_error(size_t limit);
// Whether another session, to the same gateway or the next, may have what this one has lost.
[[nodiscard]] bool is_loss_of_gateway(const ErrorInfo& info);
// Of a stream that has ended, with gRPC's message, if there is one.
[[nodiscard]] ErrorInfo stream_error(bool connected, const std::string& address, const std::string& message);

}  // namespace engine::db::internal

#endif  // ENGINE_DB_CLIENT_CPP_SRC_SESSION_ERRORS_H_

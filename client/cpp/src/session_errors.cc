#include "client/cpp/src/session_errors.h"

#include <utility>

#include "engine_db/reasons.h"

namespace engine::db::internal {

ErrorInfo session_error(ErrorKind kind, std::string_view reason, std::string message) {
  ErrorInfo info;
  info.kind = kind;
  info.outcome = Outcome::kNotExecuted;
  info.reason = reason;
  info.message = std::move(message);
  return info;
}

ErrorInfo cancelled_error() {
  return session_error(ErrorKind::kTimeout, reasons::kCancelled, "the call was cancelled before it was sent");
}

ErrorInfo too_large_error(size_t bytes, size_t limit) {
  return session_error(ErrorKind::kInvalidRequest, reasons::kRequestTooLarge,
                       "the statement with its parameters has " + std::to_string(bytes) + " bytes; at most " +
                           std::to_string(limit) + " go in a call");
}

ErrorInfo too_many_calls_error(size_t limit) {
  ErrorInfo info = session_error(
      ErrorKind::kConnection, reasons::kTooManyCalls,
      "this connector has " + std::to_string(limit) + " calls in flight, its limit; wait for some to end");
  info.retryable = true;
  return info;
}

bool is_loss_of_gateway(const ErrorInfo& info) {
  return info.reason == reasons::kGatewayLost || info.reason == reasons::kGatewayUnreachable ||
         info.reason == reasons::kDraining;
}

ErrorInfo stream_error(bool connected, const std::string& address, const std::string& message) {
  std::string text =
      connected ? "the link to the gateway at " + address + " was lost" : "can't reach the gateway at " + address;
  if (!message.empty()) text += ": " + message;
  ErrorInfo info = session_error(ErrorKind::kConnection,
                                 connected ? reasons::kGatewayLost : reasons::kGatewayUnreachable, std::move(text));
  info.retryable = true;
  return info;
}

}  // namespace engine::db::internal

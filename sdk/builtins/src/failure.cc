#include "sdk/builtins/src/failure.h"

#include <utility>

namespace engine::db::builtins {

void throw_at(const Place& place, const DatabaseError& error) {
  ErrorInfo info = error.info();
  info.message = place.to_string() + ": " + info.message;
  info.field = place.field;
  throw_error(std::move(info));
}

void throw_request_error(const Place& place, std::string_view reason, const std::string& message) {
  ErrorInfo info;
  info.kind = ErrorKind::kInvalidRequest;
  info.outcome = Outcome::kNotExecuted;
  info.phase = Phase::kValidating;
  info.reason = reason;
  info.field = place.field;
  info.message = place.to_string() + ": " + message;
  throw_error(std::move(info));
}

}  // namespace engine::db::builtins

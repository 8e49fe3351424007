#include "engine_db/error.h"

#include <utility>

namespace engine::db {

std::string_view to_string(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kConnection:
      return "connection";
    case ErrorKind::kExecution:
      return "execution";
    case ErrorKind::kTimeout:
      return "timeout";
    case ErrorKind::kTransaction:
      return "transaction";
    case ErrorKind::kInvalidRequest:
      return "invalid request";
  }
  return "unknown";
}

std::string_view to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::kUnspecified:
      return "unspecified";
    case Outcome::kNotExecuted:
      return "not executed";
    case Outcome::kRolledBack:
      return "rolled back";
    case Outcome::kCommitted:
      return "committed";
    case Outcome::kUnknown:
      return "unknown";
  }
  return "unknown";
}

std::string_view to_string(Phase phase) {
  switch (phase) {
    case Phase::kUnspecified:
      return "unspecified";
    case Phase::kValidating:
      return "validating";
    case Phase::kQueued:
      return "queued";
    case Phase::kConnecting:
      return "connecting";
    case Phase::kExecuting:
      return "executing";
    case Phase::kStreaming:
      return "streaming";
    case Phase::kCommitting:
      return "committing";
  }
  return "unknown";
}

DatabaseError::DatabaseError(ErrorInfo info) : std::runtime_error(info.message), info_(std::move(info)) {}

void throw_error(ErrorInfo info) {
  switch (info.kind) {
    case ErrorKind::kConnection:
      throw DatabaseConnectionError(std::move(info));
    case ErrorKind::kExecution:
      break;
    case ErrorKind::kTimeout:
      throw DatabaseTimeoutError(std::move(info));
    case ErrorKind::kTransaction:
      throw DatabaseTransactionError(std::move(info));
    case ErrorKind::kInvalidRequest:
      throw DatabaseRequestError(std::move(info));
  }
  throw DatabaseExecutionError(std::move(info));
}

std::exception_ptr make_error(ErrorInfo info) {
  try {
    throw_error(std::move(info));
  } catch (...) {
    return std::current_exception();
  }
}

}  // namespace engine::db

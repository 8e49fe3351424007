// The errors of every connector. Catch DatabaseError for all of them, or one of the four kinds:
//
//   DatabaseError (std::runtime_error)
//   ├── DatabaseConnectionError     the gateway or PostgreSQL could not be reached, refused the login or went away
//   ├── DatabaseExecutionError      PostgreSQL refused the statement, or failed while it ran
//   │   └── DatabaseRequestError    the request itself is wrong; nothing was sent to PostgreSQL
//   │       └── ConfigurationError  (config.h) a ConnectionConfig or RetryConfig is wrong
//   ├── DatabaseTimeoutError        a deadline passed, or the caller cancelled
//   └── DatabaseTransactionError    the transaction is unknown, lost, finished, or failed as a whole
//                                   (serialization, deadlock)
//
// DatabaseRequestError is a DatabaseExecutionError, so that a caller that handles the four kinds handles everything.
//
// No message holds a password, a connection URL, a parameter's value or row data: all of it may be logged.
#ifndef ENGINE_DB_ERROR_H_
#define ENGINE_DB_ERROR_H_

#include <chrono>
#include <cstdint>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>

namespace engine::db {

// The kinds of failure that a caller tells apart.
enum class ErrorKind { kConnection, kExecution, kTimeout, kTransaction, kInvalidRequest };

// What is known about the effects of a failed statement or transaction.
enum class Outcome {
  kUnspecified,  // The failure has no effects.
  kNotExecuted,  // Nothing was sent to PostgreSQL, or it was refused before it ran.
  kRolledBack,   // It ran and was undone.
  kCommitted,    // It is committed, although the call failed.
  kUnknown,      // Nobody knows. A write must not be repeated blindly.
};

// How far the call had come.
enum class Phase { kUnspecified, kValidating, kQueued, kConnecting, kExecuting, kStreaming, kCommitting };

[[nodiscard]] std::string_view to_string(ErrorKind kind);
[[nodiscard]] std::string_view to_string(Outcome outcome);
[[nodiscard]] std::string_view to_string(Phase phase);

// Everything that is known about a failure.
struct ErrorInfo {
  ErrorKind kind = ErrorKind::kExecution;
  Outcome outcome = Outcome::kUnspecified;
  Phase phase = Phase::kUnspecified;
  // What failed and what to do about it, for people.
  std::string message = {};
  // A short constant for programs: one of reasons.h, "POOL_EXHAUSTED".
  std::string reason = {};
  // PostgreSQL's SQLSTATE, five characters; empty where PostgreSQL did not find the fault.
  std::string sqlstate = {};
  // PostgreSQL's hint, if any.
  std::string hint = {};
  // The field that is wrong, as a path ("config.port"), for kInvalidRequest.
  std::string field = {};
  // What it concerns, as far as PostgreSQL says so.
  std::string constraint_name = {};
  std::string schema_name = {};
  std::string table_name = {};
  std::string column_name = {};
  std::string data_type_name = {};
  // Where in the statement's text, in characters from 1; 0 for nowhere.
  uint32_t position = 0;
  // Which statement of a batch, from 0.
  uint32_t statement_index = 0;
  // Whether the same call may be repeated without the risk of running anything twice.
  bool retryable = false;
  // How long to wait before that, at the least.
  std::chrono::milliseconds retry_after{0};
  // How many rows of the result had been delivered before it failed.
  uint64_t rows_delivered = 0;
};

// What every connector throws.
class DatabaseError : public std::runtime_error {
 public:
  explicit DatabaseError(ErrorInfo info);

  [[nodiscard]] const ErrorInfo& info() const { return info_; }
  [[nodiscard]] ErrorKind kind() const { return info_.kind; }
  [[nodiscard]] Outcome outcome() const { return info_.outcome; }
  [[nodiscard]] Phase phase() const { return info_.phase; }
  [[nodiscard]] const std::string& reason() const { return info_.reason; }
  [[nodiscard]] const std::string& sqlstate() const { return info_.sqlstate; }
  [[nodiscard]] const std::string& hint() const { return info_.hint; }
  [[nodiscard]] const std::string& field() const { return info_.field; }
  [[nodiscard]] const std::string& constraint_name() const { return info_.constraint_name; }
  [[nodiscard]] const std::string& table_name() const { return info_.table_name; }
  [[nodiscard]] const std::string& column_name() const { return info_.column_name; }
  [[nodiscard]] uint32_t position() const { return info_.position; }
  [[nodiscard]] bool retryable() const { return info_.retryable; }
  [[nodiscard]] uint64_t rows_delivered() const { return info_.rows_delivered; }

 private:
  ErrorInfo info_;
};

class DatabaseConnectionError : public DatabaseError {
 public:
  using DatabaseError::DatabaseError;
};

class DatabaseExecutionError : public DatabaseError {
 public:
  using DatabaseError::DatabaseError;
};

class DatabaseTimeoutError : public DatabaseError {
 public:
  using DatabaseError::DatabaseError;
};

class DatabaseTransactionError : public DatabaseError {
 public:
  using DatabaseError::DatabaseError;
};

class DatabaseRequestError : public DatabaseExecutionError {
 public:
  using DatabaseExecutionError::DatabaseExecutionError;
};

// The error class for info.kind, ready to be rethrown.
[[nodiscard]] std::exception_ptr make_error(ErrorInfo info);

// Throws the error class for info.kind.
[[noreturn]] void throw_error(ErrorInfo info);

}  // namespace engine::db

#endif  // ENGINE_DB_ERROR_H_

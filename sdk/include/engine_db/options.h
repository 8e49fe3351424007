// What a caller may say about one call, one batch, one transaction.
#ifndef ENGINE_DB_OPTIONS_H_
#define ENGINE_DB_OPTIONS_H_

#include <chrono>
#include <optional>
#include <stop_token>

#include "engine_db/config.h"

namespace engine::db {

// About one call.
struct CallOptions {
  // Bounds the call: waiting for a backend, running, streaming. 0: the connection's timeout_ms. Past it the call fails
  // with DatabaseTimeoutError, at the latest 250 ms later, whatever the gateway does.
  std::chrono::milliseconds timeout{0};
  // Replaces the connection's retry settings.
  std::optional<RetryConfig> retry = {};
  // Cancels the call when a stop is requested: its statement is cancelled in PostgreSQL, and the call ends with
  // DatabaseTimeoutError, or with its result if it was already done.
  std::stop_token stop = {};
};

// How isolated a transaction is.
enum class IsolationLevel { kServerDefault, kReadCommitted, kRepeatableRead, kSerializable };

// How a transaction begins and how long it may live.
struct TransactionOptions {
  IsolationLevel isolation_level = IsolationLevel::kServerDefault;
  bool read_only = false;
  // Meaningful with kSerializable and read_only.
  bool deferrable = false;
  // Rolled back after so long without a statement: up to an hour; 0 for the gateway's default, a minute.
  std::chrono::milliseconds idle_timeout{0};
  // Rolled back after so long in all: up to a day; 0 for the gateway's default, half an hour.
  std::chrono::milliseconds max_duration{0};
};

}  // namespace engine::db

#endif  // ENGINE_DB_OPTIONS_H_

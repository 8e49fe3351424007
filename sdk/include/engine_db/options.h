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
  // with DatabaseTimeoutError, or DatabaseConnectionError while the gateway can't be reached, at the latest 250 ms
  // later, whatever the gateway does.
  std::chrono::milliseconds timeout{0};
  // Replaces the connection's retry settings.
  std::optional<RetryConfig> retry = {};
  // Cancels the call when a stop is requested: its statement is cancelled in PostgreSQL, and the call ends with
  // DatabaseTimeoutError, or with its result if it was already done.
  std::stop_token stop = {};
  // For a write in autocommit: it takes effect once or not at all, and a failure says which, even if PostgreSQL or the
  // link to it breaks at the worst moment, at the price of a second round trip to it. Needs PostgreSQL 13. Of no effect
  // on reads; refused within a transaction, and on streams. It does not cover the gateway itself: when that is lost
  // while the call runs, the outcome is kUnknown. The outcome of a transaction is found even then: see
  // Transaction::commit().
  bool exactly_once = false;
  // The statement may be run twice without harm, as a read may: when the link to the gateway breaks while it runs, it
  // runs again as soon as there is another, within the timeout and as often as the retry settings allow. Of no effect
  // within a transaction. (A statement that had not left this process yet is always sent again.)
  bool idempotent = false;
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
  // Transparent replay. When the transaction fails with 40001 or 40P01, or its backend is lost before COMMIT was sent,
  // the gateway runs all of its statements again on another backend, and goes on if each of them comes to the very
  // result that was given before; else the caller gets the first error. As often as the retry settings allow. Not past
  // 1,000 statements or 1 MiB of their text and parameters, nor in the middle of a stream. For transactions whose
  // statements have no effects outside of them.
  // A commit that is lost with the gateway itself is then known only if it took effect under the id that was told.
  bool replay = false;
  // As in CallOptions, for the begin alone, which mostly waits for a backend.
  std::chrono::milliseconds timeout{0};
  std::stop_token stop = {};
};

}  // namespace engine::db

#endif  // ENGINE_DB_OPTIONS_H_

// What is known of an attempt when it has ended, or one of its statements has.
#ifndef ENGINE_DB_SERVER_CALL_ATTEMPT_END_H_
#define ENGINE_DB_SERVER_CALL_ATTEMPT_END_H_

#include <cstdint>

#include "absl/status/status.h"
#include "server/call/errors.h"
#include "server/postgres/elsewhere.h"

namespace engine::db::call {

// A value, which what_follows.h and verdict.h decide by.
struct AttemptEnd {
  enum class Scope : uint8_t {
    kAutocommit,
    kTransaction,     // one that was open before the call
    kOwnTransaction,  // one that the call began
  };

  // The first error that the attempt met.
  absl::Status error;
  Scope scope = Scope::kAutocommit;
  // COMMIT was among what was sent.
  bool commits = false;
  // COMMIT was never answered, and the server has not been asked yet what became of it, but can be.
  bool commit_can_be_asked = false;
  // The transaction was to end with the call; and by ROLLBACK.
  bool ends = false;
  bool rolls_back = false;
  // The transaction that was open before takes no more statements: nothing of the attempt remains.
  bool transaction_failed = false;
  // That transaction is being ended from outside.
  bool transaction_aborts = false;
  // The server would have let it write.
  bool may_write = true;
  // It was run as a read: the server was told to refuse writes.
  bool guarded = false;
  // One of its statements may commit part of its work by itself, and fail afterwards (Statement::may_commit_itself).
  bool may_commit_itself = false;
  // It runs several statements, each of which commits or fails on its own.
  bool has_independent_parts = false;
  // The transaction is read-only because its caller asked for that.
  bool read_only_asked = false;
  // The server takes no writes from anyone: a standby, or one that was switched to read-only.
  bool server_is_read_only = false;
  // How far it may have reached, at most.
  postgres::Elsewhere elsewhere = postgres::Elsewhere::kNothing;
  // It may commit elsewhere when it commits here.
  bool commits_elsewhere = false;
  // It calls what may act elsewhere at once: to run it again would do that again.
  bool acts_at_once = false;
  // Its idempotency key shows the next attempt whether this one was committed.
  bool is_shown_by_key = false;
  // Its transaction is remembered, so that it can be run again from its beginning.
  bool can_be_replayed = false;
  // Rows of a stream were dropped, since it had been stopped.
  bool rows_dropped = false;
  StopReason stop_reason = StopReason::kNone;
};

}  // namespace engine::db::call

#endif  // ENGINE_DB_SERVER_CALL_ATTEMPT_END_H_

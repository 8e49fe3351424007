// What a failed attempt means for its caller, and whether it may be run again. What each SQLSTATE means by itself is in
// server/postgres/sqlstate.h; here it is read in the light of what the call was: a read or a write, alone, in a
// transaction, or at its COMMIT.
#ifndef ENGINE_DB_SERVER_CALL_VERDICT_H_
#define ENGINE_DB_SERVER_CALL_VERDICT_H_

#include <cstdint>

#include "absl/status/status.h"
#include "engine/db/v1/error.pb.h"
#include "server/call/errors.h"
#include "server/postgres/elsewhere.h"

namespace engine::db::call {

// What is known of an attempt that failed.
struct Attempt {
  enum class Scope : uint8_t {
    kAutocommit,
    kTransaction,     // one that was open before the call
    kOwnTransaction,  // one that the call began
  };
  Scope scope = Scope::kAutocommit;
  // COMMIT was among what was sent.
  bool commits = false;
  // The transaction was to end with the call.
  bool ends = false;
  // The transaction that was open before takes no more statements: nothing of the attempt remains.
  bool transaction_failed = false;
  // The server would have let it write.
  bool may_write = true;
  // It was run as a read: the server was told to refuse writes.
  bool guarded = false;
  // One of its statements may commit part of its work by itself, and fail afterwards (Statement::may_commit_itself).
  bool may_commit_itself = false;
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
  StopReason stop_reason = StopReason::kNone;
};

// What the caller is told. `error` is the first one that the attempt met. `retryable` in its detail says whether the
// same call may be run again, by the gateway or by the caller, and nothing runs twice; in an open transaction it says
// so of the whole transaction.
[[nodiscard]] absl::Status Verdict(const absl::Status& error, const Attempt& attempt);

// The link broke under the statement, or the server ended the session.
[[nodiscard]] bool LinkWasLost(const v1::DatabaseError& detail);

}  // namespace engine::db::call

#endif  // ENGINE_DB_SERVER_CALL_VERDICT_H_

// What follows when an attempt has ended: an answer, another attempt, or a question to the server.
#ifndef ENGINE_DB_SERVER_CALL_WHAT_FOLLOWS_H_
#define ENGINE_DB_SERVER_CALL_WHAT_FOLLOWS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "server/call/attempt_end.h"

namespace engine::db::call {

// What a call has tried so far.
struct Tried {
  int attempts = 0;
  // Another attempt is within the call's retry settings.
  bool may_try_again = false;
  // The caller has been answered; the call goes on only until it knows what became of its COMMIT.
  bool answered = false;
  // These are tried again once, whatever the settings.
  bool stale_plan_retried = false;
  bool read_only_server_retried = false;
  // The server found writing what the texts show as reads.
  bool found_writing = false;
  // An attempt may have been committed; its idempotency key has yet to show whether it was.
  bool in_doubt = false;
};

enum class Next : uint8_t {
  kAnswer,      // nothing else is to be done
  kResolve,     // ask the server what became of COMMIT, then decide again
  kRunAgain,    // another attempt
  kRunAsWrite,  // another attempt, not as a read any more
  kReplay,      // run the transaction again from its beginning, then the call
};

// What was mended by the failure itself, so that the next attempt need not wait.
enum class Mended : uint8_t { kNothing, kStalePlan, kReadOnlyServer };

struct Decision {
  Next next = Next::kAnswer;
  // What the caller is told if nothing else follows; OK: the call has worked.
  absl::Status status = absl::OkStatus();
  Mended mended = Mended::kNothing;
  // The server is in trouble: only while the target's retry budget lasts.
  bool costs_budget = false;
};

// A pure function: the same for the same arguments, whatever the time. Only where nothing of the attempt remains and
// the caller has seen none of it does another one follow; what may have been done is never done again.
[[nodiscard]] Decision WhatFollows(const AttemptEnd& end, const Tried& tried);

}  // namespace engine::db::call

#endif  // ENGINE_DB_SERVER_CALL_WHAT_FOLLOWS_H_

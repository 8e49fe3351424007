// A place of the pool and the backend in it. Private to the pool.
#ifndef ENGINE_DB_SERVER_POOL_SLOT_H_
#define ENGINE_DB_SERVER_POOL_SLOT_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <string_view>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "server/loop/event_loop.h"
#include "server/pool/lease.h"
#include "server/pool/shared_read.h"
#include "server/pool/wait_queue.h"
#include "server/postgres/backend.h"
#include "server/postgres/results.h"
#include "server/sql/statement.h"

namespace engine::db::pool {

enum class SlotState : uint8_t {
  kOpening,   // its backend connects
  kIdle,      // clean, and nobody's
  kShared,    // runs reads of any callers
  kLeased,    // one holder's
  kCleaning,  // was given back, and is brought back to a clean state
  kClosed,    // goes at the end of the round
};
inline constexpr size_t kSlotStates = 6;

[[nodiscard]] std::string_view NameOf(SlotState state);
// The table of transitions.
[[nodiscard]] bool MayBecome(SlotState from, SlotState to);

// In what the session differs from a new one, as of the last statement in the pipeline.
struct SessionState {
  bool changed = false;         // a reset undoes it
  bool prepared_void = false;   // what is prepared is out of date, or may be gone: the reset is to drop it
  bool ran_unknown = false;     // code that nobody has read ran, and may have prepared or dropped statements
  bool outlasts_reset = false;  // no reset undoes it: the backend is closed
  bool schema_changed = false;  // what the others have prepared may be out of date
  bool guarded = false;         // default_transaction_read_only is on
  OwnerId sequences_of = 0;     // who may have set what currval() and lastval() return; 0: nobody
};

struct Slot {
  explicit Slot(loop::EventLoop& loop) : time_limit(loop) {}

  // Written by Slots alone.
  SlotState state = SlotState::kOpening;
  absl::Time since;  // in this state

  std::unique_ptr<postgres::Backend> backend;
  SessionState session;
  bool retired = false;  // closes as soon as nobody uses it

  // The pool's own statements in flight. A failure is seen when the backend is drained.
  std::list<std::unique_ptr<postgres::CommandResult>> commands;
  bool command_failed = false;

  // While kLeased; begun anew with each lease.
  struct Use {
    Purpose purpose = Purpose::kAutocommit;
    absl::AnyInvocable<void()> drained = {};                    // the holder waits for it; empty if not
    std::shared_ptr<const sql::Statement> statement = nullptr;  // the last one
  } use;

  // While kShared.
  std::deque<SharedRead*> reads;                // in the pipeline's order
  bool draining = false;                        // takes no more, since somebody waits for the backend or it is slow
  postgres::Backend::OperationId stopping = 0;  // which one's end is waited for, up to the time limit

  // While kCleaning.
  bool resetting = false;

  // Closes it: kCleaning that takes too long, or a cancelled read that goes on.
  loop::Timer time_limit;
};

}  // namespace engine::db::pool

#endif  // ENGINE_DB_SERVER_POOL_SLOT_H_

// A place of the pool and the backend in it. Private to the pool.
#ifndef ENGINE_DB_SERVER_POOL_SLOT_H_
#define ENGINE_DB_SERVER_POOL_SLOT_H_

#include <deque>
#include <list>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "server/pool/pool.h"

namespace engine::db::pool {

struct Slot {
  explicit Slot(loop::EventLoop& loop) : cleaning_timer(loop) {}

  std::unique_ptr<postgres::Backend> backend;
  Pool::SlotState state = Pool::SlotState::kOpening;
  absl::Time since;  // in this state
  // Leased.
  Purpose purpose = Purpose::kAutocommit;
  bool session_changed = false;
  // The others' prepared statements may be out of date.
  bool schema_changed = false;
  // No reset undoes what was run: it is closed.
  bool outlasts_reset = false;
  // Who may have set what currval() and lastval() return; 0: nobody.
  OwnerId sequences_of = 0;
  absl::AnyInvocable<void()> drained;  // the holder waits for it; empty if not
  std::shared_ptr<const sql::Statement> statement;
  bool retired = false;  // closes at its release
  // Shared: in the pipeline's order.
  std::deque<SharedRead*> reads;
  bool draining = false;  // takes no more reads, since somebody waits for the backend or it is slow
  postgres::Backend::OperationId stopping = 0;  // which one's end is waited for, for a while
  // default_transaction_read_only is on, as of the last statement in the pipeline.
  bool guarded = false;
  loop::Timer cleaning_timer;
  // Receivers of the pool's own statements that are in flight.
  std::list<std::unique_ptr<postgres::CommandResult>> internal;
  bool internal_failed = false;
  bool resetting = false;
};

}  // namespace engine::db::pool

#endif  // ENGINE_DB_SERVER_POOL_SLOT_H_

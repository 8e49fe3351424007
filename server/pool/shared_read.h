// A read that may share a backend's pipeline with others.
#ifndef ENGINE_DB_SERVER_POOL_SHARED_READ_H_
#define ENGINE_DB_SERVER_POOL_SHARED_READ_H_

#include <memory>

#include "absl/time/time.h"
#include "server/pool/wait_queue.h"
#include "server/postgres/backend.h"
#include "server/postgres/result_receiver.h"
#include "server/sql/bind.h"

namespace engine::db::pool {

struct Slot;

// Belongs to whoever runs it, and stays where it is until its receiver's OnEnd, or Pool::AbandonRead(). The receiver
// tells the pool by Pool::ReadEnded(), first thing in OnEnd.
struct SharedRead {
  std::shared_ptr<const sql::BoundText> text;
  const sql::BoundParameters* parameters = nullptr;
  postgres::ResultReceiver* receiver = nullptr;
  RetryLimits retry_limits;

  // The pool's own.
  Slot* slot = nullptr;
  postgres::Backend::OperationId operation = 0;
  bool queued = false;
  absl::Time asked_at;
  int connect_failures = 0;
};

}  // namespace engine::db::pool

#endif  // ENGINE_DB_SERVER_POOL_SHARED_READ_H_

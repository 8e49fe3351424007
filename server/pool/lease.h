// A backend that one user has to itself.
#ifndef ENGINE_DB_SERVER_POOL_LEASE_H_
#define ENGINE_DB_SERVER_POOL_LEASE_H_

#include <cstdint>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "server/postgres/backend.h"
#include "server/sql/statement.h"

namespace engine::db::pool {

class Pool;
struct Slot;

// Tells callers apart. 0: nobody.
using OwnerId = uint64_t;

// Holds the backend until Release() or its own end. One for a transaction also holds its owner's place among the
// transactions. Move-only; must not outlive the pool. Loop thread only.
class Lease {
 public:
  Lease() = default;
  Lease(Lease&& other) noexcept;
  Lease& operator=(Lease&& other) noexcept;
  ~Lease();

  // Whether it has a backend.
  [[nodiscard]] bool held() const { return slot_ != nullptr; }
  [[nodiscard]] postgres::Backend& backend() const;
  // Code that nobody has read was run, or is about to be: it may change the session and what texts mean in it. The
  // backend is reset before anyone else gets it, and until then nothing is run as it was prepared. (In a transaction a
  // stale plan can't be retried.)
  void MarkUnknownCode();
  // For the start of a lease. What currval() and lastval() return is kept by the session, and every INSERT into a table
  // with a serial column changes it: a reset after each would be too dear. So it is forgotten here, ahead in the
  // pipeline, when it is somebody else's; and whosever it is when `reads` says that the holder may look at it.
  void ShieldSequences(OwnerId owner, bool reads);
  // What the holder is about to run: decides, by its text, what has to be done before anyone else gets the backend (a
  // reset, or closing it where no reset helps), and is named by "pool exhausted" errors.
  void WillRun(std::shared_ptr<const sql::Statement> statement, OwnerId owner);
  // What the holder was about to run stands in the pipeline now: decides what holds for whatever comes behind it.
  void HasSent(const sql::Statement& statement);
  // Calls back once, when nothing is in flight on the backend any more, or it is lost. Not after Release().
  void OnDrained(absl::AnyInvocable<void()> callback);
  // Gives back the backend, in whatever state it is, and the place among the transactions.
  void Release();
  // Gives back the backend alone: a transaction that is run again on another backend keeps its place.
  void ReleaseBackend();
  // Takes over the other's backend, and keeps the place.
  void TakeBackend(Lease other);

 private:
  friend class Pool;
  Lease(Pool* pool, Slot* slot, OwnerId place_of) : pool_(pool), slot_(slot), place_of_(place_of) {}

  Pool* pool_ = nullptr;
  Slot* slot_ = nullptr;
  OwnerId place_of_ = 0;  // 0: it holds no place
};

}  // namespace engine::db::pool

#endif  // ENGINE_DB_SERVER_POOL_LEASE_H_

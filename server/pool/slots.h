// The places of a pool: the one door to their states, and their counts.
#ifndef ENGINE_DB_SERVER_POOL_SLOTS_H_
#define ENGINE_DB_SERVER_POOL_SLOTS_H_

#include <array>
#include <cstddef>
#include <list>
#include <memory>
#include <vector>

#include "absl/time/time.h"
#include "server/loop/event_loop.h"
#include "server/observe/metrics.h"
#include "server/pool/slot.h"

namespace engine::db::pool {

// Loop thread only.
class Slots {
 public:
  Slots(loop::EventLoop& loop, observe::PoolMetrics& metrics) : loop_(loop), metrics_(metrics) {}

  // A place counts as opening before there is a backend for it, too.
  void Reserve();
  void Unreserve();
  // One that is kOpening. The caller gives it its backend.
  Slot& Add();
  // What the table of transitions does not allow is an error of the gateway's own: logged, counted, and the slot closes.
  void Become(Slot& slot, SlotState state);
  // Closes the backend at once, whoever uses it. Does nothing for one that is closed. The slot itself stays until the
  // end of the round, since it may be further up on the stack.
  void Close(Slot& slot, observe::CloseReason reason);

  // An idle one; one whose session is in the right mode already, if there is one. Null if there is none. One whose
  // server has hung up is replaced without a word.
  [[nodiscard]] Slot* FindIdle(bool guarded);

  [[nodiscard]] size_t count(SlotState state) const { return counts_[static_cast<size_t>(state)]; }
  // Whose backends are open.
  [[nodiscard]] size_t open() const { return size() - count(SlotState::kOpening); }
  [[nodiscard]] size_t size() const { return slots_.size() + reserved_; }
  // Transitions that were not allowed.
  [[nodiscard]] size_t refused() const { return refused_; }

  [[nodiscard]] auto begin() const { return slots_.begin(); }
  [[nodiscard]] auto end() const { return slots_.end(); }
  // For loops that close some of them.
  [[nodiscard]] std::vector<Slot*> All() const;

 private:
  void Enter(Slot& slot, SlotState state);
  void ShowCounts();

  loop::EventLoop& loop_;
  observe::PoolMetrics& metrics_;
  std::list<std::unique_ptr<Slot>> slots_;
  std::array<size_t, kSlotStates> counts_ = {};
  size_t reserved_ = 0;
  size_t refused_ = 0;
};

}  // namespace engine::db::pool

#endif  // ENGINE_DB_SERVER_POOL_SLOTS_H_

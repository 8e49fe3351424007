#include "server/pool/shared_reads.h"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace engine::db::pool {
namespace {

using postgres::Backend;

// A read that has run for so long is slow: those behind it go elsewhere. Ten times what a point query takes on a loaded
// server.
constexpr absl::Duration kSlowRead = absl::Milliseconds(5);
// Reads are put in line behind each other of choice while the last one waits no longer than this; measured, eight in
// line give most of what there is to gain.
constexpr absl::Duration kWaitInLine = absl::Milliseconds(1);
constexpr int kMaxReadsTogether = 8;
// How long a cancelled read may go on before its backend is given up.
constexpr absl::Duration kCancelTimeout = absl::Milliseconds(500);

}  // namespace

SharedReads::SharedReads(loop::EventLoop& loop, const config::SharedReads& settings, observe::PoolMetrics& metrics,
                         Slots& slots, Cleaner& cleaner, Opener& opener, absl::AnyInvocable<void()> changed)
    : loop_(loop),
      settings_(settings),
      metrics_(metrics),
      slots_(slots),
      cleaner_(cleaner),
      opener_(opener),
      changed_(std::move(changed)),
      slow_timer_(loop) {}

void SharedReads::Add(SharedRead& read) {
  read.asked_at = loop_.Now();
  read.connect_failures = 0;
  read.queued = true;
  queue_.push_back(&read);
}

void SharedReads::Start(bool others_wait) {
  while (!queue_.empty()) {
    Slot* slot = FindSlot(others_wait);
    if (slot == nullptr) break;
    SharedRead* read = queue_.front();
    queue_.pop_front();
    Run(*slot, *read);
  }
}

std::vector<SharedRead*> SharedReads::RemoveIf(absl::FunctionRef<bool(SharedRead&)> matches) {
  std::vector<SharedRead*> removed;
  std::erase_if(queue_, [&](SharedRead* read) {
    const bool remove = matches(*read);
    if (remove) {
      read->queued = false;
      removed.push_back(read);
    }
    return remove;
  });
  return removed;
}

void SharedReads::Abandon(SharedRead& read) {
  if (read.queued) {
    read.queued = false;
    std::erase(queue_, &read);
    changed_();
    return;
  }
  Slot* slot = std::exchange(read.slot, nullptr);
  if (slot == nullptr) return;
  slot->backend->Detach(read.operation);
  std::erase(slot->reads, &read);
  if (!slot->backend->usable() || slot->backend->in_flight() == 0) return;
  if (slot->backend->front_id() == read.operation) {
    // It is what the server works on: it is stopped there, after those behind it were brought out of the line of fire.
    slot->draining = true;
    MoveReads(*slot);
    metrics_.cancels.Increment();
    slot->backend->Cancel();
  } else if (!slot->reads.empty()) {
    return;  // others wait for the same
  }
  slot->draining = true;
  slot->stopping = slot->backend->front_id();
  CloseUnlessStopped(*slot);
  WatchSoon();
  changed_();  // those that were moved
}

// A server that does not react, or a link that has fallen silent, would keep the place for ever.
void SharedReads::CloseUnlessStopped(Slot& slot) {
  slot.time_limit.SetAfter(kCancelTimeout, [this, &slot] {
    slots_.Close(slot, observe::CloseReason::kUnclean);
    changed_();
  });
}

void SharedReads::Ended(SharedRead& read) {
  Slot* slot = std::exchange(read.slot, nullptr);
  if (slot == nullptr) return;
  std::erase(slot->reads, &read);
  read_time_ += (slot->backend->front_took() - read_time_) / 16;
}

// An idle backend first, for then reads run side by side on the server; else the shortest pipeline that has room.
Slot* SharedReads::FindSlot(bool others_wait) {
  // Those of one round leave together, while they are short: one system call and one wake-up of the server for all.
  if (const size_t together = ReadsTogether(); together > 1) {
    for (const auto& slot : slots_) {
      if (slot->state == SlotState::kShared && !slot->draining && slot->backend->flush_planned() &&
          slot->reads.size() < together) {
        return slot.get();
      }
    }
  }
  if (!others_wait) {
    if (Slot* idle = slots_.FindIdle(/*guarded=*/true)) return idle;
  }
  if (!settings_.enabled) return nullptr;
  Slot* best = nullptr;
  for (const auto& slot : slots_) {
    if (slot->state != SlotState::kShared || slot->draining) continue;
    if (slot->reads.size() >= static_cast<size_t>(settings_.depth)) continue;
    if (best == nullptr || slot->reads.size() < best->reads.size()) best = slot.get();
  }
  return best;
}

// How many may stand in line for one backend before another is the better choice.
size_t SharedReads::ReadsTogether() const {
  if (!settings_.enabled) return 1;
  const int64_t fit = kWaitInLine / std::max(read_time_, absl::Microseconds(1));
  return static_cast<size_t>(std::clamp<int64_t>(fit, 1, std::min(kMaxReadsTogether, settings_.depth)));
}

void SharedReads::Run(Slot& slot, SharedRead& read) {
  if (slot.state != SlotState::kShared) {
    slots_.Become(slot, SlotState::kShared);
    slot.draining = false;
    if (!slot.session.guarded) {
      // In one go with the guard. Behind a guard nothing advances a sequence.
      if (slot.session.sequences_of != 0) cleaner_.ForgetSequences(slot, /*sync=*/false);
      cleaner_.SetGuard(slot, true);
    }
  }
  read.queued = false;
  read.slot = &slot;
  slot.reads.push_back(&read);
  metrics_.wait_seconds.Observe(absl::ToDoubleSeconds(loop_.Now() - read.asked_at));
  postgres::Operation operation;
  operation.text = read.text;
  operation.parameters = read.parameters;
  operation.receiver = read.receiver;
  read.operation = slot.backend->Run(operation);
  // Reads that stand in line could run side by side.
  if (slot.reads.size() > ReadsTogether() && slots_.count(SlotState::kOpening) == 0 &&
      slots_.count(SlotState::kIdle) == 0) {
    opener_.Open();
  }
  if (slot.reads.size() > 1) WatchSoon();
}

void SharedReads::MakeRoom(size_t count) {
  if (slots_.count(SlotState::kShared) == 0) return;
  size_t coming = slots_.count(SlotState::kOpening) + slots_.count(SlotState::kCleaning);
  for (const auto& slot : slots_) {
    if (slot->state == SlotState::kShared && slot->draining) ++coming;
  }
  while (coming < count) {
    Slot* best = nullptr;
    for (const auto& slot : slots_) {
      if (slot->state != SlotState::kShared || slot->draining) continue;
      if (best == nullptr || slot->reads.size() < best->reads.size()) best = slot.get();
    }
    if (best == nullptr) return;
    best->draining = true;
    ++coming;
  }
}

// --- reads behind slow ones

void SharedReads::WatchSoon() {
  if (!slow_timer_.is_set()) slow_timer_.SetAfter(kSlowRead, [this] { Watch(); });
}

void SharedReads::Watch() {
  const absl::Time now = loop_.Now();
  bool crowded = false;
  bool moved = false;
  for (const auto& slot : slots_) {
    if (slot->state != SlotState::kShared) continue;
    if (slot->reads.empty() && slot->backend->in_flight() > 0) {
      crowded = true;
      StopAbandoned(*slot, now);
    }
    if (slot->reads.size() < 2) continue;
    crowded = true;
    if (now - slot->backend->front_since() < kSlowRead || !HasRoomBeside(*slot, now)) continue;
    slot->draining = true;
    MoveReads(*slot);
    moved = true;
  }
  if (crowded) WatchSoon();
  if (moved) changed_();
}

// Whether a read would be better off elsewhere: when every backend is as slow, waiting in line is as good as waiting in
// the queue.
bool SharedReads::HasRoomBeside(const Slot& slow, absl::Time now) const {
  if (slots_.count(SlotState::kIdle) > 0 || opener_.has_room()) return true;
  return std::any_of(slots_.begin(), slots_.end(), [&](const std::unique_ptr<Slot>& slot) {
    return slot.get() != &slow && slot->state == SlotState::kShared && !slot->draining &&
           slot->reads.size() < static_cast<size_t>(settings_.depth) && now - slot->backend->front_since() < kSlowRead;
  });
}

// What runs there runs for nobody, and so does all behind it: a slow one is stopped. Most end sooner by themselves.
void SharedReads::StopAbandoned(Slot& slot, absl::Time now) {
  slot.draining = true;
  if (now - slot.backend->front_since() < kSlowRead || slot.backend->cancelling()) return;
  if (std::exchange(slot.stopping, slot.backend->front_id()) != slot.backend->front_id()) CloseUnlessStopped(slot);
  metrics_.cancels.Increment();
  slot.backend->Cancel();
}

// Puts the reads behind the one that runs back to the head of the queue. The server still runs them here, for nobody.
void SharedReads::MoveReads(Slot& slot) {
  const Backend::OperationId running = slot.backend->in_flight() > 0 ? slot.backend->front_id() : 0;
  while (!slot.reads.empty() && slot.reads.back()->operation != running) {
    SharedRead* read = slot.reads.back();
    slot.reads.pop_back();
    slot.backend->Detach(read->operation);
    read->slot = nullptr;
    read->queued = true;
    queue_.push_front(read);
  }
}

}  // namespace engine::db::pool

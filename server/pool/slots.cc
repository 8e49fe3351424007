#include "server/pool/slots.h"

#include <algorithm>
#include <utility>

#include "server/observe/log.h"

namespace engine::db::pool {
namespace {

// A backend that was used so lately is not looked at before a read.
constexpr absl::Duration kSurelyAlive = absl::Milliseconds(100);

}  // namespace

std::string_view NameOf(SlotState state) {
  static constexpr std::array<std::string_view, kSlotStates> kNames = {"opening", "idle",     "shared",
                                                                       "leased",  "cleaning", "closed"};
  return kNames[static_cast<size_t>(state)];
}

bool MayBecome(SlotState from, SlotState to) {
  constexpr bool kNo = false, kYes = true;
  static constexpr bool kTable[kSlotStates][kSlotStates] = {
      // to: opening, idle, shared, leased, cleaning, closed
      {kNo, kYes, kNo, kNo, kNo, kYes},    // opening
      {kNo, kNo, kYes, kYes, kYes, kYes},  // idle: cleaning, when its plans are out of date
      {kNo, kYes, kNo, kNo, kYes, kYes},   // shared
      {kNo, kNo, kNo, kNo, kYes, kYes},    // leased: a lost one, too, stays its holder's until it is given back
      {kNo, kYes, kNo, kNo, kNo, kYes},    // cleaning
      {kNo, kNo, kNo, kNo, kNo, kNo},      // closed
  };
  return kTable[static_cast<size_t>(from)][static_cast<size_t>(to)];
}

void Slots::Reserve() {
  ++reserved_;
  ++counts_[static_cast<size_t>(SlotState::kOpening)];
}

void Slots::Unreserve() {
  --reserved_;
  --counts_[static_cast<size_t>(SlotState::kOpening)];
}

Slot& Slots::Add() {
  slots_.push_back(std::make_unique<Slot>(loop_));
  Slot& slot = *slots_.back();
  ++counts_[static_cast<size_t>(SlotState::kOpening)];
  slot.since = loop_.Now();
  ShowCounts();
  return slot;
}

void Slots::Become(Slot& slot, SlotState state) {
  if (MayBecome(slot.state, state)) {
    Enter(slot, state);
    return;
  }
  ++refused_;
  observe::LogError("internal error: a backend can't go from one state to the other",
                    {{"pool", metrics_.name()}, {"from", NameOf(slot.state)}, {"to", NameOf(state)}});
  Close(slot, observe::CloseReason::kUnclean);
}

void Slots::Enter(Slot& slot, SlotState state) {
  --counts_[static_cast<size_t>(slot.state)];
  ++counts_[static_cast<size_t>(state)];
  slot.state = state;
  slot.since = loop_.Now();
  ShowCounts();
}

void Slots::ShowCounts() {
  metrics_.opening.Set(static_cast<double>(count(SlotState::kOpening)));
  metrics_.idle.Set(static_cast<double>(count(SlotState::kIdle)));
  metrics_.leased.Set(static_cast<double>(count(SlotState::kLeased) + count(SlotState::kCleaning)));
  metrics_.shared.Set(static_cast<double>(count(SlotState::kShared)));
}

void Slots::Close(Slot& slot, observe::CloseReason reason) {
  if (slot.state == SlotState::kClosed) return;
  slot.time_limit.Cancel();
  if (slot.state != SlotState::kOpening) metrics_.BackendClosed(reason);
  Enter(slot, SlotState::kClosed);
  const auto found =
      std::find_if(slots_.begin(), slots_.end(), [&](const std::unique_ptr<Slot>& s) { return s.get() == &slot; });
  std::unique_ptr<Slot> closed = std::move(*found);
  slots_.erase(found);
  closed->backend->Close();
  loop_.DestroyLater(std::move(closed));
}

Slot* Slots::FindIdle(bool guarded) {
  while (count(SlotState::kIdle) > 0) {
    Slot* best = nullptr;
    for (const auto& slot : slots_) {
      if (slot->state != SlotState::kIdle) continue;
      best = slot.get();
      if (slot->session.guarded == guarded) break;
    }
    // If not, `lost` is told, and it closes. A read is simply repeated, so that a look each time costs more than it
    // saves.
    if (!guarded || loop_.Now() - best->since > kSurelyAlive) best->backend->CheckAlive();
    if (best->state == SlotState::kIdle) return best;
  }
  return nullptr;
}

std::vector<Slot*> Slots::All() const {
  std::vector<Slot*> slots;
  slots.reserve(slots_.size());
  for (const auto& slot : slots_) slots.push_back(slot.get());
  return slots;
}

}  // namespace engine::db::pool

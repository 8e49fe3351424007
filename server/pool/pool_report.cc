// What the pool says of itself: the answer to "why is the pool exhausted?".
#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/error.h"
#include "server/loop/clock.h"
#include "server/pool/pool.h"
#include "server/pool/slot.h"

namespace engine::db::pool {

PoolCounts Pool::Counts() const {
  PoolCounts counts;
  counts.max_size = static_cast<size_t>(settings_.max_pool_size);
  counts.open = idle_ + leased_ + shared_ + cleaning_;
  counts.opening = opening_;
  counts.idle = idle_;
  counts.leased = leased_ + cleaning_;
  counts.shared = shared_;
  counts.waiting = Waiting();
  return counts;
}

std::string Pool::DescribeUse() const {
  const PoolCounts counts = Counts();
  std::string text =
      absl::StrCat("pool ", metrics_.name(), " has ", counts.leased + counts.shared, " of ", counts.max_size,
                   " backends in use (", waiters_.transactions(), " by transactions), ", counts.idle, " idle, ",
                   counts.opening, " being opened, ", counts.waiting, " calls waiting");
  std::vector<const Slot*> holders;
  for (const auto& slot : slots_) {
    if (slot->state == SlotState::kLeased) holders.push_back(slot.get());
  }
  std::sort(holders.begin(), holders.end(), [](const Slot* a, const Slot* b) { return a->since < b->since; });
  if (holders.size() > 3) holders.resize(3);
  if (holders.empty()) return text;
  const absl::Time now = loop_.Now();
  absl::StrAppend(&text, "; oldest holders: ", absl::StrJoin(holders, ", ", [&](std::string* out, const Slot* slot) {
    absl::StrAppend(
        out, slot->purpose == Purpose::kTransaction ? "a transaction" : "a statement", " for ",
        absl::FormatDuration(absl::Trunc(now - slot->since, absl::Milliseconds(1))),
        slot->statement == nullptr ? "" : absl::StrCat(" (fingerprint ", slot->statement->fingerprint(), ")"));
  }));
  return text;
}

absl::Status Pool::WaitTimeout(absl::Duration waited) const {
  metrics_.wait_timeouts.Increment();
  if (!last_open_failure_.ok() && Counts().open == 0) return last_open_failure_;
  v1::DatabaseError detail;
  detail.set_kind(v1::ERROR_KIND_TIMEOUT);
  detail.set_phase(v1::PHASE_QUEUED);
  detail.set_outcome(v1::OUTCOME_NOT_EXECUTED);
  detail.set_retryable(true);
  detail.set_reason("POOL_WAIT_TIMEOUT");
  detail.set_message(absl::StrCat("no backend became free within ",
                                  absl::FormatDuration(absl::Trunc(waited, absl::Milliseconds(1))), ": ",
                                  DescribeUse()));
  return MakeError(absl::StatusCode::kDeadlineExceeded, std::move(detail));
}

}  // namespace engine::db::pool

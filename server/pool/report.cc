#include "server/pool/report.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/failure.h"

namespace engine::db::pool {
namespace {

std::string Milliseconds(absl::Duration duration) {
  return absl::FormatDuration(absl::Trunc(duration, absl::Milliseconds(1)));
}

// Nothing was run: the same call may be made again.
Failure Refused(absl::StatusCode code, ErrorKind kind, Reason reason, std::string message) {
  return {.code = code,
          .reason = reason,
          .kind = kind,
          .phase = Phase::kQueued,
          .outcome = Outcome::kNotExecuted,
          .retryable = true,
          .message = std::move(message)};
}

Failure WithoutShare(absl::StatusCode code, ErrorKind kind, size_t share) {
  Failure failure = Refused(code, kind, Reason::kTransactionShareExhausted,
                            absl::StrCat("the connection has ", share,
                                         " transactions open, which is its share of the pool while others use it too"));
  failure.hint = "end transactions, or raise max_pool_size";
  return failure;
}

}  // namespace

PoolCounts CountsOf(const Slots& slots, size_t max_size, size_t waiting) {
  PoolCounts counts;
  counts.max_size = max_size;
  counts.open = slots.open();
  counts.opening = slots.count(SlotState::kOpening);
  counts.idle = slots.count(SlotState::kIdle);
  counts.leased = slots.count(SlotState::kLeased) + slots.count(SlotState::kCleaning);
  counts.shared = slots.count(SlotState::kShared);
  counts.waiting = waiting;
  return counts;
}

std::string DescribeUse(std::string_view pool, const PoolCounts& counts, size_t transactions, const Slots& slots,
                        absl::Time now) {
  std::string text =
      absl::StrCat("pool ", absl::string_view(pool.data(), pool.size()), " has ", counts.leased + counts.shared, " of ",
                   counts.max_size, " backends in use (", transactions, " by transactions), ", counts.idle, " idle, ",
                   counts.opening, " being opened, ", counts.waiting, " calls waiting");
  std::vector<const Slot*> holders;
  for (const auto& slot : slots) {
    if (slot->state == SlotState::kLeased) holders.push_back(slot.get());
  }
  std::sort(holders.begin(), holders.end(), [](const Slot* a, const Slot* b) { return a->since < b->since; });
  if (holders.size() > 3) holders.resize(3);
  if (holders.empty()) return text;
  absl::StrAppend(&text, "; oldest holders: ", absl::StrJoin(holders, ", ", [&](std::string* out, const Slot* slot) {
    const Slot::Use& use = slot->use;
    absl::StrAppend(out, use.purpose == Purpose::kTransaction ? "a transaction" : "a statement", " for ",
                    Milliseconds(now - slot->since),
                    use.statement == nullptr ? "" : absl::StrCat(" (fingerprint ", use.statement->fingerprint(), ")"));
  }));
  return text;
}

absl::Status PoolClosed() {
  return ToStatus({.code = absl::StatusCode::kFailedPrecondition,
                   .reason = Reason::kConnectionClosed,
                   .kind = ErrorKind::kConnection,
                   .message = "the connection is closed: call Connect again"});
}

absl::Status PoolExhausted(size_t limit, std::string_view use) {
  Failure failure = Refused(absl::StatusCode::kResourceExhausted, ErrorKind::kConnection, Reason::kPoolExhausted,
                            absl::StrCat("too many calls wait for a backend (limit ", limit,
                                         "): ", absl::string_view(use.data(), use.size())));
  failure.retry_after = absl::Milliseconds(100);
  return ToStatus(std::move(failure));
}

absl::Status PoolWaitTimeout(absl::Duration waited, std::string_view use) {
  return ToStatus(Refused(absl::StatusCode::kDeadlineExceeded, ErrorKind::kTimeout, Reason::kPoolWaitTimeout,
                          absl::StrCat("no backend became free within ", Milliseconds(waited), ": ",
                                       absl::string_view(use.data(), use.size()))));
}

absl::Status ShareExhausted(size_t share) {
  return ToStatus(WithoutShare(absl::StatusCode::kDeadlineExceeded, ErrorKind::kTimeout, share));
}

absl::Status TooManyWaitForShare(size_t share, size_t limit) {
  Failure failure = WithoutShare(absl::StatusCode::kResourceExhausted, ErrorKind::kConnection, share);
  absl::StrAppend(&failure.message, "; too many calls wait for one of them to end (limit ", limit, ")");
  failure.retry_after = absl::Milliseconds(100);
  return ToStatus(std::move(failure));
}

}  // namespace engine::db::pool

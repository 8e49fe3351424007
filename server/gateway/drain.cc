#include "server/gateway/drain.h"

#include <algorithm>
#include <cstddef>

#include "absl/time/clock.h"
#include "server/call/target.h"
#include "server/observe/log.h"

namespace engine::db::gateway {
namespace {

// A cancel request is on its way for less, if its server takes it at all.
constexpr absl::Duration kCancelTime = absl::Milliseconds(500);
// Kept back of the grace, for rolling back what does not end by itself.
constexpr absl::Duration kRollbackTime = absl::Seconds(1);

// Looks again and again: nobody else waits for this, so that it is simpler than being told.
template <typename Over>
bool WaitUntil(const loop::Clock& clock, absl::Time deadline, Over over) {
  while (!over() && clock.Now() < deadline) absl::SleepFor(absl::Milliseconds(5));
  return over();
}

size_t CancelsUnderWay(Shards& shards) {
  size_t cancels = 0;
  shards.OnEveryShardAndWait([&](call::Shard& shard) {
    shard.ForEachTarget([&](call::Target& target) { cancels += target.pool().cancels_under_way(); });
  });
  return cancels;
}

void LogDrain(const Parts& parts, std::string_view what) {
  observe::LogInfo(what, {{"calls", parts.context.calls.load()}, {"transactions", parts.context.transactions.load()}});
}

}  // namespace

void Drain(Parts& parts, absl::Duration grace) {
  const loop::Clock& clock = parts.clock;
  const absl::Time end = clock.Now() + grace;
  const auto idle = [&] { return parts.context.calls + parts.context.transactions == 0; };
  parts.admission.StartDraining();
  LogDrain(parts, "draining");
  if (!WaitUntil(clock, end - std::min(grace / 2, kRollbackTime), idle)) {
    observe::LogWarning("rolling back what is left",
                        {{"calls", parts.context.calls.load()}, {"transactions", parts.context.transactions.load()}});
    parts.shards.OnEveryShardAndWait([](call::Shard& shard) { shard.StopAll(); });
    WaitUntil(clock, end, idle);
  }
  parts.shards.OnEveryShardAndWait([](call::Shard& shard) { shard.GiveUpQuestions(); });
  // A process that ends takes along the cancel requests that have not left it.
  WaitUntil(clock, clock.Now() + kCancelTime, [&] { return CancelsUnderWay(parts.shards) == 0; });
  LogDrain(parts, "drained");
}

}  // namespace engine::db::gateway

#include "server/gateway/close.h"

#include <cstddef>
#include <optional>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "server/gateway/methods.h"

namespace engine::db::gateway {
namespace {

// On the loop: stops the connection's calls, rolls its transactions back, and tells `done` how many those were.
void CloseOnLoop(Parts& parts, Connections::Closing closing, absl::AnyInvocable<void(size_t)> done) {
  parts.metrics.connections.Set(static_cast<double>(parts.connections.size()));
  const size_t index = closing.connection.shard;
  parts.shards.OnShard(index, [closing = std::move(closing), done = std::move(done)](call::Shard& shard) mutable {
    const size_t rolled_back = shard.CloseConnection(closing.connection.target, closing.id);
    if (closing.last) shard.CloseTarget(closing.connection.target);
    done(rolled_back);
  });
}

}  // namespace

absl::StatusOr<CallRef> Close(Parts& parts, Admitted& call, const v1::CloseRequest& request,
                              v1::CloseResponse& response) {
  std::optional<Connections::Closing> closing = parts.connections.Close(request.connection_id());
  if (!closing.has_value()) {  // closed before, or never there: that is what was asked for
    call.answer(absl::OkStatus());
    return CallRef{};
  }
  CloseOnLoop(parts, *std::move(closing), [&response, answer = std::move(call.answer)](size_t rolled_back) mutable {
    response.set_transactions_rolled_back(static_cast<uint32_t>(rolled_back));
    answer(absl::OkStatus());
  });
  return CallRef{};
}

void CloseSession(Parts& parts, call::SessionId session) {
  for (Connections::Closing& closing : parts.connections.CloseSession(session)) {
    CloseOnLoop(parts, std::move(closing), [](size_t) {});
  }
  parts.shards.OnEveryShard([session](call::Shard& shard) { shard.EndSession(session); }, [] {});
}

}  // namespace engine::db::gateway

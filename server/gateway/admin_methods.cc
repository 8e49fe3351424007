// The service GatewayAdmin: what the gateway is doing, for operators.
#include <algorithm>
#include <utility>

#include "server/base/version.h"
#include "server/call/call.h"
#include "server/call/target.h"
#include "server/gateway/methods.h"

namespace engine::db::gateway {
namespace {

constexpr int kMaxListed = 1'000;

// The oldest first, and no more than are listed.
template <typename Infos>
void KeepOldest(Infos& infos) {
  std::sort(infos.begin(), infos.end(), [](const auto& a, const auto& b) { return a.age_ms() > b.age_ms(); });
  if (infos.size() > kMaxListed) infos.DeleteSubrange(kMaxListed, infos.size() - kMaxListed);
}

}  // namespace

absl::StatusOr<CallRef> GetStatus(Parts& parts, Admitted& call, const v1::GetStatusRequest&,
                                  v1::GetStatusResponse& response) {
  response.set_version(kVersion);
  response.set_instance_id(parts.context.handles.instance());
  response.set_uptime_ms(static_cast<uint64_t>(absl::ToInt64Milliseconds(call.answer.arrived() - parts.started)));
  response.set_draining(parts.admission.draining());
  response.set_connections(static_cast<uint32_t>(parts.connections.size()));
  response.set_transactions(static_cast<uint32_t>(parts.context.transactions));
  response.set_sessions(static_cast<uint32_t>(parts.admission.sessions()));
  call.answer(absl::OkStatus());
  return CallRef{};
}

absl::StatusOr<CallRef> ListPools(Parts& parts, Admitted& call, const v1::ListPoolsRequest&,
                                  v1::ListPoolsResponse& response) {
  parts.shards.OnEveryShard(
      [&parts, &response](call::Shard& shard) {
        shard.ForEachTarget([&](call::Target& target) {
          const pool::PoolCounts counts = target.pool().Counts();
          v1::PoolInfo& info = *response.add_pools();
          info.set_name(target.metrics().name());
          info.set_connections(static_cast<uint32_t>(parts.connections.HandlesOn(target.id())));
          info.set_max_size(static_cast<uint32_t>(counts.max_size));
          info.set_open(static_cast<uint32_t>(counts.open));
          info.set_opening(static_cast<uint32_t>(counts.opening));
          info.set_idle(static_cast<uint32_t>(counts.idle));
          info.set_leased(static_cast<uint32_t>(counts.leased));
          info.set_shared(static_cast<uint32_t>(counts.shared));
          info.set_waiting(static_cast<uint32_t>(counts.waiting));
          info.set_server_version(target.server().info().version);
        });
      },
      [answer = std::move(call.answer)]() mutable { answer(absl::OkStatus()); });
  return CallRef{};
}

absl::StatusOr<CallRef> ListTransactions(Parts& parts, Admitted& call, const v1::ListTransactionsRequest&,
                                         v1::ListTransactionsResponse& response) {
  parts.shards.OnEveryShard(
      [&response](call::Shard& shard) {
        shard.ForEachTarget([&](call::Target& target) {
          for (const auto& [id, transaction] : target.transactions())
            *response.add_transactions() = transaction->Info();
        });
      },
      [&response, answer = std::move(call.answer)]() mutable {
        KeepOldest(*response.mutable_transactions());
        answer(absl::OkStatus());
      });
  return CallRef{};
}

absl::StatusOr<CallRef> ListStatements(Parts& parts, Admitted& call, const v1::ListStatementsRequest&,
                                       v1::ListStatementsResponse& response) {
  parts.shards.OnEveryShard(
      [&response](call::Shard& shard) {
        const absl::Time now = shard.loop().Now();
        shard.ForEachCall([&](const call::Call& running) {
          if (response.statements_size() >= kMaxListed) return;
          v1::StatementInfo& info = *response.add_statements();
          info.set_statement_id(running.id());
          info.set_pool(running.target().metrics().name());
          info.set_fingerprint(running.fingerprint());
          info.set_waiting(running.waiting());
          info.set_age_ms(static_cast<uint64_t>(absl::ToInt64Milliseconds(now - running.started())));
          info.set_backend_pid(running.backend_pid());
        });
      },
      [&response, answer = std::move(call.answer)]() mutable {
        KeepOldest(*response.mutable_statements());
        answer(absl::OkStatus());
      });
  return CallRef{};
}

absl::StatusOr<CallRef> CancelStatement(Parts& parts, Admitted& call, const v1::CancelStatementRequest& request,
                                        v1::CancelStatementResponse& response) {
  parts.shards.OnEveryShard(
      [&request, &response](call::Shard& shard) {
        if (call::Call* running = shard.FindCall(request.statement_id())) {
          response.set_found(true);
          running->Stop(call::StopReason::kAdmin);
        }
      },
      [answer = std::move(call.answer)]() mutable { answer(absl::OkStatus()); });
  return CallRef{};
}

}  // namespace engine::db::gateway

// What the gateway tells operators, and how it shuts down.
#include <algorithm>
#include <memory>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "server/base/version.h"
#include "server/call/call.h"
#include "server/call/target.h"
#include "server/gateway/gateway.h"
#include "server/loop/clock.h"
#include "server/observe/log.h"

namespace engine::db::gateway {
namespace {

constexpr int kMaxListed = 1'000;
// A cancel request is on its way for less, if its server takes it at all.
constexpr absl::Duration kCancelTime = absl::Milliseconds(500);

}  // namespace

void Gateway::OnEveryShard(absl::AnyInvocable<void(call::Shard&)> visit, absl::AnyInvocable<void()> done) {
  struct Gathering {
    absl::Mutex mutex;  // shards visit side by side, into one response
    absl::AnyInvocable<void(call::Shard&)> visit;
    absl::AnyInvocable<void()> done;
    size_t left;
  };
  auto gathering = std::make_shared<Gathering>();
  gathering->visit = std::move(visit);
  gathering->done = std::move(done);
  gathering->left = shards_.size();
  for (const auto& owned : shards_) {
    owned->loop().Post([gathering, &shard = *owned] {
      bool last = false;
      {
        absl::MutexLock lock(&gathering->mutex);
        gathering->visit(shard);
        last = --gathering->left == 0;
      }
      if (last) gathering->done();
    });
  }
}

void Gateway::GetStatus(v1::GetStatusResponse& response) const {
  response.set_version(kVersion);
  response.set_instance_id(handles_.instance());
  response.set_uptime_ms(static_cast<uint64_t>(absl::ToInt64Milliseconds(clock_.Now() - started_)));
  response.set_draining(draining_);
  response.set_connections(static_cast<uint32_t>(connections_.size()));
  response.set_transactions(static_cast<uint32_t>(context_.transactions));
  response.set_sessions(static_cast<uint32_t>(sessions_));
}

void Gateway::ListPools(v1::ListPoolsResponse& response, Done done) {
  OnEveryShard(
      [this, &response](call::Shard& shard) {
        shard.ForEachTarget([&](call::Target& target) {
          const pool::PoolCounts counts = target.pool().Counts();
          v1::PoolInfo& info = *response.add_pools();
          info.set_name(target.metrics().name());
          info.set_connections(static_cast<uint32_t>(connections_.HandlesOn(target.id())));
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
      [done = std::move(done)]() mutable { done(absl::OkStatus()); });
}

void Gateway::ListTransactions(v1::ListTransactionsResponse& response, Done done) {
  OnEveryShard(
      [&response](call::Shard& shard) {
        shard.ForEachTarget([&](call::Target& target) {
          for (const auto& [id, transaction] : target.transactions())
            *response.add_transactions() = transaction->Info();
        });
      },
      [&response, done = std::move(done)]() mutable {
        auto& all = *response.mutable_transactions();
        std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.age_ms() > b.age_ms(); });
        if (all.size() > kMaxListed) all.DeleteSubrange(kMaxListed, all.size() - kMaxListed);
        done(absl::OkStatus());
      });
}

void Gateway::ListStatements(v1::ListStatementsResponse& response, Done done) {
  OnEveryShard(
      [&response](call::Shard& shard) {
        const absl::Time now = shard.loop().Now();
        shard.ForEachCall([&](const call::Call& call) {
          if (response.statements_size() >= kMaxListed) return;
          v1::StatementInfo& info = *response.add_statements();
          info.set_statement_id(call.id());
          info.set_pool(call.target().metrics().name());
          info.set_fingerprint(call.fingerprint());
          info.set_waiting(call.waiting());
          info.set_age_ms(static_cast<uint64_t>(absl::ToInt64Milliseconds(now - call.started())));
          info.set_backend_pid(call.backend_pid());
        });
      },
      [&response, done = std::move(done)]() mutable {
        auto& all = *response.mutable_statements();
        std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.age_ms() > b.age_ms(); });
        done(absl::OkStatus());
      });
}

void Gateway::CancelStatement(uint64_t statement_id, v1::CancelStatementResponse& response, Done done) {
  OnEveryShard(
      [&response, statement_id](call::Shard& shard) {
        if (call::Call* call = shard.FindCall(statement_id)) {
          response.set_found(true);
          call->Stop(call::StopReason::kAdmin);
        }
      },
      [done = std::move(done)]() mutable { done(absl::OkStatus()); });
}

size_t Gateway::CancelsUnderWay() const {
  size_t cancels = 0;
  for (const auto& shard : shards_) {
    shard->loop().PostAndWait(
        [&] { shard->ForEachTarget([&](call::Target& target) { cancels += target.pool().cancels_under_way(); }); });
  }
  return cancels;
}

void Gateway::Drain(absl::Duration grace) {
  draining_ = true;
  metrics_.draining.Set(1);
  const absl::Time end = clock_.Now() + grace;
  observe::LogInfo("draining", {{"calls", context_.calls.load()}, {"transactions", context_.transactions.load()}});
  const auto wait_until = [this](absl::Time when) {
    // Nobody else waits for this, so that looking is simpler than being told.
    while (context_.calls + context_.transactions > 0 && clock_.Now() < when) absl::SleepFor(absl::Milliseconds(5));
    return context_.calls + context_.transactions == 0;
  };
  // A second is kept back for rolling back what does not end by itself.
  if (!wait_until(end - std::min(grace / 2, absl::Seconds(1)))) {
    observe::LogWarning("rolling back what is left",
                        {{"calls", context_.calls.load()}, {"transactions", context_.transactions.load()}});
    for (const auto& shard : shards_) shard->loop().PostAndWait([&shard] { shard->StopAll(); });
    wait_until(end);
  }
  for (const auto& shard : shards_) shard->loop().PostAndWait([&shard] { shard->GiveUpQuestions(); });
  // A process that ends takes along the cancel requests that have not left it.
  const absl::Time sent_by = clock_.Now() + kCancelTime;
  while (CancelsUnderWay() > 0 && clock_.Now() < sent_by) absl::SleepFor(absl::Milliseconds(5));
  observe::LogInfo("drained", {{"calls", context_.calls.load()}, {"transactions", context_.transactions.load()}});
}

}  // namespace engine::db::gateway

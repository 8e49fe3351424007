#include "server/gateway/shards.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "server/call/call.h"
#include "server/call/target.h"

namespace engine::db::gateway {

Shards::Shards(call::Context& context, const Connections& connections, const loop::Clock& clock, size_t count)
    : connections_(connections) {
  for (size_t i = 0; i < count; ++i) {
    loops_.push_back(std::make_unique<loop::LoopThread>(absl::StrCat("loop-", i), clock));
    shards_.push_back(std::make_unique<call::Shard>(loops_.back()->loop(), context));
  }
}

Shards::~Shards() {
  OnEveryShardAndWait([](call::Shard& shard) { shard.Clear(); });
  loops_.clear();  // after their round, in which what was cleared is destroyed
}

CallRef Shards::Submit(const Connection& connection, call::CallPlan plan, Prepare prepare) {
  const CallRef ref{connection.shard, next_call_.fetch_add(1, std::memory_order_relaxed)};
  call::Shard& shard = *shards_[connection.shard];
  shard.loop().Post([this, &shard, target_id = connection.target, id = ref.id, plan = std::move(plan),
                     prepare = std::move(prepare)]() mutable {
    call::Target* target = shard.FindTarget(target_id);
    absl::Status status = target == nullptr ? connections_.Find(plan.connection_id).status() : prepare(*target, plan);
    if (target == nullptr && status.ok()) status = absl::InternalError("the connection's pool is gone");
    if (!status.ok()) {
      call::CallEnd end;
      end.status = target == nullptr ? status : target->WithTransactionState(status, plan);
      plan.finish(std::move(end));
      return;
    }
    shard.StartCall(id, *target, std::move(plan));
  });
  return ref;
}

CallRef Shards::Submit(const Connection& connection, call::CallPlan plan) {
  return Submit(connection, std::move(plan), [](call::Target&, call::CallPlan&) { return absl::OkStatus(); });
}

void Shards::Cancel(CallRef call) {
  if (call.id == 0) return;
  OnShard(call.shard, [id = call.id](call::Shard& shard) {
    if (call::Call* found = shard.FindCall(id)) found->Stop(call::StopReason::kCancelled);
  });
}

void Shards::ResumeStream(CallRef call) {
  if (call.id == 0) return;
  OnShard(call.shard, [id = call.id](call::Shard& shard) {
    if (call::Call* found = shard.FindCall(id)) found->ResumeStream();
  });
}

void Shards::OnTarget(const Connection& connection, absl::AnyInvocable<void(call::Target*)> visit) {
  OnShard(connection.shard, [id = connection.target, visit = std::move(visit)](call::Shard& shard) mutable {
    visit(shard.FindTarget(id));
  });
}

void Shards::OnShard(size_t index, absl::AnyInvocable<void(call::Shard&)> visit) {
  call::Shard& shard = *shards_[index];
  shard.loop().Post([&shard, visit = std::move(visit)]() mutable { visit(shard); });
}

void Shards::OnEveryShard(absl::AnyInvocable<void(call::Shard&)> visit, absl::AnyInvocable<void()> done) {
  struct Gathering {
    absl::Mutex mutex;  // held by the shard that visits: what `visit` writes to is one
    absl::AnyInvocable<void(call::Shard&)> visit;
    absl::AnyInvocable<void()> done;
    size_t left;
  };
  auto gathering = std::make_shared<Gathering>();
  gathering->visit = std::move(visit);
  gathering->done = std::move(done);
  gathering->left = shards_.size();
  for (size_t i = 0; i < shards_.size(); ++i) {
    OnShard(i, [gathering](call::Shard& shard) {
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

void Shards::OnEveryShardAndWait(absl::FunctionRef<void(call::Shard&)> visit) {
  for (const auto& shard : shards_) {
    shard->loop().PostAndWait([&] { visit(*shard); });
  }
}

}  // namespace engine::db::gateway

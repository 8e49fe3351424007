#include "server/call/target_server.h"

#include <string>
#include <utility>

#include "absl/algorithm/container.h"
#include "server/call/context.h"
#include "server/call/errors.h"
#include "server/call/shard.h"
#include "server/call/target.h"
#include "server/postgres/sqlstate.h"

namespace engine::db::call {
namespace {

// For what a server is asked when somebody connects. Its answer to one may come too late for that one, and not for
// others.
constexpr absl::Duration kProbeTime = absl::Seconds(10);
constexpr const char* kSilent = "the server took the login, and has not answered since";
// A look at the catalogue may take so long, and is not taken again for the same type within so long.
constexpr absl::Duration kTypeLookupTime = absl::Seconds(2);
constexpr absl::Duration kTypeLookupInterval = absl::Seconds(1);

}  // namespace

// A Connect that waits: for a backend, as proof that the server can be reached, and then for what the server says.
struct TargetServer::Connecting {
  explicit Connecting(loop::EventLoop& loop) : timer(loop) {}

  InfoCallback callback;
  pool::Ticket ticket = 0;
  loop::Timer timer;
  bool has_connected = false;
};

TargetServer::TargetServer(Target& target, const config::TargetSettings& settings)
    : target_(target), settings_(settings), weak_(this) {
  info_.types = std::make_shared<const postgres::TypeCatalog>();
}

TargetServer::~TargetServer() = default;

void TargetServer::Connect(absl::Time deadline, InfoCallback callback) {
  if (info_.version_number != 0 && target_.pool().Counts().open > 0) {
    callback(info_);
    return;
  }
  target_.QuestionAsked();
  auto owned = std::make_unique<Connecting>(target_.loop());
  Connecting& connecting = *owned;
  connecting_.insert(std::move(owned));
  connecting.callback = std::move(callback);
  const absl::Time started = target_.loop().Now();
  connecting.timer.SetAt(deadline, [this, &connecting, started] {
    AnswerConnect(connecting, connecting.has_connected ? postgres::ConnectFailed(settings_.DisplayName(), kSilent, "")
                                                       : target_.pool().WaitTimeout(target_.loop().Now() - started));
  });
  connecting.ticket = target_.pool().Acquire(
      pool::Purpose::kAutocommit, /*owner=*/0, {settings_.retry, started},
      [this, &connecting](absl::StatusOr<pool::Lease> lease) { OnConnected(connecting, std::move(lease)); });
}

void TargetServer::OnConnected(Connecting& connecting, absl::StatusOr<pool::Lease> lease) {
  connecting.ticket = 0;
  if (!lease.ok()) {
    AnswerConnect(connecting, lease.status());
    return;
  }
  lease->Release();
  connecting.has_connected = true;
  ProbeForConnects();
}

void TargetServer::AnswerConnect(Connecting& connecting, const absl::StatusOr<postgres::ServerInfo>& info) {
  const auto found = absl::c_find_if(connecting_, [&](const auto& one) { return one.get() == &connecting; });
  if (found == connecting_.end()) return;
  connecting.timer.Cancel();
  if (connecting.ticket != 0) target_.pool().Withdraw(std::exchange(connecting.ticket, 0));
  target_.loop().DestroyLater(std::move(connecting_.extract(found).value()));
  connecting.callback(info);
  target_.QuestionAnswered();
}

// One for all that have connected.
void TargetServer::ProbeForConnects() {
  if (std::exchange(probing_for_connects_, true)) return;
  Probe(kProbeTime, [this](const absl::StatusOr<postgres::ServerInfo>& info) {
    probing_for_connects_ = false;
    AnswerAll(/*connected_only=*/true, info);
  });
}

void TargetServer::GiveUp() { AnswerAll(/*connected_only=*/false, Draining()); }

void TargetServer::AnswerAll(bool connected_only, const absl::StatusOr<postgres::ServerInfo>& info) {
  std::vector<Connecting*> answered;
  for (const auto& one : connecting_) {
    if (one->has_connected || !connected_only) answered.push_back(one.get());
  }
  for (Connecting* one : answered) AnswerConnect(*one, info);  // which destroys it at the end of the round
}

void TargetServer::Probe(absl::Duration timeout, InfoCallback callback) {
  Context& context = target_.context();
  auto tell = weak_.Bind(
      [callback = std::move(callback)](TargetServer& self, const absl::StatusOr<postgres::ServerInfo>& info) mutable {
        if (info.ok()) self.info_ = *info;
        callback(info);
      });
  context.server_query_executor.RunAndTell(
      target_.loop(),
      [&context, settings = settings_, timeout]() -> absl::StatusOr<postgres::ServerInfo> {
        absl::StatusOr<std::string> password = settings.ReadPassword();
        if (!password.ok()) return password.status();
        return context.servers.probe(postgres::ConnectParameters(settings, *std::move(password)), timeout);
      },
      std::move(tell));
}

bool TargetServer::LookUpTypes(const std::vector<uint32_t>& oids, absl::AnyInvocable<void()> callback) {
  const absl::Time now = target_.loop().Now();
  absl::erase_if(looked_up_, [&](const auto& entry) { return now - entry.second > kTypeLookupInterval; });
  bool news = false;
  for (const uint32_t oid : oids) news = looked_up_.emplace(oid, now).second || news;
  if (target_.closing() || (!news && type_lookups_.empty())) return false;
  if (news) {
    const auto lookup = type_lookups_.emplace(type_lookups_.end());
    Probe(kTypeLookupTime, [this, lookup](const absl::StatusOr<postgres::ServerInfo>&) {
      TypeLookup waiting = std::move(*lookup);
      type_lookups_.erase(lookup);
      for (absl::AnyInvocable<void()>& done : waiting) done();  // without an answer, with the old catalogue
    });
  }
  type_lookups_.back().push_back(std::move(callback));
  return true;
}

}  // namespace engine::db::call

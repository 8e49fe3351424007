#include "server/gateway/gateway.h"

#include <cstddef>
#include <utility>

#include "server/gateway/close.h"
#include "server/gateway/drain.h"
#include "server/loop/event_loop.h"

namespace engine::db::gateway {
namespace {

// Upper bound per executor; a hung server ties up one thread.
constexpr size_t kMaxBlockingThreads = 64;

}  // namespace

Gateway::Gateway(const config::GatewaySettings& settings, observe::Metrics& metrics, ErrorWriter write_error,
                 call::Servers servers)
    : settings_(settings),
      metrics_(metrics),
      executor_("blocking", kMaxBlockingThreads),
      server_query_executor_("server-queries", kMaxBlockingThreads),
      context_{settings_, metrics_, handles_, executor_, server_query_executor_, std::move(servers)},
      connections_(handles_, static_cast<size_t>(settings.limits.connections),
                   static_cast<size_t>(settings.limits.pools), static_cast<size_t>(settings.event_loops)),
      admission_(settings_, metrics_, clock_, connections_, context_.transactions),
      shards_(context_, connections_, clock_, static_cast<size_t>(settings.event_loops)),
      parts_{settings_,   metrics_, clock_,     context_,    connections_,
             statements_, shards_,  admission_, write_error, clock_.Now()} {}

Gateway::~Gateway() {
  admission_.StartDraining();
  executor_.Stop();  // what they still post, the loops still run
  server_query_executor_.Stop();
}

void Gateway::EndSession(call::SessionId session) {
  admission_.EndSession();
  CloseSession(parts_, session);
}

void Gateway::Drain(absl::Duration grace) { gateway::Drain(parts_, grace); }

void Gateway::AtEndOfRound(absl::AnyInvocable<void()> task) {
  if (loop::EventLoop* loop = loop::EventLoop::Current()) {
    loop->RunAtEndOfRound(std::move(task));
  } else {
    task();
  }
}

}  // namespace engine::db::gateway

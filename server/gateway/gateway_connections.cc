// Gateway's methods about handles and sessions: Connect, Close, and what a Session stream begins and ends with.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/error.h"
#include "server/call/errors.h"
#include "server/call/target.h"
#include "server/gateway/gateway.h"
#include "server/loop/clock.h"

namespace engine::db::gateway {

using observe::Method;

namespace {

absl::StatusOr<config::TargetSettings> WithErrorDetail(absl::StatusOr<config::TargetSettings> target, bool logged) {
  if (target.ok()) target->log_error_detail = logged;
  return target;
}

}  // namespace

void Gateway::Connect(const Caller& caller, const v1::ConnectRequest& request, v1::ConnectResponse& response,
                      Done done) {
  const absl::Time started = clock_.Now();
  const auto settings_of = [&]() -> absl::StatusOr<config::TargetSettings> {
    if (draining_) return call::Draining();
    switch (request.target_case()) {
      case v1::ConnectRequest::kConfig:
        if (!settings_.allow_inline_targets) {
          return InvalidRequest("config", "INLINE_TARGET_REFUSED",
                                "this gateway takes only targets that it has as data sources: give data_source");
        }
        return WithErrorDetail(config::ValidateTarget(request.config(), "config"), settings_.log_error_detail);
      case v1::ConnectRequest::kDataSource: {
        const auto found = settings_.data_sources.find(request.data_source());
        if (found != settings_.data_sources.end()) return found->second;
        return InvalidRequest("data_source", "UNKNOWN_DATA_SOURCE",
                              "the gateway's configuration has no such data source");
      }
      default:
        return InvalidRequest("target", "MISSING_TARGET", "give data_source or config");
    }
  };
  absl::StatusOr<config::TargetSettings> settings = settings_of();
  if (!settings.ok()) {
    Answer(Method::kConnect, settings.status(), done);
    return;
  }
  if (settings->VerifiesServer() && settings->tls_root_certificate.empty()) {
    settings->tls_root_certificate = settings_.database_root_certificate;
  }
  const absl::StatusOr<Connections::Opening> opening = connections_.Open(*settings);
  if (!opening.ok()) {
    Answer(Method::kConnect, opening.status(), done);
    return;
  }
  const absl::Time deadline = std::min(caller.deadline, started + settings->timeout);
  call::Shard& shard = *shards_[opening->shard];
  shard.loop().Post([this, &shard, &response, opening = *opening, settings = *std::move(settings), deadline, started,
                     session = caller.session, done = std::move(done)]() mutable {
    call::Target& target = shard.OpenTarget(opening.target, settings);
    target.server().Connect(
        deadline, [this, &shard, &response, opening, settings = std::move(settings), started, session,
                   done = std::move(done)](const absl::StatusOr<postgres::ServerInfo>& server) mutable {
          metrics_.ForMethod(Method::kConnect).Finished(clock_.Now() - started, ErrorDetail(server.status()).kind());
          if (!server.ok()) {
            if (connections_.Abandon(opening)) shard.CloseTarget(opening.target);
            done(server.status());
            return;
          }
          response.set_connection_id(connections_.Confirm(opening, settings, session));
          if (call::Target* opened = shard.FindTarget(opening.target)) opened->pool().AddOwner();
          response.set_server_version(server->version);
          response.set_server_version_num(server->version_number);
          response.set_in_recovery(server->in_recovery);
          *response.mutable_settings() = config::ToProto(settings);
          metrics_.connections.Set(static_cast<double>(connections_.size()));
          done(absl::OkStatus());
        });
  });
}

void Gateway::Close(const Caller&, const v1::CloseRequest& request, v1::CloseResponse& response, Done done) {
  std::optional<Connections::Closing> closing = connections_.Close(request.connection_id());
  if (!closing.has_value()) {  // closed before, or never there: that is what was asked for
    Answer(Method::kClose, absl::OkStatus(), done);
    return;
  }
  const absl::Time started = clock_.Now();
  CloseConnection(*std::move(closing), [this, &response, started, done = std::move(done)](size_t rolled_back) mutable {
    response.set_transactions_rolled_back(static_cast<uint32_t>(rolled_back));
    metrics_.ForMethod(Method::kClose).Finished(clock_.Now() - started, v1::ERROR_KIND_UNSPECIFIED);
    done(absl::OkStatus());
  });
}

void Gateway::CloseConnection(Connections::Closing closing, absl::AnyInvocable<void(size_t)> done) {
  metrics_.connections.Set(static_cast<double>(connections_.size()));
  call::Shard& shard = *shards_[closing.connection.shard];
  shard.loop().Post([&shard, closing = std::move(closing), done = std::move(done)]() mutable {
    const size_t rolled_back = shard.CloseConnection(closing.connection.target, closing.id);
    if (closing.last) shard.CloseTarget(closing.connection.target);
    done(rolled_back);
  });
}

absl::StatusOr<call::SessionId> Gateway::BeginSession() {
  if (draining_) return call::Draining();
  if (sessions_.fetch_add(1) >= static_cast<size_t>(settings_.limits.sessions)) {
    --sessions_;
    return MakeError(absl::StatusCode::kResourceExhausted, v1::ERROR_KIND_CONNECTION, "TOO_MANY_SESSIONS",
                     absl::StrCat("too many sessions are open (limit ", settings_.limits.sessions, ")"));
  }
  metrics_.sessions.Increment();
  return next_session_.fetch_add(1);
}

void Gateway::EndSession(call::SessionId session) {
  --sessions_;
  metrics_.sessions.Decrement();
  for (Connections::Closing& closing : connections_.CloseSession(session)) {
    CloseConnection(std::move(closing), [](size_t) {});
  }
  for (const auto& shard : shards_) {
    shard->loop().Post([&shard = *shard, session] { shard.EndSession(session); });
  }
}

}  // namespace engine::db::gateway

// Connect: a handle on the pool of a target, which is opened if it is not yet.
#include <algorithm>
#include <utility>

#include "server/base/failure.h"
#include "server/call/target.h"
#include "server/config/target.h"
#include "server/gateway/methods.h"

namespace engine::db::gateway {
namespace {

absl::StatusOr<config::TargetSettings> TargetOf(const config::GatewaySettings& settings,
                                                const v1::ConnectRequest& request) {
  switch (request.target_case()) {
    case v1::ConnectRequest::kConfig: {
      if (!settings.allow_inline_targets) {
        return InvalidRequest("config", Reason::kInlineTargetRefused,
                              "this gateway takes only targets that it has as data sources: give data_source");
      }
      absl::StatusOr<config::TargetSettings> target = config::ValidateTarget(request.config(), "config");
      if (target.ok()) target->log_error_detail = settings.log_error_detail;
      return target;
    }
    case v1::ConnectRequest::kDataSource: {
      const auto found = settings.data_sources.find(request.data_source());
      if (found != settings.data_sources.end()) return found->second;
      return InvalidRequest("data_source", Reason::kUnknownDataSource,
                            "the gateway's configuration has no such data source");
    }
    default:
      return InvalidRequest("target", Reason::kMissingTarget, "give data_source or config");
  }
}

// The server has answered, or could not be reached.
void FinishConnect(Parts& parts, call::Shard& shard, const Connections::Opening& opening,
                   const config::TargetSettings& settings, call::SessionId session,
                   const absl::StatusOr<postgres::ServerInfo>& server, v1::ConnectResponse& response, Answer& answer) {
  if (!server.ok()) {
    if (parts.connections.Abandon(opening)) shard.CloseTarget(opening.target);
    answer(server.status());
    return;
  }
  response.set_connection_id(parts.connections.Confirm(opening, settings, session));
  if (call::Target* opened = shard.FindTarget(opening.target)) opened->pool().AddOwner();
  response.set_server_version(server->version);
  response.set_server_version_num(server->version_number);
  response.set_in_recovery(server->in_recovery);
  *response.mutable_settings() = config::ToProto(settings);
  parts.metrics.connections.Set(static_cast<double>(parts.connections.size()));
  answer(absl::OkStatus());
}

}  // namespace

absl::StatusOr<CallRef> Connect(Parts& parts, Admitted& call, const v1::ConnectRequest& request,
                                v1::ConnectResponse& response) {
  absl::StatusOr<config::TargetSettings> settings = TargetOf(parts.settings, request);
  if (!settings.ok()) return settings.status();
  if (settings->VerifiesServer() && settings->tls_root_certificate.empty()) {
    settings->tls_root_certificate = parts.settings.database_root_certificate;
  }
  const absl::StatusOr<Connections::Opening> opening = parts.connections.Open(*settings);
  if (!opening.ok()) return opening.status();

  const absl::Time deadline = std::min(call.deadline, call.answer.arrived() + settings->timeout);
  parts.shards.OnShard(
      opening->shard, [&parts, &response, opening = *opening, settings = *std::move(settings), deadline,
                       session = call.caller.session, answer = std::move(call.answer)](call::Shard& shard) mutable {
        call::Target& target = shard.OpenTarget(opening.target, settings);
        target.server().Connect(
            deadline, [&parts, &shard, &response, opening, settings = std::move(settings), session,
                       answer = std::move(answer)](const absl::StatusOr<postgres::ServerInfo>& server) mutable {
              FinishConnect(parts, shard, opening, settings, session, server, response, answer);
            });
      });
  return CallRef{};
}

}  // namespace engine::db::gateway

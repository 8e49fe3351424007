#include "server/gateway/connections.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/base/failure.h"
#include "server/base/text.h"

namespace engine::db::gateway {
namespace {

absl::Status TooMany(Reason reason, const char* what, size_t limit) {
  return ToStatus({.code = absl::StatusCode::kResourceExhausted,
                   .reason = reason,
                   .kind = ErrorKind::kConnection,
                   .outcome = Outcome::kNotExecuted,
                   .message = absl::StrCat("too many ", what, " are open (limit ", limit, "): close some with Close")});
}

}  // namespace

Connections::Connections(const call::HandleMaker& handles, size_t max_connections, size_t max_targets, size_t shards)
    : handles_(handles), max_connections_(max_connections), max_targets_(max_targets), shards_(shards) {}

absl::StatusOr<Connections::Opening> Connections::Open(const config::TargetSettings& settings) {
  absl::MutexLock lock(&mutex_);
  if (connections_.size() >= max_connections_)
    return TooMany(Reason::kTooManyConnections, "connections", max_connections_);
  auto found = targets_.find(settings);
  if (found == targets_.end()) {
    if (targets_.size() >= max_targets_) return TooMany(Reason::kTooManyTargets, "pools", max_targets_);
    const call::TargetId id = next_target_++;
    found = targets_.emplace(settings, Target{id, id % shards_, 0}).first;
  }
  Target& target = found->second;
  ++target.references;
  return Opening{target.id, target.shard};
}

std::string Connections::Confirm(const Opening& opening, const config::TargetSettings& settings,
                                 call::SessionId session) {
  std::string id = handles_.Make("c");
  absl::MutexLock lock(&mutex_);
  connections_.emplace(id, Connection{opening.target, opening.shard, session, settings.timeout, settings.retry});
  return id;
}

bool Connections::Abandon(const Opening& opening) {
  absl::MutexLock lock(&mutex_);
  return Unreference(opening.target);
}

absl::StatusOr<Connection> Connections::Find(std::string_view id) const {
  {
    absl::ReaderMutexLock lock(&mutex_);
    const auto found = connections_.find(ToAbsl(id));
    if (found != connections_.end()) return found->second;
  }
  if (id.empty())
    return InvalidRequest("connection_id", Reason::kMissingConnection, "connection_id is empty: call Connect first");
  return ToStatus({.code = absl::StatusCode::kFailedPrecondition,
                   .reason = Reason::kUnknownConnection,
                   .kind = ErrorKind::kConnection,
                   .phase = Phase::kValidating,
                   .outcome = Outcome::kNotExecuted,
                   .message = handles_.IsOfAnotherInstance(id)
                                  ? "connection_id is of an earlier run of the gateway, which was restarted: call "
                                    "Connect again"
                                  : "connection_id is unknown or was closed: call Connect again",
                   .field = "connection_id"});
}

std::optional<Connections::Closing> Connections::Close(std::string_view id) {
  absl::MutexLock lock(&mutex_);
  const auto found = connections_.find(ToAbsl(id));
  if (found == connections_.end()) return std::nullopt;
  Closing closing{found->first, found->second, false};
  connections_.erase(found);
  closing.last = Unreference(closing.connection.target);
  return closing;
}

std::vector<Connections::Closing> Connections::CloseSession(call::SessionId session) {
  std::vector<Closing> closed;
  absl::MutexLock lock(&mutex_);
  for (const auto& [id, connection] : connections_) {
    if (connection.session == session) closed.push_back(Closing{id, connection, false});
  }
  for (Closing& closing : closed) {
    connections_.erase(closing.id);
    closing.last = Unreference(closing.connection.target);
  }
  return closed;
}

size_t Connections::size() const {
  absl::ReaderMutexLock lock(&mutex_);
  return connections_.size();
}

size_t Connections::HandlesOn(call::TargetId target) const {
  absl::ReaderMutexLock lock(&mutex_);
  return static_cast<size_t>(std::count_if(connections_.begin(), connections_.end(),
                                           [&](const auto& entry) { return entry.second.target == target; }));
}

bool Connections::Unreference(call::TargetId id) {
  const auto found =
      std::find_if(targets_.begin(), targets_.end(), [&](const auto& entry) { return entry.second.id == id; });
  if (--found->second.references > 0) return false;
  targets_.erase(found);  // whoever connects now opens a new pool
  return true;
}

}  // namespace engine::db::gateway

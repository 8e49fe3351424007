// The handles that Connect gave out.
#ifndef ENGINE_DB_SERVER_GATEWAY_CONNECTIONS_H_
#define ENGINE_DB_SERVER_GATEWAY_CONNECTIONS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/call/handle.h"
#include "server/call/ids.h"
#include "server/config/target.h"

namespace engine::db::gateway {

// One caller's handle on a pool.
struct Connection {
  call::TargetId target = 0;
  size_t shard = 0;  // whose loop the target lives on
  call::SessionId session = 0;
  absl::Duration timeout;  // for calls that name none
  config::RetrySettings retry;
};

// Which targets are open, on which loop, by how many handles. Any thread.
class Connections {
 public:
  struct Opening {
    call::TargetId target = 0;
    size_t shard = 0;
  };
  struct Closing {
    std::string id;
    Connection connection;
    bool last = false;  // the target has to be closed
  };

  Connections(const call::HandleMaker& handles, size_t max_connections, size_t max_targets, size_t shards);

  // Takes a reference on the target of these settings, which Confirm turns into a handle, and Abandon gives back.
  [[nodiscard]] absl::StatusOr<Opening> Open(const config::TargetSettings& settings);
  [[nodiscard]] std::string Confirm(const Opening& opening, const config::TargetSettings& settings,
                                    call::SessionId session);
  // True: it was the last reference, and the target has to be closed.
  [[nodiscard]] bool Abandon(const Opening& opening);

  // FAILED_PRECONDITION, kind CONNECTION, if there is no such handle.
  [[nodiscard]] absl::StatusOr<Connection> Find(std::string_view id) const;
  // Nothing if there is no such handle.
  [[nodiscard]] std::optional<Closing> Close(std::string_view id);
  // All handles of a session.
  [[nodiscard]] std::vector<Closing> CloseSession(call::SessionId session);

  [[nodiscard]] size_t size() const;
  // Handles on a target.
  [[nodiscard]] size_t HandlesOn(call::TargetId target) const;

 private:
  struct Target {
    call::TargetId id = 0;
    size_t shard = 0;
    size_t references = 0;
  };

  bool Unreference(call::TargetId id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const call::HandleMaker& handles_;
  const size_t max_connections_;
  const size_t max_targets_;
  const size_t shards_;
  mutable absl::Mutex mutex_;
  absl::flat_hash_map<std::string, Connection> connections_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<config::TargetSettings, Target> targets_ ABSL_GUARDED_BY(mutex_);
  call::TargetId next_target_ ABSL_GUARDED_BY(mutex_) = 1;
};

}  // namespace engine::db::gateway

#endif  // ENGINE_DB_SERVER_GATEWAY_CONNECTIONS_H_

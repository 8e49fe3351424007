// How a transaction's outcome can be found out when its session was lost.
#ifndef ENGINE_DB_CLIENT_CPP_SRC_RECOVERY_H_
#define ENGINE_DB_CLIENT_CPP_SRC_RECOVERY_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "client/cpp/src/session.h"
#include "engine/db/v1/connector.pb.h"
#include "engine_db/options.h"

namespace engine::db::internal {

class Connection;

// What the replies within one transaction have said. Any thread may call.
class Recovery {
 public:
  Recovery(std::weak_ptr<Connection> connection, const TransactionOptions& options)
      : connection_(std::move(connection)), read_only_(options.read_only), replay_(options.replay) {}

  // The way to another session; null when the connector is gone.
  [[nodiscard]] std::shared_ptr<Connection> connection() const { return connection_.lock(); }

  // A statement is about to be sent: its number, for replied().
  uint64_t sending() {
    const absl::MutexLock lock(&mutex_);
    return ++sent_;
  }
  // Its reply, with where the transaction stands after it. Those of one transaction run in the order of sending.
  void replied(uint64_t number, v1::TransactionStatus& status, Session& session) {
    const absl::MutexLock lock(&mutex_);
    if (number < replied_) return;
    replied_ = number;
    if (status.recovery_token().empty()) return;
    session.saw_token();
    token_ = std::move(*status.mutable_recovery_token());
  }

  // The latest token; empty as long as there is none.
  [[nodiscard]] std::string token() const {
    const absl::MutexLock lock(&mutex_);
    return token_;
  }

  // Whether the replies prove that nothing was written: there is no token, although the gateway sends them (or the
  // transaction may not write), no reply is missing, and the gateway may not have run the transaction again as another.
  [[nodiscard]] bool wrote_nothing(const Session& session) const {
    const absl::MutexLock lock(&mutex_);
    return token_.empty() && replied_ == sent_ && (read_only_ || session.gives_tokens()) && !replay_;
  }

  // COMMIT has been asked for, and may be done.
  std::atomic<bool> commit_sent = false;

 private:
  const std::weak_ptr<Connection> connection_;
  const bool read_only_;
  const bool replay_;
  mutable absl::Mutex mutex_;
  std::string token_ ABSL_GUARDED_BY(mutex_);
  uint64_t sent_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t replied_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace engine::db::internal

#endif  // ENGINE_DB_CLIENT_CPP_SRC_RECOVERY_H_

// What the two connectors have in common.
#ifndef ENGINE_DB_CLIENT_CPP_SRC_CONNECTION_H_
#define ENGINE_DB_CLIENT_CPP_SRC_CONNECTION_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "client/cpp/src/operations.h"
#include "client/cpp/src/session.h"
#include "engine/db/v1/connector.pb.h"
#include "engine_db/async.h"
#include "engine_db/config.h"
#include "engine_db/error.h"
#include "engine_db/gateway_options.h"
#include "engine_db/options.h"
#include "engine_db/transaction.h"

namespace engine::db::internal {

// Keeps a session to the gateway, opens another when that has ended, and knows the connector's current transaction. Any
// thread may call; none blocks.
class Connection final : public std::enable_shared_from_this<Connection> {
 public:
  // Throws ConfigurationError.
  Connection(const ConnectTarget& target, const GatewayOptions& gateway);

  Async<void> connect(const CallOptions& options);
  Async<void> close();
  // What became of the transaction that the token names: asks until that is known or `deadline`, then fails.
  Async<Outcome> transaction_outcome(std::string token, std::chrono::steady_clock::time_point deadline,
                                     std::stop_token stop);
  // The same, within options.timeout.
  Async<Outcome> transaction_outcome(std::string token, const CallOptions& options);
  // Fails all calls at once. Nothing may follow.
  void shut_down();

  // Where a statement of the connector runs now: the current transaction or none. Throws DatabaseError when there is
  // nowhere.
  [[nodiscard]] Scope scope();
  // The same, but never in the current transaction.
  [[nodiscard]] Scope scope_outside();

  // The connector's current transaction.
  Async<void> begin(const TransactionOptions& options);
  // One of its own.
  Async<Scope> begin_apart(const TransactionOptions& options);
  Async<void> commit();
  Async<void> rollback();

 private:
  [[nodiscard]] std::shared_ptr<Session> session() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] std::shared_ptr<Session> open_session() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // After this, the connection opens no session. Returns all sessions that may still be in use.
  [[nodiscard]] std::vector<std::shared_ptr<Session>> detach_sessions();
  // Ends the current transaction by `operation`, commit or rollback.
  Async<void> end(Async<void> (*operation)(const std::shared_ptr<OpenTransaction>&), const char* name);

  const std::shared_ptr<Gateway> gateway_;
  v1::ConnectRequest request_;
  // Those of a data source are known to the gateway only.
  std::chrono::milliseconds connect_timeout_{30'000};
  RetryConfig retry_;

  absl::Mutex mutex_;
  bool wanted_ ABSL_GUARDED_BY(mutex_) = false;  // between connect() and close()
  std::shared_ptr<Session> session_ ABSL_GUARDED_BY(mutex_);
  // Those before it: on one whose gateway drains, transactions and calls go on.
  std::vector<std::weak_ptr<Session>> replaced_ ABSL_GUARDED_BY(mutex_);
  int unreachable_ ABSL_GUARDED_BY(mutex_) = 0;  // Sessions in a row that did not reach the gateway.
  uint64_t closings_ ABSL_GUARDED_BY(mutex_) = 0;
  bool beginning_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<OpenTransaction> current_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace engine::db::internal

#endif  // ENGINE_DB_CLIENT_CPP_SRC_CONNECTION_H_

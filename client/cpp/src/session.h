// One Session stream to the gateway and the connection handle that lives on it.
#ifndef ENGINE_DB_CLIENT_CPP_SRC_SESSION_H_
#define ENGINE_DB_CLIENT_CPP_SRC_SESSION_H_

#include <grpcpp/client_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/client_callback.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "client/cpp/src/call.h"
#include "client/cpp/src/call_table.h"
#include "client/cpp/src/gateway.h"
#include "client/cpp/src/outbox.h"
#include "engine/db/v1/connector.pb.h"
#include "engine_db/async.h"
#include "engine_db/error.h"

namespace engine::db::internal {

// Carries many calls at once on one stream. Its first call is Connect; those that are submitted before that is answered
// wait for it, and so the session waits for a gateway that is not there yet. When the stream breaks, or Connect fails,
// the session has ended: every call in flight fails, or goes to another session where Call::if_lost allows it, and so
// does each later one. It never recovers; its owner opens another.
//
// While a message is being written, calls gather in the next: the busier, the fewer messages. Every call has a deadline
// that is kept here, so that nothing waits for ever whatever the gateway does.
//
// Any thread may call. Calls receive their answers on gRPC's threads, or on the thread that submits or ends.
class Session final : public grpc::ClientBidiReactor<grpc::ByteBuffer, v1::SessionResponse>,
                      public std::enable_shared_from_this<Session> {
 public:
  // Gives the session that takes over the calls of this one when it was lost; null for none.
  using Successor = std::function<std::shared_ptr<Session>()>;

  struct Opening {
    std::shared_ptr<Gateway> gateway;
    v1::ConnectRequest target;
    std::chrono::milliseconds connect_timeout;
    int max_attempts = 1;                // For calls that say nothing about it.
    std::chrono::milliseconds pause{0};  // Before it begins.
    Successor successor;
  };
  // Starts.
  static std::shared_ptr<Session> open(Opening opening);

  explicit Session(Opening opening);

  // Sends `message`, with its correlation and connection id filled in; `call` receives the answer, maybe before this
  // returns. A message without content is answered as soon as the session is connected.
  void submit(const std::shared_ptr<Call>& call, v1::SessionCall& message);

  // Asks the gateway to cancel the call, which then ends as the gateway says. Does nothing for a call that has ended.
  void cancel(uint64_t id);

  // The same, and the call receives nothing more.
  void abandon(const Call& call);

  // Allows so many more bytes of a streamed result.
  void add_credit(const Call& call, uint64_t bytes);

  // Whether no call can succeed any more.
  [[nodiscard]] bool ended() const { return progress_.ended.load(std::memory_order_acquire); }

  // Whether its gateway is shutting down and takes no new work; what is open on it may go on.
  [[nodiscard]] bool draining() const { return progress_.draining.load(std::memory_order_acquire); }

  // Whether it ended because the gateway could not be reached, or refuses all sessions.
  [[nodiscard]] bool was_unreachable() const { return progress_.unreachable.load(std::memory_order_acquire); }

  // For calls that name no timeout.
  [[nodiscard]] std::chrono::milliseconds default_timeout() const;

  [[nodiscard]] int max_attempts() const { return opening_.max_attempts; }

  // The gateway has sent a recovery token, which it can't everywhere.
  void saw_token() { progress_.gives_tokens.store(true, std::memory_order_relaxed); }
  [[nodiscard]] bool gives_tokens() const { return progress_.gives_tokens.load(std::memory_order_relaxed); }

  // Fails every call with DatabaseConnectionError, and ends the stream.
  void end(std::string_view reason, std::string message);

  // Throws std::logic_error on a thread that is delivering answers: to wait for another answer there is to wait for
  // ever.
  static void require_may_wait();

 private:
  class ConnectCall;
  class DeliveryScope;

  // How far the session has come. Set under mutex_ where it decides what becomes of a call; read without it.
  struct Progress {
    std::atomic<bool> reached = false;  // the gateway takes what is written
    std::atomic<bool> connected = false;
    std::atomic<bool> draining = false;
    std::atomic<bool> unreachable = false;
    std::atomic<bool> ended = false;
    std::atomic<bool> gives_tokens = false;
  };

  void start();
  void on_connected(v1::ConnectResponse& response);

  // grpc::ClientBidiReactor.
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

  void admit(const std::shared_ptr<Call>& call) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void set_deadline(Call& call) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void send(uint64_t id, std::string_view body) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void send_cancel(uint64_t id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void roll_back_unowned(const v1::SessionReply& begun) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Fills in what a call needs that waited for this session, or was another's.
  void address(v1::SessionCall& message, const Call& call) const;
  // The failure of a call when the session has ended.
  [[nodiscard]] ErrorInfo failure(const Call& call) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The failure of a call that is past its deadline, which the gateway is told to cancel.
  [[nodiscard]] ErrorInfo expire(const Call& call) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] ErrorInfo deadline_error(const Call& call) const;

  void write_next() ABSL_LOCKS_EXCLUDED(mutex_);
  void deliver(const std::shared_ptr<Call>& call, v1::SessionReply& reply);
  // The end of a call that this session has lost: it fails, or goes to the next session.
  void lose(const std::shared_ptr<Call>& call, ErrorInfo info);
  void set_alarm(std::chrono::milliseconds pause);
  void sweep();
  void end(ErrorInfo info);
  void fail_all();

  const Opening opening_;
  grpc::ClientContext context_;
  Progress progress_;
  std::string connection_id_;  // constant once progress_.connected

  mutable absl::Mutex mutex_;
  std::chrono::milliseconds default_timeout_ ABSL_GUARDED_BY(mutex_);
  // A call that is released must not be destroyed before mutex_ is free again: it waits for its Canceller.
  CallTable calls_ ABSL_GUARDED_BY(mutex_);
  Outbox outbox_ ABSL_GUARDED_BY(mutex_);  // once it is closed, gRPC's hold is released when nothing is being written
  std::optional<ErrorInfo> end_info_ ABSL_GUARDED_BY(mutex_);
  bool failed_all_ ABSL_GUARDED_BY(mutex_) = false;  // nothing is taken any more
  bool alarm_set_ ABSL_GUARDED_BY(mutex_) = false;

  grpc::ByteBuffer write_buffer_;    // the writer's, while outbox_.writing()
  v1::SessionResponse read_buffer_;  // the reader's
  std::vector<std::pair<std::shared_ptr<Call>, v1::SessionReply*>> due_;
  std::shared_ptr<Session> self_;  // While gRPC may still call.
};

// Blocks until `operation` has ended; returns its value or throws its error.
template <typename T>
T wait(Async<T> operation) {
  Session::require_may_wait();
  return sync_wait(std::move(operation));
}

}  // namespace engine::db::internal

#endif  // ENGINE_DB_CLIENT_CPP_SRC_SESSION_H_

// One Session stream to the gateway and the connection handle that lives on it.
#ifndef ENGINE_DB_CLIENT_CPP_SRC_SESSION_H_
#define ENGINE_DB_CLIENT_CPP_SRC_SESSION_H_

#include <grpcpp/client_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/client_callback.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
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
#include "client/cpp/src/gateway.h"
#include "engine/db/v1/connector.pb.h"
#include "engine_db/async.h"
#include "engine_db/error.h"

namespace engine::db::internal {

// Carries many calls at once on one stream. Its first call is Connect; those that are submitted before that is answered
// wait for it, and so the session waits for a gateway that is not there yet. When the stream breaks, or Connect fails,
// the session has ended: every call in flight fails, or goes to another session where Call::if_lost allows it, and so
// does each later one. It is never mended; whoever needs another opens one.
//
// While a message is being written, calls gather in the next: the busier, the fewer messages. Every call has a deadline
// that is kept here, so that nothing waits for ever whatever the gateway does.
//
// Any thread may call. Calls hear of their end on gRPC's threads, or on the thread that submits or ends.
class Session final : public grpc::ClientBidiReactor<grpc::ByteBuffer, v1::SessionResponse>,
                      public std::enable_shared_from_this<Session> {
 public:
  // Gives another session, for calls to go to when this one was lost; null when there is to be none.
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

  // Sends `message` (fills in its correlation and connection id); `call` hears of the answer. It may hear before this
  // returns. A message without content is answered as soon as the session is connected.
  void submit(const std::shared_ptr<Call>& call, v1::SessionCall& message);

  // Asks the gateway to cancel the call, which then ends as the gateway says. A call that has ended is none of its
  // business.
  void cancel(uint64_t id);

  // The same, and the call hears nothing more.
  void abandon(const Call& call);

  // Allows so many more bytes of a streamed result.
  void add_credit(const Call& call, uint64_t bytes);

  // Whether no call can succeed any more.
  [[nodiscard]] bool ended() const { return ended_.load(std::memory_order_acquire); }

  // Whether its gateway is shutting down, and takes nothing that is new: what is open on it may go on.
  [[nodiscard]] bool draining() const { return draining_.load(std::memory_order_acquire); }

  // Whether it ended because the gateway could not be reached, or sends everyone away.
  [[nodiscard]] bool was_unreachable() const { return unreachable_.load(std::memory_order_acquire); }

  // For calls that name no timeout.
  [[nodiscard]] std::chrono::milliseconds default_timeout() const;

  [[nodiscard]] int max_attempts() const { return opening_.max_attempts; }

  // The gateway has shown that it tells recovery tokens: it can't everywhere.
  void saw_token() { gives_tokens_.store(true, std::memory_order_relaxed); }
  [[nodiscard]] bool gives_tokens() const { return gives_tokens_.load(std::memory_order_relaxed); }

  // Fails every call with DatabaseConnectionError, and ends the stream.
  void end(std::string reason, std::string message);

  // Throws std::logic_error on a thread on which answers are just being handed out: to wait for another one there is to
  // wait for ever.
  static void require_may_wait();

 private:
  class ConnectCall;
  class HandingOut;

  // A place for a call; the generation tells late answers to an earlier one apart. An id is generation << 32 | index.
  struct Slot {
    uint32_t generation = 1;
    std::shared_ptr<Call> call;
  };
  // A SessionRequest, serialized.
  struct Message {
    std::string bytes;
    size_t calls = 0;
  };

  void start();
  void on_connected(v1::ConnectResponse& response);

  // grpc::ClientBidiReactor.
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

  [[nodiscard]] Slot* find(uint64_t id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void occupy_slot(const std::shared_ptr<Call>& call) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void set_deadline(Call& call) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The call must not be destroyed before mutex_ is free again: it waits for its Canceller.
  [[nodiscard]] std::shared_ptr<Call> release(Slot& slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void send(uint64_t id, std::string_view body) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void roll_back_unowned(const v1::SessionReply& begun) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Fills in what a call needs that waited for this session, or was another's.
  void address(v1::SessionCall& message, const Call& call) const;
  [[nodiscard]] ErrorInfo failure(const Call& call) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] ErrorInfo out_of_time(const std::string& within) const;

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
  std::atomic<bool> ended_ = false;
  std::atomic<bool> draining_ = false;
  std::atomic<bool> connected_ = false;
  std::atomic<bool> unreachable_ = false;
  std::atomic<bool> reached_ = false;  // The gateway takes what is written.
  std::atomic<bool> gives_tokens_ = false;
  std::string connection_id_;  // Constant once connected_.

  mutable absl::Mutex mutex_;
  std::chrono::milliseconds default_timeout_ ABSL_GUARDED_BY(mutex_);
  std::vector<Slot> slots_ ABSL_GUARDED_BY(mutex_);
  std::vector<uint32_t> free_slots_ ABSL_GUARDED_BY(mutex_);
  std::deque<Message> outgoing_ ABSL_GUARDED_BY(mutex_);
  uint64_t messages_written_ ABSL_GUARDED_BY(mutex_) = 0;  // The one that is being written included.
  std::vector<std::pair<uint64_t, v1::SessionCall>> parked_ ABSL_GUARDED_BY(mutex_);  // Until connected_.
  std::optional<ErrorInfo> end_info_ ABSL_GUARDED_BY(mutex_);
  bool failed_all_ ABSL_GUARDED_BY(mutex_) = false;  // Nothing is taken any more.
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  // No write may start any more; gRPC's hold is released when none runs.
  bool read_done_ ABSL_GUARDED_BY(mutex_) = false;
  bool alarm_set_ ABSL_GUARDED_BY(mutex_) = false;

  grpc::ByteBuffer write_buffer_;    // The writer's, while writing_.
  v1::SessionResponse read_buffer_;  // The reader's.
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

// A call that is on its way.
#ifndef ENGINE_DB_CLIENT_CPP_SRC_CALL_H_
#define ENGINE_DB_CLIENT_CPP_SRC_CALL_H_

#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <stop_token>
#include <utility>

#include "engine/db/v1/connector.pb.h"
#include "engine_db/async.h"
#include "engine_db/error.h"

namespace engine::db::internal {

class Session;

// What a session needs to know of a call, and whom it tells about the answers. A session shows its calls to one thread
// at a time and never with its lock held. The last thing that a call hears is either a last reply or a failure.
class Call {
 public:
  Call() = default;
  virtual ~Call() = default;
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  // An answer that is no error; its contents may be moved out. What it throws, the session hands to fail(). A streamed
  // result has several.
  virtual void reply(v1::SessionReply& reply) = 0;
  virtual void fail(ErrorInfo info) = 0;

  // Set before the call is submitted.
  std::chrono::milliseconds timeout{0};  // 0: the connection's.
  std::stop_token stop;
  Outcome outcome_if_lost =
      Outcome::kUnspecified;  // What is known of its effects once it is sent, when no answer comes.
  Phase phase = Phase::kExecuting;

 private:
  friend class Session;

  struct Canceller {
    std::weak_ptr<Session> session;
    uint64_t id;
    void operator()() const;
  };

  // The session's own notes.
  uint64_t id_ = 0;
  std::chrono::steady_clock::time_point deadline_;
  uint64_t message_ = kParked;  // Which message it is in.
  std::optional<std::stop_callback<Canceller>> canceller_;

  static constexpr uint64_t kParked = UINT64_MAX;
};

// A call with one reply, which `convert(v1::SessionReply&)` turns into a T.
template <typename T, typename Convert>
class ReplyCall final : public Call {
 public:
  explicit ReplyCall(Convert convert) : convert_(std::move(convert)) {}

  [[nodiscard]] Async<T> async() { return promise_.async(); }

  void reply(v1::SessionReply& reply) override {
    if constexpr (std::is_void_v<T>) {
      convert_(reply);
      promise_.complete(std::monostate{});
    } else {
      promise_.complete(convert_(reply));
    }
  }
  void fail(ErrorInfo info) override { promise_.complete(make_error(std::move(info))); }

 private:
  AsyncPromise<T> promise_;
  Convert convert_;
};

}  // namespace engine::db::internal

#endif  // ENGINE_DB_CLIENT_CPP_SRC_CALL_H_

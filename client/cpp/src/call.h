// A call that is on its way.
#ifndef ENGINE_DB_CLIENT_CPP_SRC_CALL_H_
#define ENGINE_DB_CLIENT_CPP_SRC_CALL_H_

#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include "engine/db/v1/connector.pb.h"
#include "engine_db/async.h"
#include "engine_db/error.h"

namespace engine::db::internal {

class Session;

// What becomes of a call whose session was lost.
enum class IfLost : uint8_t {
  kFail,
  kRepeatUnsent,  // It goes to the next session, if nothing of it has been sent.
  kRepeat,        // It goes to the next session in any case: it may run twice.
};

// What a session needs to know of a call, and the receiver of its answers. A session uses a call on one thread at a
// time and never with its lock held. The last thing that a call receives is either a last reply or a failure.
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
  // The same call for another session: it takes over this one's waiter, and this one receives nothing any more. Null
  // for a call that can't be repeated.
  virtual std::shared_ptr<Call> again() { return nullptr; }

  // Set before the call is submitted.
  std::chrono::milliseconds timeout{0};  // 0: the connection's.
  std::stop_token stop;
  Outcome outcome_if_lost =
      Outcome::kUnspecified;  // What is known of its effects once it is sent, when no answer comes.
  Phase phase = Phase::kExecuting;
  IfLost if_lost = IfLost::kFail;
  int max_attempts = 1;  // Of being sent, with kRepeat.

 protected:
  // Within reply(): the session that delivers it.
  [[nodiscard]] Session& session() const { return *session_; }
  // For again(): copies all of the above, and the session's own notes that outlive it.
  void continue_as(Call& next) const;

 private:
  friend class Session;

  // fail(), with the outcome that all attempts together leave: an earlier one may have run.
  void end_with(ErrorInfo info);

  struct Canceller {
    std::weak_ptr<Session> session;
    uint64_t id;
    void operator()() const;
  };

  // The session's own notes.
  Session* session_ = nullptr;
  uint64_t id_ = 0;
  std::chrono::steady_clock::time_point deadline_{};  // From its first session on.
  std::string body_;                                  // What to send again; unless kFail.
  int attempts_ = 1;
  bool may_have_run_ = false;   // On an earlier session.
  uint64_t message_ = kParked;  // Which message it is in.
  std::optional<std::stop_callback<Canceller>> canceller_;

  static constexpr uint64_t kParked = UINT64_MAX;
};

// A call with one reply, which `convert(v1::SessionReply&)`, or `convert(v1::SessionReply&, Session&)`, turns into a T.
template <typename T, typename Convert>
class ReplyCall final : public Call {
 public:
  explicit ReplyCall(Convert convert) : convert_(std::move(convert)) {}

  [[nodiscard]] Async<T> async() { return promise_.async(); }

  void reply(v1::SessionReply& reply) override {
    const auto converted = [&] {
      if constexpr (std::is_invocable_v<Convert&, v1::SessionReply&, Session&>) {
        return convert_(reply, session());
      } else {
        return convert_(reply);
      }
    };
    if constexpr (std::is_void_v<T>) {
      converted();
      promise_.complete(std::monostate{});
    } else {
      promise_.complete(converted());
    }
  }
  void fail(ErrorInfo info) override { promise_.complete(make_error(std::move(info))); }
  std::shared_ptr<Call> again() override {
    auto next = std::make_shared<ReplyCall>(std::move(convert_));
    next->promise_ = std::move(promise_);
    continue_as(*next);
    return next;
  }

 private:
  AsyncPromise<T> promise_;
  Convert convert_;
};

}  // namespace engine::db::internal

#endif  // ENGINE_DB_CLIENT_CPP_SRC_CALL_H_

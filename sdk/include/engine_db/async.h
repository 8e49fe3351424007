// The result of an asynchronous operation.
#ifndef ENGINE_DB_ASYNC_H_
#define ENGINE_DB_ASYNC_H_

#include <atomic>
#include <coroutine>
#include <exception>
#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <variant>

namespace engine::db {

// How an operation ended: with a value, or with an exception.
template <typename T>
class Completion {
 public:
  using Stored = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

  Completion(Stored value) : content_(std::move(value)) {}              // NOLINT(google-explicit-constructor)
  Completion(std::exception_ptr error) : content_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] bool ok() const { return content_.index() == 0; }
  // Null when it ended with a value.
  [[nodiscard]] std::exception_ptr error() const { return ok() ? nullptr : std::get<1>(content_); }

  // The value, moved out; or throws the exception.
  T value() && {
    if (!ok()) std::rethrow_exception(std::get<1>(content_));
    if constexpr (!std::is_void_v<T>) return std::get<0>(std::move(content_));
  }
  // The value; or throws the exception.
  [[nodiscard]] const Stored& value() const& {
    if (!ok()) std::rethrow_exception(std::get<1>(content_));
    return std::get<0>(content_);
  }

 private:
  std::variant<Stored, std::exception_ptr> content_;
};

namespace internal {

// Shared by the producer and the consumer of one Async, lock-free: each swaps its mark into phase_, and the second of
// them runs the continuation.
template <typename T>
class AsyncState {
 public:
  // Once.
  void complete(Completion<T> completion) {
    completion_.emplace(std::move(completion));
    switch (phase_.exchange(Phase::kReady, std::memory_order_acq_rel)) {
      case Phase::kPending:
      case Phase::kReady:
        return;
      case Phase::kContinued:
        return proceed();
      case Phase::kBlocked:
        return phase_.notify_one();
    }
  }

  // Once, and not with wait().
  template <typename Function>
  void call_when_ready(Function function) {
    callback_ = std::make_unique<CallbackOf<Function>>(std::move(function));
    if (phase_.exchange(Phase::kContinued, std::memory_order_acq_rel) == Phase::kReady) proceed();
  }

  // False, if it is ready already: then go on instead of suspending.
  [[nodiscard]] bool resume_when_ready(std::coroutine_handle<> waiter) {
    waiter_ = waiter;
    auto pending = Phase::kPending;
    return phase_.compare_exchange_strong(pending, Phase::kContinued, std::memory_order_acq_rel);
  }

  void wait() {
    auto pending = Phase::kPending;
    if (phase_.compare_exchange_strong(pending, Phase::kBlocked, std::memory_order_acq_rel)) {
      phase_.wait(Phase::kBlocked, std::memory_order_acquire);
    }
  }

  [[nodiscard]] bool ready() const { return phase_.load(std::memory_order_acquire) == Phase::kReady; }
  // When ready.
  [[nodiscard]] Completion<T> take() { return *std::move(completion_); }

 private:
  // int: what the kernel can wait on directly.
  enum class Phase : int { kPending, kContinued, kBlocked, kReady };

  struct Callback {
    virtual ~Callback() = default;
    virtual void run(Completion<T> completion) = 0;
  };
  template <typename Function>
  struct CallbackOf final : Callback {
    explicit CallbackOf(Function f) : function(std::move(f)) {}
    void run(Completion<T> completion) override { function(std::move(completion)); }
    Function function;
  };

  void proceed() {
    if (waiter_) return waiter_.resume();
    auto callback = std::move(callback_);
    callback->run(take());
  }

  std::atomic<Phase> phase_ = Phase::kPending;
  std::optional<Completion<T>> completion_;
  std::unique_ptr<Callback> callback_;
  std::coroutine_handle<> waiter_;
};

template <typename T>
class AsyncCoroutine;

}  // namespace internal

// The result-to-be of an operation that has been started. Move-only; it is taken in exactly one of these ways:
//
//   connector.async_execute(sql).then([](Completion<Result> done) { … });   // a callback
//   Result result = connector.async_execute(sql).future().get();            // a std::future
//   Result result = co_await connector.async_execute(sql);                  // a coroutine
//
// and a second attempt is a std::logic_error. One that is dropped untaken lets the operation run on and forgets its
// result.
//
// Threads: callbacks run, and coroutines resume, on the thread that ended the operation (for the connectors of this
// library one of gRPC's), or at once on the caller's thread when it has ended already. There they must not block, which
// includes waiting for a future or calling a synchronous connector: the answers that they wait for would come on the
// same thread. A callback must not throw (std::terminate).
//
// A coroutine may also return Async<T>. It starts at once, on its caller's thread:
//
//   Async<int64_t> score(AsyncDatabaseConnector& connector, std::string customer) {
//     Result result = co_await connector.async_execute(
//         "SELECT count(*) AS n FROM points WHERE customer = ?", parameters(customer));
//     co_return result.rows()[0]["n"].as<int64_t>();
//   }
template <typename T>
class [[nodiscard]] Async {
 public:
  using promise_type = internal::AsyncCoroutine<T>;

  explicit Async(std::shared_ptr<internal::AsyncState<T>> state) : state_(std::move(state)) {}
  Async(Async&&) noexcept = default;
  Async& operator=(Async&&) noexcept = default;
  Async(const Async&) = delete;
  Async& operator=(const Async&) = delete;
  ~Async() = default;

  // One that has ended already.
  static Async completed(Completion<T> completion) {
    auto state = std::make_shared<internal::AsyncState<T>>();
    state->complete(std::move(completion));
    return Async(std::move(state));
  }

  // Calls callback(Completion<T>) once, when the operation ends.
  template <typename Callback>
  void then(Callback callback) {
    // NOLINTNEXTLINE(bugprone-exception-escape): to throw from a callback is to terminate, as the comment above says.
    use()->call_when_ready([callback = std::move(callback)](Completion<T> completion) mutable noexcept {
      callback(std::move(completion));
    });
  }

  std::future<T> future() {
    std::promise<T> promise;
    std::future<T> future = promise.get_future();
    then([promise = std::move(promise)](Completion<T> completion) mutable {
      if (!completion.ok()) return promise.set_exception(completion.error());
      if constexpr (std::is_void_v<T>) {
        promise.set_value();
      } else {
        promise.set_value(std::move(completion).value());
      }
    });
    return future;
  }

  auto operator co_await() {
    struct Awaiter {
      std::shared_ptr<internal::AsyncState<T>> state;
      [[nodiscard]] bool await_ready() const { return state->ready(); }
      bool await_suspend(std::coroutine_handle<> waiter) { return state->resume_when_ready(waiter); }
      T await_resume() { return state->take().value(); }
    };
    return Awaiter{use()};
  }

 private:
  template <typename U>
  friend U sync_wait(Async<U> operation);

  std::shared_ptr<internal::AsyncState<T>> use() {
    if (!state_) throw std::logic_error("this Async has been used already");
    return std::move(state_);
  }

  std::shared_ptr<internal::AsyncState<T>> state_;
};

// Blocks until the operation has ended; returns its value or throws its error. Not on a thread on which callbacks run.
template <typename T>
T sync_wait(Async<T> operation) {
  auto state = operation.use();
  state->wait();
  return state->take().value();
}

// The producer's end, for those who implement an AsyncDatabaseConnector. Move-only. Destroyed before it is completed,
// it completes with a std::future_error (broken_promise).
template <typename T>
class AsyncPromise {
 public:
  AsyncPromise() : state_(std::make_shared<internal::AsyncState<T>>()) {}
  AsyncPromise(AsyncPromise&&) noexcept = default;
  AsyncPromise& operator=(AsyncPromise&& other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  AsyncPromise(const AsyncPromise&) = delete;
  AsyncPromise& operator=(const AsyncPromise&) = delete;
  ~AsyncPromise() {
    if (state_) complete(std::make_exception_ptr(std::future_error(std::future_errc::broken_promise)));
  }

  // Once, before complete().
  [[nodiscard]] Async<T> async() { return Async<T>(state_); }

  // Once. The consumer continues before this returns, on this thread.
  void complete(Completion<T> completion) { std::exchange(state_, nullptr)->complete(std::move(completion)); }

 private:
  std::shared_ptr<internal::AsyncState<T>> state_;
};

namespace internal {

template <typename T>
class AsyncCoroutineBase {
 public:
  Async<T> get_return_object() { return promise_.async(); }
  [[nodiscard]] std::suspend_never initial_suspend() const noexcept { return {}; }

  // The frame and all that it holds are destroyed before the consumer is told of the end: from then on, what the frame
  // refers to may be destroyed.
  [[nodiscard]] auto final_suspend() const noexcept {
    struct End {
      [[nodiscard]] bool await_ready() const noexcept { return false; }
      void await_suspend(std::coroutine_handle<AsyncCoroutine<T>> self) const noexcept {
        AsyncPromise<T> promise = std::move(self.promise().promise_);
        Completion<T> completion = *std::move(self.promise().completion_);
        self.destroy();
        promise.complete(std::move(completion));
      }
      void await_resume() const noexcept {}
    };
    return End{};
  }

  void unhandled_exception() { completion_.emplace(std::current_exception()); }

 protected:
  AsyncPromise<T> promise_;
  std::optional<Completion<T>> completion_;
};

template <typename T>
class AsyncCoroutine : public AsyncCoroutineBase<T> {
 public:
  void return_value(T value) { this->completion_.emplace(std::move(value)); }
};

template <>
class AsyncCoroutine<void> : public AsyncCoroutineBase<void> {
 public:
  void return_void() { completion_.emplace(std::monostate{}); }
};

}  // namespace internal

}  // namespace engine::db

#endif  // ENGINE_DB_ASYNC_H_

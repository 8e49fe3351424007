// How work that comes back later finds out whether the object that asked for it is still there.
#ifndef ENGINE_DB_SERVER_LOOP_WEAK_SELF_H_
#define ENGINE_DB_SERVER_LOOP_WEAK_SELF_H_

#include <memory>
#include <utility>

namespace engine::db::loop {

// The one idiom for lifetime on a loop:
//
// - An object is owned by exactly one other object (unique_ptr or member). No callback keeps it alive.
// - A callback that may come when its object is gone (a posted task, the end of a round, another thread's answer, an
//   object that lives longer) goes through the object's WeakSelf, which drops it then. A loop::Timer, and the watch of
//   a descriptor that the object takes away itself, need none: they end with the object.
// - Work on another thread comes back by BlockingExecutor::RunAndTell(), or by EventLoop::Mailbox, which outlive the
//   loop too.
// - An object that may be further up on the stack when its owner lets go of it is handed to EventLoop::DestroyLater(),
//   which destroys it at the end of the round. A class whose callback may destroy the object itself moves the callback
//   to the stack, and calls it last.
//
// WeakSelf is a member, declared last, so that it is the first to go. It is made and destroyed on the loop, and so are
// its callbacks run; a bound callback may be moved and destroyed on any thread.
template <typename T>
class WeakSelf {
 public:
  explicit WeakSelf(T* self) : self_(std::make_shared<T*>(self)) {}
  ~WeakSelf() { *self_ = nullptr; }
  WeakSelf(const WeakSelf&) = delete;
  WeakSelf& operator=(const WeakSelf&) = delete;

  // `callback(self, arguments…)`, or nothing when the object is gone. Of a callback that captures nothing it is as small
  // as a shared_ptr: a loop's Task has room for it, without an allocation.
  template <typename Callback>
  [[nodiscard]] auto Bind(Callback callback) const {
    return Bound<Callback>(self_, std::move(callback));
  }

 private:
  template <typename Callback>
  class Bound {
   public:
    Bound(std::shared_ptr<T*> self, Callback callback) : self_(std::move(self)), callback_(std::move(callback)) {}

    template <typename... Arguments>
    void operator()(Arguments&&... arguments) {
      if (*self_ != nullptr) callback_(**self_, std::forward<Arguments>(arguments)...);
    }

   private:
    std::shared_ptr<T*> self_;
    [[no_unique_address]] Callback callback_;
  };

  const std::shared_ptr<T*> self_;
};

}  // namespace engine::db::loop

#endif  // ENGINE_DB_SERVER_LOOP_WEAK_SELF_H_

// Waits for sockets, timers and posted tasks. Whatever lives on a loop is touched by its thread only, and so needs no
// lock. Nothing that runs on a loop may block. For lifetimes see weak_self.h.
#ifndef ENGINE_DB_SERVER_LOOP_EVENT_LOOP_H_
#define ENGINE_DB_SERVER_LOOP_EVENT_LOOP_H_

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/loop/clock.h"

namespace engine::db::loop {

class Timer;

class EventLoop {
 public:
  using Task = absl::AnyInvocable<void()>;
  // Gets the epoll events that are ready.
  using FdCallback = absl::AnyInvocable<void(uint32_t events)>;

  // Where threads post that may outlive the loop. Any thread.
  class Mailbox {
   public:
    // Dropped, once the loop is gone.
    void Post(Task task);

   private:
    friend class EventLoop;
    absl::Mutex mutex_;
    EventLoop* loop_ ABSL_GUARDED_BY(mutex_) = nullptr;
  };

  // Has no thread of its own: see LoopThread. The clock must outlive it.
  explicit EventLoop(const Clock& clock);
  // Timers that are still set, and tasks that have not run, are dropped.
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Makes the calling thread the loop's, until Stop().
  void Run();
  // Runs what is due by now, and what that leads to, without waiting; for tests, on the thread that made the loop.
  void RunDue();

  // When the next timer is due; absl::InfiniteFuture() when none is set. For tests that turn the clock.
  [[nodiscard]] absl::Time NextTimer() const;

  // Any thread. Run() returns when what was posted has run.
  void Stop();
  // Any thread. Tasks run in the order of posting.
  void Post(Task task);
  [[nodiscard]] const std::shared_ptr<Mailbox>& mailbox() const { return mailbox_; }
  // Any thread. Posts `task` and waits until it has run. Not from the loop itself.
  void PostAndWait(Task task);
  [[nodiscard]] const Clock& clock() const { return clock_; }
  [[nodiscard]] absl::Time Now() const { return clock_.Now(); }

  // The loop that the calling thread is; null on any other thread.
  [[nodiscard]] static EventLoop* Current();

  // The rest: loop thread only.

  // Runs `task` once this round of tasks, sockets and timers is done: to send in one go what the round has gathered.
  void RunAtEndOfRound(Task task);
  // Destroys the object at the end of this round: when nothing on the stack can be within it any more.
  template <typename T>
  void DestroyLater(std::unique_ptr<T> object) {
    RunAtEndOfRound([object = std::move(object)]() mutable { object.reset(); });
  }

  // Calls back whenever `fd` is ready for `events` (EPOLLIN, EPOLLOUT; errors are always told). One watch for each fd.
  void Watch(int fd, uint32_t events, FdCallback callback);
  void ChangeWatch(int fd, uint32_t events);
  void Unwatch(int fd);

 private:
  friend class Timer;

  struct WatchEntry {
    uint32_t generation = 0;  // tells an event for a closed descriptor from one for its successor
    uint32_t events = 0;
    std::shared_ptr<FdCallback> callback;  // a callback may remove its own watch while it runs
  };
  using TimerKey = std::pair<absl::Time, uint64_t>;  // the second tells timers of the same time apart
  struct TimerEntry {
    Timer* timer = nullptr;
    Task task;
  };

  // One round: waits for at most `timeout_ms` (-1: for as long as it takes) for something to do, and does it.
  void RunRound(int timeout_ms);
  void RunPosted();
  void RunEndOfRound();
  void RunTimers();
  void Wake();
  [[nodiscard]] int PollTimeoutMs() const;

  const Clock& clock_;
  const int epoll_fd_;
  const int wake_fd_;
  const std::shared_ptr<Mailbox> mailbox_;

  mutable absl::Mutex mutex_;
  std::vector<Task> posted_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  // Loop thread only.
  std::vector<Task> end_of_round_;
  absl::btree_map<TimerKey, TimerEntry> timers_;
  uint64_t next_timer_ = 1;
  uint32_t next_generation_ = 1;
  std::vector<WatchEntry> watches_;  // by fd
};

// One thing to be done later; cancelled when it is destroyed. Loop thread only.
class Timer {
 public:
  explicit Timer(EventLoop& loop) : loop_(loop) {}
  ~Timer() { Cancel(); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // In place of what was set before. The timer counts as not set when `task` runs, which may set or destroy it.
  void SetAt(absl::Time when, EventLoop::Task task);
  void SetAfter(absl::Duration delay, EventLoop::Task task) { SetAt(loop_.Now() + delay, std::move(task)); }
  // Does nothing unless it is set.
  void Cancel();
  [[nodiscard]] bool is_set() const { return key_.second != 0; }

 private:
  friend class EventLoop;

  EventLoop& loop_;
  EventLoop::TimerKey key_;  // {…, 0}: not set
};

}  // namespace engine::db::loop

#endif  // ENGINE_DB_SERVER_LOOP_EVENT_LOOP_H_

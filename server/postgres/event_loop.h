// One thread that waits for sockets, timers and posted tasks. Whatever lives on a loop is touched by that thread only,
// and so needs no lock. Nothing that runs on a loop may block.
#ifndef ENGINE_DB_SERVER_POSTGRES_EVENT_LOOP_H_
#define ENGINE_DB_SERVER_POSTGRES_EVENT_LOOP_H_

#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace engine::db::postgres {

class EventLoop {
 public:
  using Task = absl::AnyInvocable<void()>;
  // Gets the epoll events that are ready.
  using FdCallback = absl::AnyInvocable<void(uint32_t events)>;
  // Names a timer until it has run or is cancelled. A default-made one names none.
  using TimerId = std::pair<absl::Time, uint64_t>;

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

  // Starts the thread, which `name` (15 characters at most) shows in ps and gdb.
  explicit EventLoop(const std::string& name);
  // Runs what was posted, then stops the thread. Timers that are still set are dropped.
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Any thread. Tasks run in the order of posting.
  void Post(Task task);
  [[nodiscard]] const std::shared_ptr<Mailbox>& mailbox() const { return mailbox_; }
  // Any thread. Posts `task` and waits until it has run. Not from the loop itself.
  void PostAndWait(Task task);

  // The loop that the calling thread is; null on any other thread.
  [[nodiscard]] static EventLoop* Current();

  // The rest: loop thread only.

  // Runs `task` once this round of tasks, sockets and timers is done: to send in one go what the round has gathered.
  void RunAtEndOfRound(Task task);
  [[nodiscard]] TimerId RunAt(absl::Time when, Task task);
  // Does nothing if the timer has run, or is none.
  void CancelTimer(TimerId& id);

  // Calls back whenever `fd` is ready for `events` (EPOLLIN, EPOLLOUT; errors are always told). One watch for each fd.
  void Watch(int fd, uint32_t events, FdCallback callback);
  void ChangeWatch(int fd, uint32_t events);
  void Unwatch(int fd);

 private:
  struct WatchEntry {
    uint32_t generation = 0;  // tells an event for a closed descriptor from one for its successor
    uint32_t events = 0;
    std::shared_ptr<FdCallback> callback;  // a callback may remove its own watch while it runs
  };

  void Run();
  void RunPosted();
  void RunEndOfRound();
  void RunTimers();
  void Wake();
  [[nodiscard]] int PollTimeoutMs() const;

  const int epoll_fd_;
  const int wake_fd_;
  const std::shared_ptr<Mailbox> mailbox_;

  mutable absl::Mutex mutex_;
  std::vector<Task> posted_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  // Loop thread only.
  std::vector<Task> end_of_round_;
  absl::btree_map<TimerId, Task> timers_;
  uint64_t next_timer_ = 1;
  uint32_t next_generation_ = 1;
  std::vector<WatchEntry> watches_;  // by fd

  std::thread thread_;
};

}  // namespace engine::db::postgres

#endif  // ENGINE_DB_SERVER_POSTGRES_EVENT_LOOP_H_

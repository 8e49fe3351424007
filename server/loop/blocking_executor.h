// Threads for what can only be done by blocking: DNS, files, libpqxx. Keeps such work off the event loops.
#ifndef ENGINE_DB_SERVER_LOOP_BLOCKING_EXECUTOR_H_
#define ENGINE_DB_SERVER_LOOP_BLOCKING_EXECUTOR_H_

#include <cstddef>
#include <deque>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "server/loop/event_loop.h"

namespace engine::db::loop {

class BlockingExecutor {
 public:
  using Task = absl::AnyInvocable<void()>;

  // Starts a thread whenever all that there are have work, up to `max_threads`, and keeps it: a task that takes long
  // keeps none that comes later waiting. `name` (15 characters at most) shows in ps and gdb.
  BlockingExecutor(std::string name, size_t max_threads);
  ~BlockingExecutor();
  BlockingExecutor(const BlockingExecutor&) = delete;
  BlockingExecutor& operator=(const BlockingExecutor&) = delete;

  // Any thread. A task must end by itself within a bounded time.
  void Run(Task task);
  // Runs `work`, and then `tell` with what it returned on the loop; drops that when the loop has stopped by then. `tell`
  // is bound to a WeakSelf unless whatever it refers to outlives the loop.
  template <typename Work, typename Tell>
  void RunAndTell(EventLoop& loop, Work work, Tell tell) {
    Run([mailbox = loop.mailbox(), work = std::move(work), tell = std::move(tell)]() mutable {
      mailbox->Post([result = work(), tell = std::move(tell)]() mutable { tell(std::move(result)); });
    });
  }
  // Waits for what is queued and ends the threads. Tasks given later are dropped.
  void Stop();

 private:
  void StartThread() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Work();

  const std::string name_;
  const size_t max_threads_;
  absl::Mutex mutex_;
  std::deque<Task> queue_ ABSL_GUARDED_BY(mutex_);
  size_t idle_ ABSL_GUARDED_BY(mutex_) = 0;  // threads that wait for a task
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace engine::db::loop

#endif  // ENGINE_DB_SERVER_LOOP_BLOCKING_EXECUTOR_H_

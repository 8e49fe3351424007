// A few threads for what can only be done by blocking: DNS, libpq's cancel request, libpqxx. Keeps such work off the
// event loops.
#ifndef ENGINE_DB_SERVER_POSTGRES_BLOCKING_EXECUTOR_H_
#define ENGINE_DB_SERVER_POSTGRES_BLOCKING_EXECUTOR_H_

#include <deque>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"

namespace engine::db::postgres {

class BlockingExecutor {
 public:
  using Task = absl::AnyInvocable<void()>;

  BlockingExecutor(const std::string& name, int threads);
  ~BlockingExecutor();
  BlockingExecutor(const BlockingExecutor&) = delete;
  BlockingExecutor& operator=(const BlockingExecutor&) = delete;

  // Any thread. A task must end by itself within a bounded time.
  void Run(Task task);
  // Waits for what is queued and ends the threads. Tasks given later are dropped.
  void Stop();

 private:
  void Work();

  absl::Mutex mutex_;
  std::deque<Task> queue_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace engine::db::postgres

#endif  // ENGINE_DB_SERVER_POSTGRES_BLOCKING_EXECUTOR_H_

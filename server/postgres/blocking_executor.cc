#include "server/postgres/blocking_executor.h"

#include <pthread.h>

#include <utility>

namespace engine::db::postgres {

BlockingExecutor::BlockingExecutor(const std::string& name, int threads) {
  for (int i = 0; i < threads; ++i) {
    threads_.emplace_back([this] { Work(); });
    pthread_setname_np(threads_.back().native_handle(), name.substr(0, 15).c_str());
  }
}

BlockingExecutor::~BlockingExecutor() { Stop(); }

void BlockingExecutor::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void BlockingExecutor::Run(Task task) {
  absl::MutexLock lock(&mutex_);
  if (!stopping_) queue_.push_back(std::move(task));
}

void BlockingExecutor::Work() {
  for (;;) {
    Task task;
    {
      absl::MutexLock lock(&mutex_);
      const auto ready = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return stopping_ || !queue_.empty(); };
      mutex_.Await(absl::Condition(&ready));
      if (queue_.empty()) return;
      task = std::move(queue_.front());
      queue_.pop_front();
    }
    task();
  }
}

}  // namespace engine::db::postgres

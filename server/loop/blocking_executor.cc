#include "server/loop/blocking_executor.h"

#include <pthread.h>

#include <system_error>
#include <utility>

namespace engine::db::loop {

BlockingExecutor::BlockingExecutor(std::string name, size_t max_threads)
    : name_(std::move(name)), max_threads_(max_threads) {
  absl::MutexLock lock(&mutex_);
  StartThread();
}

BlockingExecutor::~BlockingExecutor() { Stop(); }

void BlockingExecutor::Stop() {
  std::vector<std::thread> threads;
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    threads.swap(threads_);
  }
  for (std::thread& thread : threads) thread.join();
}

void BlockingExecutor::Run(Task task) {
  absl::MutexLock lock(&mutex_);
  if (stopping_) return;
  queue_.push_back(std::move(task));
  if (queue_.size() <= idle_ || threads_.size() >= max_threads_) return;
  try {
    StartThread();
  } catch (const std::system_error&) {  // no more are to be had: those that there are do it
  }
}

void BlockingExecutor::StartThread() {
  threads_.emplace_back([this] { Work(); });
  pthread_setname_np(threads_.back().native_handle(), name_.substr(0, 15).c_str());
}

void BlockingExecutor::Work() {
  for (;;) {
    Task task;
    {
      absl::MutexLock lock(&mutex_);
      const auto ready = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return stopping_ || !queue_.empty(); };
      ++idle_;
      mutex_.Await(absl::Condition(&ready));
      --idle_;
      if (queue_.empty()) return;
      task = std::move(queue_.front());
      queue_.pop_front();
    }
    task();
  }
}

}  // namespace engine::db::loop

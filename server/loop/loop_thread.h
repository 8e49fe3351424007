// A thread that is an event loop.
#ifndef ENGINE_DB_SERVER_LOOP_LOOP_THREAD_H_
#define ENGINE_DB_SERVER_LOOP_LOOP_THREAD_H_

#include <string>
#include <thread>

#include "server/loop/clock.h"
#include "server/loop/event_loop.h"

namespace engine::db::loop {

class LoopThread {
 public:
  // Starts the thread, which `name` (15 characters at most) shows in ps and gdb. The clock must outlive it.
  LoopThread(const std::string& name, const Clock& clock);
  // Runs what was posted, then stops the thread. Timers that are still set are dropped.
  ~LoopThread();
  LoopThread(const LoopThread&) = delete;
  LoopThread& operator=(const LoopThread&) = delete;

  [[nodiscard]] EventLoop& loop() { return loop_; }

 private:
  EventLoop loop_;
  std::thread thread_;
};

}  // namespace engine::db::loop

#endif  // ENGINE_DB_SERVER_LOOP_LOOP_THREAD_H_

#include "server/loop/loop_thread.h"

#include <pthread.h>

namespace engine::db::loop {

LoopThread::LoopThread(const std::string& name, const Clock& clock) : loop_(clock), thread_([this] { loop_.Run(); }) {
  pthread_setname_np(thread_.native_handle(), name.substr(0, 15).c_str());
}

LoopThread::~LoopThread() {
  loop_.Stop();
  thread_.join();
}

}  // namespace engine::db::loop

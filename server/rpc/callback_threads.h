// What keeps gRPC's threads for callbacks from sleeping.
#ifndef ENGINE_DB_SERVER_RPC_CALLBACK_THREADS_H_
#define ENGINE_DB_SERVER_RPC_CALLBACK_THREADS_H_

#include <thread>

#include "absl/synchronization/notification.h"

namespace engine::db::rpc {

// gRPC 1.51 waits for sockets and runs callbacks on a few threads, and each that has seen nothing for a second sleeps
// for 100 ms without looking (CompletionQueue::CallbackAlternativeCQ). After a quiet second all of them do: one in ten
// calls that came to an idle gateway waited for up to 100 ms. While an object of this class lives, an event of its own
// comes often enough that one thread at least is awake at any time.
class CallbackThreads {
 public:
  CallbackThreads();
  // Waits for its own thread, which takes microseconds.
  ~CallbackThreads();
  CallbackThreads(const CallbackThreads&) = delete;
  CallbackThreads& operator=(const CallbackThreads&) = delete;

 private:
  void Run();

  absl::Notification ending_;
  std::thread thread_;
};

}  // namespace engine::db::rpc

#endif  // ENGINE_DB_SERVER_RPC_CALLBACK_THREADS_H_

// Where a call stands, and where it may go from there.
#ifndef ENGINE_DB_SERVER_CALL_CALL_STATE_H_
#define ENGINE_DB_SERVER_CALL_CALL_STATE_H_

#include <cstdint>
#include <string_view>

namespace engine::db::call {

// A call is made kNew, and ends once, in kEnded. The way of most: kNew, kQueued, kRunning, kEnded.
enum class CallState : uint8_t {
  kNew,                  // not started
  kQueued,               // waits for a backend of its own, in the pool's queue
  kQueuedInTransaction,  // waits for its turn in an open transaction
  kRunning,              // an attempt is under way
  kBackingOff,           // waits before the next attempt
  kReplaying,            // its transaction is run again on another backend, and then the call is
  kResolving,            // its COMMIT was never answered: the server is asked what became of it
  kEnded,                // answered, and done with
};

[[nodiscard]] std::string_view CallStateName(CallState state);

// The table of transitions. Whatever is not in it is a fault of the gateway.
[[nodiscard]] bool MayGo(CallState from, CallState to);

}  // namespace engine::db::call

#endif  // ENGINE_DB_SERVER_CALL_CALL_STATE_H_

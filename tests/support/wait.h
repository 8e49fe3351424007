// Waiting for something to become true, never longer than a deadline.
#ifndef ENGINE_DB_TESTS_SUPPORT_WAIT_H_
#define ENGINE_DB_TESTS_SUPPORT_WAIT_H_

#include <chrono>
#include <functional>

namespace engine::db::test {

// Calls `predicate` until it is true or `timeout` has passed, with `interval` between two calls. Returns what it said
// last. It is always called at least once, and once more after the deadline, so that a test on a stalled machine sees
// the truth.
bool WaitUntil(std::chrono::milliseconds timeout, const std::function<bool()>& predicate,
               std::chrono::milliseconds interval = std::chrono::milliseconds(10));

}  // namespace engine::db::test

#endif  // ENGINE_DB_TESTS_SUPPORT_WAIT_H_

// What the gateway promises to do by a time, told on a machine that may be late itself.
#ifndef ENGINE_DB_TESTS_SUPPORT_MACHINE_DELAY_H_
#define ENGINE_DB_TESTS_SUPPORT_MACHINE_DELAY_H_

#include <chrono>

namespace engine::db::test {

// How much later than a deadline a caller hears of it at the most (README: deadlines).
inline constexpr std::chrono::milliseconds kPromise{250};

// kPromise, and what this machine has kept its processes waiting for since `start`: a thread that only sleeps sees how
// late it is woken. Nothing is added on a machine that is not busy with something else, however slow the gateway is.
[[nodiscard]] std::chrono::milliseconds Slack(std::chrono::steady_clock::time_point start);

}  // namespace engine::db::test

#endif  // ENGINE_DB_TESTS_SUPPORT_MACHINE_DELAY_H_

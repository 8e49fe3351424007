// Ctrl-C, and SIGTERM.
#ifndef ENGINE_DB_CLIENT_CLI_INTERRUPT_H_
#define ENGINE_DB_CLIENT_CLI_INTERRUPT_H_

#include <atomic>
#include <stop_token>
#include <thread>

namespace engine::db::cli {

// The first signal cancels what listens to token(), so that the statement ends in PostgreSQL too; the second one, or
// the first while nothing listens, ends the program at once. Make one, before any other thread.
class Interrupt {
 public:
  Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  // Whether something listens to the token from here on; at first nothing does.
  void listening(bool listens = true) { listening_ = listens; }
  [[nodiscard]] std::stop_token token() const { return source_.get_token(); }
  [[nodiscard]] bool requested() const { return source_.stop_requested(); }

 private:
  void wait(const std::stop_token& end);

  std::atomic<bool> listening_ = false;
  std::stop_source source_;
  std::jthread thread_;
};

}  // namespace engine::db::cli

#endif  // ENGINE_DB_CLIENT_CLI_INTERRUPT_H_

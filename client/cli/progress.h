// A line that says that long work goes on.
#ifndef ENGINE_DB_CLIENT_CLI_PROGRESS_H_
#define ENGINE_DB_CLIENT_CLI_PROGRESS_H_

#include <atomic>
#include <cstdint>
#include <ostream>
#include <stop_token>
#include <string>
#include <thread>

namespace engine::db::cli {

// From one second on, shows "12,345 rows, 3 s" and keeps it up to date, on a terminal's last line; stop(), or the
// destructor, wipes it.
class Progress {
 public:
  // Does nothing unless `enabled`. `noun` is what is counted; `err` must outlive it.
  Progress(bool enabled, std::string noun, std::ostream& err);
  ~Progress() { stop(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void add(uint64_t number) { done_.fetch_add(number, std::memory_order_relaxed); }
  void stop();

 private:
  void run(const std::stop_token& end);

  std::string noun_;
  std::ostream& err_;
  std::atomic<uint64_t> done_ = 0;
  std::jthread thread_;
};

}  // namespace engine::db::cli

#endif  // ENGINE_DB_CLIENT_CLI_PROGRESS_H_

#include "client/cli/progress.h"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "client/cli/output.h"

namespace engine::db::cli {

Progress::Progress(bool enabled, std::string noun, std::ostream& err) : noun_(std::move(noun)), err_(err) {
  if (enabled) thread_ = std::jthread([this](const std::stop_token& end) { run(end); });
}

void Progress::stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

void Progress::run(const std::stop_token& end) {
  constexpr std::chrono::milliseconds kInterval(200);
  constexpr std::chrono::seconds kSilentAtFirst(1);
  const auto begin = std::chrono::steady_clock::now();
  bool shown = false;
  std::mutex mutex;
  std::condition_variable_any ended;
  std::unique_lock lock(mutex);
  while (!ended.wait_for(lock, end, kInterval, [&end] { return end.stop_requested(); })) {
    const auto elapsed = std::chrono::steady_clock::now() - begin;
    if (elapsed < kSilentAtFirst) continue;
    shown = true;
    err_ << '\r' << count(done_.load(std::memory_order_relaxed), noun_) << ", "
         << std::chrono::duration_cast<std::chrono::seconds>(elapsed).count() << " s\x1b[K" << std::flush;
  }
  if (shown) err_ << "\r\x1b[K" << std::flush;
}

}  // namespace engine::db::cli

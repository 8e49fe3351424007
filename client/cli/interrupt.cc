#include "client/cli/interrupt.h"

#include <signal.h>
#include <unistd.h>

#include <ctime>

#include "client/cli/failure.h"

namespace engine::db::cli {
namespace {

sigset_t signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

}  // namespace

Interrupt::Interrupt() {
  const sigset_t set = signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);  // inherited by all threads to come: only wait() sees them
  thread_ = std::jthread([this](const std::stop_token& end) { wait(end); });
}

void Interrupt::wait(const std::stop_token& end) {
  const sigset_t set = signals();
  while (!end.stop_requested()) {
    const timespec look_up{0, 50'000'000};  // for `end`, which no signal tells
    if (sigtimedwait(&set, nullptr, &look_up) < 0) continue;
    if (!listening_ || source_.stop_requested()) _exit(kInterrupted);
    source_.request_stop();
  }
}

}  // namespace engine::db::cli

#include "server/loop/event_loop.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include "absl/synchronization/notification.h"
#include "server/loop/clock.h"

namespace engine::db::loop {
namespace {

constexpr uint64_t kWakeToken = ~uint64_t{0};

thread_local EventLoop* current_loop = nullptr;

int CheckFd(int fd, const char* what) {
  if (fd < 0) throw std::system_error(errno, std::generic_category(), what);
  return fd;
}

}  // namespace

EventLoop::EventLoop(const Clock& clock)
    : clock_(clock),
      epoll_fd_(CheckFd(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
      wake_fd_(CheckFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")),
      mailbox_(std::make_shared<Mailbox>()) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kWakeToken;
  CheckFd(epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, wake_fd_, &event), "epoll_ctl");
  absl::MutexLock lock(&mailbox_->mutex_);
  mailbox_->loop_ = this;
}

EventLoop::~EventLoop() {
  {
    absl::MutexLock lock(&mailbox_->mutex_);
    mailbox_->loop_ = nullptr;
  }
  // What they hold may post, or have timers.
  std::vector<Task> posted;
  {
    absl::MutexLock lock(&mutex_);
    posted.swap(posted_);
  }
  posted.clear();
  std::exchange(end_of_round_, {}).clear();
  while (!timers_.empty()) {
    const TimerEntry entry = std::move(timers_.begin()->second);
    timers_.erase(timers_.begin());
    entry.timer->key_ = {};
  }
  close(wake_fd_);
  close(epoll_fd_);
}

void EventLoop::Stop() {
  {
    absl::MutexLock lock(&mailbox_->mutex_);
    mailbox_->loop_ = nullptr;
  }
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  Wake();
}

void EventLoop::Post(Task task) {
  bool wake = false;
  {
    absl::MutexLock lock(&mutex_);
    wake = posted_.empty();  // otherwise whoever posted first has woken the loop
    posted_.push_back(std::move(task));
  }
  if (wake && current_loop != this) Wake();
}

void EventLoop::Mailbox::Post(Task task) {
  absl::MutexLock lock(&mutex_);
  if (loop_ != nullptr) loop_->Post(std::move(task));
}

void EventLoop::PostAndWait(Task task) {
  absl::Notification done;
  Post([&] {
    task();
    done.Notify();
  });
  done.WaitForNotification();
}

void EventLoop::RunAtEndOfRound(Task task) { end_of_round_.push_back(std::move(task)); }

void Timer::SetAt(absl::Time when, EventLoop::Task task) {
  Cancel();
  key_ = {when, loop_.next_timer_++};
  loop_.timers_.emplace(key_, EventLoop::TimerEntry{this, std::move(task)});
}

void Timer::Cancel() {
  if (is_set()) loop_.timers_.erase(key_);
  key_ = {};
}

void EventLoop::Watch(int fd, uint32_t events, FdCallback callback) {
  if (watches_.size() <= static_cast<size_t>(fd)) watches_.resize(fd + 1);
  WatchEntry& entry = watches_[fd];
  entry.generation = next_generation_++;
  entry.events = events;
  entry.callback = std::make_shared<FdCallback>(std::move(callback));
  epoll_event event{};
  event.events = events;
  event.data.u64 = (uint64_t{entry.generation} << 32) | static_cast<uint32_t>(fd);
  CheckFd(epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event), "epoll_ctl(add)");
}

void EventLoop::ChangeWatch(int fd, uint32_t events) {
  WatchEntry& entry = watches_[fd];
  if (entry.events == events) return;
  entry.events = events;
  epoll_event event{};
  event.events = events;
  event.data.u64 = (uint64_t{entry.generation} << 32) | static_cast<uint32_t>(fd);
  CheckFd(epoll_ctl(epoll_fd_, EPOLL_CTL_MOD, fd, &event), "epoll_ctl(mod)");
}

void EventLoop::Unwatch(int fd) {
  if (static_cast<size_t>(fd) >= watches_.size() || watches_[fd].callback == nullptr) return;
  epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, fd, nullptr);  // fails, harmlessly, when the descriptor is closed already
  watches_[fd] = WatchEntry{};
}

EventLoop* EventLoop::Current() { return current_loop; }

void EventLoop::Run() {
  current_loop = this;
  for (;;) {
    RunRound(PollTimeoutMs());
    absl::MutexLock lock(&mutex_);
    if (stopping_ && posted_.empty()) break;
  }
  current_loop = nullptr;
}

void EventLoop::RunDue() {
  current_loop = this;
  do {
    RunRound(0);
  } while (PollTimeoutMs() == 0);
  current_loop = nullptr;
}

void EventLoop::RunRound(int timeout_ms) {
  std::array<epoll_event, 64> ready;
  const int count = epoll_wait(epoll_fd_, ready.data(), ready.size(), timeout_ms);
  for (int i = 0; i < count; ++i) {
    if (ready[i].data.u64 == kWakeToken) {
      uint64_t ignored = 0;
      [[maybe_unused]] const ssize_t n = read(wake_fd_, &ignored, sizeof(ignored));
      continue;
    }
    const auto fd = static_cast<uint32_t>(ready[i].data.u64);
    const auto generation = static_cast<uint32_t>(ready[i].data.u64 >> 32);
    if (fd >= watches_.size() || watches_[fd].generation != generation) continue;
    const std::shared_ptr<FdCallback> callback = watches_[fd].callback;
    (*callback)(ready[i].events);
  }
  RunTimers();
  RunPosted();
  RunEndOfRound();
}

void EventLoop::RunPosted() {
  std::vector<Task> tasks;
  {
    absl::MutexLock lock(&mutex_);
    tasks.swap(posted_);
  }
  for (Task& task : tasks) task();
}

void EventLoop::RunEndOfRound() {
  std::vector<Task> tasks;
  tasks.swap(end_of_round_);
  for (Task& task : tasks) task();
}

void EventLoop::RunTimers() {
  if (timers_.empty()) return;
  const absl::Time now = Now();
  while (!timers_.empty() && timers_.begin()->first.first <= now) {
    TimerEntry entry = std::move(timers_.begin()->second);
    timers_.erase(timers_.begin());
    entry.timer->key_ = {};
    entry.task();
  }
}

absl::Time EventLoop::NextTimer() const {
  return timers_.empty() ? absl::InfiniteFuture() : timers_.begin()->first.first;
}

void EventLoop::Wake() {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = write(wake_fd_, &one, sizeof(one));  // fails only when it is set already
}

int EventLoop::PollTimeoutMs() const {
  {
    // A task that the loop posted to itself has not woken it.
    absl::MutexLock lock(&mutex_);
    if (!posted_.empty() || stopping_) return 0;
  }
  if (!end_of_round_.empty()) return 0;
  if (timers_.empty()) return -1;
  // Rounded up: a timer that woke a little early would spin.
  const absl::Duration wait = absl::Ceil(timers_.begin()->first.first - Now(), absl::Milliseconds(1));
  return static_cast<int>(std::clamp<int64_t>(absl::ToInt64Milliseconds(wait), 0, 60'000));
}

}  // namespace engine::db::loop

#include "server/postgres/pipeline_link.h"

#include <libpq-fe.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

namespace engine::db::postgres {

void PipelineLink::Open(ConnectionPtr connection, loop::EventLoop::FdCallback on_ready) {
  connection_ = std::move(connection);
  fd_ = PQsocket(connection_.get());
  loop_.Watch(fd_, EPOLLIN, std::move(on_ready));
}

void PipelineLink::Close() {
  if (!is_open()) return;
  loop_.Unwatch(fd_);
  connection_.reset();
}

bool PipelineLink::Flush() {
  const int left = PQflush(connection_.get());
  if (left < 0) return false;
  write_blocked_ = left > 0;
  UpdateWatch();
  return true;
}

void PipelineLink::PauseReading(bool paused) {
  reading_paused_ = paused;
  UpdateWatch();
}

void PipelineLink::UpdateWatch() {
  // libpq closes the socket by itself when it meets the link's end. Whoever reads or flushes is about to find out.
  if (PQsocket(connection_.get()) != fd_) return;
  uint32_t events = 0;
  if (!reading_paused_) events |= EPOLLIN;
  if (write_blocked_) events |= EPOLLOUT;
  loop_.ChangeWatch(fd_, events);
}

bool PipelineLink::HasUnread() const {
  char ignored = 0;
  return recv(fd_, &ignored, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN;
}

}  // namespace engine::db::postgres

// libpq's connection as an event loop sees it: a socket that is watched for what can be done on it.
#ifndef ENGINE_DB_SERVER_POSTGRES_PIPELINE_LINK_H_
#define ENGINE_DB_SERVER_POSTGRES_PIPELINE_LINK_H_

#include "server/loop/event_loop.h"
#include "server/postgres/libpq_types.h"

namespace engine::db::postgres {

// Loop thread only. Open once at most.
class PipelineLink {
 public:
  // The loop must outlive it.
  explicit PipelineLink(loop::EventLoop& loop) : loop_(loop) {}
  ~PipelineLink() { Close(); }
  PipelineLink(const PipelineLink&) = delete;
  PipelineLink& operator=(const PipelineLink&) = delete;

  // `on_ready` gets the epoll events.
  void Open(ConnectionPtr connection, loop::EventLoop::FdCallback on_ready);
  // Does nothing unless it is open.
  void Close();
  [[nodiscard]] bool is_open() const { return connection_ != nullptr; }
  // For libpq; null unless open.
  [[nodiscard]] PGconn* get() const { return connection_.get(); }

  // While open only.

  // Sends what libpq has gathered, the rest when the socket takes more. False: the link is broken.
  [[nodiscard]] bool Flush();
  // No EPOLLIN until reading is resumed.
  void PauseReading(bool paused);
  [[nodiscard]] bool reading_paused() const { return reading_paused_; }
  // Whether something has come, be it the end of the stream, that libpq has not read. A system call.
  [[nodiscard]] bool HasUnread() const;

 private:
  void UpdateWatch();

  loop::EventLoop& loop_;
  ConnectionPtr connection_;
  int fd_ = -1;
  bool reading_paused_ = false;
  bool write_blocked_ = false;
};

}  // namespace engine::db::postgres

#endif  // ENGINE_DB_SERVER_POSTGRES_PIPELINE_LINK_H_

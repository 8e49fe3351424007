// libpq's cancel requests to one server.
#ifndef ENGINE_DB_SERVER_POSTGRES_CANCEL_REQUESTS_H_
#define ENGINE_DB_SERVER_POSTGRES_CANCEL_REQUESTS_H_

#include <cstddef>
#include <deque>

#include "server/loop/event_loop.h"
#include "server/loop/weak_self.h"
#include "server/postgres/libpq_types.h"

namespace engine::db::postgres {

// Up to libpq 16 there is only PQcancel, which blocks until the server has taken the request: for ever, where something
// keeps the connection open and never answers. So each request has a thread of its own, which nobody waits for, not
// even the end of the gateway; and each target has a few of them, so that a silent server delays nobody else's
// requests.
//
// Loop thread only.
class CancelRequests {
 public:
  // The loop must outlive it.
  explicit CancelRequests(loop::EventLoop& loop) : loop_(loop), self_(this) {}
  // Gone, what is under way goes on, and its `done` may still come. What waits is dropped.
  CancelRequests(const CancelRequests&) = delete;
  CancelRequests& operator=(const CancelRequests&) = delete;

  // `done` comes once the server has signalled the backend, or that has failed; never from within.
  void Send(CancelPtr cancel, loop::EventLoop::Task done);
  [[nodiscard]] size_t under_way() const { return under_way_; }

 private:
  struct Request {
    CancelPtr cancel;
    loop::EventLoop::Task done;
  };

  void Start(Request request);
  void OnSent();

  loop::EventLoop& loop_;
  size_t under_way_ = 0;
  std::deque<Request> waiting_;
  loop::WeakSelf<CancelRequests> self_;  // for threads that end when it is gone
};

}  // namespace engine::db::postgres

#endif  // ENGINE_DB_SERVER_POSTGRES_CANCEL_REQUESTS_H_

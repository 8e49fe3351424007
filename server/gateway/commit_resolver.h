// Finds out what became of a target's transactions whose COMMIT was never answered.
#ifndef ENGINE_DB_SERVER_GATEWAY_COMMIT_RESOLVER_H_
#define ENGINE_DB_SERVER_GATEWAY_COMMIT_RESOLVER_H_

#include <memory>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "server/config/target.h"
#include "server/postgres/blocking_executor.h"
#include "server/postgres/commit_fate.h"
#include "server/postgres/event_loop.h"

namespace engine::db::gateway {

// Loop thread only. Asks the server, one look at a time for all that is open, until it knows or gives up.
class CommitResolver {
 public:
  // kInProgress: the deadline passed before the server could tell.
  using Callback = absl::AnyInvocable<void(postgres::CommitFate)>;

  // All must outlive it.
  CommitResolver(postgres::EventLoop& loop, postgres::BlockingExecutor& executor,
                 const config::TargetSettings& settings);
  // Callbacks that are still to come are dropped.
  ~CommitResolver();
  CommitResolver(const CommitResolver&) = delete;
  CommitResolver& operator=(const CommitResolver&) = delete;

  // Calls back once, not from within. Gives up at `deadline`.
  void Resolve(postgres::CommitQuestion question, absl::Time deadline, Callback callback);
  // How many are open.
  [[nodiscard]] size_t size() const { return open_.size(); }

 private:
  struct Open {
    postgres::CommitQuestion question;
    absl::Time deadline;
    Callback callback;
  };

  void Ask();
  void OnAnswer(size_t asked, const absl::StatusOr<std::vector<postgres::CommitFate>>& fates);

  postgres::EventLoop& loop_;
  postgres::BlockingExecutor& executor_;
  const config::TargetSettings& settings_;
  std::vector<Open> open_;  // those that are being asked about come first
  bool asking_ = false;
  absl::Duration pause_;
  postgres::EventLoop::TimerId timer_;
  std::shared_ptr<CommitResolver*> self_;  // for answers that come when it is gone
};

}  // namespace engine::db::gateway

#endif  // ENGINE_DB_SERVER_GATEWAY_COMMIT_RESOLVER_H_

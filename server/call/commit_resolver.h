// Finds out what became of a target's transactions whose COMMIT was never answered.
#ifndef ENGINE_DB_SERVER_CALL_COMMIT_RESOLVER_H_
#define ENGINE_DB_SERVER_CALL_COMMIT_RESOLVER_H_

#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "server/call/context.h"
#include "server/config/target.h"
#include "server/loop/event_loop.h"
#include "server/loop/weak_self.h"
#include "server/postgres/commit_fate.h"

namespace engine::db::call {

// Loop thread only. Asks the server, one look at a time for all that is open, until it knows or gives up.
class CommitResolver {
 public:
  // kInProgress: the deadline passed before the server could tell.
  using Callback = absl::AnyInvocable<void(postgres::CommitFate)>;

  // All must outlive it.
  CommitResolver(loop::EventLoop& loop, Context& context, const config::TargetSettings& settings);
  // Callbacks that are still to come are dropped.
  ~CommitResolver() = default;
  CommitResolver(const CommitResolver&) = delete;
  CommitResolver& operator=(const CommitResolver&) = delete;

  // The COMMIT of this one was answered: what that tells of others is remembered.
  void NoteCommitted(const postgres::TransactionMark& mark);
  // Calls back once, not from within. Gives up at `deadline`.
  void Resolve(postgres::CommitQuestion question, absl::Time deadline, Callback callback);
  // The gateway stops: all deadlines have passed, and those of whatever is asked later.
  void GiveUp();
  // How many are open.
  [[nodiscard]] size_t size() const { return open_.size(); }

 private:
  using QuestionId = uint64_t;
  struct Open {
    QuestionId id;
    postgres::CommitQuestion question;
    absl::Time deadline;
    Callback callback;
  };

  [[nodiscard]] bool IsDurable(const postgres::TransactionMark& mark) const;
  void Ask();
  void OnAnswer(const std::vector<QuestionId>& asked, const absl::StatusOr<std::vector<postgres::CommitFate>>& fates);
  // Gives up those whose time is over, and waits for the next one's.
  void OnDeadline();
  void SetDeadlineTimer();

  loop::EventLoop& loop_;
  Context& context_;
  const config::TargetSettings& settings_;
  std::vector<Open> open_;
  QuestionId last_id_ = 0;
  // The latest of the ids that are known to have reached the disk, one for each of the server's last few runs.
  std::vector<postgres::TransactionMark> durable_;
  bool asking_ = false;
  bool given_up_ = false;
  absl::Duration pause_;
  loop::Timer look_timer_;
  loop::Timer deadline_timer_;
  loop::WeakSelf<CommitResolver> weak_;
};

}  // namespace engine::db::call

#endif  // ENGINE_DB_SERVER_CALL_COMMIT_RESOLVER_H_

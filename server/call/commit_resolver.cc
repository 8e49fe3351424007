#include "server/call/commit_resolver.h"

#include <algorithm>
#include <utility>

#include "server/loop/clock.h"

namespace engine::db::call {
namespace {

using postgres::CommitFate;

// Between two looks: a transaction that is being ended takes a moment, a server that restarts takes seconds.
constexpr absl::Duration kFirstPause = absl::Milliseconds(10);
constexpr absl::Duration kLongestPause = absl::Milliseconds(500);
// One look.
constexpr absl::Duration kLookTime = absl::Seconds(5);
// Of the server, between crashes, of which ids are remembered: the questions are about the last one or two.
constexpr size_t kRunsRemembered = 4;

bool SameRun(const postgres::TransactionMark& a, const postgres::TransactionMark& b) {
  return a.statistics_since == b.statistics_since && a.timeline == b.timeline &&
         a.system_identifier == b.system_identifier;
}

}  // namespace

CommitResolver::CommitResolver(loop::EventLoop& loop, Context& context, const config::TargetSettings& settings)
    : loop_(loop),
      context_(context),
      settings_(settings),
      pause_(kFirstPause),
      look_timer_(loop),
      deadline_timer_(loop),
      weak_(this) {}

// Its record of COMMIT lies on the disk, behind everything of all transactions with earlier ids that they had written
// when they got them.
void CommitResolver::NoteCommitted(const postgres::TransactionMark& mark) {
  if (mark.xid == 0 || !mark.synchronous) return;
  const auto known = std::find_if(durable_.begin(), durable_.end(),
                                  [&](const postgres::TransactionMark& other) { return SameRun(other, mark); });
  if (known != durable_.end()) {
    known->xid = std::max(known->xid, mark.xid);
    return;
  }
  if (durable_.size() == kRunsRemembered) durable_.erase(durable_.begin());
  durable_.push_back(mark);
}

bool CommitResolver::IsDurable(const postgres::TransactionMark& mark) const {
  return std::any_of(durable_.begin(), durable_.end(), [&](const postgres::TransactionMark& known) {
    return SameRun(known, mark) && known.xid >= mark.xid;
  });
}

void CommitResolver::Resolve(postgres::CommitQuestion question, absl::Time deadline, Callback callback) {
  open_.push_back(Open{++last_id_, std::move(question), given_up_ ? loop_.Now() : deadline, std::move(callback)});
  SetDeadlineTimer();
  pause_ = kFirstPause;
  if (asking_) return;
  look_timer_.Cancel();
  Ask();
}

void CommitResolver::GiveUp() {
  given_up_ = true;
  for (Open& open : open_) open.deadline = loop_.Now();
  SetDeadlineTimer();
}

void CommitResolver::Ask() {
  asking_ = true;
  std::vector<QuestionId> ids;
  std::vector<postgres::CommitQuestion> questions;
  ids.reserve(open_.size());
  questions.reserve(open_.size());
  for (Open& open : open_) {
    open.question.xid_is_durable = IsDurable(open.question.mark);
    ids.push_back(open.id);
    questions.push_back(open.question);
  }
  context_.server_query_executor.RunAndTell(
      loop_,
      [&context = context_, settings = settings_,
       questions = std::move(questions)]() -> absl::StatusOr<std::vector<CommitFate>> {
        absl::StatusOr<std::string> password = settings.ReadPassword();
        if (!password.ok()) return password.status();
        return context.servers.ask_commit_fates(postgres::ConnectParameters(settings, *std::move(password)), questions,
                                                kLookTime);
      },
      weak_.Bind([ids = std::move(ids)](CommitResolver& self, const auto& fates) { self.OnAnswer(ids, fates); }));
}

void CommitResolver::OnAnswer(const std::vector<QuestionId>& asked,
                              const absl::StatusOr<std::vector<CommitFate>>& fates) {
  asking_ = false;
  std::vector<std::pair<Callback, CommitFate>> answered;
  for (size_t i = 0; fates.ok() && i < asked.size(); ++i) {
    const auto open = std::find_if(open_.begin(), open_.end(), [&](const Open& one) { return one.id == asked[i]; });
    if (open == open_.end() || (*fates)[i] == CommitFate::kInProgress) continue;
    answered.emplace_back(std::move(open->callback), (*fates)[i]);
    open_.erase(open);
  }
  SetDeadlineTimer();
  if (!open_.empty()) {
    look_timer_.SetAfter(pause_, [this] { Ask(); });
    pause_ = std::min(pause_ * 2, kLongestPause);
  }
  for (auto& [callback, fate] : answered) callback(fate);  // which may resolve more
}

void CommitResolver::OnDeadline() {
  const absl::Time now = loop_.Now();
  const auto over =
      std::stable_partition(open_.begin(), open_.end(), [&](const Open& one) { return one.deadline > now; });
  std::vector<Callback> given_up;
  for (auto it = over; it != open_.end(); ++it) given_up.push_back(std::move(it->callback));
  open_.erase(over, open_.end());
  SetDeadlineTimer();
  for (Callback& callback : given_up) callback(CommitFate::kInProgress);  // which may resolve more
}

void CommitResolver::SetDeadlineTimer() {
  deadline_timer_.Cancel();
  if (open_.empty()) return;
  const auto next = std::min_element(open_.begin(), open_.end(),
                                     [](const Open& a, const Open& b) { return a.deadline < b.deadline; });
  deadline_timer_.SetAt(next->deadline, [this] { OnDeadline(); });
}

}  // namespace engine::db::call

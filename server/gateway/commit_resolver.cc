#include "server/gateway/commit_resolver.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"

namespace engine::db::gateway {
namespace {

using postgres::CommitFate;

// Between two looks: a transaction that is being ended takes a moment, a server that restarts takes seconds.
constexpr absl::Duration kFirstPause = absl::Milliseconds(10);
constexpr absl::Duration kLongestPause = absl::Milliseconds(500);
// One look.
constexpr absl::Duration kLookTime = absl::Seconds(5);

}  // namespace

CommitResolver::CommitResolver(postgres::EventLoop& loop, postgres::BlockingExecutor& executor,
                               const config::TargetSettings& settings)
    : loop_(loop),
      executor_(executor),
      settings_(settings),
      pause_(kFirstPause),
      self_(std::make_shared<CommitResolver*>(this)) {}

CommitResolver::~CommitResolver() {
  *self_ = nullptr;
  loop_.CancelTimer(timer_);
}

void CommitResolver::Resolve(postgres::CommitQuestion question, absl::Time deadline, Callback callback) {
  open_.push_back(Open{std::move(question), deadline, std::move(callback)});
  pause_ = kFirstPause;
  if (asking_) return;
  loop_.CancelTimer(timer_);
  Ask();
}

void CommitResolver::Ask() {
  asking_ = true;
  std::vector<postgres::CommitQuestion> questions;
  questions.reserve(open_.size());
  for (const Open& open : open_) questions.push_back(open.question);
  executor_.Run([self = self_, &loop = loop_, settings = settings_, questions = std::move(questions)] {
    const auto ask = [&]() -> absl::StatusOr<std::vector<CommitFate>> {
      absl::StatusOr<std::string> password = settings.ReadPassword();
      if (!password.ok()) return password.status();
      return postgres::AskCommitFates(postgres::ConnectParameters(settings, *std::move(password)), questions,
                                      kLookTime);
    };
    loop.Post([self, asked = questions.size(), fates = ask()] {
      if (*self != nullptr) (*self)->OnAnswer(asked, fates);
    });
  });
}

void CommitResolver::OnAnswer(size_t asked, const absl::StatusOr<std::vector<CommitFate>>& fates) {
  asking_ = false;
  const absl::Time now = absl::Now();
  std::vector<Open> left;
  std::vector<std::pair<Callback, CommitFate>> answered;
  for (size_t i = 0; i < open_.size(); ++i) {
    const CommitFate fate = i < asked && fates.ok() ? (*fates)[i] : CommitFate::kInProgress;
    if (fate != CommitFate::kInProgress) {
      answered.emplace_back(std::move(open_[i].callback), fate);
    } else if (now >= open_[i].deadline) {
      answered.emplace_back(std::move(open_[i].callback), CommitFate::kInProgress);
    } else {
      left.push_back(std::move(open_[i]));
    }
  }
  open_ = std::move(left);
  if (!open_.empty()) {
    timer_ = loop_.RunAt(now + pause_, [this] {
      timer_ = {};
      Ask();
    });
    pause_ = std::min(pause_ * 2, kLongestPause);
  }
  for (auto& [callback, fate] : answered) callback(fate);  // which may resolve more
}

}  // namespace engine::db::gateway

#include "server/call/replay.h"

#include <algorithm>
#include <utility>

#include "server/base/failure.h"
#include "server/call/shard.h"
#include "server/call/target.h"
#include "server/postgres/command_text.h"
#include "server/postgres/digested_result.h"

namespace engine::db::call {
namespace {

// Of one transaction. Documented at TransactionOptions.replay.
constexpr size_t kMaxStatements = 1'000;
constexpr size_t kMaxBytes = size_t{1} << 20;

}  // namespace

Replay::~Replay() { Abandon(); }

void Replay::Remember(sql::BoundStatement bound, uint64_t digest) {
  if (!possible_) return;
  bytes_ += bound.text->sql.size() + bound.parameters.bytes();
  if (entries_.size() >= kMaxStatements || bytes_ > kMaxBytes) {
    GiveUp();
    return;
  }
  entries_.push_back(Entry{std::move(bound), digest});
}

void Replay::GiveUp() {
  possible_ = false;
  entries_.clear();
}

void Replay::Run(const pool::RetryLimits& retry_limits, Callback callback) {
  callback_ = std::move(callback);
  error_ = absl::OkStatus();
  differs_ = false;
  mark_.reset();
  ticket_ = target_.pool().Acquire(pool::Purpose::kTransaction, /*owner=*/0, retry_limits,
                                   [this](absl::StatusOr<pool::Lease> lease) { OnLease(std::move(lease)); });
}

void Replay::Abandon() {
  callback_ = nullptr;
  if (ticket_ != 0) target_.pool().Withdraw(std::exchange(ticket_, 0));
  if (lease_.held()) lease_.backend().Close();  // which ends the steps that are under way
  lease_.Release();
}

void Replay::OnLease(absl::StatusOr<pool::Lease> lease) {
  ticket_ = 0;
  if (!lease.ok()) {
    Finish(lease.status());
    return;
  }
  lease_ = *std::move(lease);
  lease_.ShieldSequences(owner_, /*reads=*/true);  // what is still to come is not known
  receivers_.clear();
  // As in Attempt: not before the caller's own first snapshot.
  const bool marks =
      target_.server().HasMarks() && std::any_of(entries_.begin(), entries_.end(), [](const Entry& entry) {
        return entry.bound.statement != nullptr && entry.bound.statement->takes_snapshot();
      });
  steps_left_ = entries_.size() + 1 + (marks ? 1 : 0);
  const size_t last = steps_left_;
  size_t sent = 0;
  const auto operation = [&](std::shared_ptr<const sql::BoundText> text) {
    postgres::Operation op;
    op.text = std::move(text);
    op.sync = ++sent == last;
    return op;
  };
  const auto ended = [this](const absl::StatusOr<postgres::Completion>& end) { OnStepEnd(end.status()); };
  Send(operation(postgres::CommandText(begin_)), std::make_unique<postgres::CommandResult>(ended));
  for (const Entry& entry : entries_) {
    if (entry.bound.statement != nullptr) lease_.WillRun(entry.bound.statement, owner_);
    postgres::Operation op = operation(entry.bound.text);
    op.parameters = &entry.bound.parameters;
    Send(std::move(op), std::make_unique<postgres::DigestedResult>(
                            std::make_unique<postgres::CommandResult>(ended),
                            [this, expected = entry.digest](uint64_t digest) { differs_ |= digest != expected; }));
    if (entry.bound.statement != nullptr) lease_.HasSent(*entry.bound.statement);
  }
  if (marks) {
    Send(operation(postgres::MarkText({.assigns = true, .asks_elsewhere = target_.server().surroundings().any()})),
         std::make_unique<postgres::MarkResult>(target_.server().info().system_identifier,
                                                [this](const absl::StatusOr<postgres::MarkAnswer>& answer) {
                                                  if (answer.ok()) mark_ = answer->mark;
                                                  OnStepEnd(answer.status());
                                                }));
  }
}

void Replay::Send(postgres::Operation operation, std::unique_ptr<postgres::ResultReceiver> receiver) {
  operation.receiver = receiver.get();
  receivers_.push_back(std::move(receiver));
  lease_.backend().Run(operation);
}

void Replay::OnStepEnd(const absl::Status& status) {
  if (error_.ok()) error_ = status;  // what follows was skipped because of it
  if (--steps_left_ > 0) return;
  if (!error_.ok()) {
    Finish(error_);
  } else if (differs_) {
    Finish(ToStatus({.code = absl::StatusCode::kAborted,
                     .reason = Reason::kReplayDiffered,
                     .kind = ErrorKind::kTransaction,
                     .message = "the transaction came to other results when it was run again"}));
  } else {
    Finish(Replayed{std::move(lease_), std::move(mark_)});
  }
}

void Replay::Finish(absl::StatusOr<Replayed> result) {
  lease_.Release();
  if (callback_) std::exchange(callback_, nullptr)(std::move(result));
}

}  // namespace engine::db::call

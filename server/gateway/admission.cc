#include "server/gateway/admission.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/failure.h"
#include "server/call/errors.h"
#include "server/config/target.h"

namespace engine::db::gateway {
namespace {

constexpr uint32_t kMaxIdleTimeoutMs = 3'600'000;
constexpr uint32_t kMaxDurationMs = 86'400'000;

absl::Status CheckOptions(const v1::TransactionOptions& options, const char* path) {
  if (!v1::IsolationLevel_IsValid(options.isolation_level())) {
    return InvalidRequest(absl::StrCat(path, ".isolation_level"), Reason::kOutOfRange, "unknown isolation_level");
  }
  if (options.idle_timeout_ms() > kMaxIdleTimeoutMs) {
    return InvalidRequest(absl::StrCat(path, ".idle_timeout_ms"), Reason::kOutOfRange,
                          absl::StrCat("idle_timeout_ms must be 0 to ", kMaxIdleTimeoutMs));
  }
  if (options.max_duration_ms() > kMaxDurationMs) {
    return InvalidRequest(absl::StrCat(path, ".max_duration_ms"), Reason::kOutOfRange,
                          absl::StrCat("max_duration_ms must be 0 to ", kMaxDurationMs));
  }
  return absl::OkStatus();
}

// How the call stands to a transaction: runs in one, begins one, ends it.
absl::Status CheckTransaction(Needs needs, const CommonFields& fields) {
  if (needs == Needs::kTransaction && fields.transaction_id == nullptr) {
    return call::TransactionError(absl::StatusCode::kFailedPrecondition, Outcome::kNotExecuted, Reason::kNoTransaction,
                                  "transaction_id is empty: there is no transaction without Begin");
  }
  if (fields.begin != nullptr) {
    if (absl::Status status = CheckOptions(*fields.begin, fields.begin_field); !status.ok()) return status;
  }
  if (needs != Needs::kStatement) return absl::OkStatus();
  if (fields.transaction_id != nullptr && fields.transaction_id->empty()) {
    return InvalidRequest("transaction_id", Reason::kEmptyTransaction,
                          "transaction_id is empty: leave it out for autocommit");
  }
  if (fields.commit && fields.begin == nullptr && fields.transaction_id == nullptr) {
    return InvalidRequest("commit", Reason::kCommitWithoutTransaction, "commit needs transaction_id or begin");
  }
  return absl::OkStatus();
}

absl::Status TooManyTransactions(int limit) {
  return ToStatus({.code = absl::StatusCode::kResourceExhausted,
                   .reason = Reason::kTooManyTransactions,
                   .kind = ErrorKind::kTransaction,
                   .outcome = Outcome::kNotExecuted,
                   .retryable = true,
                   .retry_after = absl::Milliseconds(100),
                   .message = absl::StrCat("too many transactions are open (limit ", limit, ")")});
}

bool StartsWork(Needs needs, const CommonFields& fields) {
  switch (needs) {
    case Needs::kNothing:
    case Needs::kConnection:
    case Needs::kTransaction:
      return false;
    case Needs::kStatement:
      return fields.transaction_id == nullptr;
    case Needs::kRoom:
    case Needs::kNewTransaction:
      return true;
  }
  return true;
}

}  // namespace

std::optional<Admitted> Admission::Admit(const observe::MethodMetrics* counted, Needs needs, const Caller& caller,
                                         const CommonFields& fields, Done done) const {
  std::optional<Admitted> call(Admitted{caller, fields, {}, caller.deadline, {counted, clock_, std::move(done)}});
  if (const absl::Status status = Decide(needs, *call); !status.ok()) {
    call->answer(status);
    call.reset();
  }
  return call;
}

absl::Status Admission::Decide(Needs needs, Admitted& call) const {
  const CommonFields& fields = call.fields;
  if (draining_ && StartsWork(needs, fields)) return call::Draining();
  if (needs == Needs::kNothing || needs == Needs::kRoom) return absl::OkStatus();

  absl::StatusOr<Connection> connection = connections_.Find(*fields.connection_id);
  if (!connection.ok()) return connection.status();
  call.connection = *std::move(connection);
  const absl::Time now = call.answer.arrived();
  if (fields.timeout_ms > 0) {
    call.deadline = std::min(call.caller.deadline, now + absl::Milliseconds(fields.timeout_ms));
  } else if (call.caller.deadline == absl::InfiniteFuture()) {
    call.deadline = now + call.connection.timeout;
  }

  if (absl::Status status = CheckTransaction(needs, fields); !status.ok()) return status;
  if (fields.retry != nullptr) {
    absl::StatusOr<config::RetrySettings> retry = config::ValidateRetry(*fields.retry, "retry", call.connection.retry);
    if (!retry.ok()) return retry.status();
    call.connection.retry = *retry;
  }
  if (!v1::ResultFormat_IsValid(fields.result_format)) {
    return InvalidRequest("result_format", Reason::kOutOfRange, "unknown result_format");
  }
  const bool leaves_open = fields.begin != nullptr && !fields.commit;
  if (leaves_open && transactions_ >= static_cast<size_t>(settings_.limits.transactions)) {
    return TooManyTransactions(settings_.limits.transactions);
  }
  return absl::OkStatus();
}

absl::StatusOr<call::SessionId> Admission::BeginSession() {
  if (draining_) return call::Draining();
  if (sessions_.fetch_add(1) >= static_cast<size_t>(settings_.limits.sessions)) {
    --sessions_;
    return ToStatus({.code = absl::StatusCode::kResourceExhausted,
                     .reason = Reason::kTooManySessions,
                     .kind = ErrorKind::kConnection,
                     .message = absl::StrCat("too many sessions are open (limit ", settings_.limits.sessions, ")")});
  }
  metrics_.sessions.Increment();
  return next_session_.fetch_add(1);
}

void Admission::EndSession() {
  --sessions_;
  metrics_.sessions.Decrement();
}

void Admission::StartDraining() {
  draining_ = true;
  metrics_.draining.Set(1);
}

}  // namespace engine::db::gateway

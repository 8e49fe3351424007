#include "server/rpc/session.h"

#include <algorithm>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "sdk/common/limits.h"
#include "server/base/failure.h"
#include "server/rpc/error.h"
#include "server/rpc/status.h"

namespace engine::db::rpc {
namespace {

// Requests are not read while so many calls run, or so many bytes of answers wait for a client that does not take them.
constexpr size_t kMaxCalls = 4'096;
constexpr size_t kMaxOutboxBytes = size_t{8} << 20;
// More than any message: a row has at most 1 GiB.
constexpr uint64_t kMaxCreditBytes = uint64_t{4} << 30;
// What the contract gives a streamed result to begin with.
constexpr int64_t kInitialCredit = int64_t{1} << 20;

}  // namespace

// A call under way. Its answer is built in `reply`.
class Session::Call : public gateway::RowSink {
 public:
  Call(Session& of, std::shared_ptr<v1::SessionRequest> whole, const v1::SessionCall& call)
      : session(of), message(std::move(whole)), request(call), reply(std::make_unique<v1::SessionReply>()) {
    reply->set_correlation_id(request.correlation_id());
  }

  // Rows of execute_stream: one reply a message. On the loop.
  bool Write(std::unique_ptr<v1::ExecuteStreamResponse> rows) override {
    auto part = std::make_unique<v1::SessionReply>();
    part->set_correlation_id(request.correlation_id());
    const auto bytes = static_cast<int64_t>(rows->ByteSizeLong());
    part->set_allocated_execute_stream(rows.release());
    bool more = false;
    Next next = Next::kNothing;
    {
      absl::MutexLock lock(&session.mutex_);
      credit -= bytes;
      more = credit > 0;
      paused = !more;
      next = session.Send(std::move(part));
    }
    session.Do(next);
    return more;
  }

  Session& session;
  const std::shared_ptr<v1::SessionRequest> message;  // keeps `request`
  const v1::SessionCall& request;
  std::unique_ptr<v1::SessionReply> reply;
  gateway::CallRef ref ABSL_GUARDED_BY(session.mutex_);
  int64_t credit ABSL_GUARDED_BY(session.mutex_) = kInitialCredit;
  bool paused ABSL_GUARDED_BY(session.mutex_) = false;
};

Session::Session(gateway::Gateway& gateway) : gateway_(gateway) {
  const absl::StatusOr<call::SessionId> id = gateway_.BeginSession();
  if (!id.ok()) {
    finished_ = true;
    Finish(ToGrpc(id.status()));
    return;
  }
  id_ = *id;
  StartSendInitialMetadata();  // so that a client knows at once that the session stands
  Read();
}

void Session::Read() {
  v1::SessionRequest* request = nullptr;
  {
    absl::MutexLock lock(&mutex_);
    reading_ = std::make_shared<v1::SessionRequest>();
    request = reading_.get();
  }
  StartRead(request);
}

void Session::OnReadDone(bool ok) {
  if (!ok) {
    Next next = Next::kNothing;
    {
      absl::MutexLock lock(&mutex_);
      reads_over_ = true;
      next = WriteOrFinish();
    }
    Do(next);
    return;
  }
  std::shared_ptr<v1::SessionRequest> request;
  {
    absl::MutexLock lock(&mutex_);
    request = std::move(reading_);
  }
  for (const v1::SessionCall& call : request->calls()) StartCall(request, call);
  {
    absl::MutexLock lock(&mutex_);
    if (!MayRead()) {
      read_paused_ = true;
      return;
    }
  }
  Read();
}

void Session::StartCall(const std::shared_ptr<v1::SessionRequest>& request, const v1::SessionCall& message) {
  switch (message.call_case()) {
    case v1::SessionCall::kCancel:
      CancelCall(message.correlation_id());
      return;
    case v1::SessionCall::kCredit:
      AddCredit(message.correlation_id(), message.credit().bytes());
      return;
    default:
      break;
  }
  auto call = std::make_shared<Call>(*this, request, message);
  absl::Status status;
  if (static_cast<size_t>(request->calls_size()) > limits::kMaxCallsInMessage) {
    status = InvalidRequest("calls", Reason::kTooManyCalls,
                            absl::StrCat("a message holds at most ", limits::kMaxCallsInMessage, " calls"));
  } else if (message.call_case() == v1::SessionCall::CALL_NOT_SET) {
    status = InvalidRequest("call", Reason::kMissingCall, "unknown or missing call type");
  }
  Next next = Next::kNothing;
  {
    absl::MutexLock lock(&mutex_);
    if (status.ok() && !calls_.emplace(message.correlation_id(), call).second) {
      status = InvalidRequest("correlation_id", Reason::kDuplicateCorrelationId,
                              "correlation_id is in use by a call that still runs");
    }
    if (!status.ok()) {
      *call->reply->mutable_error() = ToProto(FailureOf(status));
      next = Send(std::move(call->reply));
    }
  }
  Do(next);
  if (!status.ok()) return;
  const gateway::CallRef ref = Dispatch(call);
  bool cancel = false;
  {
    absl::MutexLock lock(&mutex_);
    call->session.mutex_.AssertHeld();  // mutex_ by another name, which the analysis can't know
    call->ref = ref;
    cancel = cancelled_;
  }
  if (cancel) gateway_.Cancel(ref);
}

// Starts the call if it is one of this method.
template <typename Request, typename Output>
bool Session::StartIf(const gateway::Method<Request, Output>& method, const std::shared_ptr<Call>& call,
                      gateway::CallRef& ref) {
  if (method.session_case != call->request.call_case()) return false;
  const Request& request = (call->request.*method.session_request)();
  const auto done = [this, call](const absl::Status& status) { OnCallDone(*call, status); };
  const gateway::Caller caller{.session = id_};
  if constexpr (std::is_same_v<Output, gateway::RowSink>) {
    ref = gateway_.Call(caller, request, static_cast<gateway::RowSink&>(*call), done);
  } else {
    ref = gateway_.Call(caller, request, *((*call->reply).*method.session_response)(), done);
  }
  return true;
}

gateway::CallRef Session::Dispatch(const std::shared_ptr<Call>& call) {
  gateway::CallRef ref;
  std::apply([&](const auto&... method) { static_cast<void>((StartIf(method, call, ref) || ...)); },
             gateway::kConnectorMethods);
  return ref;
}

void Session::CancelCall(uint64_t correlation_id) {
  gateway::CallRef ref;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = calls_.find(correlation_id);
    if (found == calls_.end()) return;  // it was done already
    found->second->session.mutex_.AssertHeld();
    ref = found->second->ref;
  }
  gateway_.Cancel(ref);
}

void Session::AddCredit(uint64_t correlation_id, uint64_t bytes) {
  gateway::CallRef ref;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = calls_.find(correlation_id);
    if (found == calls_.end()) return;
    Call& call = *found->second;
    call.session.mutex_.AssertHeld();
    // What is outstanding is bounded, however much a client claims; what a large message has overdrawn, it pays back.
    const int64_t allowed = static_cast<int64_t>(std::min<uint64_t>(bytes, kMaxCreditBytes));
    call.credit = std::min<int64_t>(call.credit + allowed, kMaxOutboxBytes);
    if (!call.paused || call.credit <= 0) return;
    call.paused = false;
    ref = call.ref;
  }
  gateway_.ResumeStream(ref);
}

void Session::OnCallDone(Call& call, const absl::Status& status) {
  // A stream that worked has sent its summary as its last part.
  const bool answered = status.ok() && call.request.has_execute_stream();
  Next next = Next::kNothing;
  {
    absl::MutexLock lock(&mutex_);
    calls_.erase(call.request.correlation_id());
    if (answered) {
      next = WriteOrFinish();
    } else {
      if (!status.ok()) *call.reply->mutable_error() = ToProto(FailureOf(status));
      next = Send(std::move(call.reply));
    }
  }
  Do(next);
}

Session::Next Session::Send(std::unique_ptr<v1::SessionReply> reply) {
  outbox_bytes_ += reply->ByteSizeLong();
  outbox_.mutable_replies()->AddAllocated(reply.release());
  if (write_planned_ || write_active_) return Next::kNothing;  // whoever writes next takes everything along
  write_planned_ = true;
  return Next::kPlanWrite;
}

Session::Next Session::WriteOrFinish() {
  if (write_active_ || write_planned_) return Next::kNothing;
  if (cancelled_) {
    outbox_.Clear();
    outbox_bytes_ = 0;
  }
  if (outbox_.replies_size() > 0) {
    write_active_ = true;
    writing_.Swap(&outbox_);
    outbox_.Clear();
    return Next::kWrite;
  }
  if (finished_ || !reads_over_ || !calls_.empty()) return Next::kNothing;
  finished_ = true;
  return Next::kFinish;
}

void Session::Do(Next next) {
  switch (next) {
    case Next::kNothing:
      return;
    case Next::kPlanWrite:
      // The session stays while a write is planned.
      gateway::Gateway::AtEndOfRound([this] {
        Next then = Next::kNothing;
        {
          absl::MutexLock lock(&mutex_);
          write_planned_ = false;
          then = WriteOrFinish();
        }
        Do(then);
      });
      return;
    case Next::kWrite:
      StartWrite(&writing_);
      return;
    case Next::kFinish:
      Finish(grpc::Status::OK);
      return;
  }
}

void Session::OnWriteDone(bool ok) {
  bool read = false;
  Next next = Next::kNothing;
  {
    absl::MutexLock lock(&mutex_);
    write_active_ = false;
    outbox_bytes_ = 0;
    for (const v1::SessionReply& reply : outbox_.replies()) outbox_bytes_ += reply.ByteSizeLong();
    if (!ok) cancelled_ = true;
    if (read_paused_ && MayRead()) {
      read_paused_ = false;
      read = true;
    }
    next = WriteOrFinish();
  }
  if (read) Read();
  Do(next);
}

bool Session::MayRead() const { return calls_.size() < kMaxCalls && outbox_bytes_ < kMaxOutboxBytes; }

void Session::OnCancel() {
  std::vector<gateway::CallRef> refs;
  Next next = Next::kNothing;
  {
    absl::MutexLock lock(&mutex_);
    cancelled_ = true;
    for (const auto& [id, call] : calls_) {
      call->session.mutex_.AssertHeld();
      refs.push_back(call->ref);
    }
    // A read that was held back will not come any more.
    if (std::exchange(read_paused_, false)) reads_over_ = true;
    next = WriteOrFinish();
  }
  for (const gateway::CallRef& ref : refs) gateway_.Cancel(ref);
  Do(next);
}

void Session::OnDone() {
  if (id_ != 0) gateway_.EndSession(id_);
  delete this;
}

}  // namespace engine::db::rpc

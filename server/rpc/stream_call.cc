#include "server/rpc/stream_call.h"

#include <utility>

#include "server/rpc/status.h"

namespace engine::db::rpc {
namespace {

// One on its way and one ready: enough to keep both sides busy.
constexpr size_t kMaxMessages = 2;

}  // namespace

StreamCall::StreamCall(gateway::Gateway& gateway, const gateway::Caller& caller,
                       const v1::ExecuteStreamRequest& request)
    : gateway_(gateway) {
  ref_ = gateway_.Call(caller, request, static_cast<gateway::RowSink&>(*this),
                       [this](const absl::Status& status) { OnEnd(status); });
}

bool StreamCall::Write(std::unique_ptr<v1::ExecuteStreamResponse> message) {
  absl::MutexLock lock(&mutex_);
  if (broken_) return true;  // the call is being cancelled: what still comes is dropped
  messages_.push_back(std::move(message));
  if (messages_.size() == 1) StartWrite(messages_.front().get());
  full_ = messages_.size() >= kMaxMessages;
  return !full_;
}

void StreamCall::OnWriteDone(bool ok) {
  bool resume = false;
  bool cancel = false;
  std::optional<absl::Status> end;
  {
    absl::MutexLock lock(&mutex_);
    messages_.pop_front();
    if (!ok) {
      cancel = !std::exchange(broken_, true);
      messages_.clear();
    }
    resume = std::exchange(full_, false);
    if (!messages_.empty()) {
      StartWrite(messages_.front().get());
    } else {
      end = end_;
    }
  }
  if (cancel) gateway_.Cancel(ref_);
  if (resume) gateway_.ResumeStream(ref_);
  if (end.has_value()) Finish(ToGrpc(*end));
}

void StreamCall::OnEnd(const absl::Status& status) {
  {
    absl::MutexLock lock(&mutex_);
    end_ = status;
    if (!messages_.empty()) return;  // OnWriteDone finishes
  }
  Finish(ToGrpc(status));
}

void StreamCall::OnCancel() { gateway_.Cancel(ref_); }

}  // namespace engine::db::rpc

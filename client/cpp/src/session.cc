#include "client/cpp/src/session.h"

#include <algorithm>
#include <exception>
#include <stdexcept>

#include "client/cpp/src/convert.h"
#include "client/cpp/src/session_errors.h"
#include "client/cpp/src/session_message.h"
#include "engine_db/reasons.h"
#include "engine_db/repeat.h"
#include "sdk/common/limits.h"

namespace engine::db::internal {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// A larger message would end the session for everybody, so that call is refused here.
constexpr size_t kMaxCallBytes = limits::kMaxMessageBytes - 64;
constexpr size_t kMaxCallsInFlight = 65'536;
// The gateway keeps the deadlines, and gives PostgreSQL 100 ms to react to a cancel; this is for when it does not
// answer. What is left of the 250 ms that CallOptions promises is for threads that do not get to run at once.
constexpr milliseconds kGrace{125};
// How often calls are looked at that are past it. A call that is submitted in between has more time than the longest of
// these, so the look at its end is set with it in sight.
constexpr milliseconds kLookAtLeastEvery{50};
constexpr milliseconds kLookAtMostEvery{5};

constexpr char kMethod[] = "/engine.db.v1.DatabaseConnector/Session";

// The session whose answers this thread is delivering.
thread_local const void* t_delivering = nullptr;

bool is_last(const v1::SessionReply& reply) {
  return !reply.has_execute_stream() || reply.execute_stream().has_summary();
}

}  // namespace

// While calls are told of their answers. What they submit meanwhile is written as one message afterwards.
class Session::DeliveryScope {
 public:
  explicit DeliveryScope(Session& session) : session_(session) { t_delivering = &session; }
  ~DeliveryScope() {
    t_delivering = before_;
    session_.write_next();
  }
  DeliveryScope(const DeliveryScope&) = delete;
  DeliveryScope& operator=(const DeliveryScope&) = delete;

 private:
  Session& session_;
  const void* const before_ = t_delivering;
};

// The session's own first call.
class Session::ConnectCall final : public Call {
 public:
  explicit ConnectCall(Session& session) : session_(session) {}
  void reply(v1::SessionReply& reply) override {
    if (!reply.has_connect()) throw std::invalid_argument("no answer to Connect");
    session_.on_connected(*reply.mutable_connect());
  }
  void fail(ErrorInfo info) override { session_.end(std::move(info)); }

 private:
  Session& session_;
};

Session::Session(Opening opening) : opening_(std::move(opening)), default_timeout_(opening_.connect_timeout) {}

std::shared_ptr<Session> Session::open(Opening opening) {
  auto session = std::make_shared<Session>(std::move(opening));
  session->start();
  return session;
}

void Session::require_may_wait() {
  if (t_delivering != nullptr) {
    throw std::logic_error(
        "a blocking call on a thread on which callbacks run would wait for ever; use the asynchronous connector there");
  }
}

void Session::start() {
  self_ = shared_from_this();
  // A gateway that is not there yet is waited for, with the channel's back-off.
  context_.set_wait_for_ready(opening_.gateway->wait);
  opening_.gateway->stub.PrepareBidiStreamingCall(&context_, kMethod, grpc::StubOptions(), this);
  AddHold();
  StartRead(&read_buffer_);

  auto call = std::make_shared<ConnectCall>(*this);
  call->timeout = opening_.connect_timeout;
  call->phase = Phase::kConnecting;
  v1::SessionCall message;
  *message.mutable_connect() = opening_.target;
  {
    const absl::MutexLock lock(&mutex_);
    admit(call);
    send(call->id_, message.SerializeAsString());
    alarm_set_ = true;
  }
  set_alarm(kLookAtLeastEvery);
  write_next();
  if (opening_.pause.count() == 0) return StartCall();
  after(opening_.pause).then([session = self_](const Completion<void>& /*done*/) { session->StartCall(); });
}

void Session::on_connected(v1::ConnectResponse& response) {
  std::vector<std::shared_ptr<Call>> waiting;
  {
    const absl::MutexLock lock(&mutex_);
    connection_id_ = std::move(*response.mutable_connection_id());
    if (response.settings().timeout_ms() > 0) default_timeout_ = milliseconds(response.settings().timeout_ms());
    progress_.connected.store(true, std::memory_order_release);
    for (auto& [id, message] : outbox_.take_parked()) {
      if (message.call_case() == v1::SessionCall::CALL_NOT_SET) {
        waiting.push_back(calls_.release(id));
        continue;
      }
      address(message, *calls_.find(id));
      send(id, message.SerializeAsString());
    }
  }
  v1::SessionReply nothing;
  for (const auto& call : waiting) call->reply(nothing);
}

milliseconds Session::default_timeout() const {
  const absl::MutexLock lock(&mutex_);
  return default_timeout_;
}

void Session::address(v1::SessionCall& message, const Call& call) const {
  set_connection_id(message, connection_id_);
  const auto left = std::chrono::duration_cast<milliseconds>(call.deadline_ - kGrace - Clock::now());
  set_timeout(message, std::max(left, milliseconds(1)));
}

void Session::submit(const std::shared_ptr<Call>& call, v1::SessionCall& message) {
  if (call->stop.stop_requested()) return call->end_with(cancelled_error());
  // Serialized here rather than under the lock or by the writer.
  std::string body;
  const bool connected = progress_.connected.load(std::memory_order_acquire);
  if (connected && message.call_case() == v1::SessionCall::CALL_NOT_SET) {
    v1::SessionReply nothing;
    return call->reply(nothing);
  }
  if (connected) set_connection_id(message, connection_id_);
  if (const size_t size = message.ByteSizeLong(); size > kMaxCallBytes) {
    return call->end_with(too_large_error(size, kMaxCallBytes));
  }
  if (connected || call->if_lost != IfLost::kFail) body = message.SerializeAsString();

  std::optional<ErrorInfo> refusal;
  std::optional<ErrorInfo> loss;
  bool answered = false;
  uint64_t id = 0;
  bool alarm_missing = false;
  {
    const absl::MutexLock lock(&mutex_);
    if (failed_all_) {
      loss = failure(*call);
      call->body_ = std::move(body);
      set_deadline(*call);
    } else if (calls_.size() >= kMaxCallsInFlight) {
      refusal = too_many_calls_error(kMaxCallsInFlight);
    } else if (progress_.connected && message.call_case() == v1::SessionCall::CALL_NOT_SET) {  // Meanwhile.
      answered = true;
    } else {
      const bool moved = call->attempts_ > 1;
      admit(call);
      id = call->id_;
      if (connected && !moved) {
        send(id, body);
      } else if (progress_.connected) {
        address(message, *call);
        send(id, message.SerializeAsString());
      } else {
        outbox_.park(id, message);
      }
      if (call->if_lost != IfLost::kFail) call->body_ = std::move(body);
      alarm_missing = !std::exchange(alarm_set_, true);
    }
  }
  if (loss) return lose(call, *std::move(loss));
  if (refusal) return call->end_with(*std::move(refusal));
  if (answered) {
    v1::SessionReply nothing;
    return call->reply(nothing);
  }
  if (alarm_missing) set_alarm(kLookAtLeastEvery);
  if (call->stop.stop_possible()) call->canceller_.emplace(call->stop, Call::Canceller{weak_from_this(), id});
  write_next();
}

void Session::lose(const std::shared_ptr<Call>& call, ErrorInfo info) {
  const bool unsent = info.outcome == Outcome::kNotExecuted;
  const bool may_go_on = call->if_lost == IfLost::kRepeat ? unsent || call->attempts_ < call->max_attempts
                                                          : call->if_lost == IfLost::kRepeatUnsent && unsent;
  if (may_go_on && is_loss_of_gateway(info) && opening_.gateway->wait && Clock::now() < call->deadline_ - kGrace) {
    v1::SessionCall message;
    const std::shared_ptr<Session> next = opening_.successor();
    if (next && message.ParseFromString(call->body_)) {
      if (const std::shared_ptr<Call> again = call->again()) {
        ++again->attempts_;
        again->may_have_run_ |= !unsent;
        return next->submit(again, message);
      }
    }
  }
  call->end_with(std::move(info));
}

void Session::cancel(uint64_t id) {
  std::shared_ptr<Call> unsent;
  {
    const absl::MutexLock lock(&mutex_);
    if (!calls_.find(id)) return;
    if (outbox_.drop_parked(id)) {
      unsent = calls_.release(id);
    } else {
      send_cancel(id);
    }
  }
  if (unsent) {
    const DeliveryScope delivering(*this);
    return unsent->end_with(cancelled_error());
  }
  write_next();
}

void Session::abandon(const Call& call) {
  std::shared_ptr<Call> abandoned;
  {
    const absl::MutexLock lock(&mutex_);
    if (!calls_.find(call.id_)) return;
    if (!outbox_.drop_parked(call.id_)) send_cancel(call.id_);
    abandoned = calls_.release(call.id_);
  }
  write_next();
}

void Session::add_credit(const Call& call, uint64_t bytes) {
  v1::SessionCall message;
  message.mutable_credit()->set_bytes(bytes);
  {
    const absl::MutexLock lock(&mutex_);
    if (!calls_.find(call.id_)) return;
    send(call.id_, message.SerializeAsString());
  }
  write_next();
}

void Session::admit(const std::shared_ptr<Call>& call) {
  call->session_ = this;
  call->id_ = calls_.add(call);
  set_deadline(*call);
}

void Session::set_deadline(Call& call) const {
  if (call.deadline_ != Clock::time_point()) return;
  if (call.timeout.count() == 0) call.timeout = default_timeout_;
  call.deadline_ = Clock::now() + call.timeout + kGrace;
}

void Session::send(uint64_t id, std::string_view body) {
  const uint64_t message = outbox_.add(id, body);
  const std::shared_ptr<Call>& call = calls_.find(id);
  if (call && call->message_ == Call::kParked) call->message_ = message;
}

void Session::send_cancel(uint64_t id) {
  v1::SessionCall message;
  message.mutable_cancel();
  send(id, message.SerializeAsString());
}

void Session::write_next() {
  if (t_delivering == this) return;
  std::optional<std::string> bytes;
  {
    const absl::MutexLock lock(&mutex_);
    bytes = outbox_.begin_write();
  }
  if (!bytes) return;
  // A copy: to lend gRPC the bytes needs a callback from it, which costs more than copying the few KiB of a usual
  // message.
  const grpc::Slice slice(*bytes);
  write_buffer_ = grpc::ByteBuffer(&slice, 1);
  StartWrite(&write_buffer_);
}

void Session::OnWriteDone(bool ok) {
  if (ok) progress_.reached.store(true, std::memory_order_relaxed);
  bool release_hold = false;
  {
    const absl::MutexLock lock(&mutex_);
    outbox_.end_write();
    release_hold = outbox_.closed();
  }
  if (release_hold) return RemoveHold();
  write_next();
}

void Session::OnReadDone(bool ok) {
  if (!ok) {
    bool release_hold = false;
    {
      const absl::MutexLock lock(&mutex_);
      progress_.ended.store(true, std::memory_order_release);
      outbox_.close();
      release_hold = !outbox_.writing();
    }
    if (release_hold) RemoveHold();
    return;
  }
  {
    const DeliveryScope delivering(*this);
    {
      const absl::MutexLock lock(&mutex_);
      for (v1::SessionReply& reply : *read_buffer_.mutable_replies()) {
        const uint64_t id = reply.correlation_id();
        const std::shared_ptr<Call>& call = calls_.find(id);
        if (!call) {  // Abandoned, or past its deadline.
          if (reply.has_begin()) roll_back_unowned(reply);
          continue;
        }
        due_.emplace_back(is_last(reply) || reply.has_error() ? calls_.release(id) : call, &reply);
      }
    }
    for (auto& [call, reply] : due_) deliver(call, *reply);
    due_.clear();
  }
  StartRead(&read_buffer_);
}

// Its transaction would stay open until its lease runs out. The id is that of the Begin, which nobody else gets: the
// answer is dropped in turn.
void Session::roll_back_unowned(const v1::SessionReply& begun) {
  v1::SessionCall message;
  message.mutable_rollback()->set_connection_id(connection_id_);
  message.mutable_rollback()->set_transaction_id(begun.begin().transaction_id());
  send(begun.correlation_id(), message.SerializeAsString());
}

void Session::deliver(const std::shared_ptr<Call>& call, v1::SessionReply& reply) {
  try {
    if (!reply.has_error()) return call->reply(reply);
    ErrorInfo info = read_error(*reply.mutable_error());
    if (info.reason != reasons::kDraining) return call->end_with(std::move(info));
    progress_.draining.store(true, std::memory_order_release);
    lose(call, std::move(info));
  } catch (const std::exception& fault) {
    abandon(*call);
    ErrorInfo info = session_error(
        ErrorKind::kConnection, reasons::kMalformedReply,
        "the gateway at " + opening_.gateway->address + " sent an answer that can't be read: " + fault.what());
    info.outcome = Outcome::kUnknown;
    info.phase = call->phase;
    call->end_with(std::move(info));
  }
}

void Session::OnDone(const grpc::Status& status) {
  const std::shared_ptr<Session> keep = std::move(self_);
  {
    const absl::MutexLock lock(&mutex_);
    const bool connected = progress_.connected;
    if (!connected) progress_.unreachable.store(true, std::memory_order_release);
    if (!end_info_) end_info_ = stream_error(connected, opening_.gateway->address, status.error_message());
  }
  fail_all();
}

void Session::end(std::string_view reason, std::string message) {
  end(session_error(ErrorKind::kConnection, reason, std::move(message)));
}

void Session::end(ErrorInfo info) {
  {
    const absl::MutexLock lock(&mutex_);
    progress_.ended.store(true, std::memory_order_release);
    if (info.reason == reasons::kGatewayUnreachable || info.reason == reasons::kDraining) {
      progress_.unreachable.store(true, std::memory_order_release);
    }
    if (!end_info_) end_info_ = std::move(info);
  }
  context_.TryCancel();
  fail_all();
}

ErrorInfo Session::failure(const Call& call) const {
  ErrorInfo info = *end_info_;
  info.outcome = Outcome::kNotExecuted;
  if (!progress_.connected && info.phase == Phase::kUnspecified) info.phase = Phase::kConnecting;
  if (outbox_.has_begun(call.message_)) {
    info.outcome = call.outcome_if_lost;
    info.phase = call.phase;
    info.retryable = info.retryable && info.outcome == Outcome::kUnspecified;
  }
  return info;
}

void Session::fail_all() {
  std::vector<std::pair<std::shared_ptr<Call>, ErrorInfo>> failed;
  {
    const absl::MutexLock lock(&mutex_);
    failed_all_ = true;
    for (const uint64_t id : calls_.ids()) {
      ErrorInfo info = failure(*calls_.find(id));
      failed.emplace_back(calls_.release(id), std::move(info));
    }
    outbox_.clear();
  }
  const DeliveryScope delivering(*this);
  for (auto& [call, info] : failed) lose(call, std::move(info));
}

void Session::set_alarm(milliseconds pause) {
  after(pause).then([weak = weak_from_this()](const Completion<void>& /*done*/) {
    if (const auto session = weak.lock()) session->sweep();
  });
}

ErrorInfo Session::deadline_error(const Call& call) const {
  const std::string gateway = "the gateway at " + opening_.gateway->address;
  const std::string within = " within " + std::to_string(call.timeout.count()) + " ms";
  if (progress_.connected) {
    return session_error(ErrorKind::kTimeout, reasons::kNoAnswer, gateway + " gave no answer" + within);
  }
  if (!progress_.reached) {
    return session_error(ErrorKind::kConnection, reasons::kGatewayUnreachable, "can't reach " + gateway + within);
  }
  return session_error(ErrorKind::kTimeout, reasons::kConnectTimeout,
                       "no database was reached through " + gateway + within);
}

ErrorInfo Session::expire(const Call& call) {
  const bool connected = progress_.connected;
  ErrorInfo info = deadline_error(call);
  info.phase = connected ? call.phase : Phase::kConnecting;
  info.retryable = !connected;
  if (outbox_.drop_parked(call.id_)) return info;
  // Sent, or sure to be. A stream that breaks rolls back what runs in its transactions; a late statement may still be
  // running.
  if (connected) {
    info.outcome = call.outcome_if_lost == Outcome::kUnspecified ? Outcome::kUnspecified : Outcome::kUnknown;
  }
  send_cancel(call.id_);
  return info;
}

void Session::sweep() {
  std::vector<std::pair<std::shared_ptr<Call>, ErrorInfo>> expired;
  bool again = false;
  const auto now = Clock::now();
  auto next = now + kLookAtLeastEvery;
  {
    const absl::MutexLock lock(&mutex_);
    for (const uint64_t id : calls_.ids()) {
      const Call& call = *calls_.find(id);
      if (call.deadline_ > now) {
        next = std::min(next, call.deadline_);
        continue;
      }
      ErrorInfo info = expire(call);
      expired.emplace_back(calls_.release(id), std::move(info));
    }
    again = alarm_set_ = calls_.size() > 0;
  }
  if (again) set_alarm(std::max(kLookAtMostEvery, std::chrono::ceil<milliseconds>(next - now)));
  const DeliveryScope delivering(*this);
  for (auto& [call, info] : expired) call->end_with(std::move(info));
}

}  // namespace engine::db::internal

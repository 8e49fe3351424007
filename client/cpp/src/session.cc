#include "client/cpp/src/session.h"

#include <algorithm>
#include <exception>
#include <stdexcept>

#include "client/cpp/src/convert.h"
#include "client/cpp/src/session_message.h"
#include "engine_db/repeat.h"
#include "sdk/common/limits.h"

namespace engine::db::internal {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// How large a message grows by gathering calls, so that the first of them need not wait long.
constexpr size_t kMaxGatheredBytes = size_t{1} << 20;
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

constexpr char kGatewayLost[] = "GATEWAY_LOST";
constexpr char kGatewayUnreachable[] = "GATEWAY_UNREACHABLE";
constexpr char kDraining[] = "DRAINING";

constexpr char kMethod[] = "/engine.db.v1.DatabaseConnector/Session";

// The session whose answers this thread is handing out.
thread_local const void* t_handing_out = nullptr;

ErrorInfo make_info(ErrorKind kind, std::string reason, std::string message) {
  ErrorInfo info;
  info.kind = kind;
  info.outcome = Outcome::kNotExecuted;
  info.reason = std::move(reason);
  info.message = std::move(message);
  return info;
}

ErrorInfo cancelled() {
  return make_info(ErrorKind::kTimeout, "CANCELLED", "the call was cancelled before it was sent");
}

bool is_last(const v1::SessionReply& reply) {
  return !reply.has_execute_stream() || reply.execute_stream().has_summary();
}

}  // namespace

void Call::continue_as(Call& next) const {
  next.timeout = timeout;
  next.stop = stop;
  next.outcome_if_lost = outcome_if_lost;
  next.phase = phase;
  next.if_lost = if_lost;
  next.max_attempts = max_attempts;
  next.deadline_ = deadline_;
  next.attempts_ = attempts_;
  next.may_have_run_ = may_have_run_;
}

void Call::end_with(ErrorInfo info) {
  if (may_have_run_ && (info.outcome == Outcome::kNotExecuted || info.outcome == Outcome::kRolledBack)) {
    info.outcome = outcome_if_lost;
    info.retryable = info.retryable && outcome_if_lost != Outcome::kUnknown;
  }
  fail(std::move(info));
}

void Call::Canceller::operator()() const {
  if (const auto live = session.lock()) live->cancel(id);
}

// While calls hear of their end. What they submit meanwhile is written as one message afterwards.
class Session::HandingOut {
 public:
  explicit HandingOut(Session& session) : session_(session) { t_handing_out = &session; }
  ~HandingOut() {
    t_handing_out = before_;
    session_.write_next();
  }
  HandingOut(const HandingOut&) = delete;
  HandingOut& operator=(const HandingOut&) = delete;

 private:
  Session& session_;
  const void* const before_ = t_handing_out;
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
  if (t_handing_out != nullptr) {
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
    occupy_slot(call);
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
    connected_.store(true, std::memory_order_release);
    for (auto& [id, message] : parked_) {
      Slot& slot = *find(id);
      if (message.call_case() == v1::SessionCall::CALL_NOT_SET) {
        waiting.push_back(release(slot));
        continue;
      }
      address(message, *slot.call);
      send(id, message.SerializeAsString());
    }
    parked_.clear();
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
  if (call->stop.stop_requested()) return call->end_with(cancelled());
  // Serialized here rather than under the lock or by the writer.
  std::string body;
  const bool connected = connected_.load(std::memory_order_acquire);
  if (connected && message.call_case() == v1::SessionCall::CALL_NOT_SET) {
    v1::SessionReply nothing;
    return call->reply(nothing);
  }
  if (connected) set_connection_id(message, connection_id_);
  if (const size_t size = message.ByteSizeLong(); size > kMaxCallBytes) {
    return call->end_with(make_info(ErrorKind::kInvalidRequest, "REQUEST_TOO_LARGE",
                                    "the statement with its parameters has " + std::to_string(size) +
                                        " bytes; at most " + std::to_string(kMaxCallBytes) + " go in a call"));
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
    } else if (slots_.size() - free_slots_.size() >= kMaxCallsInFlight) {
      refusal = make_info(ErrorKind::kConnection, "TOO_MANY_CALLS",
                          "this connector has " + std::to_string(kMaxCallsInFlight) +
                              " calls in flight, its limit; wait for some to end");
      refusal->retryable = true;
    } else if (connected_ && message.call_case() == v1::SessionCall::CALL_NOT_SET) {  // Meanwhile.
      answered = true;
    } else {
      const bool moved = call->attempts_ > 1;
      occupy_slot(call);
      id = call->id_;
      if (connected && !moved) {
        send(id, body);
      } else if (connected_) {
        address(message, *call);
        send(id, message.SerializeAsString());
      } else {
        parked_.emplace_back(id, message);
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
  const bool lost_gateway =
      info.reason == kGatewayLost || info.reason == kGatewayUnreachable || info.reason == kDraining;
  if (may_go_on && lost_gateway && opening_.gateway->wait && Clock::now() < call->deadline_ - kGrace) {
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
    Slot* slot = find(id);
    if (slot == nullptr) return;
    if (std::erase_if(parked_, [&](const auto& parked) { return parked.first == id; }) > 0) {
      unsent = release(*slot);
    } else {
      v1::SessionCall message;
      message.mutable_cancel();
      send(id, message.SerializeAsString());
    }
  }
  if (unsent) {
    const HandingOut handing_out(*this);
    return unsent->end_with(cancelled());
  }
  write_next();
}

void Session::abandon(const Call& call) {
  std::shared_ptr<Call> abandoned;
  {
    const absl::MutexLock lock(&mutex_);
    Slot* slot = find(call.id_);
    if (slot == nullptr) return;
    if (std::erase_if(parked_, [&](const auto& parked) { return parked.first == call.id_; }) == 0) {
      v1::SessionCall message;
      message.mutable_cancel();
      send(call.id_, message.SerializeAsString());
    }
    abandoned = release(*slot);
  }
  write_next();
}

void Session::add_credit(const Call& call, uint64_t bytes) {
  v1::SessionCall message;
  message.mutable_credit()->set_bytes(bytes);
  {
    const absl::MutexLock lock(&mutex_);
    if (find(call.id_) == nullptr) return;
    send(call.id_, message.SerializeAsString());
  }
  write_next();
}

Session::Slot* Session::find(uint64_t id) {
  const size_t index = id & UINT32_MAX;
  if (index >= slots_.size()) return nullptr;
  Slot& slot = slots_[index];
  return slot.generation == id >> 32 && slot.call ? &slot : nullptr;
}

void Session::occupy_slot(const std::shared_ptr<Call>& call) {
  if (free_slots_.empty()) {
    free_slots_.push_back(static_cast<uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  const uint32_t index = free_slots_.back();
  free_slots_.pop_back();
  Slot& slot = slots_[index];
  slot.call = call;
  call->session_ = this;
  call->id_ = uint64_t{slot.generation} << 32 | index;
  set_deadline(*call);
}

void Session::set_deadline(Call& call) const {
  if (call.deadline_ != Clock::time_point()) return;
  if (call.timeout.count() == 0) call.timeout = default_timeout_;
  call.deadline_ = Clock::now() + call.timeout + kGrace;
}

std::shared_ptr<Call> Session::release(Slot& slot) {
  ++slot.generation;
  free_slots_.push_back(static_cast<uint32_t>(&slot - slots_.data()));
  return std::move(slot.call);
}

void Session::send(uint64_t id, std::string_view body) {
  if (outgoing_.empty() || outgoing_.back().calls == limits::kMaxCallsInMessage ||
      outgoing_.back().bytes.size() + body.size() > kMaxGatheredBytes) {
    outgoing_.emplace_back();
  }
  Message& message = outgoing_.back();
  append_call(message.bytes, id, body);
  ++message.calls;
  if (Slot* slot = find(id); slot != nullptr && slot->call->message_ == Call::kParked) {
    slot->call->message_ = messages_written_ + outgoing_.size() - 1;
  }
}

void Session::write_next() {
  if (t_handing_out == this) return;
  std::string bytes;
  {
    const absl::MutexLock lock(&mutex_);
    if (writing_ || read_done_ || outgoing_.empty()) return;
    writing_ = true;
    ++messages_written_;
    bytes = std::move(outgoing_.front().bytes);
    outgoing_.pop_front();
  }
  // A copy: to lend gRPC the bytes needs a callback from it, which costs more than copying the few KiB of a usual
  // message.
  const grpc::Slice slice(bytes);
  write_buffer_ = grpc::ByteBuffer(&slice, 1);
  StartWrite(&write_buffer_);
}

void Session::OnWriteDone(bool ok) {
  if (ok) reached_.store(true, std::memory_order_relaxed);
  bool release_hold = false;
  {
    const absl::MutexLock lock(&mutex_);
    writing_ = false;
    release_hold = read_done_;
  }
  if (release_hold) return RemoveHold();
  write_next();
}

void Session::OnReadDone(bool ok) {
  if (!ok) {
    bool release_hold = false;
    {
      const absl::MutexLock lock(&mutex_);
      ended_.store(true, std::memory_order_release);
      read_done_ = true;
      release_hold = !writing_;
    }
    if (release_hold) RemoveHold();
    return;
  }
  {
    const HandingOut handing_out(*this);
    {
      const absl::MutexLock lock(&mutex_);
      for (v1::SessionReply& reply : *read_buffer_.mutable_replies()) {
        Slot* slot = find(reply.correlation_id());
        if (slot == nullptr) {  // Abandoned, or past its deadline.
          if (reply.has_begin()) roll_back_unowned(reply);
          continue;
        }
        due_.emplace_back(is_last(reply) || reply.has_error() ? release(*slot) : slot->call, &reply);
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
    if (info.reason != kDraining) return call->end_with(std::move(info));
    draining_.store(true, std::memory_order_release);
    lose(call, std::move(info));
  } catch (const std::exception& fault) {
    abandon(*call);
    ErrorInfo info = make_info(
        ErrorKind::kConnection, "MALFORMED_REPLY",
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
    if (!connected_) unreachable_.store(true, std::memory_order_release);
    if (!end_info_) {
      std::string message =
          (connected_ ? "the link to the gateway at " : "can't reach the gateway at ") + opening_.gateway->address;
      message += connected_ ? " was lost" : "";
      if (!status.error_message().empty()) message += ": " + status.error_message();
      end_info_ =
          make_info(ErrorKind::kConnection, connected_ ? kGatewayLost : kGatewayUnreachable, std::move(message));
      end_info_->retryable = true;
    }
  }
  fail_all();
}

void Session::end(std::string reason, std::string message) {
  end(make_info(ErrorKind::kConnection, std::move(reason), std::move(message)));
}

void Session::end(ErrorInfo info) {
  {
    const absl::MutexLock lock(&mutex_);
    ended_.store(true, std::memory_order_release);
    if (info.reason == kGatewayUnreachable || info.reason == kDraining) {
      unreachable_.store(true, std::memory_order_release);
    }
    if (!end_info_) end_info_ = std::move(info);
  }
  context_.TryCancel();
  fail_all();
}

ErrorInfo Session::failure(const Call& call) const {
  ErrorInfo info = *end_info_;
  info.outcome = Outcome::kNotExecuted;
  if (!connected_ && info.phase == Phase::kUnspecified) info.phase = Phase::kConnecting;
  if (call.message_ < messages_written_) {
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
    for (Slot& slot : slots_) {
      if (!slot.call) continue;
      ErrorInfo info = failure(*slot.call);
      failed.emplace_back(release(slot), std::move(info));
    }
    outgoing_.clear();
    parked_.clear();
  }
  const HandingOut handing_out(*this);
  for (auto& [call, info] : failed) lose(call, std::move(info));
}

void Session::set_alarm(milliseconds pause) {
  after(pause).then([weak = weak_from_this()](const Completion<void>& /*done*/) {
    if (const auto session = weak.lock()) session->sweep();
  });
}

// How far a call has come that is past its deadline.
ErrorInfo Session::out_of_time(const std::string& within) const {
  const std::string gateway = "the gateway at " + opening_.gateway->address;
  if (connected_) return make_info(ErrorKind::kTimeout, "NO_ANSWER", gateway + " gave no answer" + within);
  if (!reached_) return make_info(ErrorKind::kConnection, kGatewayUnreachable, "can't reach " + gateway + within);
  return make_info(ErrorKind::kTimeout, "CONNECT_TIMEOUT", "no database was reached through " + gateway + within);
}

void Session::sweep() {
  std::vector<std::pair<std::shared_ptr<Call>, ErrorInfo>> expired;
  bool again = false;
  const auto now = Clock::now();
  auto next = now + kLookAtLeastEvery;
  {
    const absl::MutexLock lock(&mutex_);
    for (Slot& slot : slots_) {
      if (!slot.call) continue;
      if (slot.call->deadline_ > now) {
        next = std::min(next, slot.call->deadline_);
        continue;
      }
      Call& call = *slot.call;
      const std::string within = " within " + std::to_string(call.timeout.count()) + " ms";
      ErrorInfo info = out_of_time(within);
      info.phase = connected_ ? call.phase : Phase::kConnecting;
      info.retryable = !connected_;
      const uint64_t id = call.id_;
      if (std::erase_if(parked_, [&](const auto& parked) { return parked.first == id; }) == 0) {
        // Sent, or sure to be. A stream that breaks rolls back what runs in its transactions; a late statement may
        // still be running.
        if (connected_) {
          info.outcome = call.outcome_if_lost == Outcome::kUnspecified ? Outcome::kUnspecified : Outcome::kUnknown;
        }
        v1::SessionCall message;
        message.mutable_cancel();
        send(id, message.SerializeAsString());
      }
      expired.emplace_back(release(slot), std::move(info));
    }
    again = alarm_set_ = slots_.size() > free_slots_.size();
  }
  if (again) set_alarm(std::max(kLookAtMostEvery, std::chrono::ceil<milliseconds>(next - now)));
  const HandingOut handing_out(*this);
  for (auto& [call, info] : expired) call->end_with(std::move(info));
}

}  // namespace engine::db::internal

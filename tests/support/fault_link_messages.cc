// Which messages pass a link, and which meet with a fault.
#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "tests/support/fault_link.h"
#include "tests/support/postgres_messages.h"

namespace engine::db::test {
namespace {

constexpr size_t kKeptText = 1000;  // of a statement

constexpr uint32_t kCancelRequest = 80877102;
constexpr uint32_t kSslRequest = 80877103;
constexpr uint32_t kGssEncRequest = 80877104;

// Whether the answer is the last one to the request.
bool Settles(char request, char answer) {
  switch (request) {
    case 'P':
      return answer == '1';
    case 'B':
      return answer == '2';
    case 'C':
      return answer == '3';
    case 'D':
      return answer == 'T' || answer == 'n';
    case 'E':
      return answer == 'C' || answer == 'I' || answer == 's';
    default:
      return answer == 'Z';
  }
}

// What the server says unasked.
bool IsAsynchronous(char type) { return type == 'N' || type == 'S' || type == 'A'; }

}  // namespace

bool FaultLink::OnStartupMessage(std::string_view message) {
  std::string_view rest = message.substr(4);
  const uint32_t code = rest.size() < 4 ? 0 : ReadUint32(rest);
  if (code == kSslRequest || code == kGssEncRequest) {
    to_client_.out += 'N';
    return false;
  }
  FaultTrigger trigger = FaultTrigger::kStartup;
  if (code == kCancelRequest) {
    mode_ = Mode::kRaw;
    trigger = FaultTrigger::kCancel;
  } else {
    mode_ = Mode::kLoggingIn;
    rest.remove_prefix(std::min<size_t>(4, rest.size()));
    application_name_ = ReadStartupParameters(rest)["application_name"];
  }
  const auto fault = rules_.Match(trigger, {}, application_name_);
  return !fault || OnRequestFault({*fault, {}}, 0, message.size());
}

bool FaultLink::OnClientMessage(std::string_view message, uint64_t size) {
  const char type = message[0];
  std::string_view rest = message.substr(5);
  std::string text;
  std::optional<FaultTrigger> trigger;
  switch (type) {
    case 'p':
      trigger = FaultTrigger::kPassword;
      break;
    case 'P': {
      const std::string name(TakeText(rest));
      text = TakeText(rest).substr(0, kKeptText);
      statements_[name] = text;
      trigger = FaultTrigger::kParse;
      break;
    }
    case 'B': {
      const std::string portal(TakeText(rest));
      portals_[portal] = statements_[std::string(TakeText(rest))];
      break;
    }
    case 'C':
      if (!rest.empty() && rest[0] == 'S') statements_.erase(std::string(TakeText(rest = rest.substr(1))));
      break;
    case 'E':
      text = portals_[std::string(TakeText(rest))];
      trigger = FaultTrigger::kStatement;
      break;
    case 'Q':
      text = TakeText(rest).substr(0, kKeptText);
      trigger = FaultTrigger::kStatement;
      break;
    case 'S':
      if (after_sync_) to_server_.at_message_end = std::exchange(after_sync_, {});
      break;
    default:
      break;
  }
  if (std::string_view("PBDCESQ").find(type) != std::string_view::npos) expected_.push_back({.request = type});
  if (!trigger) return true;
  const auto fault = rules_.Match(*trigger, text, application_name_);
  return !fault || OnRequestFault({*fault, std::move(text)}, type, size);
}

// Tells whether the request is to be passed on. `type` is 0 before the login is over.
bool FaultLink::OnRequestFault(const Due& due, char type, uint64_t size) {
  const FaultRule& rule = *due.fault.rule;
  switch (rule.point) {
    case FaultPoint::kBeforeRequest:
      if (rule.act == FaultAct::kDelay) {
        rules_.Tell(due.fault, number_, due.statement);
        to_server_.held_until = Clock::now() + rule.delay;
        return true;
      }
      if (rule.act == FaultAct::kSlow) {
        SlowDown(due);
        return true;
      }
      if (rule.act == FaultAct::kError && mode_ == Mode::kStatements) {
        // In its place the server gets something that fails, so that its transaction fails too and it skips what is
        // behind, as it would have.
        to_server_.out += type == 'Q' ? MakeMessage('Q', std::string_view("injected fault\0", 15))
                                      : MakeMessage('E', std::string_view("injected fault\0\0\0\0\0", 19));
        expected_.back().due = due;
        expected_.back().replaced = true;
        return false;
      }
      Happen(due);
      return false;
    case FaultPoint::kInRequest:
      to_server_.budget = std::min<uint64_t>(rule.bytes, size - 1);
      to_server_.at_budget = due;
      return true;
    case FaultPoint::kAfterRequest:
      // Nothing is sure to run before the Sync behind it.
      (type == 'E' || type == 'P' ? after_sync_ : to_server_.at_message_end) = due;
      return true;
    default:
      expected_.back().due = due;
      return true;
  }
}

bool FaultLink::OnServerMessage(char type) {
  if (mode_ == Mode::kLoggingIn) {
    if (type == 'Z') mode_ = Mode::kStatements;
    return true;
  }
  if (withheld_) return OnWithheld(type);
  if (IsAsynchronous(type) || expected_.empty()) return true;
  Expected& front = expected_.front();
  if (front.due && !front.begun) {
    front.begun = true;
    const Due due = *front.due;
    if (front.replaced) {
      withheld_ = due;
      return OnWithheld(type);
    }
    if (OnReplyFault(due)) return withheld_ ? OnWithheld(type) : false;
  }
  if (Settle(type)) {
    if (after_reply_) to_client_.at_message_end = std::exchange(after_reply_, {});
    if (to_client_.budget) {
      to_client_.budget.reset();
      to_client_.at_message_end = std::exchange(to_client_.at_budget, {});
    }
  }
  return true;
}

// The first message of a reply has come. Tells whether it is to be kept back.
bool FaultLink::OnReplyFault(const Due& due) {
  const FaultRule& rule = *due.fault.rule;
  switch (rule.point) {
    case FaultPoint::kInReply:
      if (rule.bytes == 0) {
        Happen(due);
        return true;
      }
      to_client_.budget = rule.bytes;
      to_client_.at_budget = due;
      return false;
    case FaultPoint::kAfterReply:
      after_reply_ = due;
      return false;
    default:
      break;
  }
  if (rule.act == FaultAct::kDelay) {
    rules_.Tell(due.fault, number_, due.statement);
    to_client_.held_until = Clock::now() + rule.delay;
    return false;
  }
  if (rule.act == FaultAct::kSlow) {
    SlowDown(due);
    return false;
  }
  withheld_ = due;
  return true;
}

bool FaultLink::OnWithheld(char type) {
  const bool end = !IsAsynchronous(type) && Settle(type);
  if (!end) return false;
  const Due due = *std::exchange(withheld_, {});
  Happen(due);
  return state_ == State::kServing;  // after an error that is not fatal: ReadyForQuery, with the transaction's state
}

bool FaultLink::Settle(char type) {
  if (type == 'E') {
    // What is behind a failed request is skipped, up to the next Sync.
    while (!expected_.empty() && expected_.front().request != 'S' && expected_.front().request != 'Q') {
      const Expected& front = expected_.front();
      if (front.due && !front.begun) rules_.GiveBack(front.due->fault);
      expected_.pop_front();
    }
    return false;
  }
  if (expected_.empty() || !Settles(expected_.front().request, type)) return false;
  expected_.pop_front();
  return type == 'Z';
}

}  // namespace engine::db::test

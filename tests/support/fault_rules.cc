#include "tests/support/fault_rules.h"

#include <array>
#include <stdexcept>

namespace engine::db::test {
namespace {

constexpr size_t kMatched = 1000;  // bytes of a statement: std::regex recurses, a long text would end the stack
constexpr size_t kShown = 120;
constexpr size_t kJournalLines = 1000;

constexpr std::array<const char*, 6> kPoints = {"before the request", "within the request", "after the request",
                                                "before the reply",   "within the reply",   "after the reply"};
constexpr std::array<const char*, 6> kActs = {"cut", "closed", "black hole", "error", "delay", "slow"};
constexpr std::array<const char*, 6> kTriggers = {"connecting",  "the startup", "the password",
                                                  "a statement", "a Parse",     "a cancel request"};

void Require(bool condition, const char* what) {
  if (!condition) throw std::invalid_argument(what);
}

void Check(const FaultRule& rule) {
  const bool of_statement = rule.trigger == FaultTrigger::kStatement || rule.trigger == FaultTrigger::kParse;
  const bool at_request = rule.point == FaultPoint::kBeforeRequest;
  const bool at_reply = rule.point == FaultPoint::kBeforeReply;
  Require(of_statement || rule.statement.empty(), "only statements have a text");
  Require(of_statement || rule.point <= FaultPoint::kAfterRequest, "only statements have a reply");
  Require(rule.trigger != FaultTrigger::kConnect || at_request, "connecting has no request");
  Require(rule.skip >= 0 && rule.times >= 0, "skip or times is negative");
  switch (rule.act) {
    case FaultAct::kCut:
    case FaultAct::kClose:
    case FaultAct::kBlackHole:
      break;
    case FaultAct::kError:
      Require(at_request || at_reply, "an error comes in place of the request or of the reply");
      Require(of_statement || rule.error.severity == "FATAL", "an error before the first statement is FATAL");
      Require(rule.trigger != FaultTrigger::kCancel, "a cancel request has no reply");
      break;
    case FaultAct::kDelay:
    case FaultAct::kSlow:
      Require(at_request || at_reply, "a delay comes before the request or before the reply");
      Require(rule.slice_bytes > 0, "slice_bytes is 0");
  }
}

}  // namespace

FaultProxy::RuleId FaultRules::Add(const FaultRule& rule) {
  Check(rule);
  Entry entry;
  entry.rule = std::make_shared<const FaultRule>(rule);
  try {
    entry.pattern = std::regex(rule.statement, std::regex::ECMAScript | std::regex::icase);
  } catch (const std::regex_error& error) {
    throw std::invalid_argument(rule.statement + ": " + error.what());
  }
  entry.to_skip = rule.skip;
  entry.left = rule.times;
  const std::lock_guard lock(mutex_);
  entries_[next_id_] = std::move(entry);
  return next_id_++;
}

void FaultRules::Remove(FaultProxy::RuleId id) {
  const std::lock_guard lock(mutex_);
  entries_.erase(id);
}

void FaultRules::Clear() {
  const std::lock_guard lock(mutex_);
  entries_.clear();
}

std::optional<Fault> FaultRules::Match(FaultTrigger trigger, std::string_view statement,
                                       std::string_view application_name) {
  const std::string_view matched = statement.substr(0, kMatched);
  const std::lock_guard lock(mutex_);
  for (auto& [id, entry] : entries_) {
    const FaultRule& rule = *entry.rule;
    if (entry.left == 0 || rule.trigger != trigger) continue;
    if (!rule.application_name.empty() && rule.application_name != application_name) continue;
    if (!rule.statement.empty() && !std::regex_search(matched.begin(), matched.end(), entry.pattern)) continue;
    if (entry.to_skip > 0) {
      --entry.to_skip;
      continue;
    }
    --entry.left;
    return Fault{id, entry.rule};
  }
  return std::nullopt;
}

void FaultRules::GiveBack(const Fault& fault) {
  const std::lock_guard lock(mutex_);
  if (const auto found = entries_.find(fault.id); found != entries_.end()) ++found->second.left;
}

void FaultRules::Tell(const Fault& fault, int link, std::string_view statement) {
  const FaultRule& rule = *fault.rule;
  std::string line = "link " + std::to_string(link) + ": " + kActs[static_cast<size_t>(rule.act)] + " " +
                     kPoints[static_cast<size_t>(rule.point)] + " of " + kTriggers[static_cast<size_t>(rule.trigger)];
  if (!statement.empty()) line.append(": ").append(statement.substr(0, kShown));
  const std::lock_guard lock(mutex_);
  ++fired_[fault.id];
  journal_.push_back(std::move(line));
  if (journal_.size() > kJournalLines) journal_.pop_front();
}

int FaultRules::Fired(FaultProxy::RuleId id) const {
  const std::lock_guard lock(mutex_);
  const auto found = fired_.find(id);
  return found == fired_.end() ? 0 : found->second;
}

std::vector<std::string> FaultRules::Journal() const {
  const std::lock_guard lock(mutex_);
  return {journal_.begin(), journal_.end()};
}

}  // namespace engine::db::test

// Which fault is due. For FaultProxy and its links.
#ifndef ENGINE_DB_TESTS_SUPPORT_FAULT_RULES_H_
#define ENGINE_DB_TESTS_SUPPORT_FAULT_RULES_H_

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/fault_proxy.h"

namespace engine::db::test {

// A rule that was found to match.
struct Fault {
  FaultProxy::RuleId id = 0;
  std::shared_ptr<const FaultRule> rule;
};

// Any thread may call.
class FaultRules {
 public:
  FaultProxy::RuleId Add(const FaultRule& rule);
  void Remove(FaultProxy::RuleId id);
  void Clear();

  // The fault for this event, taken out of its rule's `times`; nothing for most events.
  std::optional<Fault> Match(FaultTrigger trigger, std::string_view statement, std::string_view application_name);
  // It did not come to it: somebody else's error made the server skip the statement.
  void GiveBack(const Fault& fault);
  // It has happened.
  void Tell(const Fault& fault, int link, std::string_view statement);

  int Fired(FaultProxy::RuleId id) const;
  std::vector<std::string> Journal() const;

 private:
  struct Entry {
    std::shared_ptr<const FaultRule> rule;
    std::regex pattern;
    int to_skip = 0;
    int left = 0;
  };

  mutable std::mutex mutex_;
  std::map<FaultProxy::RuleId, Entry> entries_;  // in the order in which they came
  std::map<FaultProxy::RuleId, int> fired_;
  std::deque<std::string> journal_;
  FaultProxy::RuleId next_id_ = 1;
};

}  // namespace engine::db::test

#endif  // ENGINE_DB_TESTS_SUPPORT_FAULT_RULES_H_

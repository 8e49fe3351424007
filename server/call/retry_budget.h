// How many retries a target may see: a server that goes away under load must not be met by a multiple of that load when
// it comes back.
#ifndef ENGINE_DB_SERVER_CALL_RETRY_BUDGET_H_
#define ENGINE_DB_SERVER_CALL_RETRY_BUDGET_H_

#include <algorithm>

namespace engine::db::call {

// One retry for every five calls, and a few in hand for those who call rarely. Loop thread only.
class RetryBudget {
 public:
  void CallStarted() { tokens_ = std::min(kInHand, tokens_ + kForACall); }
  // Whether one more may be made.
  [[nodiscard]] bool Spend() {
    if (tokens_ < 1) return false;
    tokens_ -= 1;
    return true;
  }

 private:
  static constexpr double kForACall = 0.2;
  static constexpr double kInHand = 100;
  double tokens_ = kInHand;
};

}  // namespace engine::db::call

#endif  // ENGINE_DB_SERVER_CALL_RETRY_BUDGET_H_

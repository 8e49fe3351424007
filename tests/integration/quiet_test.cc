// What a call costs that comes after a while without any. It is compared with one that comes soon after another, which
// meets the same machine and the same load.
#include <algorithm>
#include <thread>
#include <vector>

#include "tests/integration/integration_test.h"

namespace engine::db::test {
namespace {

constexpr int kCalls = 16;
// gRPC's threads for callbacks doze off after a second without an event, for 100 ms: it is those that are to be met.
constexpr milliseconds kLong{1050};
constexpr milliseconds kShort{250};
constexpr milliseconds kNoticed{20};

class AfterAQuietSecond : public IntegrationTest {
 protected:
  // Longer than a quarter of the calls take that come after such a pause.
  milliseconds SlowQuarter(milliseconds pause) const {
    using Clock = std::chrono::steady_clock;
    const auto connector = ConnectAsync();
    sync_wait(connector->async_connect());
    const auto call = [&] { return connector->async_execute("SELECT 1"); };
    std::vector<milliseconds> took;
    for (int i = 0; i < kCalls; ++i) {
      // Work for all of the threads, so that they doze off together.
      std::vector<Async<Result>> before;
      for (int k = 0; k < 64; ++k) before.push_back(call());
      for (Async<Result>& one : before) sync_wait(std::move(one));
      std::this_thread::sleep_for(pause);
      const auto begin = Clock::now();
      sync_wait(call());
      took.push_back(std::chrono::duration_cast<milliseconds>(Clock::now() - begin));
    }
    std::sort(took.begin(), took.end(), std::greater<>());
    return took[kCalls / 4];
  }
};

TEST_F(AfterAQuietSecond, AStatementIsNotLate) { EXPECT_LT(SlowQuarter(kLong), SlowQuarter(kShort) + kNoticed); }

}  // namespace
}  // namespace engine::db::test

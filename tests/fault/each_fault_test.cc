// Every kind of fault by itself, again and again, while clients work: what holds of each alone. (The soak mixes them.)
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <memory>
#include <string>

#include "tests/fault/clients.h"
#include "tests/fault/ledger.h"
#include "tests/fault/random_faults.h"
#include "tests/fault/rig.h"
#include "tests/support/wait.h"

namespace engine::db::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kPoolSize = 4;
constexpr const char* kParameterCanary = "canary-in-a-parameter-7731";
constexpr const char* kFieldCanary = "canary-in-an-error-field-9942";

class EachFault : public testing::TestWithParam<std::string> {
 protected:
  static void SetUpTestSuite() {
    rig_ = std::make_unique<FaultRig>(
        std::map<std::string, std::string>{{"max_connections", "40"}, {"deadlock_timeout", "100ms"}});
  }
  static void TearDownTestSuite() { rig_.reset(); }

  static ClientOptions Options() {
    ClientOptions options;
    options.config = rig_->Config(kPoolSize);
    options.config.timeout_ms = 2000;
    options.config.retry = {.max_attempts = 4, .initial_delay_ms = 10, .max_delay_ms = 200};
    options.gateway = rig_->Gateway();
    options.threads = 4;
    options.allowed_overrun = milliseconds(1500);  // no test asserts that a busy machine is fast; the soak measures
    options.secrets = {kParameterCanary, kFieldCanary};
    return options;
  }

  static std::unique_ptr<FaultRig> rig_;
};
std::unique_ptr<FaultRig> EachFault::rig_;

TEST_P(EachFault, HarmsNothing) {
  constexpr int kTimes = 3;
  Ledger ledger(rig_->postgres());
  RandomFaults faults(*rig_, ledger, /*seed=*/7, kFieldCanary);
  ClientReport report;
  int injected = 0;
  {
    Clients clients(ledger, Options());
    ASSERT_TRUE(WaitUntil(seconds(30), [&] { return clients.succeeded() > 20; }));
    for (int attempt = 0; attempt < 2 * kTimes && injected < kTimes; ++attempt) {
      if (faults.Inject(GetParam())) ++injected;
      // What it left behind on the server is gone soon.
      EXPECT_TRUE(WaitUntil(
          seconds(10),
          [&] {
            return rig_->Backends() <= kPoolSize &&
                   rig_->Backends("state LIKE 'idle in transaction%' AND state_change < now() - interval '5 s'") == 0;
          },
          milliseconds(100)))
          << rig_->Backends() << " backends";
    }
    // And work goes on.
    const int64_t before = clients.succeeded();
    EXPECT_TRUE(WaitUntil(seconds(15), [&] { return clients.succeeded() > before + 20; }));
    clients.Stop();
    report = clients.Report();
  }
  EXPECT_GT(injected, 0) << "nobody ran into it";
  EXPECT_TRUE(WaitUntil(
      seconds(15), [&] { return rig_->Backends() == 0; }, milliseconds(100)))
      << rig_->Backends() << " backends are left";
  const Audit audit = ledger.Check();
  EXPECT_EQ(audit.lost, 0);
  EXPECT_EQ(audit.duplicated, 0);
  EXPECT_EQ(audit.wrong_verdicts, 0);
  EXPECT_EQ(audit.missing_verdicts, 0);
  EXPECT_EQ(audit.wrong_balances, 0);
  EXPECT_THAT(audit.violations, testing::IsEmpty());
  EXPECT_THAT(report.violations, testing::IsEmpty());
  const std::string output = rig_->GatewayOutput();
  for (const std::string& secret :
       {std::string(kParameterCanary), std::string(kFieldCanary), rig_->postgres().password()}) {
    EXPECT_EQ(output.find(secret), std::string::npos) << "a secret is in the gateway's output";
  }
  RecordProperty("unknown", static_cast<int>(audit.unknown));
}

std::string TestName(const testing::TestParamInfo<std::string>& info) {
  std::string name;
  bool upper = true;
  for (const char letter : info.param) {
    if (std::isalnum(static_cast<unsigned char>(letter)) == 0) {
      upper = letter != '\'';
      continue;
    }
    name += static_cast<char>(upper ? std::toupper(static_cast<unsigned char>(letter)) : letter);
    upper = false;
  }
  return name;
}

INSTANTIATE_TEST_SUITE_P(Of, EachFault, testing::ValuesIn(RandomFaults::Names()), TestName);

}  // namespace
}  // namespace engine::db::test

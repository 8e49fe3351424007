// A transition that the table of call_state.cc does not have ends the process, and the log says which it was.
#include <string>

#include "server/call/transaction.h"
#include "server/observe/log.h"
#include "tests/unit/call/call_rig.h"

namespace engine::db::test {
namespace {

class CallDeathTest : public CallRig {
 protected:
  // The rig has threads: the process that dies is a new one, not a fork of this.
  CallDeathTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(CallDeathTest, ARunningCallThatIsPutInLineAgainEndsTheProcess) {
  const std::string handle = Begin();
  server_.Once("UPDATE", Answer::Never());
  const CallRecord& record = Run(In(handle, "UPDATE t SET n = 1"));
  call::Call* running = shard_.FindCall(record.id);
  ASSERT_NE(running, nullptr);
  ASSERT_EQ(target().transactions().size(), 1U);
  call::Transaction& transaction = *target().transactions().begin()->second;
  EXPECT_DEATH(
      {
        observe::SetLogLevel(observe::LogLevel::kError);
        running->WaitIn(transaction);
      },
      "impossible transition of a call.*running.*queued in its transaction");
}

}  // namespace
}  // namespace engine::db::test

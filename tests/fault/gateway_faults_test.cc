// The gateway freezes; its clients are killed.
#include <future>

#include "tests/fault/fault_test.h"
#include "tests/support/process.h"
#include "tests/support/temporary_folder.h"

namespace engine::db::test {
namespace {

class GatewayFaults : public FaultTest {};

TEST_F(GatewayFaults, AFrozenGatewayKeepsNoCallPastItsDeadline) {
  CreateTable("n int");
  const auto gateway = StartGateway({});
  PostgresSyncConnector connector(Config(3), At(*gateway));
  connector.connect();
  Transaction transaction = connector.begin_transaction();
  transaction.execute("INSERT INTO " + name() + " VALUES (1)");
  gateway->Signal(SIGSTOP);
  constexpr milliseconds kTimeout{800};
  std::vector<std::future<void>> calls;
  for (int i = 0; i < 6; ++i) {
    calls.push_back(std::async(std::launch::async, [&, i] {
      const auto start = Now();
      const auto error = Catch<DatabaseTimeoutError>([&] {
        connector.execute(i % 2 == 0 ? "SELECT 1" : "INSERT INTO " + name() + " VALUES (2)", {}, {.timeout = kTimeout});
      });
      EXPECT_LT(Since(start), kTimeout + Slack(start));
      EXPECT_NE(error.outcome(), Outcome::kCommitted);
    }));
  }
  for (auto& call : calls) call.get();
  std::this_thread::sleep_for(seconds(3));  // for long enough that leases and pings are looked at
  gateway->Signal(SIGCONT);
  // What was open before is still open, and what was given up has left nothing running.
  transaction.commit();
  EXPECT_TRUE(WaitForBackends(0, "state <> 'idle'"));
  EXPECT_EQ(Number("SELECT count(*) FROM " + name() + " WHERE n = 1"), 1);
  ExpectWorks(connector);
}

TEST_F(GatewayFaults, AFrozenGatewayLeavesNoTransactionOpenThatBeganTooLate) {
  const auto gateway = StartGateway({});
  ConnectionConfig config = Config(3);
  config.timeout_ms = 500;
  PostgresSyncConnector connector(config, At(*gateway));
  connector.connect();
  connector.execute("SELECT 1");
  gateway->Signal(SIGSTOP);
  static_cast<void>(Catch<DatabaseTimeoutError>([&] { connector.begin(); }));
  gateway->Signal(SIGCONT);
  // Answered behind the late Begin.
  connector.execute("SELECT 1", {}, {.timeout = kSoon});
  EXPECT_TRUE(WaitForBackends(0, "state <> 'idle'"));
}

TEST_F(GatewayFaults, AKilledClientLeavesNothingBehind) {
  CreateTable("n int");
  for (const char* what : {"transaction", "stream"}) {
    const TemporaryFolder folder;
    ProcessOptions options;
    options.command = {ENGINE_DB_FAULT_VICTIM,
                       what,
                       Gateway().address(),
                       Postgres().host(),
                       std::to_string(Postgres().port()),
                       name()};
    options.environment = {{"PGPASSWORD", Postgres().password()}};
    options.stdout_file = folder.path() / "out";
    options.stderr_file = folder.path() / "err";
    Process victim(options);
    ASSERT_TRUE(WaitUntil(seconds(60), [&] { return ReadFile(options.stdout_file) == "ready\n"; }))
        << ReadFile(options.stderr_file);
    EXPECT_EQ(Backends("state <> 'idle'"), 1) << what;
    victim.Kill();
    EXPECT_TRUE(WaitForBackends(0)) << what;
    EXPECT_EQ(Rows(), 0);
  }
}

}  // namespace
}  // namespace engine::db::test

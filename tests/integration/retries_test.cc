// What is repeated, what never is, and how: US-006.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <future>

#include "tests/integration/integration_test.h"
#include "tests/support/network.h"

namespace engine::db::test {
namespace {

using testing::HasSubstr;
using testing::Not;

class US006Retries : public IntegrationTest {
 protected:
  void SetUp() override {
    // Fails `failures` times with `code`, then works. A sequence counts the runs, since those are not rolled back.
    Sql("CREATE SEQUENCE " + Runs() + "; CREATE FUNCTION " + name() +
        "_flaky(failures int, code text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN "
        "IF nextval('" +
        Runs() +
        "') <= failures THEN RAISE EXCEPTION 'flaky' USING ERRCODE = code; END IF; "
        "RETURN 42; END $$");
  }
  [[nodiscard]] std::string Runs() const { return name() + "_runs"; }
  [[nodiscard]] std::string Flaky() const { return "SELECT " + name() + "_flaky(?, ?) AS n"; }
  [[nodiscard]] int RunCount() const {
    return Number("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM " + Runs());
  }
};

constexpr RetryConfig kFast{.max_attempts = 5, .initial_delay_ms = 1, .max_delay_ms = 5};

TEST_F(US006Retries, SerializationFailureIsRetried) {
  const auto connector = Connect(Config(2, kFast));
  const Result result = connector->execute(Flaky(), {2, "40001"});
  EXPECT_EQ(result.rows()[0]["n"].as<int>(), 42);
  EXPECT_EQ(result.attempts(), 3U);
  EXPECT_EQ(RunCount(), 3);
}

TEST_F(US006Retries, DeadlockVictimIsRetried) {
  const auto connector = Connect(Config(2, kFast));
  EXPECT_EQ(connector->execute(Flaky(), {1, "40P01"}).attempts(), 2U);
}

TEST_F(US006Retries, AfterMaxRetriesTheErrorIsRaised) {
  const auto connector = Connect(Config(2, kFast));
  const auto error = Catch<DatabaseTransactionError>([&] { connector->execute(Flaky(), {100, "40001"}); });
  EXPECT_EQ(error.sqlstate(), "40001");
  EXPECT_TRUE(error.retryable());
  EXPECT_EQ(RunCount(), 5);
}

TEST_F(US006Retries, NonRetryableErrorsAreNotRetried) {
  const auto connector = Connect(Config(2, kFast));
  for (const char* code : {"42601", "23505", "22012", "XX000"}) {
    const int before = RunCount();
    EXPECT_EQ(Catch<DatabaseExecutionError>([&] { connector->execute(Flaky(), {1000, code}); }).sqlstate(), code);
    EXPECT_EQ(RunCount(), before + 1) << code;
  }
}

TEST_F(US006Retries, RetryCanBeSetForOneCallAndSwitchedOff) {
  const auto connector = Connect(Config(2, kFast));
  static_cast<void>(Catch<DatabaseTransactionError>([&] {
    connector->execute(Flaky(), {1, "40001"}, {.retry = RetryConfig{.max_attempts = 1}});
  }));
  EXPECT_EQ(RunCount(), 1);
}

TEST_F(US006Retries, BackoffDelaysAreApplied) {
  // 20 delays, each a random time up to 100 ms: together a second, and practically never less than 0.3 s.
  const RetryConfig retry{.max_attempts = 21, .initial_delay_ms = 100, .max_delay_ms = 100, .multiplier = 1};
  const auto connector = Connect(Config(2, retry));
  auto start = Now();
  EXPECT_EQ(connector->execute(Flaky(), {20, "40001"}).attempts(), 21U);
  EXPECT_GE(Since(start), milliseconds(300));
  EXPECT_LT(Since(start), milliseconds(2000) + 2 * Slack(start));
  // And without a delay there is none.
  start = Now();
  connector->execute(Flaky(), {40, "40001"},
                     {.retry = RetryConfig{.max_attempts = 21, .initial_delay_ms = 0, .max_delay_ms = 0}});
  EXPECT_LT(Since(start), Slack(start));
}

TEST_F(US006Retries, BackoffNeverOutlivesTheDeadline) {
  const RetryConfig retry{.max_attempts = 100, .initial_delay_ms = 10000, .max_delay_ms = 10000};
  const auto connector = Connect(Config(2, retry));
  const auto start = Now();
  static_cast<void>(Catch([&] { connector->execute(Flaky(), {1000, "40001"}, {.timeout = milliseconds(500)}); }));
  EXPECT_LT(Since(start), milliseconds(500) + Slack(start));
}

TEST_F(US006Retries, NoRetryBeginsPastTheBudget) {
  const RetryConfig retry{
      .max_attempts = 100, .initial_delay_ms = 20, .max_delay_ms = 20, .multiplier = 1, .budget_ms = 300};
  const auto connector = Connect(Config(2, retry));
  const auto ran_up_to_the_budget = [&](auto call) {
    const auto start = Now();
    call();
    EXPECT_GE(Since(start), milliseconds(300));
    EXPECT_LT(Since(start), milliseconds(300) + Slack(start));
  };
  ran_up_to_the_budget([&] {
    const auto error = Catch<DatabaseTransactionError>([&] { connector->execute(Flaky(), {1000, "40001"}); });
    EXPECT_EQ(error.sqlstate(), "40001") << "the last failure, not a timeout";
    EXPECT_EQ(error.outcome(), Outcome::kRolledBack);
  });
  EXPECT_GT(RunCount(), 5);
  EXPECT_LT(RunCount(), 100);
  ran_up_to_the_budget([&] {
    static_cast<void>(Catch<DatabaseTransactionError>([&] {
      connector->run_transaction(
          [&](Transaction& transaction) {
            transaction.execute(Flaky(), {1000, "40001"});
          },
          {}, retry);
    }));
  });
  // Nor is a backend waited for any longer.
  ran_up_to_the_budget([&] {
    ConnectionConfig nobody = Config(2, retry);
    nobody.port = FreePort();
    static_cast<void>(Catch<DatabaseConnectionError>([&] { static_cast<void>(Connect(nobody)); }));
  });
}

TEST_F(US006Retries, InATransactionNothingIsRetriedByItself) {
  const auto connector = Connect(Config(2, kFast));
  connector->begin();
  const auto error = Catch<DatabaseTransactionError>([&] { connector->execute(Flaky(), {1, "40001"}); });
  EXPECT_EQ(error.sqlstate(), "40001");
  EXPECT_EQ(RunCount(), 1);
  connector->rollback();
}

TEST_F(US006Retries, NetworkConnectionDroppedDuringAReadIsRetried) {
  const auto connector = Connect(Config(2, kFast));
  auto running = std::async(std::launch::async, [&] { return connector->execute("SELECT 7 AS n FROM pg_sleep(3)"); });
  ASSERT_TRUE(WaitForBackends(1, "state = 'active' AND query LIKE '%pg_sleep%'"));
  TerminateBackends("state = 'active' AND query LIKE '%pg_sleep%'");
  const Result result = running.get();
  EXPECT_EQ(result.rows()[0]["n"].as<int>(), 7);
  EXPECT_EQ(result.attempts(), 2U);
}

TEST_F(US006Retries, NetworkConnectionDroppedDuringAWriteIsNeverRetried) {
  CreateTable("n int");
  const auto connector = Connect(Config(2, kFast));
  auto running = std::async(std::launch::async, [&] {
    connector->execute("WITH s AS (SELECT nextval('" + Runs() + "')) INSERT INTO " + name() +
                       " SELECT 1 FROM s, pg_sleep(3)");
  });
  ASSERT_TRUE(WaitForBackends(1, "state = 'active' AND query LIKE '%pg_sleep%'"));
  TerminateBackends("state = 'active' AND query LIKE '%pg_sleep%'");
  const auto error = Catch<DatabaseConnectionError>([&] { running.get(); });
  EXPECT_EQ(error.outcome(), Outcome::kUnknown);
  EXPECT_FALSE(error.retryable());
  EXPECT_EQ(error.sqlstate(), "57P01");
  EXPECT_EQ(RunCount(), 1);
  EXPECT_EQ(Rows(), 0);
}

TEST_F(US006Retries, ConnectionRefusedIsRetriedUntilTheServerIsThere) {
  PostgresCluster cluster;  // of its own: it is stopped
  ConnectionConfig config = Config(2, {.max_attempts = 100, .initial_delay_ms = 50, .max_delay_ms = 200});
  config.host = cluster.host();
  config.port = cluster.port();
  const auto connector = Connect(config);
  connector->execute("SELECT 1");
  cluster.Stop();
  auto running = std::async(std::launch::async, [&] { return connector->execute("SELECT 5 AS n"); });
  auto writing = std::async(std::launch::async, [&] { return connector->execute("CREATE TABLE made (n int)"); });
  EXPECT_EQ(running.wait_for(milliseconds(500)), std::future_status::timeout) << "it waits for the server";
  cluster.Start();
  EXPECT_EQ(running.get().rows()[0]["n"].as<int>(), 5);
  writing.get();
  connector->begin();
  connector->execute("INSERT INTO made VALUES (1)");
  connector->commit();
  EXPECT_EQ(cluster.Scalar("SELECT count(*) FROM made"), "1");
}

TEST_F(US006Retries, AfterMaxRetriesOfConnectingTheErrorIsRaised) {
  PostgresCluster cluster;
  ConnectionConfig config = Config(2, {.max_attempts = 3, .initial_delay_ms = 10, .max_delay_ms = 20});
  config.host = cluster.host();
  config.port = cluster.port();
  const auto connector = Connect(config);
  cluster.Stop();
  const auto start = Now();
  const auto error = Catch<DatabaseConnectionError>([&] { connector->execute("SELECT 1"); });
  EXPECT_EQ(error.outcome(), Outcome::kNotExecuted);
  EXPECT_TRUE(error.retryable());
  EXPECT_LT(Since(start), seconds(5));
}

TEST_F(US006Retries, AConnectionTimeoutIsAnErrorInTime) {
  // Takes connections (the kernel does), and never says a word.
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(listener, 16), 0);
  ASSERT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
  ConnectionConfig config = Config(2, kFast);
  config.host = "127.0.0.1";
  config.port = ntohs(address.sin_port);
  config.timeout_ms = 700;
  const auto start = Now();
  const auto error = Catch([&] { static_cast<void>(Connect(config)); });
  close(listener);
  EXPECT_LT(Since(start), milliseconds(700) + Slack(start));
  EXPECT_TRUE(error.kind() == ErrorKind::kConnection || error.kind() == ErrorKind::kTimeout) << error.what();
  EXPECT_EQ(error.outcome(), Outcome::kNotExecuted);
}

TEST_F(US006Retries, RetriesAreTrackedWithoutSensitiveData) {
  const auto retries = [&] {
    double total = 0;
    std::istringstream lines(Gateway().Metrics());
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("engine_db_retries_total{")) total += std::stod(line.substr(line.rfind(' ')));
    }
    return total;
  };
  const auto connector = Connect(Config(2, kFast));
  const double before = retries();
  EXPECT_EQ(
      connector->execute("SELECT " + name() + "_flaky(?, ?), ?::text", {3, "40001", "canary-value-77"}).attempts(), 4U);
  EXPECT_EQ(retries(), before + 3);
  const std::string log = Gateway().Log();
  EXPECT_THAT(log, HasSubstr("retrying"));
  EXPECT_THAT(log, Not(HasSubstr("canary-value-77")));
  EXPECT_THAT(log, Not(HasSubstr(Postgres().password())));
}

}  // namespace
}  // namespace engine::db::test

// What the tests of single faults stand on: those of IntegrationTest, with a link to PostgreSQL that fails on command.
//
// Where the faults of the list are tested, beside this folder (tests/integration): backends terminated at rest, in
// transactions and in streams, restarts (failures_test), during COMMIT (transactions_test), deadlines and 100 racing
// cancels, max_connections (deadlines_test), session state (session_state_test), transactions that nobody ends
// (transactions_test), SIGTERM and SIGKILL of the gateway (shutdown_test), refused statements, NUL, invalid UTF-8,
// nesting (bad_input_test).
#ifndef ENGINE_DB_TESTS_FAULT_FAULT_TEST_H_
#define ENGINE_DB_TESTS_FAULT_FAULT_TEST_H_

#include <memory>
#include <string>

#include "tests/integration/integration_test.h"
#include "tests/support/fault_proxy.h"
#include "tests/support/wait.h"

namespace engine::db::test {

class FaultTest : public IntegrationTest {
 protected:
  void TearDown() override {
    proxy_.Heal();
    IntegrationTest::TearDown();
  }

  [[nodiscard]] FaultProxy& proxy() { return proxy_; }

  // As IntegrationTest::Config(), through the proxy. One attempt unless told otherwise.
  [[nodiscard]] ConnectionConfig Faulty(int max_pool_size = 2, const RetryConfig& retry = {.max_attempts = 1}) const {
    ConnectionConfig config = Config(max_pool_size, retry);
    config.host = proxy_.host();
    config.port = proxy_.port();
    return config;
  }

  // Resets all links, and waits until that has happened: what is sent next meets no link that is just about to break.
  void CutAll() {
    proxy_.CutAll();
    EXPECT_TRUE(WaitUntil(kSoon, [&] { return proxy_.open_links() == 0; }));
  }

  // Whether a failure's outcome agrees with what is there.
  static void ExpectTruth(const DatabaseError& error, bool there) {
    const std::string shown = std::string(to_string(error.outcome())) + ": " + error.reason() + " " + error.what();
    if (there) {
      EXPECT_TRUE(error.outcome() == Outcome::kUnknown || error.outcome() == Outcome::kCommitted) << shown;
    } else {
      EXPECT_NE(error.outcome(), Outcome::kCommitted) << shown;
      EXPECT_NE(error.outcome(), Outcome::kUnspecified) << shown;
    }
  }

  // The connector still serves.
  static void ExpectWorks(PostgresSyncConnector& connector) {
    EXPECT_EQ(connector.execute("SELECT ?::int AS n", {5}, {.retry = RetryConfig{}}).rows()[0]["n"].as<int>(), 5);
  }

 private:
  FaultProxy proxy_{Postgres().host(), Postgres().port()};
};

}  // namespace engine::db::test

#endif  // ENGINE_DB_TESTS_FAULT_FAULT_TEST_H_

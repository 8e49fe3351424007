// /metrics: every series that is advertised is there, and moves; and nothing secret is in it, or in the log.
#include <set>
#include <sstream>

#include "tests/integration/gateway_calls.h"

namespace engine::db::test {
namespace {

using testing::HasSubstr;
using testing::Not;

class MetricsEndpoint : public GatewayCallsTest {
 protected:
  // The sum of all series of a family whose labels hold `label`.
  static double Sum(const std::string& family, const std::string& label = "") {
    double sum = 0;
    std::istringstream lines(Gateway().Metrics());
    for (std::string line; std::getline(lines, line);) {
      const bool is_family = line.starts_with(family) && (line[family.size()] == '{' || line[family.size()] == ' ');
      if (is_family && line.find(label) != std::string::npos) sum += std::stod(line.substr(line.rfind(' ')));
    }
    return sum;
  }
};

TEST_F(MetricsEndpoint, EverySeriesIsThere) {
  const std::string connection = Open();
  ASSERT_TRUE(Execute(connection, "SELECT 1").ok());
  const std::string metrics = Gateway().Metrics();
  for (const char* family : {"engine_db_build_info",
                             "engine_db_call_duration_seconds_bucket",
                             "engine_db_call_duration_seconds_sum",
                             "engine_db_calls_total",
                             "engine_db_pool_max_size",
                             "engine_db_pool_backends",
                             "engine_db_pool_waiting",
                             "engine_db_pool_wait_seconds_bucket",
                             "engine_db_pool_exhausted_total",
                             "engine_db_pool_wait_timeouts_total",
                             "engine_db_pool_backends_opened_total",
                             "engine_db_pool_open_failures_total",
                             "engine_db_pool_backends_closed_total",
                             "engine_db_pool_resets_total",
                             "engine_db_statements_total",
                             "engine_db_retries_total",
                             "engine_db_retries_denied_total",
                             "engine_db_cancels_total",
                             "engine_db_rows_total",
                             "engine_db_sent_bytes_total",
                             "engine_db_received_bytes_total",
                             "engine_db_transactions_open",
                             "engine_db_transactions_total",
                             "engine_db_commits_resolved_total",
                             "engine_db_connections",
                             "engine_db_sessions",
                             "engine_db_draining"}) {
    EXPECT_THAT(metrics, HasSubstr(std::string("\n") + family)) << family;
  }
}

TEST_F(MetricsEndpoint, TheyMove) {
  const auto calls = [](const char* labels) { return Sum("engine_db_calls_total", labels); };
  const double executes = calls("method=\"Execute\"");
  EXPECT_EQ(Sum("engine_db_connections"), 0);
  const std::string connection = Open(3);
  EXPECT_EQ(Sum("engine_db_connections"), 1);
  EXPECT_EQ(Sum("engine_db_pool_max_size"), 3);
  EXPECT_GE(Sum("engine_db_pool_backends_opened_total"), 1);
  ASSERT_TRUE(Execute(connection, "SELECT n, 'some text' FROM generate_series(1, 100) n").ok());
  EXPECT_EQ(calls("method=\"Execute\""), executes + 1);
  EXPECT_EQ(Sum("engine_db_rows_total"), 100);
  EXPECT_GE(Sum("engine_db_received_bytes_total"), 900);
  EXPECT_EQ(Sum("engine_db_statements_total"), 1);
  EXPECT_GE(Sum("engine_db_pool_wait_seconds_count"), 1);
  ASSERT_TRUE(Execute(connection, "SELECT length(?::text)", {Text(std::string(5000, 'x'))}).ok());
  EXPECT_GE(Sum("engine_db_sent_bytes_total"), 5000);

  ASSERT_FALSE(Execute(connection, "SELECT 1/0").ok());
  EXPECT_EQ(Sum("engine_db_calls_total", "xecution"), 1);
  ASSERT_TRUE(Execute(connection, "SET work_mem = '8MB'").ok());
  EXPECT_TRUE(WaitUntil(kSoon, [] { return Sum("engine_db_pool_resets_total") == 1; }));
  ASSERT_FALSE(Execute(connection, "SELECT pg_sleep(60)", {}, milliseconds(200)).ok());
  EXPECT_TRUE(WaitUntil(kSoon, [] { return Sum("engine_db_cancels_total") == 1; }));

  v1::TransactionOptions options;
  const auto begun = Begin(connection, options);
  ASSERT_TRUE(begun.ok());
  EXPECT_EQ(Sum("engine_db_transactions_open"), 1);
  EXPECT_EQ(Sum("engine_db_pool_backends", "leased"), 1);
  ASSERT_TRUE(Commit(connection, begun.response.transaction_id()).ok());
  EXPECT_EQ(Sum("engine_db_transactions_open"), 0);
  EXPECT_EQ(Sum("engine_db_transactions_total", "ommitted"), 1);
  options.set_idle_timeout_ms(100);
  ASSERT_TRUE(Begin(connection, options).ok());
  EXPECT_TRUE(WaitUntil(kSoon, [] { return Sum("engine_db_transactions_total", "xpired") == 1; }));

  EXPECT_EQ(Sum("engine_db_sessions"), 0);
  {
    const auto connector = Connect();
    EXPECT_EQ(Sum("engine_db_sessions"), 1);
  }
  EXPECT_TRUE(WaitUntil(kSoon, [] { return Sum("engine_db_sessions") == 0; }));
  EXPECT_TRUE(Close(connection).ok());
  EXPECT_EQ(Sum("engine_db_connections"), 0);
}

TEST_F(MetricsEndpoint, NoSecretIsInMetricsLogsOrListings) {
  const std::string canary = "canary-secret-1234";
  v1::ConnectRequest wrong = ConnectTo();
  wrong.mutable_config()->set_password(canary);
  EXPECT_FALSE(Call(&Stub::Connect, wrong).ok());
  const std::string connection = Open();
  ASSERT_TRUE(Execute(connection, "SELECT ?::text", {Text(canary)}).ok());
  ASSERT_TRUE(Execute(connection, "SELECT '" + canary + "'").ok());
  ASSERT_FALSE(Execute(connection, "SELECT ?::int", {Text(canary)}).ok());
  ASSERT_FALSE(Execute(connection, "SELECT '" + canary + "'::int").ok());
  ASSERT_FALSE(Execute(connection, "SELECT '" + canary + "' FORM x y z").ok());
  ASSERT_FALSE(Execute(connection, "SELECT pg_sleep(60), ?::text", {Text(canary)}, milliseconds(100)).ok());
  const auto begun = Begin(connection);
  ASSERT_TRUE(begun.ok());
  ASSERT_TRUE(ExecuteIn(connection, begun.response.transaction_id(), "SELECT '" + canary + "'").ok());
  v1::ListTransactionsResponse transactions;
  v1::ListStatementsResponse statements;
  v1::ListPoolsResponse pools;
  {
    grpc::ClientContext context;
    ASSERT_TRUE(admin().ListTransactions(&context, {}, &transactions).ok());
  }
  {
    grpc::ClientContext context;
    ASSERT_TRUE(admin().ListStatements(&context, {}, &statements).ok());
  }
  {
    grpc::ClientContext context;
    ASSERT_TRUE(admin().ListPools(&context, {}, &pools).ok());
  }
  TerminateBackends();  // faults are logged
  EXPECT_TRUE(Rollback(connection, begun.response.transaction_id()).ok());
  const std::string everything = Gateway().Metrics() + Gateway().Log() + Gateway().Output() +
                                 transactions.DebugString() + statements.DebugString() + pools.DebugString();
  EXPECT_THAT(everything, Not(HasSubstr(canary)));
  EXPECT_THAT(everything, Not(HasSubstr("canary")));
  EXPECT_THAT(everything, Not(HasSubstr(Postgres().password())));
  EXPECT_THAT(everything, Not(HasSubstr(connection))) << "handles are never logged whole";
  EXPECT_THAT(everything, Not(HasSubstr(begun.response.transaction_id())));
}

}  // namespace
}  // namespace engine::db::test

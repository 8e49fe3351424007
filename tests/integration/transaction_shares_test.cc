// One connection's open transactions can't keep all others out of the pool.
#include <future>

#include "tests/integration/gateway_calls.h"

namespace engine::db::test {
namespace {

using grpc::StatusCode;
using testing::HasSubstr;

class TransactionShares : public GatewayCallsTest {
 protected:
  // Of a pool of five, transactions may hold four, and one of several connections three.
  static constexpr int kPool = 5;

  Answer<v1::BeginResponse> BeginWithin(const std::string& connection, int timeout_ms) {
    v1::BeginRequest request;
    request.set_connection_id(connection);
    request.set_timeout_ms(static_cast<uint32_t>(timeout_ms));
    return Call(&Stub::Begin, request, seconds(60));
  }
};

TEST_F(TransactionShares, WhileOthersUseThePoolEachHasThreeQuarters) {
  const std::string greedy = Open(kPool);
  const std::string modest = Open(kPool);
  std::vector<std::string> held;
  for (int i = 0; i < 3; ++i) held.push_back(BeginWithin(greedy, 20'000).response.transaction_id());
  const Failure failure = ExpectFailure(BeginWithin(greedy, 200).status, StatusCode::DEADLINE_EXCEEDED,
                                        v1::ERROR_KIND_TIMEOUT, "TRANSACTION_SHARE_EXHAUSTED");
  EXPECT_EQ(failure.error.outcome(), v1::OUTCOME_NOT_EXECUTED);
  EXPECT_THAT(failure.message, HasSubstr("has 3 transactions open"));
  const auto other = BeginWithin(modest, 20'000);
  EXPECT_TRUE(other.ok()) << other.status.error_message();

  // The next of its transactions begins when one of them ends.
  auto waiting = std::async(std::launch::async, [&] { return BeginWithin(greedy, 20'000); });
  EXPECT_TRUE(Rollback(greedy, held[0]).ok());
  const auto next = waiting.get();
  EXPECT_TRUE(next.ok()) << next.status.error_message();
  EXPECT_TRUE(Execute(greedy, "SELECT 1").ok()) << "statements outside of transactions are another matter";
}

TEST_F(TransactionShares, TooManyWhoWaitAreRefusedAtOnce) {
  const auto gateway = StartGateway({{"ENGINE_DB_LIMITS_WAITERS", "3"}});
  PostgresAsyncConnector greedy(Config(kPool), At(*gateway));
  sync_wait(greedy.async_connect());
  PostgresSyncConnector modest(Config(kPool), At(*gateway));
  modest.connect();
  std::vector<AsyncTransaction> held;
  for (int i = 0; i < 3; ++i) held.push_back(sync_wait(greedy.async_begin_transaction()));
  std::vector<std::future<AsyncTransaction>> waiting;
  for (int i = 0; i < 3; ++i) waiting.push_back(greedy.async_begin_transaction().future());
  for (int i = 0; i < 100; ++i) {
    const auto start = Now();
    const auto error = Catch<DatabaseConnectionError>([&] { sync_wait(greedy.async_begin_transaction()); });
    EXPECT_LT(Since(start), Slack(start));
    ASSERT_EQ(error.reason(), "TRANSACTION_SHARE_EXHAUSTED");
    EXPECT_EQ(error.outcome(), Outcome::kNotExecuted);
    EXPECT_TRUE(error.retryable());
    EXPECT_THAT(error.what(), HasSubstr("has 3 transactions open"));
  }
  modest.begin();
  // Those who wait are not forgotten.
  for (int i = 0; i < 3; ++i) {
    sync_wait(held[static_cast<size_t>(i)].async_rollback());
    sync_wait(waiting[static_cast<size_t>(i)].get().async_rollback());
  }
}

TEST_F(TransactionShares, ByItselfAConnectionHasThemAll) {
  const std::string alone = Open(kPool);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(BeginWithin(alone, 20'000).ok());
}

TEST_F(TransactionShares, WhoWaitsGetsMoreWhenTheOthersAreGone) {
  const std::string stays = Open(kPool);
  const std::string goes = Open(kPool);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(BeginWithin(stays, 20'000).ok());
  auto waiting = std::async(std::launch::async, [&] { return BeginWithin(stays, 20'000); });
  EXPECT_TRUE(Close(goes).ok());
  EXPECT_TRUE(waiting.get().ok());
}

TEST_F(TransactionShares, AClosedConnectionsWaitersAreToldAtOnce) {
  const std::string greedy = Open(kPool);
  const std::string other = Open(kPool);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(BeginWithin(greedy, 20'000).ok());
  auto waiting = std::async(std::launch::async, [&] { return BeginWithin(greedy, 50'000); });
  EXPECT_TRUE(Execute(other, "SELECT pg_sleep(0.2)").ok());
  EXPECT_TRUE(Close(greedy).ok());
  EXPECT_FALSE(waiting.get().ok());
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(BeginWithin(other, 20'000).ok());
}

}  // namespace
}  // namespace engine::db::test

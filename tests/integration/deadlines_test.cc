// Deadlines and cancellation reach PostgreSQL, wherever the call is; and queues say why.
#include <atomic>
#include <future>
#include <map>
#include <thread>

#include "tests/integration/gateway_calls.h"

namespace engine::db::test {
namespace {

using grpc::StatusCode;
using testing::HasSubstr;

class Deadlines : public GatewayCallsTest {};

TEST_F(Deadlines, ReachPostgreSql) {
  CreateTable("n int");
  const std::string connection = Open();
  // A read, which may share its backend, and a write, which does not.
  for (const std::string& sql :
       {std::string("SELECT pg_sleep(60)"), "INSERT INTO " + name() + " SELECT 1 FROM pg_sleep(60)"}) {
    const auto start = Now();
    const auto answer = Execute(connection, sql, {}, milliseconds(200));
    EXPECT_EQ(answer.status.error_code(), StatusCode::DEADLINE_EXCEEDED);
    EXPECT_LT(Since(start), milliseconds(200) + Slack(start));
    EXPECT_TRUE(WaitForBackends(0, "state = 'active'", seconds(5))) << sql;
  }
  EXPECT_EQ(Rows(), 0);
  EXPECT_TRUE(Execute(connection, "SELECT 1").ok());
}

TEST_F(Deadlines, OfTheGatewaysOwnAreToldInFull) {
  const std::string connection = Open();
  v1::ExecuteRequest request;
  request.set_connection_id(connection);
  request.set_sql("DO $$ BEGIN PERFORM pg_sleep(60); END $$");
  request.set_timeout_ms(200);
  const Failure failure = ExpectFailure(Call(&Stub::Execute, request).status, StatusCode::DEADLINE_EXCEEDED,
                                        v1::ERROR_KIND_TIMEOUT, "DEADLINE_EXCEEDED");
  EXPECT_EQ(failure.error.phase(), v1::PHASE_EXECUTING);
  EXPECT_EQ(failure.error.outcome(), v1::OUTCOME_ROLLED_BACK);
  EXPECT_FALSE(failure.error.retryable());
}

TEST_F(Deadlines, EndALockWait) {
  CreateTable("n int");
  Sql("INSERT INTO " + name() + " VALUES (1)");
  const std::string connection = Open();
  const auto holder = Begin(connection);
  ASSERT_TRUE(holder.ok());
  ASSERT_TRUE(ExecuteIn(connection, holder.response.transaction_id(), "UPDATE " + name() + " SET n = 2").ok());
  const auto start = Now();
  v1::ExecuteRequest request;
  request.set_connection_id(connection);
  request.set_sql("UPDATE " + name() + " SET n = 3");
  request.set_timeout_ms(300);  // the gateway's word, rather than gRPC's own on this side: it is cancelled by then
  const Failure failure = ExpectFailure(Call(&Stub::Execute, request).status, StatusCode::DEADLINE_EXCEEDED,
                                        v1::ERROR_KIND_TIMEOUT, "DEADLINE_EXCEEDED");
  EXPECT_EQ(failure.error.outcome(), v1::OUTCOME_ROLLED_BACK);
  EXPECT_LT(Since(start), milliseconds(300) + Slack(start));
  ASSERT_TRUE(Commit(connection, holder.response.transaction_id()).ok());
  EXPECT_TRUE(WaitForBackends(0, "state = 'active'"));
  EXPECT_EQ(Number("SELECT n FROM " + name()), 2);
}

TEST_F(Deadlines, InTheQueueSayWhoHoldsTheBackends) {
  const std::string connection = Open(1);
  const auto holder = Begin(connection);
  ASSERT_TRUE(holder.ok());
  ASSERT_TRUE(ExecuteIn(connection, holder.response.transaction_id(), "SELECT 1").ok());
  for (const char* sql : {"SELECT 1", "CREATE TABLE never_made (n int)"}) {
    v1::ExecuteRequest request;
    request.set_connection_id(connection);
    request.set_sql(sql);
    request.set_timeout_ms(200);
    const auto start = Now();
    const Failure failure = Decode(Call(&Stub::Execute, request).status);
    EXPECT_LT(Since(start), milliseconds(200) + Slack(start));
    EXPECT_EQ(failure.code, StatusCode::DEADLINE_EXCEEDED);
    EXPECT_EQ(failure.error.kind(), v1::ERROR_KIND_TIMEOUT);
    EXPECT_EQ(failure.error.phase(), v1::PHASE_QUEUED);
    EXPECT_EQ(failure.error.outcome(), v1::OUTCOME_NOT_EXECUTED);
    EXPECT_THAT(failure.message, HasSubstr("1 of 1 backends in use"));
    EXPECT_THAT(failure.message, HasSubstr("a transaction for"));
  }
  ASSERT_TRUE(Rollback(connection, holder.response.transaction_id()).ok());
  EXPECT_TRUE(Execute(connection, "SELECT 1").ok());
}

TEST_F(Deadlines, ADeadlineThatHasPassedRunsNothing) {
  CreateTable("n int");
  const std::string connection = Open();
  EXPECT_EQ(Execute(connection, "INSERT INTO " + name() + " VALUES (1)", {}, milliseconds(-100)).status.error_code(),
            StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(Rows(), 0);
}

class Cancellation : public GatewayCallsTest {
 protected:
  // A call that is cancelled once it runs on the server.
  grpc::StatusCode CancelRunning(const std::string& connection, const std::string& sql) {
    grpc::ClientContext context;
    v1::ExecuteRequest request;
    request.set_connection_id(connection);
    request.set_sql(sql);
    v1::ExecuteResponse response;
    grpc::Status status;
    std::thread caller([&] { status = stub().Execute(&context, request, &response); });
    EXPECT_TRUE(WaitForBackends(1, "state = 'active'"));
    context.TryCancel();
    caller.join();
    return status.error_code();
  }
};

TEST_F(Cancellation, ReachesPostgreSql) {
  CreateTable("n int");
  const std::string connection = Open();
  EXPECT_EQ(CancelRunning(connection, "SELECT pg_sleep(60)"), StatusCode::CANCELLED);
  EXPECT_TRUE(WaitForBackends(0, "state = 'active'", seconds(5)));
  EXPECT_EQ(CancelRunning(connection, "INSERT INTO " + name() + " SELECT 1 FROM pg_sleep(60)"), StatusCode::CANCELLED);
  EXPECT_TRUE(WaitForBackends(0, "state = 'active'", seconds(5)));
  EXPECT_EQ(Rows(), 0);
}

TEST_F(Cancellation, OfAQueuedCallLeavesTheQueue) {
  const std::string connection = Open(1);
  const auto holder = Begin(connection);
  ASSERT_TRUE(holder.ok());
  grpc::ClientContext context;
  v1::ExecuteRequest request;
  request.set_connection_id(connection);
  request.set_sql("SELECT 1");
  v1::ExecuteResponse response;
  grpc::Status status;
  std::thread caller([&] { status = stub().Execute(&context, request, &response); });
  const auto waiting = [&] {
    grpc::ClientContext admin_context;
    v1::ListPoolsResponse pools;
    return admin().ListPools(&admin_context, {}, &pools).ok() && pools.pools_size() == 1 ? pools.pools(0).waiting()
                                                                                         : 999;
  };
  EXPECT_TRUE(WaitUntil(kSoon, [&] { return waiting() == 1; }));
  context.TryCancel();
  caller.join();
  EXPECT_EQ(status.error_code(), StatusCode::CANCELLED);
  EXPECT_TRUE(WaitUntil(kSoon, [&] { return waiting() == 0; }));
  EXPECT_TRUE(Rollback(connection, holder.response.transaction_id()).ok());
}

// Cancels race with the ends of the statements and the reuse of the backends: whoever comes next must never be hit.
void RaceCancels(PostgresSyncConnector& connector, const std::string& cancelled_sql, const std::string& victim_sql) {
  std::atomic<int> hit = 0;
  std::atomic<bool> done = false;
  std::vector<std::thread> victims;
  victims.reserve(2);
  for (int t = 0; t < 2; ++t) {
    victims.emplace_back([&] {
      while (!done) {
        try {
          connector.execute(victim_sql);
        } catch (const DatabaseError& error) {
          ++hit;
          ADD_FAILURE() << "a bystander was hit: " << error.sqlstate() << " " << error.what();
          return;
        }
      }
    });
  }
  for (int i = 0; i < 100; ++i) {
    std::stop_source stop;
    auto call = std::async(std::launch::async, [&] {
      try {
        connector.execute(cancelled_sql, {}, {.stop = stop.get_token()});
      } catch (const DatabaseTimeoutError&) {  // that is what was asked for; so is a result
      }
    });
    std::this_thread::sleep_for(std::chrono::microseconds(i * 40));
    stop.request_stop();
    call.get();
  }
  done = true;
  for (std::thread& victim : victims) victim.join();
  EXPECT_EQ(hit, 0);
}

TEST_F(Cancellation, NeverHitsTheNextRead) {
  const auto connector = Connect(Config(2));
  RaceCancels(*connector, "SELECT 1 FROM pg_sleep(0.002)", "SELECT 1 FROM pg_sleep(0.001)");
}

TEST_F(Cancellation, NeverHitsTheNextWrite) {
  CreateTable("n int");
  const auto connector = Connect(Config(2));
  RaceCancels(*connector, "INSERT INTO " + name() + " SELECT 1 FROM pg_sleep(0.002)",
              "INSERT INTO " + name() + " SELECT 2 FROM pg_sleep(0.001)");
}

TEST_F(Cancellation, NeverHitsTheNextStatementOfItsTransaction) {
  const auto connector = Connect(Config(2));
  for (int i = 0; i < 60; ++i) {
    Transaction transaction = connector->begin_transaction();
    transaction.savepoint("s");
    std::stop_source stop;
    auto call = std::async(std::launch::async, [&] {
      try {
        transaction.execute("SELECT pg_sleep(0.002)", {}, {.stop = stop.get_token()});
      } catch (const DatabaseTimeoutError&) {
      }
    });
    std::this_thread::sleep_for(std::chrono::microseconds(i * 80));
    stop.request_stop();
    call.get();
    transaction.rollback_to("s");
    EXPECT_EQ(transaction.execute("SELECT 7 AS n FROM pg_sleep(0.001)").rows()[0]["n"].as<int>(), 7);
    transaction.commit();
  }
}

class Exhaustion : public GatewayCallsTest {};

TEST_F(Exhaustion, AFullQueueRefusesAtOnceAndSaysWhoHoldsTheBackends) {
  const auto gateway = StartGateway({{"ENGINE_DB_LIMITS_WAITERS", "3"}});
  PostgresAsyncConnector connector(Config(1), At(*gateway));
  sync_wait(connector.async_connect());
  AsyncTransaction holder = sync_wait(connector.async_begin_transaction());
  sync_wait(holder.async_execute("SELECT 1"));
  std::vector<std::future<Result>> waiting;
  waiting.reserve(3);
  for (int i = 0; i < 3; ++i) waiting.push_back(connector.async_execute("SELECT 1 AS n").future());
  const auto start = Now();
  const auto error = Catch<DatabaseConnectionError>([&] { sync_wait(connector.async_execute("SELECT 1")); });
  EXPECT_LT(Since(start), Slack(start));
  EXPECT_EQ(error.reason(), "POOL_EXHAUSTED");
  EXPECT_EQ(error.outcome(), Outcome::kNotExecuted);
  EXPECT_TRUE(error.retryable());
  EXPECT_THAT(error.what(), HasSubstr("1 of 1 backends in use"));
  const auto write = Catch<DatabaseConnectionError>([&] { sync_wait(connector.async_execute("CREATE TABLE x ()")); });
  EXPECT_EQ(write.reason(), "POOL_EXHAUSTED");
  sync_wait(holder.async_rollback());
  for (auto& one : waiting) EXPECT_EQ(one.get().rows()[0]["n"].as<int>(), 1);
}

TEST_F(Exhaustion, AReadThatIsRefusedAndCancelledAtOnceIsAnsweredOnce) {
  const auto gateway = StartGateway({{"ENGINE_DB_LIMITS_WAITERS", "1"}});
  const auto other = StubFor(*gateway);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + seconds(60));
  const auto stream = other->Session(&context);
  std::map<uint64_t, v1::SessionReply> replies;
  // Sends the message, and reads until so many replies are there in all.
  const auto exchange = [&](const v1::SessionRequest& request, size_t count) {
    ASSERT_TRUE(stream->Write(request));
    while (replies.size() < count) {
      v1::SessionResponse response;
      ASSERT_TRUE(stream->Read(&response)) << "the gateway is gone";
      for (auto& reply : *response.mutable_replies()) replies[reply.correlation_id()] = reply;
    }
  };
  v1::SessionRequest request;
  const auto add = [&](uint64_t id) -> v1::SessionCall& {
    v1::SessionCall& call = *request.add_calls();
    call.set_correlation_id(id);
    return call;
  };
  *add(1).mutable_connect() = ConnectTo(1);
  exchange(request, 1);
  const std::string connection = replies[1].connect().connection_id();
  request.clear_calls();
  add(2).mutable_begin()->set_connection_id(connection);
  exchange(request, 2);

  // Of the reads, the first one waits for the backend, and all others are refused.
  constexpr uint64_t kReads = 100;
  request.clear_calls();
  for (uint64_t id = 10; id <= 10 + kReads; ++id) {
    v1::ExecuteRequest& read = *add(id).mutable_execute();
    read.set_connection_id(connection);
    read.set_sql("SELECT 1");
    if (id > 10) add(id).mutable_cancel();
  }
  exchange(request, 2 + kReads);
  for (uint64_t id = 11; id <= 10 + kReads; ++id) EXPECT_EQ(replies[id].error().reason(), "POOL_EXHAUSTED") << id;
  request.clear_calls();
  v1::RollbackRequest& rollback = *add(3).mutable_rollback();
  rollback.set_connection_id(connection);
  rollback.set_transaction_id(replies[2].begin().transaction_id());
  exchange(request, 4 + kReads);
  EXPECT_TRUE(replies[10].has_execute());
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(Exhaustion, TheLimitsOfHandlesAndTransactions) {
  const auto gateway = StartGateway(
      {{"ENGINE_DB_LIMITS_TRANSACTIONS", "2"}, {"ENGINE_DB_LIMITS_CONNECTIONS", "3"}, {"ENGINE_DB_LIMITS_POOLS", "2"}});
  PostgresSyncConnector one(Config(4), At(*gateway));
  one.connect();
  Transaction first = one.begin_transaction();
  Transaction second = one.begin_transaction();
  EXPECT_EQ(Catch<DatabaseTransactionError>([&] { one.begin(); }).reason(), "TOO_MANY_TRANSACTIONS");
  first.rollback();
  one.begin();
  one.rollback();
  PostgresSyncConnector two(Config(5), At(*gateway));
  two.connect();
  PostgresSyncConnector three(Config(6), At(*gateway));
  EXPECT_EQ(Catch<DatabaseConnectionError>([&] { three.connect(); }).reason(), "TOO_MANY_TARGETS");
  PostgresSyncConnector four(Config(5), At(*gateway));
  four.connect();
  PostgresSyncConnector five(Config(5), At(*gateway));
  EXPECT_EQ(Catch<DatabaseConnectionError>([&] { five.connect(); }).reason(), "TOO_MANY_CONNECTIONS");
  four.close();
  five.connect();
}

TEST_F(Exhaustion, MaxConnectionsOfTheServerReached) {
  PostgresOptions options;
  options.settings = {{"max_connections", "8"}, {"superuser_reserved_connections", "3"}};
  PostgresCluster cluster(options);
  ConnectionConfig config = Config(20, {.max_attempts = 20, .initial_delay_ms = 20, .max_delay_ms = 100});
  config.host = cluster.host();
  config.port = cluster.port();
  const auto connector = ConnectAsync(config);
  // More at once than the server takes: all get through with the backends that there are.
  std::vector<std::future<Result>> results;
  results.reserve(40);
  for (int i = 0; i < 40; ++i) {
    results.push_back(connector->async_execute("SELECT ?::int AS n FROM pg_sleep(0.02)", {i}).future());
  }
  for (int i = 0; i < 40; ++i) EXPECT_EQ(results[i].get().rows()[0]["n"].as<int>(), i);
}

}  // namespace
}  // namespace engine::db::test

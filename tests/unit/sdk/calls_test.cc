// What calls carry, and what becomes of their answers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine_db/postgres_connector.h"
#include "tests/unit/sdk/fake_gateway.h"

namespace engine::db {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::string sql_of(const Result& result) { return result.rows()[0]["sql"].as<std::string>(); }

TEST(US003SyncConnector, ExecuteReturnsRowsAndRowcount) {
  FakeGateway gateway;
  PostgresSyncConnector connector(any_target(), gateway.options());
  connector.connect();
  const Result result = connector.execute("SELECT 1");
  EXPECT_EQ(result.rowcount(), 1);
  EXPECT_EQ(result.command_tag(), "SELECT 1");
  EXPECT_EQ(sql_of(result), "SELECT 1");
}

TEST(US003SyncConnector, EveryKindOfParameterIsSentAsItIs) {
  FakeGateway gateway;
  PostgresSyncConnector connector(any_target(), gateway.options());
  connector.connect();
  connector.execute("SELECT ?", {42, 1.5, true, "x", Bytes{std::string("\0\xff", 2)}, std::nullopt, currentdatetime(),
                                 Value::typed("jsonb", "{}")});
  const v1::ExecuteRequest sent = gateway.calls().back().execute();
  EXPECT_EQ(sent.connection_id(), "connection-1");
  EXPECT_EQ(sent.sql(), "SELECT ?");
  EXPECT_EQ(sent.result_format(), v1::RESULT_FORMAT_COLUMNS);
  ASSERT_EQ(sent.parameters_size(), 8);
  EXPECT_EQ(sent.parameters(0).int64_value(), 42);
  EXPECT_EQ(sent.parameters(1).double_value(), 1.5);
  EXPECT_TRUE(sent.parameters(2).bool_value());
  EXPECT_EQ(sent.parameters(3).text_value(), "x");
  EXPECT_EQ(sent.parameters(4).bytes_value(), std::string("\0\xff", 2));
  EXPECT_TRUE(sent.parameters(5).has_null_value());
  EXPECT_EQ(sent.parameters(6).expression_value(), v1::EXPRESSION_CURRENT_TIMESTAMP);
  EXPECT_EQ(sent.parameters(7).type_name(), "jsonb");
}

TEST(US003SyncConnector, TheTargetIsSentAsConfigured) {
  FakeGateway gateway;
  PostgresSyncConnector(any_target(1234), gateway.options()).connect();
  const v1::ConnectionConfig sent = gateway.calls()[0].connect().config();
  EXPECT_EQ(sent.host(), "db");
  EXPECT_EQ(sent.port(), 5432);
  EXPECT_EQ(sent.timeout_ms(), 1234);
  EXPECT_EQ(sent.max_pool_size(), 10);
  EXPECT_EQ(sent.retry().max_attempts(), 3);
}

TEST(US003SyncConnector, ADataSourceIsSentByName) {
  FakeGateway gateway;
  PostgresSyncConnector(DataSource{"loyalty"}, gateway.options()).connect();
  EXPECT_EQ(gateway.calls()[0].connect().data_source(), "loyalty");
}

TEST(US003SyncConnector, AWrongConfigurationIsRefusedBeforeAnythingIsOpened) {
  EXPECT_THROW(PostgresSyncConnector(ConnectionConfig{}), ConfigurationError);
  EXPECT_THROW(PostgresAsyncConnector(ConnectionConfig{}), ConfigurationError);
  ConnectionConfig config = any_target();
  config.password = "\xff";
  EXPECT_THROW(PostgresSyncConnector{config}, DatabaseRequestError);
}

TEST(US003SyncConnector, TimeoutAndRetrySettingsGoWithTheCall) {
  FakeGateway gateway;
  PostgresSyncConnector connector(any_target(), gateway.options());
  connector.connect();
  connector.execute("SELECT 1", {},
                    {.timeout = std::chrono::milliseconds(77), .retry = RetryConfig{.max_attempts = 9}});
  const v1::ExecuteRequest sent = gateway.calls().back().execute();
  EXPECT_EQ(sent.timeout_ms(), 77U);
  EXPECT_EQ(sent.retry().max_attempts(), 9);
  EXPECT_THROW(connector.execute("SELECT 1", {}, {.timeout = std::chrono::milliseconds(-1)}), DatabaseRequestError);
  EXPECT_THROW(connector.execute("SELECT 1", {}, {.retry = RetryConfig{.max_attempts = 0}}), ConfigurationError);
}

TEST(US003SyncConnector, TextThatNoDatabaseTakesIsRefusedBeforeItIsSent) {
  FakeGateway gateway;
  PostgresSyncConnector connector(any_target(), gateway.options());
  connector.connect();
  const auto refusal = [&](std::string_view sql, const Parameters& list) -> std::string {
    try {
      connector.execute(sql, list);
    } catch (const DatabaseRequestError& error) {
      EXPECT_EQ(error.outcome(), Outcome::kNotExecuted);
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(refusal("SELECT ?, ?", {1, std::string("secret\0", 7)}),
              AllOf(HasSubstr("parameters[1]"), HasSubstr("NUL"), Not(HasSubstr("secret"))));
  for (const std::string text :
       {"\xff", "caf\xe9 au lait", "\xed\xa0\x80", "\xc0\x80", "\xf4\x90\x80\x80", "\xe2\x82"}) {
    EXPECT_THAT(refusal("SELECT ?", {text}), HasSubstr("parameters[0]: is not valid UTF-8"));
  }
  EXPECT_THAT(refusal("SELECT '\xff'", {}), HasSubstr("sql: is not valid UTF-8"));
  for (const std::string text : {"plain", "caf\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xed\x9f\xbf"}) {
    EXPECT_EQ(refusal("SELECT ?", {text}), "");
  }
}

TEST(US003SyncConnector, ACallOverTheSizeLimitIsRefusedAndTheSessionGoesOn) {
  FakeGateway gateway;
  PostgresSyncConnector connector(any_target(), gateway.options());
  connector.connect();
  EXPECT_THROW(connector.execute("SELECT ?", {std::string(5 << 20, 'x')}), DatabaseRequestError);
  EXPECT_EQ(sql_of(connector.execute("SELECT 2")), "SELECT 2");
  EXPECT_EQ(gateway.sessions(), 1);
}

TEST(US003SyncConnector, ThreadsShareAConnector) {
  FakeGateway gateway;
  PostgresSyncConnector connector(any_target(), gateway.options());
  connector.connect();
  std::vector<std::thread> threads;
  threads.reserve(8);
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      for (int j = 0; j < 50; ++j) {
        const std::string sql = "SELECT " + std::to_string(i * 1000 + j);
        EXPECT_EQ(sql_of(connector.execute(sql)), sql);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(US004AsyncConnector, AnswersInAnyOrderFindTheirCalls) {
  std::mutex mutex;
  std::vector<v1::SessionCall> waiting;
  FakeGateway gateway([&](FakeGateway::Stream& stream, const v1::SessionCall& call) {
    const std::scoped_lock lock(mutex);
    waiting.push_back(call);
    if (waiting.size() < 100) return;
    std::ranges::reverse(waiting);
    for (const auto& each : waiting) stream.reply(FakeGateway::answer(each));
  });
  PostgresAsyncConnector connector(any_target(), gateway.options());
  connector.async_connect().future().get();
  std::vector<std::future<Result>> results;
  results.reserve(100);
  for (int i = 0; i < 100; ++i) results.push_back(connector.async_execute("SELECT " + std::to_string(i)).future());
  for (int i = 0; i < 100; ++i) EXPECT_EQ(sql_of(results[static_cast<size_t>(i)].get()), "SELECT " + std::to_string(i));
}

TEST(US004AsyncConnector, CallsMadeMeanwhileShareMessages) {
  FakeGateway gateway;
  PostgresAsyncConnector connector(any_target(), gateway.options());
  connector.async_connect().future().get();
  std::vector<std::future<Result>> results;
  results.reserve(5000);
  for (int i = 0; i < 5000; ++i) results.push_back(connector.async_execute("SELECT 1").future());
  for (auto& result : results) EXPECT_EQ(result.get().rowcount(), 1);
  EXPECT_LT(gateway.messages(), 2500);
}

TEST(US004AsyncConnector, CoroutinesRunTheirCallsInParallel) {
  // Nothing is answered before all have come, so this ends only if they are in flight together.
  std::mutex mutex;
  std::vector<v1::SessionCall> waiting;
  FakeGateway gateway([&](FakeGateway::Stream& stream, const v1::SessionCall& call) {
    const std::scoped_lock lock(mutex);
    waiting.push_back(call);
    if (waiting.size() < 16) return;
    for (const auto& each : waiting) stream.reply(FakeGateway::answer(each));
  });
  PostgresAsyncConnector connector(any_target(), gateway.options());
  connector.async_connect().future().get();
  const auto run = [](PostgresAsyncConnector& on) -> Async<int64_t> {
    const Result result = co_await on.async_execute("SELECT 1");
    co_return result.rowcount();
  };
  std::vector<Async<int64_t>> running;
  running.reserve(16);
  for (int i = 0; i < 16; ++i) running.push_back(run(connector));
  for (auto& each : running) EXPECT_EQ(sync_wait(std::move(each)), 1);
}

TEST(US004AsyncConnector, CallbacksMayStartCalls) {
  FakeGateway gateway;
  PostgresAsyncConnector connector(any_target(), gateway.options());
  std::promise<std::string> last;
  connector.async_connect().then([&](const Completion<void>&) {
    connector.async_execute("SELECT 1").then([&](const Completion<Result>&) {
      connector.async_execute("SELECT 2").then([&](Completion<Result> done) {
        last.set_value(sql_of(std::move(done).value()));
      });
    });
  });
  EXPECT_EQ(last.get_future().get(), "SELECT 2");
}

TEST(US004AsyncConnector, BlockingInACallbackIsRefusedRatherThanADeadlock) {
  std::promise<void> callback_is_set;
  FakeGateway gateway([&](FakeGateway::Stream& stream, const v1::SessionCall& call) {
    callback_is_set.get_future().get();  // Or it could run on the test's own thread, which may block.
    stream.reply(FakeGateway::answer(call));
  });
  PostgresAsyncConnector connector(any_target(), gateway.options());
  PostgresSyncConnector sync(any_target(), gateway.options());
  sync.connect();
  connector.async_connect().future().get();
  std::promise<bool> refused;
  connector.async_execute("SELECT 1").then([&](const Completion<Result>&) {
    try {
      sync.execute("SELECT 2");
      refused.set_value(false);
    } catch (const std::logic_error&) {
      refused.set_value(true);
    }
  });
  callback_is_set.set_value();
  EXPECT_TRUE(refused.get_future().get());
}

TEST(US004AsyncConnector, ErrorsComeWithTheResultAndAreNotThrownByTheCall) {
  FakeGateway gateway;
  PostgresAsyncConnector connector(any_target(), gateway.options());
  Async<Result> unconnected = connector.async_execute("SELECT 1");
  EXPECT_THROW(sync_wait(std::move(unconnected)), DatabaseConnectionError);
  connector.async_connect().future().get();
  Async<Result> wrong = connector.async_execute("SELECT '\xff'");
  EXPECT_THROW(sync_wait(std::move(wrong)), DatabaseRequestError);
}

TEST(US009ErrorNormalization, EachKindOfTheContractIsThrownAsItsClass) {
  v1::ErrorKind kind = v1::ERROR_KIND_EXECUTION;
  FakeGateway gateway([&](FakeGateway::Stream& stream, const v1::SessionCall& call) {
    stream.reply(FakeGateway::error(call, kind, "why"));
  });
  PostgresSyncConnector connector(any_target(), gateway.options());
  connector.connect();
  EXPECT_THROW(connector.execute("SELEC 1"), DatabaseExecutionError);
  kind = v1::ERROR_KIND_CONNECTION;
  EXPECT_THROW(connector.execute("SELECT 1"), DatabaseConnectionError);
  kind = v1::ERROR_KIND_TIMEOUT;
  EXPECT_THROW(connector.execute("SELECT 1"), DatabaseTimeoutError);
  kind = v1::ERROR_KIND_TRANSACTION;
  EXPECT_THROW(connector.execute("SELECT 1"), DatabaseTransactionError);
  kind = v1::ERROR_KIND_INVALID_REQUEST;
  EXPECT_THROW(connector.execute("SELECT 1"), DatabaseRequestError);
}

TEST(US009ErrorNormalization, NothingThatTheGatewaySaysOfAnErrorIsLost) {
  FakeGateway gateway([](FakeGateway::Stream& stream, const v1::SessionCall& call) {
    v1::SessionReply reply = FakeGateway::error(call, v1::ERROR_KIND_EXECUTION, "duplicate key");
    v1::DatabaseError& error = *reply.mutable_error();
    error.set_sqlstate("23505");
    error.set_outcome(v1::OUTCOME_ROLLED_BACK);
    error.set_phase(v1::PHASE_EXECUTING);
    error.set_constraint_name("customers_pkey");
    error.set_table_name("customers");
    error.set_hint("choose another");
    error.set_position(8);
    error.set_reason("UNIQUE_VIOLATION");
    stream.reply(reply);
  });
  PostgresSyncConnector connector(any_target(), gateway.options());
  connector.connect();
  try {
    connector.execute("INSERT");
    FAIL();
  } catch (const DatabaseExecutionError& error) {
    EXPECT_STREQ(error.what(), "duplicate key");
    EXPECT_EQ(error.sqlstate(), "23505");
    EXPECT_EQ(error.outcome(), Outcome::kRolledBack);
    EXPECT_EQ(error.phase(), Phase::kExecuting);
    EXPECT_EQ(error.constraint_name(), "customers_pkey");
    EXPECT_EQ(error.table_name(), "customers");
    EXPECT_EQ(error.hint(), "choose another");
    EXPECT_EQ(error.position(), 8U);
    EXPECT_EQ(error.reason(), "UNIQUE_VIOLATION");
    EXPECT_FALSE(error.retryable());
  }
}

TEST(US009ErrorNormalization, AnAnswerThatContradictsItselfIsAnErrorAndOthersGoOn) {
  FakeGateway gateway([](FakeGateway::Stream& stream, const v1::SessionCall& call) {
    v1::SessionReply reply = FakeGateway::answer(call);
    if (call.execute().sql() == "LENGTHS")
      reply.mutable_execute()->mutable_column_batch()->mutable_columns(0)->add_lengths(9);
    if (call.execute().sql() == "KIND") reply.mutable_commit();
    stream.reply(reply);
  });
  PostgresSyncConnector connector(any_target(), gateway.options());
  connector.connect();
  for (const std::string sql : {"LENGTHS", "KIND"}) {
    try {
      connector.execute(sql);
      ADD_FAILURE() << sql;
    } catch (const DatabaseConnectionError& error) {
      EXPECT_EQ(error.reason(), "MALFORMED_REPLY");
      EXPECT_EQ(error.outcome(), Outcome::kUnknown);
    }
  }
  EXPECT_EQ(sql_of(connector.execute("SELECT 1")), "SELECT 1");
}

TEST(US003SyncConnector, ABatchHasAnEntryARun) {
  FakeGateway gateway([](FakeGateway::Stream& stream, const v1::SessionCall& call) {
    v1::SessionReply reply;
    reply.set_correlation_id(call.correlation_id());
    auto* first = reply.mutable_execute_batch()->add_results();
    first->mutable_response()->set_rows_affected(1);
    auto* second = reply.mutable_execute_batch()->add_results();
    second->set_parameter_list_index(1);
    second->mutable_error()->set_kind(v1::ERROR_KIND_EXECUTION);
    stream.reply(reply);
  });
  PostgresSyncConnector connector(any_target(), gateway.options());
  connector.connect();
  const BatchResults results = connector.execute_batch({{"INSERT INTO t VALUES (?)", {{1}, {1}}}});
  ASSERT_EQ(results.size(), 2U);
  EXPECT_EQ(results[0].result().rowcount(), 1);
  EXPECT_FALSE(results[1].ok());
  EXPECT_EQ(results[1].parameter_list_index, 1U);
  EXPECT_THROW(static_cast<void>(results[1].result()), DatabaseExecutionError);
  const v1::ExecuteBatchRequest sent = gateway.calls().back().execute_batch();
  EXPECT_EQ(sent.statements(0).parameter_lists_size(), 2);
  EXPECT_FALSE(sent.atomic());
}

TEST(US003SyncConnector, DescribeTellsWhatAStatementTakes) {
  FakeGateway gateway;
  PostgresSyncConnector connector(any_target(), gateway.options());
  connector.connect();
  EXPECT_THAT(connector.describe("SELECT ?").parameter_type_names, ::testing::ElementsAre("bigint"));
}

}  // namespace
}  // namespace engine::db

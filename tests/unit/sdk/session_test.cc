// The link to the gateway: opening, deadlines, cancelling, breaking, closing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "engine_db/postgres_connector.h"
#include "tests/unit/sdk/fake_gateway.h"

namespace engine::db {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using ::testing::AllOf;
using ::testing::HasSubstr;

// Answers nothing.
void ignore(FakeGateway::Stream& /*stream*/, const v1::SessionCall& /*call*/) {}

// Breaks the stream at the first statement; afterwards answers.
FakeGateway::Handler break_once() {
  auto broken = std::make_shared<std::atomic<bool>>(false);
  return [broken](FakeGateway::Stream& stream, const v1::SessionCall& call) {
    if (call.has_execute() && !broken->exchange(true)) return stream.break_off();
    if (!call.has_cancel()) stream.reply(FakeGateway::answer(call));
  };
}

TEST(US010Lifecycle, ThePoolIsOpenedOnce) {
  FakeGateway gateway;
  PostgresSyncConnector connector(any_target(), gateway.options());
  connector.connect();
  connector.connect();
  EXPECT_EQ(gateway.sessions(), 1);
  EXPECT_EQ(gateway.calls().size(), 1U);
}

TEST(US010Lifecycle, StatementsNeedAConnection) {
  FakeGateway gateway;
  PostgresSyncConnector connector(any_target(), gateway.options());
  EXPECT_THROW(connector.execute("SELECT 1"), DatabaseConnectionError);
  EXPECT_THROW(connector.begin(), DatabaseConnectionError);
  EXPECT_EQ(gateway.sessions(), 0);
}

TEST(US010Lifecycle, CloseGivesTheHandleUpAndMayBeRepeated) {
  FakeGateway gateway;
  PostgresSyncConnector connector(any_target(), gateway.options());
  connector.close();
  connector.connect();
  connector.close();
  connector.close();
  EXPECT_EQ(gateway.calls().back().close().connection_id(), "connection-1");
  EXPECT_THROW(connector.execute("SELECT 1"), DatabaseConnectionError);
}

TEST(US010Lifecycle, ConnectingAgainAfterCloseWorks) {
  FakeGateway gateway;
  PostgresSyncConnector connector(any_target(), gateway.options());
  connector.connect();
  connector.close();
  connector.connect();
  EXPECT_EQ(connector.execute("SELECT 1").rowcount(), 1);
  EXPECT_EQ(gateway.sessions(), 2);
  EXPECT_EQ(gateway.calls().back().execute().connection_id(), "connection-2");
}

TEST(US010Lifecycle, CallsInFlightFailWhenTheConnectorIsDestroyed) {
  FakeGateway gateway(ignore);
  auto connector = std::make_unique<PostgresAsyncConnector>(any_target(), gateway.options());
  connector->async_connect().future().get();
  std::future<Result> pending = connector->async_execute("SELECT 1").future();
  connector = nullptr;
  EXPECT_THROW(pending.get(), DatabaseConnectionError);
}

TEST(US010Lifecycle, AConnectorMayBeDestroyedByACallback) {
  FakeGateway gateway;
  auto connector = std::make_unique<PostgresAsyncConnector>(any_target(), gateway.options());
  connector->async_connect().future().get();
  std::promise<void> done;
  connector->async_execute("SELECT 1").then([&](const Completion<Result>&) {
    connector = nullptr;
    done.set_value();
  });
  done.get_future().get();
}

// The first session's gateway drains: it refuses "MOVE", which goes to the next session. Never answers "IGNORE".
void drain(FakeGateway::Stream& stream, const v1::SessionCall& call) {
  if (call.has_cancel() || call.execute().sql() == "IGNORE") return;
  if (call.execute().sql() != "MOVE" || call.execute().connection_id() != "connection-1") {
    return stream.reply(FakeGateway::answer(call));
  }
  v1::SessionReply refusal = FakeGateway::error(call, v1::ERROR_KIND_CONNECTION, "the gateway is shutting down");
  refusal.mutable_error()->set_reason("DRAINING");
  refusal.mutable_error()->set_outcome(v1::OUTCOME_NOT_EXECUTED);
  stream.reply(refusal);
}

TEST(US010Lifecycle, CloseGivesUpTheHandleOnAGatewayThatDrainsToo) {
  FakeGateway gateway(drain);
  PostgresSyncConnector connector(any_target(), gateway.options());
  connector.connect();
  Transaction transaction = connector.begin_transaction();
  connector.execute("MOVE");
  connector.close();
  std::set<std::string> closed;
  for (const auto& call : gateway.calls()) {
    if (call.has_close()) closed.insert(call.close().connection_id());
  }
  EXPECT_EQ(closed, (std::set<std::string>{"connection-1", "connection-2"}));
  EXPECT_THROW(transaction.execute("A"), DatabaseTransactionError);
}

TEST(US010Lifecycle, CallsInFlightOnAGatewayThatDrainsFailWhenTheConnectorIsDestroyed) {
  FakeGateway gateway(drain);
  auto connector = std::make_unique<PostgresAsyncConnector>(any_target(60'000), gateway.options());
  sync_wait(connector->async_connect());
  std::future<Result> pending = connector->async_execute("IGNORE").future();
  sync_wait(connector->async_execute("MOVE"));
  connector = nullptr;
  ASSERT_EQ(pending.wait_for(std::chrono::seconds(5)), std::future_status::ready);
  EXPECT_THROW(pending.get(), DatabaseConnectionError);
}

TEST(US009ConnectionErrors, AGatewayThatIsNotThereIsNamed) {
  std::string address;
  {
    const FakeGateway gone;
    address = gone.address();
  }
  PostgresSyncConnector connector(any_target(300), {address});
  const auto start = steady_clock::now();
  try {
    connector.connect();
    FAIL();
  } catch (const DatabaseConnectionError& error) {
    EXPECT_THAT(error.what(), HasSubstr(address));
    EXPECT_EQ(error.outcome(), Outcome::kNotExecuted);
    EXPECT_TRUE(error.retryable());
  }
  EXPECT_LT(steady_clock::now() - start, milliseconds(5000));
}

TEST(US009ConnectionErrors, AnAddressThatIsNoneIsRefused) {
  for (const std::string address :
       {"", "localhost", "localhost:", ":50051", "localhost:http", "localhost:70000", "unix:"}) {
    EXPECT_THROW(PostgresSyncConnector(any_target(), {address}), ConfigurationError) << address;
  }
}

TEST(US009ConnectionErrors, WhyConnectFailedIsTold) {
  FakeGateway gateway;
  v1::DatabaseError error;
  error.set_kind(v1::ERROR_KIND_CONNECTION);
  error.set_sqlstate("28P01");
  error.set_message("the password is wrong");
  gateway.refuse_connect(error);
  PostgresAsyncConnector connector(any_target(), gateway.options());
  std::future<void> connected = connector.async_connect().future();
  std::future<Result> waiting = connector.async_execute("SELECT 1").future();
  for (const auto& get :
       {std::function<void()>([&] { connected.get(); }), std::function<void()>([&] { waiting.get(); })}) {
    try {
      get();
      ADD_FAILURE();
    } catch (const DatabaseConnectionError& thrown) {
      EXPECT_EQ(thrown.sqlstate(), "28P01");
      EXPECT_EQ(thrown.outcome(), Outcome::kNotExecuted);
    }
  }
}

TEST(US009ConnectionErrors, ALostConnectionFailsWhatIsInFlightAndTheNextCallOpensAnother) {
  FakeGateway gateway(break_once());
  PostgresSyncConnector connector(any_target(), gateway.options());
  connector.connect();
  try {
    connector.execute("INSERT");
    FAIL();
  } catch (const DatabaseConnectionError& error) {
    EXPECT_EQ(error.outcome(), Outcome::kUnknown);
    EXPECT_FALSE(error.retryable());
    EXPECT_THAT(error.what(), HasSubstr(gateway.address()));
  }
  EXPECT_EQ(connector.execute("SELECT 1").rowcount(), 1);
  EXPECT_EQ(gateway.sessions(), 2);
  EXPECT_EQ(gateway.calls().back().execute().connection_id(), "connection-2");
}

TEST(US009ConnectionErrors, ARestartedGatewayIsFoundAgain) {
  auto gateway = std::make_unique<FakeGateway>();
  const std::string address = gateway->address();
  PostgresSyncConnector connector(any_target(), gateway->options());
  connector.connect();
  gateway = nullptr;
  EXPECT_THROW(connector.execute("SELECT 1", {}, {.timeout = milliseconds(200)}), DatabaseConnectionError);
  gateway = std::make_unique<FakeGateway>(
      [](FakeGateway::Stream& stream, const v1::SessionCall& call) { stream.reply(FakeGateway::answer(call)); },
      address);
  EXPECT_EQ(connector.execute("SELECT 1").rowcount(), 1);
}

TEST(US009Timeouts, ACallThatIsNeverAnsweredEndsByItsDeadlineAndIsCancelled) {
  FakeGateway gateway(ignore);
  PostgresSyncConnector connector(any_target(), gateway.options());
  connector.connect();
  const auto start = steady_clock::now();
  try {
    connector.execute("INSERT", {}, {.timeout = milliseconds(100)});
    FAIL();
  } catch (const DatabaseTimeoutError& error) {
    EXPECT_EQ(error.outcome(), Outcome::kUnknown);
    EXPECT_THAT(error.what(), AllOf(HasSubstr(gateway.address()), HasSubstr("100 ms")));
  }
  const auto took = steady_clock::now() - start;
  EXPECT_GE(took, milliseconds(100));
  EXPECT_LT(took, milliseconds(1000));
  EXPECT_TRUE(gateway.wait_for(v1::SessionCall::kCancel));
  const auto calls = gateway.calls();
  EXPECT_EQ(calls.back().correlation_id(), calls[calls.size() - 2].correlation_id());
}

TEST(US009Timeouts, TheConnectionsTimeoutBoundsCallsThatNameNone) {
  FakeGateway gateway(ignore);
  PostgresSyncConnector connector(any_target(100), gateway.options());
  connector.connect();
  EXPECT_THROW(connector.execute("SELECT 1"), DatabaseTimeoutError);
}

TEST(US009Timeouts, ALateAnswerIsNotTakenForAnotherCalls) {
  std::atomic<uint64_t> late = 0;
  FakeGateway gateway([&](FakeGateway::Stream& stream, const v1::SessionCall& call) {
    if (!call.has_execute()) return;
    if (call.execute().sql() == "LATE") {
      late = call.correlation_id();
      return;
    }
    v1::SessionCall first = call;
    first.set_correlation_id(late);
    first.mutable_execute()->set_sql("LATE");
    stream.reply(FakeGateway::answer(first));
    stream.reply(FakeGateway::answer(call));
  });
  PostgresSyncConnector connector(any_target(), gateway.options());
  connector.connect();
  EXPECT_THROW(connector.execute("LATE", {}, {.timeout = milliseconds(50)}), DatabaseTimeoutError);
  EXPECT_EQ(connector.execute("NEXT").rows()[0]["sql"].as<std::string>(), "NEXT");
}

TEST(US009Timeouts, AStopRequestCancelsTheCall) {
  std::atomic<uint64_t> running = 0;
  FakeGateway gateway([&](FakeGateway::Stream& stream, const v1::SessionCall& call) {
    if (call.has_execute()) running = call.correlation_id();
    if (call.has_cancel()) {
      EXPECT_EQ(call.correlation_id(), running);
      stream.reply(FakeGateway::error(call, v1::ERROR_KIND_TIMEOUT, "cancelled"));
    }
  });
  PostgresAsyncConnector connector(any_target(), gateway.options());
  connector.async_connect().future().get();
  std::stop_source stop;
  std::future<Result> result = connector.async_execute("SELECT pg_sleep(60)", {}, {.stop = stop.get_token()}).future();
  ASSERT_TRUE(gateway.wait_for(v1::SessionCall::kExecute));
  stop.request_stop();
  EXPECT_THROW(result.get(), DatabaseTimeoutError);
}

TEST(US009Timeouts, ACallThatIsStoppedBeforehandIsNotSent) {
  FakeGateway gateway;
  PostgresSyncConnector connector(any_target(), gateway.options());
  connector.connect();
  std::stop_source stop;
  stop.request_stop();
  try {
    connector.execute("INSERT", {}, {.stop = stop.get_token()});
    FAIL();
  } catch (const DatabaseTimeoutError& error) {
    EXPECT_EQ(error.outcome(), Outcome::kNotExecuted);
  }
  EXPECT_EQ(gateway.calls().size(), 1U);
}

// Ends, cancels, breaks and destructions race for real; every call must end exactly once.
TEST(US010Lifecycle, EveryCallEndsWhateverRacesWithIt) {
  FakeGateway gateway([](FakeGateway::Stream& stream, const v1::SessionCall& call) {
    if (!call.has_execute()) return;
    if (call.correlation_id() % 97 == 0) return stream.break_off();
    if (call.correlation_id() % 7 != 0) stream.reply(FakeGateway::answer(call));
  });
  for (int round = 0; round < 10; ++round) {
    std::atomic<int> ended = 0;
    constexpr int kCalls = 400;
    {
      PostgresAsyncConnector connector(any_target(300), gateway.options());
      static_cast<void>(connector.async_connect());
      std::vector<std::thread> threads;
      threads.reserve(4);
      for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] {
          for (int j = 0; j < kCalls / 4; ++j) {
            std::stop_source stop;
            connector.async_execute("SELECT 1", {}, {.timeout = milliseconds(20), .stop = stop.get_token()})
                .then([&](const Completion<Result>&) { ++ended; });
            if (j % 5 == 0) stop.request_stop();
          }
        });
      }
      for (std::thread& thread : threads) thread.join();
      if (round % 2 == 0) sync_wait(connector.async_close());
    }
    const auto give_up = steady_clock::now() + std::chrono::seconds(5);
    while (ended < kCalls && steady_clock::now() < give_up) std::this_thread::yield();
    EXPECT_EQ(ended, kCalls);
  }
}

}  // namespace
}  // namespace engine::db

// The connector's current transaction, and transactions as objects.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "engine_db/postgres_connector.h"
#include "tests/unit/sdk/fake_gateway.h"

namespace engine::db {
namespace {

class Transactions : public ::testing::Test {
 protected:
  // Called first for each call; true when it has dealt with it.
  using Special = std::function<bool(FakeGateway::Stream&, const v1::SessionCall&)>;

  void SetUp() override { connector_.connect(); }

  [[nodiscard]] std::string transaction_of_last_statement() const {
    return gateway_.calls().back().execute().transaction_id();
  }

  Special special_;
  FakeGateway gateway_{[this](FakeGateway::Stream& stream, const v1::SessionCall& call) {
    if (special_ && special_(stream, call)) return;
    if (!call.has_cancel()) stream.reply(FakeGateway::answer(call));
  }};
  PostgresSyncConnector connector_{any_target(), gateway_.options()};
};

using US007SyncTransactions = Transactions;

TEST_F(US007SyncTransactions, StatementsRunInTheTransactionUntilCommit) {
  connector_.execute("A");
  EXPECT_EQ(transaction_of_last_statement(), "");
  connector_.begin();
  connector_.execute("B");
  const std::string id = transaction_of_last_statement();
  EXPECT_NE(id, "");
  connector_.execute("C");
  EXPECT_EQ(transaction_of_last_statement(), id);
  connector_.commit();
  EXPECT_EQ(gateway_.calls().back().commit().transaction_id(), id);
  connector_.execute("D");
  EXPECT_EQ(transaction_of_last_statement(), "");
}

TEST_F(US007SyncTransactions, StatementsRunOutsideAfterRollback) {
  connector_.begin();
  connector_.rollback();
  connector_.execute("A");
  EXPECT_EQ(transaction_of_last_statement(), "");
}

TEST_F(US007SyncTransactions, ASecondBeginIsAnError) {
  connector_.begin();
  EXPECT_THROW(connector_.begin(), DatabaseTransactionError);
  connector_.execute("A");
  EXPECT_NE(transaction_of_last_statement(), "");
  connector_.commit();
  EXPECT_NO_THROW(connector_.begin());
}

TEST_F(US007SyncTransactions, CommitAndRollbackWithoutBeginAreErrors) {
  EXPECT_THROW(connector_.commit(), DatabaseTransactionError);
  EXPECT_THROW(connector_.rollback(), DatabaseTransactionError);
  connector_.begin();
  connector_.commit();
  EXPECT_THROW(connector_.commit(), DatabaseTransactionError);
}

TEST_F(US007SyncTransactions, OptionsAreSent) {
  connector_.begin(
      {.isolation_level = IsolationLevel::kSerializable, .read_only = true, .idle_timeout = std::chrono::seconds(5)});
  const v1::TransactionOptions sent = gateway_.calls().back().begin().options();
  EXPECT_EQ(sent.isolation_level(), v1::ISOLATION_LEVEL_SERIALIZABLE);
  EXPECT_TRUE(sent.read_only());
  EXPECT_EQ(sent.idle_timeout_ms(), 5000U);
}

TEST_F(US007SyncTransactions, AFailedBeginLeavesNoneActive) {
  special_ = [](FakeGateway::Stream& stream, const v1::SessionCall& call) {
    if (!call.has_begin()) return false;
    stream.reply(FakeGateway::error(call, v1::ERROR_KIND_CONNECTION, "no backend is free"));
    return true;
  };
  EXPECT_THROW(connector_.begin(), DatabaseConnectionError);
  connector_.execute("A");
  EXPECT_EQ(transaction_of_last_statement(), "");
}

// Nobody else knows of it, and it would stay open until its lease runs out.
TEST_F(US007SyncTransactions, OneThatBeganTooLateIsRolledBack) {
  special_ = [begin = v1::SessionCall()](FakeGateway::Stream& stream, const v1::SessionCall& call) mutable {
    if (call.has_begin()) begin = call;
    if (call.has_cancel()) stream.reply(FakeGateway::answer(begin));
    return call.has_begin();
  };
  PostgresSyncConnector impatient(any_target(100), gateway_.options());
  impatient.connect();
  EXPECT_THROW(impatient.begin(), DatabaseTimeoutError);
  ASSERT_TRUE(gateway_.wait_for(v1::SessionCall::kRollback));
  const v1::SessionCall rollback = gateway_.calls().back();
  EXPECT_EQ(rollback.rollback().transaction_id(), "transaction-" + std::to_string(rollback.correlation_id()));
  EXPECT_EQ(rollback.rollback().connection_id(), "connection-2");
  EXPECT_EQ(impatient.execute("A").rowcount(), 1);
}

TEST_F(US007SyncTransactions, ALostTransactionTakesNoStatementsUntilItIsAcknowledged) {
  special_ = [](FakeGateway::Stream& stream, const v1::SessionCall& call) {
    if (call.execute().sql() != "BREAK") return false;
    stream.break_off();
    return true;
  };
  for (const bool commit : {false, true}) {
    connector_.begin();
    try {
      connector_.execute("BREAK");
      ADD_FAILURE();
    } catch (const DatabaseConnectionError& error) {
      EXPECT_EQ(error.outcome(), Outcome::kRolledBack);
    }
    const size_t calls = gateway_.calls().size();
    EXPECT_THROW(connector_.execute("A"), DatabaseTransactionError);
    EXPECT_EQ(gateway_.calls().size(), calls) << "a statement of the lost transaction was committed by itself";
    EXPECT_THROW(connector_.begin(), DatabaseTransactionError);
    if (commit) {
      EXPECT_THROW(connector_.commit(), DatabaseTransactionError);
    } else {
      EXPECT_NO_THROW(connector_.rollback());
    }
    connector_.execute("A");
    EXPECT_EQ(transaction_of_last_statement(), "");
  }
}

TEST_F(US007SyncTransactions, ACommitThatNobodyAnsweredMayBeRepeated) {
  std::atomic<bool> ignored = false;
  special_ = [&](FakeGateway::Stream&, const v1::SessionCall& call) {
    return call.has_commit() && !ignored.exchange(true);
  };
  PostgresSyncConnector impatient(any_target(100), gateway_.options());
  impatient.connect();
  impatient.begin();
  try {
    impatient.commit();
    FAIL();
  } catch (const DatabaseTimeoutError& error) {
    EXPECT_EQ(error.outcome(), Outcome::kUnknown);
  }
  EXPECT_NO_THROW(impatient.commit());
  EXPECT_THROW(impatient.commit(), DatabaseTransactionError);
}

TEST_F(US007SyncTransactions, ACommitThatRolledBackEndsTheTransaction) {
  special_ = [](FakeGateway::Stream& stream, const v1::SessionCall& call) {
    if (!call.has_commit()) return false;
    v1::SessionReply reply = FakeGateway::error(call, v1::ERROR_KIND_TRANSACTION, "a statement had failed");
    reply.mutable_error()->set_outcome(v1::OUTCOME_ROLLED_BACK);
    stream.reply(reply);
    return true;
  };
  connector_.begin();
  EXPECT_THROW(connector_.commit(), DatabaseTransactionError);
  connector_.execute("A");
  EXPECT_EQ(transaction_of_last_statement(), "");
}

TEST_F(US007SyncTransactions, RollingBackATransactionThatIsGoneIsNoError) {
  special_ = [](FakeGateway::Stream& stream, const v1::SessionCall& call) {
    if (!call.has_rollback()) return false;
    v1::SessionReply reply = FakeGateway::error(call, v1::ERROR_KIND_TRANSACTION, "the transaction has expired");
    reply.mutable_error()->set_outcome(v1::OUTCOME_ROLLED_BACK);
    stream.reply(reply);
    return true;
  };
  connector_.begin();
  EXPECT_NO_THROW(connector_.rollback());
}

TEST_F(US007SyncTransactions, CloseForgetsTheTransaction) {
  connector_.begin();
  connector_.close();
  connector_.connect();
  connector_.execute("A");
  EXPECT_EQ(transaction_of_last_statement(), "");
  EXPECT_NO_THROW(connector_.begin());
}

using TransactionObjects = Transactions;

TEST_F(TransactionObjects, SeveralAreIndependentOfEachOtherAndOfTheConnector) {
  connector_.begin();
  Transaction a = connector_.begin_transaction();
  Transaction b = connector_.begin_transaction();
  std::set<std::string> ids;
  a.execute("A");
  ids.insert(transaction_of_last_statement());
  b.execute("B");
  ids.insert(transaction_of_last_statement());
  connector_.execute("C");
  ids.insert(transaction_of_last_statement());
  EXPECT_EQ(ids.size(), 3U);
  a.commit();
  b.rollback();
  connector_.commit();
}

TEST_F(TransactionObjects, OneThatIsDestroyedOpenRollsBack) {
  { const Transaction transaction = connector_.begin_transaction(); }
  EXPECT_TRUE(gateway_.wait_for(v1::SessionCall::kRollback));
}

TEST_F(TransactionObjects, OneThatIsMovedOrEndedDoesNot) {
  {
    Transaction transaction = connector_.begin_transaction();
    Transaction moved = std::move(transaction);
    moved.execute("A");
    moved.commit();
    EXPECT_THROW(moved.commit(), DatabaseTransactionError);
    EXPECT_THROW(moved.rollback(), DatabaseTransactionError);
  }
  connector_.execute("B");  // Whatever was sent before this has arrived.
  for (const auto& call : gateway_.calls()) EXPECT_FALSE(call.has_rollback());
}

TEST_F(TransactionObjects, ACommitThatIsRefusedBecauseOfAStreamLeavesThemOpen) {
  bool refuses = true;
  special_ = [&refuses](FakeGateway::Stream& stream, const v1::SessionCall& call) {
    if (!call.has_commit() || !std::exchange(refuses, false)) return false;
    v1::SessionReply reply = FakeGateway::error(call, v1::ERROR_KIND_TRANSACTION, "a stream is open");
    reply.mutable_error()->set_reason("STREAM_OPEN");
    reply.mutable_error()->set_outcome(v1::OUTCOME_NOT_EXECUTED);
    stream.reply(reply);
    return true;
  };
  Transaction transaction = connector_.begin_transaction();
  EXPECT_THROW(transaction.commit(), DatabaseTransactionError);
  transaction.execute("A");
  EXPECT_NO_THROW(transaction.commit());
}

TEST_F(TransactionObjects, SavepointsAreSent) {
  Transaction transaction = connector_.begin_transaction();
  transaction.savepoint("before");
  transaction.rollback_to("before");
  EXPECT_EQ(gateway_.calls().back().rollback_to_savepoint().name(), "before");
  transaction.release_savepoint("before");
  EXPECT_EQ(gateway_.calls().back().release_savepoint().name(), "before");
  transaction.commit();
}

class RunTransaction : public Transactions {
 protected:
  // The first `times` commits fail as a serialization failure does.
  void fail_commits(int times) {
    special_ = [this, times](FakeGateway::Stream& stream, const v1::SessionCall& call) {
      if (!call.has_commit() || ++commits_ > times) return false;
      v1::SessionReply reply = FakeGateway::error(call, v1::ERROR_KIND_TRANSACTION, "could not serialize access");
      reply.mutable_error()->set_sqlstate("40001");
      reply.mutable_error()->set_outcome(v1::OUTCOME_ROLLED_BACK);
      reply.mutable_error()->set_retryable(true);
      stream.reply(reply);
      return true;
    };
  }

  std::atomic<int> commits_ = 0;
  const RetryConfig fast_{.max_attempts = 3, .initial_delay_ms = 1, .max_delay_ms = 2};
};

TEST_F(RunTransaction, ASerializationFailureRunsAllOfItAgain) {
  fail_commits(2);
  int runs = 0;
  const int64_t rows = connector_.run_transaction(
      [&](Transaction& transaction) {
        ++runs;
        return transaction.execute("A").rowcount();
      },
      {}, fast_);
  EXPECT_EQ(rows, 1);
  EXPECT_EQ(runs, 3);
  EXPECT_EQ(commits_, 3);
}

TEST_F(RunTransaction, AfterTheLastAttemptTheErrorIsPassedOn) {
  fail_commits(100);
  int runs = 0;
  EXPECT_THROW(connector_.run_transaction([&](Transaction&) { ++runs; }, {}, fast_), DatabaseTransactionError);
  EXPECT_EQ(runs, 3);
}

TEST_F(RunTransaction, TheAsyncConnectorRunsAllOfItAgainToo) {
  fail_commits(2);
  PostgresAsyncConnector connector(any_target(), gateway_.options());
  sync_wait(connector.async_connect());
  std::atomic<int> runs = 0;
  Async<int64_t> rows = connector.async_run_transaction(
      [&](AsyncTransaction& transaction) -> Async<int64_t> {
        ++runs;
        const Result result = co_await transaction.async_execute("A");
        co_return result.rowcount();
      },
      {}, fast_);
  EXPECT_EQ(sync_wait(std::move(rows)), 1);
  EXPECT_EQ(runs, 3);
  commits_ = 0;
  const auto nothing = [](AsyncTransaction&) { return Async<void>::completed(std::monostate{}); };
  EXPECT_NO_THROW(sync_wait(connector.async_run_transaction(nothing, {}, fast_)));
  commits_ = -100;
  EXPECT_THROW(sync_wait(connector.async_run_transaction(nothing, {}, fast_)), DatabaseTransactionError);
}

TEST_F(RunTransaction, OtherErrorsAreNotRepeatedAndRollBack) {
  int runs = 0;
  EXPECT_THROW(connector_.run_transaction(
                   [&](Transaction&) {
                     ++runs;
                     throw std::runtime_error("the caller's own");
                   },
                   {}, fast_),
               std::runtime_error);
  EXPECT_EQ(runs, 1);
  EXPECT_TRUE(gateway_.wait_for(v1::SessionCall::kRollback));
}

TEST(US008AsyncTransactions, BeginExecuteCommit) {
  FakeGateway gateway;
  PostgresAsyncConnector connector(any_target(), gateway.options());
  const auto run = [](PostgresAsyncConnector& on) -> Async<void> {
    co_await on.async_connect();
    co_await on.async_begin();
    co_await on.async_execute("A");
    co_await on.async_commit();
    co_await on.async_execute("B");
  };
  sync_wait(run(connector));
  const auto calls = gateway.calls();
  ASSERT_EQ(calls.size(), 5U);
  EXPECT_NE(calls[2].execute().transaction_id(), "");
  EXPECT_EQ(calls[3].commit().transaction_id(), calls[2].execute().transaction_id());
  EXPECT_EQ(calls[4].execute().transaction_id(), "");
}

TEST(US008AsyncTransactions, AStatementBeforeBeginIsDoneIsAnErrorAndNotRunOutside) {
  std::promise<void> statement_was_refused;
  FakeGateway gateway([&](FakeGateway::Stream& stream, const v1::SessionCall& call) {
    if (call.has_begin()) statement_was_refused.get_future().get();
    stream.reply(FakeGateway::answer(call));
  });
  PostgresAsyncConnector connector(any_target(), gateway.options());
  sync_wait(connector.async_connect());
  Async<void> begun = connector.async_begin();
  EXPECT_THROW(sync_wait(connector.async_execute("A")), DatabaseTransactionError);
  EXPECT_THROW(sync_wait(connector.async_begin()), DatabaseTransactionError);
  statement_was_refused.set_value();
  sync_wait(std::move(begun));
  sync_wait(connector.async_rollback());
  for (const auto& call : gateway.calls()) EXPECT_FALSE(call.has_execute());
}

TEST(US008AsyncTransactions, ParallelTransactionsDoNotInterfere) {
  FakeGateway gateway;
  PostgresAsyncConnector connector(any_target(), gateway.options());
  sync_wait(connector.async_connect());
  const auto run = [](PostgresAsyncConnector& on, std::string name, bool commit) -> Async<void> {
    AsyncTransaction transaction = co_await on.async_begin_transaction();
    co_await transaction.async_execute(name);
    co_await transaction.async_execute(name);
    if (commit) {
      co_await transaction.async_commit();
    } else {
      co_await transaction.async_rollback();
    }
  };
  std::vector<Async<void>> running;
  running.reserve(20);
  for (int i = 0; i < 20; ++i) running.push_back(run(connector, std::to_string(i), i % 2 == 0));
  for (auto& each : running) sync_wait(std::move(each));

  std::set<std::pair<std::string, std::string>> name_and_transaction;
  std::set<std::string> transactions;
  for (const auto& call : gateway.calls()) {
    if (!call.has_execute()) continue;
    name_and_transaction.emplace(call.execute().sql(), call.execute().transaction_id());
    transactions.insert(call.execute().transaction_id());
  }
  EXPECT_EQ(name_and_transaction.size(), 20U);
  EXPECT_EQ(transactions.size(), 20U);
}

}  // namespace
}  // namespace engine::db

// What becomes of calls and commits when the link to the gateway, or the gateway itself, is lost.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>

#include "engine_db/postgres_connector.h"
#include "tests/unit/sdk/fake_gateway.h"

namespace engine::db {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

template <typename Error = DatabaseError>
Error error_of(const std::function<void()>& work) {
  try {
    work();
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    return error;
  } catch (const std::exception& error) {
    ADD_FAILURE() << "another error: " << error.what();
  }
  return Error(ErrorInfo{});
}

class LostCommit : public ::testing::Test {
 protected:
  void SetUp() override { connector_.connect(); }

  // "WRITE" gives the transaction a token, "READ" leaves it as it is; COMMIT breaks the link as often as `breaks_`
  // says; the questions get answers_, then the last of them again and again. UNSPECIFIED is "ask again".
  void handle(FakeGateway::Stream& stream, const v1::SessionCall& call) {
    if (call.has_commit() && breaks_-- > 0) return stream.break_off();
    v1::SessionReply reply = FakeGateway::answer(call);
    if (call.has_execute() && !call.execute().transaction_id().empty()) {
      if (call.execute().sql() == "WRITE") token_ = "token-" + std::to_string(++tokens_);
      reply.mutable_execute()->mutable_transaction()->set_recovery_token(token_);
    }
    if (call.has_begin()) token_ = "";
    if (call.has_get_transaction_outcome()) {
      const v1::Outcome answer = answers_[std::min<size_t>(asked_++, answers_.size() - 1)];
      if (silent_) return;
      if (answer == v1::OUTCOME_UNSPECIFIED) {
        reply = FakeGateway::error(call, v1::ERROR_KIND_TIMEOUT, "ask again");
        reply.mutable_error()->set_retryable(true);
        reply.mutable_error()->set_outcome(v1::OUTCOME_UNKNOWN);
      } else {
        reply.clear_error();
        reply.mutable_get_transaction_outcome()->set_outcome(answer);
      }
    }
    if (!call.has_cancel()) stream.reply(reply);
  }

  [[nodiscard]] std::string last_question() const {
    std::string token;
    for (const auto& call : gateway_.calls()) {
      if (call.has_get_transaction_outcome()) token = call.get_transaction_outcome().recovery_token();
    }
    return token;
  }

  std::atomic<int> breaks_ = 1;
  std::vector<v1::Outcome> answers_ = {v1::OUTCOME_COMMITTED};
  std::atomic<size_t> asked_ = 0;
  std::atomic<bool> silent_ = false;
  std::string token_;
  int tokens_ = 0;
  FakeGateway gateway_{[this](FakeGateway::Stream& stream, const v1::SessionCall& call) { handle(stream, call); }};
  PostgresSyncConnector connector_{any_target(), gateway_.options()};
};

TEST_F(LostCommit, ThatIsCommittedSucceeds) {
  Transaction transaction = connector_.begin_transaction();
  EXPECT_EQ(transaction.recovery_token(), "");
  transaction.execute("WRITE");
  transaction.execute("WRITE");
  EXPECT_EQ(transaction.recovery_token(), "token-2");
  transaction.commit();
  EXPECT_EQ(last_question(), "token-2");
  EXPECT_EQ(gateway_.sessions(), 2);
  EXPECT_THROW(transaction.commit(), DatabaseTransactionError);
}

TEST_F(LostCommit, OfTheCurrentTransactionSucceedsToo) {
  connector_.begin();
  connector_.execute("WRITE");
  connector_.commit();
  EXPECT_EQ(last_question(), "token-1");
  EXPECT_NO_THROW(connector_.begin());
}

TEST_F(LostCommit, ThatIsRolledBackIsATransactionErrorThatSaysSo) {
  answers_ = {v1::OUTCOME_ROLLED_BACK};
  connector_.begin();
  connector_.execute("WRITE");
  const auto error = error_of<DatabaseTransactionError>([&] { connector_.commit(); });
  EXPECT_EQ(error.outcome(), Outcome::kRolledBack);
  EXPECT_TRUE(error.retryable());
  EXPECT_NO_THROW(connector_.begin());
}

TEST_F(LostCommit, ThatNobodyCanTellStaysUnknown) {
  answers_ = {v1::OUTCOME_UNKNOWN};
  connector_.begin();
  connector_.execute("WRITE");
  EXPECT_EQ(error_of([&] { connector_.commit(); }).outcome(), Outcome::kUnknown);
}

TEST_F(LostCommit, ThatIsStillInProgressIsAskedForAgain) {
  answers_ = {v1::OUTCOME_UNSPECIFIED, v1::OUTCOME_UNSPECIFIED, v1::OUTCOME_COMMITTED};
  connector_.begin();
  connector_.execute("WRITE");
  connector_.commit();
  EXPECT_EQ(asked_, 3U);
}

TEST_F(LostCommit, IsUnknownAtTheDeadlineAndARepeatedCommitAsksAgain) {
  silent_ = true;
  PostgresSyncConnector impatient(any_target(300), gateway_.options());
  impatient.connect();
  impatient.begin();
  impatient.execute("WRITE");
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(error_of([&] { impatient.commit(); }).outcome(), Outcome::kUnknown);
  EXPECT_GE(std::chrono::steady_clock::now() - start, milliseconds(290));
  const auto refused = error_of<DatabaseTransactionError>([&] { impatient.execute("WRITE"); });
  EXPECT_EQ(refused.reason(), "COMMIT_IN_DOUBT");
  EXPECT_EQ(refused.outcome(), Outcome::kNotExecuted);
  silent_ = false;
  EXPECT_NO_THROW(impatient.commit());
  EXPECT_NO_THROW(impatient.begin());
}

TEST_F(LostCommit, ThatIsInDoubtCantBeRolledBack) {
  silent_ = true;
  PostgresSyncConnector impatient(any_target(200), gateway_.options());
  impatient.connect();
  impatient.begin();
  impatient.execute("WRITE");
  EXPECT_EQ(error_of([&] { impatient.commit(); }).outcome(), Outcome::kUnknown);
  EXPECT_EQ(error_of<DatabaseTransactionError>([&] { impatient.rollback(); }).outcome(), Outcome::kUnknown);
  EXPECT_NO_THROW(impatient.begin()) << "and then it is over";
}

TEST_F(LostCommit, WithoutATokenIsUnknownWhereTheGatewayMayNotTellThem) {
  connector_.begin();
  connector_.execute("READ");
  EXPECT_EQ(error_of([&] { connector_.commit(); }).outcome(), Outcome::kUnknown);
  EXPECT_EQ(asked_, 0U);
}

TEST_F(LostCommit, WithoutATokenIsRolledBackWhereTheGatewayTellsThem) {
  breaks_ = 0;
  connector_.begin();
  connector_.execute("WRITE");
  connector_.commit();
  breaks_ = 1;
  connector_.begin();
  connector_.execute("READ");
  EXPECT_EQ(error_of<DatabaseTransactionError>([&] { connector_.commit(); }).outcome(), Outcome::kRolledBack);
}

TEST_F(LostCommit, OfAReadOnlyTransactionIsRolledBack) {
  connector_.begin({.read_only = true});
  connector_.execute("READ");
  EXPECT_EQ(error_of<DatabaseTransactionError>([&] { connector_.commit(); }).outcome(), Outcome::kRolledBack);
}

TEST_F(LostCommit, AfterAReplyThatNeverCameIsUnknown) {
  breaks_ = 0;
  connector_.begin();
  connector_.execute("WRITE");
  connector_.commit();
  breaks_ = 1;
  Transaction transaction = connector_.begin_transaction();
  transaction.execute("READ");
  std::stop_source stop;
  stop.request_stop();
  EXPECT_THROW(transaction.execute("READ", {}, {.stop = stop.get_token()}), DatabaseTimeoutError);
  EXPECT_EQ(error_of([&] { transaction.commit(); }).outcome(), Outcome::kUnknown);
}

// The gateway may have run it again, as another transaction that did write.
TEST_F(LostCommit, OfATransactionUnderReplayIsFoundOutByATokenOnly) {
  breaks_ = 0;
  connector_.begin();
  connector_.execute("WRITE");
  connector_.commit();
  breaks_ = 1;
  connector_.begin({.replay = true});
  connector_.execute("READ");
  EXPECT_EQ(error_of([&] { connector_.commit(); }).outcome(), Outcome::kUnknown);
  EXPECT_EQ(asked_, 0U);
  breaks_ = 1;
  connector_.begin({.replay = true});
  connector_.execute("WRITE");
  EXPECT_NO_THROW(connector_.commit());
}

TEST_F(LostCommit, RunTransactionRunsAgainWhatWasRolledBackAndNothingElse) {
  const RetryConfig fast{.max_attempts = 3, .initial_delay_ms = 1, .max_delay_ms = 2};
  int runs = 0;
  const auto work = [&](Transaction& transaction) {
    ++runs;
    transaction.execute("WRITE");
  };
  answers_ = {v1::OUTCOME_ROLLED_BACK};
  connector_.run_transaction(work, {}, fast);
  EXPECT_EQ(runs, 2);
  runs = 0;
  breaks_ = 1;
  answers_ = {v1::OUTCOME_COMMITTED};
  connector_.run_transaction(work, {}, fast);
  EXPECT_EQ(runs, 1);
  runs = 0;
  breaks_ = 1;
  answers_ = {v1::OUTCOME_UNKNOWN};
  EXPECT_EQ(error_of([&] { connector_.run_transaction(work, {}, fast); }).outcome(), Outcome::kUnknown);
  EXPECT_EQ(runs, 1);
}

TEST_F(LostCommit, AnApplicationMayAskByItself) {
  answers_ = {v1::OUTCOME_ROLLED_BACK, v1::OUTCOME_COMMITTED, v1::OUTCOME_UNKNOWN};
  EXPECT_EQ(connector_.transaction_outcome("kept"), Outcome::kRolledBack);
  EXPECT_EQ(last_question(), "kept");
  PostgresAsyncConnector async(any_target(), gateway_.options());
  sync_wait(async.async_connect());
  EXPECT_EQ(sync_wait(async.async_transaction_outcome("kept")), Outcome::kCommitted);
  EXPECT_EQ(connector_.transaction_outcome("kept"), Outcome::kUnknown);
  answers_ = {v1::OUTCOME_UNSPECIFIED};
  EXPECT_THROW(connector_.transaction_outcome("kept", {.timeout = milliseconds(200)}), DatabaseTimeoutError);
}

// Breaks the stream at the first so many statements; afterwards answers.
FakeGateway::Handler break_first(int times) {
  auto left = std::make_shared<std::atomic<int>>(times);
  return [left](FakeGateway::Stream& stream, const v1::SessionCall& call) {
    if ((call.has_execute() || call.has_begin() || call.has_describe()) && (*left)-- > 0) return stream.break_off();
    if (!call.has_cancel()) stream.reply(FakeGateway::answer(call));
  };
}

TEST(LostGateway, WhatMayRunTwiceRunsAgainAsOftenAsAllowed) {
  FakeGateway gateway(break_first(2));
  PostgresSyncConnector connector(any_target(), gateway.options());
  connector.connect();
  EXPECT_EQ(connector.execute("SELECT 1", {}, {.idempotent = true}).rowcount(), 1);
  EXPECT_EQ(gateway.sessions(), 3);
  FakeGateway worse(break_first(3));
  PostgresSyncConnector other(any_target(), worse.options());
  other.connect();
  const auto error = error_of<DatabaseConnectionError>(
      [&] { other.execute("SELECT 1", {}, {.retry = RetryConfig{.max_attempts = 2}, .idempotent = true}); });
  EXPECT_EQ(error.outcome(), Outcome::kUnknown);
  EXPECT_EQ(worse.sessions(), 2);
}

TEST(LostGateway, BeginAndDescribeAreRepeated) {
  FakeGateway gateway(break_first(1));
  PostgresSyncConnector connector(any_target(), gateway.options());
  connector.connect();
  connector.begin();
  EXPECT_EQ(connector.execute("A").rowcount(), 1);
  connector.commit();
  FakeGateway another(break_first(1));
  PostgresSyncConnector describing(any_target(), another.options());
  describing.connect();
  EXPECT_EQ(describing.describe("A").parameter_type_names.size(), 1U);
}

TEST(LostGateway, AnIdempotentCallThatMayHaveRunIsNotSaidToBeNotExecuted) {
  auto gateway = std::make_unique<FakeGateway>(break_first(1));
  PostgresAsyncConnector connector(any_target(), gateway->options());
  sync_wait(connector.async_connect());
  v1::DatabaseError refusal;
  refusal.set_kind(v1::ERROR_KIND_CONNECTION);
  refusal.set_message("the database is gone");
  gateway->refuse_connect(refusal);
  const auto error = error_of<DatabaseConnectionError>(
      [&] { sync_wait(connector.async_execute("UPSERT", {}, {.idempotent = true})); });
  EXPECT_EQ(error.outcome(), Outcome::kUnknown);
}

TEST(LostGateway, AGatewayThatStartsLaterIsWaitedFor) {
  std::string address;
  {
    const FakeGateway gone;
    address = gone.address();
  }
  PostgresAsyncConnector connector(any_target(), {address});
  std::future<void> connected = connector.async_connect().future();
  std::future<Result> waiting = connector.async_execute("SELECT 1").future();
  EXPECT_EQ(connected.wait_for(milliseconds(300)), std::future_status::timeout);
  FakeGateway gateway(
      [](FakeGateway::Stream& stream, const v1::SessionCall& call) { stream.reply(FakeGateway::answer(call)); },
      address);
  EXPECT_NO_THROW(connected.get());
  EXPECT_EQ(waiting.get().rowcount(), 1);
}

TEST(LostGateway, ACallThatWaitsForItEndsByItsOwnDeadlineOrStop) {
  std::string address;
  {
    const FakeGateway gone;
    address = gone.address();
  }
  PostgresAsyncConnector connector(any_target(60'000), {address});
  static_cast<void>(connector.async_connect());
  const auto error = error_of<DatabaseConnectionError>(
      [&] { sync_wait(connector.async_execute("A", {}, {.timeout = milliseconds(200)})); });
  EXPECT_EQ(error.outcome(), Outcome::kNotExecuted);
  EXPECT_EQ(error.reason(), "GATEWAY_UNREACHABLE");
  EXPECT_TRUE(error.retryable());
  std::stop_source stop;
  std::future<Result> waiting = connector.async_execute("A", {}, {.stop = stop.get_token()}).future();
  stop.request_stop();
  EXPECT_THROW(waiting.get(), DatabaseTimeoutError);
}

TEST(LostGateway, IsNotWaitedForByThoseWhoSaySo) {
  std::string address;
  {
    const FakeGateway gone;
    address = gone.address();
  }
  PostgresSyncConnector connector(any_target(60'000), {.address = address, .wait = false});
  EXPECT_EQ(error_of<DatabaseConnectionError>([&] { connector.connect(); }).reason(), "GATEWAY_UNREACHABLE");
}

TEST(Connecting, EndsByItsOwnDeadlineOrStopWhileTheDatabaseIsSilent) {
  FakeGateway gateway;
  gateway.ignore_connect();
  PostgresAsyncConnector connector(any_target(60'000), gateway.options());
  const auto error =
      error_of<DatabaseTimeoutError>([&] { sync_wait(connector.async_connect({.timeout = milliseconds(300)})); });
  EXPECT_EQ(error.outcome(), Outcome::kNotExecuted);
  EXPECT_EQ(error.reason(), "CONNECT_TIMEOUT");
  EXPECT_THAT(error.what(), testing::HasSubstr("no database was reached through the gateway at " + gateway.address()));
  std::stop_source stop;
  std::future<void> waiting = connector.async_connect({.stop = stop.get_token()}).future();
  stop.request_stop();
  EXPECT_THROW(waiting.get(), DatabaseTimeoutError);
}

TEST(Beginning, EndsByItsOwnDeadlineOrStop) {
  FakeGateway gateway([](FakeGateway::Stream&, const v1::SessionCall&) {});
  PostgresSyncConnector connector(any_target(60'000), gateway.options());
  connector.connect();
  EXPECT_THROW(connector.begin({.timeout = milliseconds(100)}), DatabaseTimeoutError);
  EXPECT_EQ(gateway.calls()[1].begin().timeout_ms(), 100U);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_THROW(connector.begin({.stop = stop.get_token()}), DatabaseTimeoutError);
}

TEST(CallOptions, AreSent) {
  FakeGateway gateway([](FakeGateway::Stream& stream, const v1::SessionCall& call) {
    v1::SessionReply reply = FakeGateway::answer(call);
    if (call.has_execute_batch()) {
      reply.clear_error();
      reply.mutable_execute_batch();
    }
    stream.reply(reply);
  });
  PostgresSyncConnector connector(any_target(), gateway.options());
  connector.connect();
  connector.execute("A", {}, {.exactly_once = true});
  EXPECT_TRUE(gateway.calls().back().execute().exactly_once());
  connector.execute_batch({{"A"}}, {.call = {.exactly_once = true}, .atomic = true});
  EXPECT_TRUE(gateway.calls().back().execute_batch().exactly_once());
  connector.begin({.replay = true});
  EXPECT_TRUE(gateway.calls().back().begin().options().replay());
  connector.rollback();
  RowStream stream = connector.execute_stream("A", {}, {.exactly_once = true});
  EXPECT_EQ(error_of<DatabaseRequestError>([&] { static_cast<void>(stream.next_batch()); }).field(), "exactly_once");
}

}  // namespace
}  // namespace engine::db

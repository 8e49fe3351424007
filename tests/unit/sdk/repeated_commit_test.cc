// A commit that is repeated, or followed by rollback, after one whose answer never came.
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <utility>

#include "engine_db/postgres_connector.h"
#include "tests/unit/sdk/fake_gateway.h"

namespace engine::db {
namespace {

DatabaseError error_of(Async<void> operation) {
  try {
    sync_wait(std::move(operation));
  } catch (const DatabaseError& error) {
    return error;
  }
  ADD_FAILURE() << "no error";
  return DatabaseError(ErrorInfo{});
}

class RepeatedCommit : public ::testing::Test {
 protected:
  // A transaction whose first commit ends as first_ says, by default unanswered.
  void SetUp() override {
    sync_wait(connector_->async_connect());
    sync_wait(connector_->async_begin());
    sync_wait(connector_->async_execute("WRITE"));
    first_error_ = error_of(connector_->async_commit()).info();
  }

  // The further commits stop waiting behind the first.
  void handle(FakeGateway::Stream& stream, const v1::SessionCall& call) {
    if (call.has_cancel()) return;
    if (call.execute().sql() == "BREAK" || (call.has_rollback() && rollback_breaks_)) return stream.break_off();
    if (call.execute().sql() == "HOLD") return release_.get_future().wait();
    if (call.has_commit() && commits_++ == 0 && !refuses_first_) return;
    stream.reply(answer(call));
  }

  [[nodiscard]] v1::SessionReply answer(const v1::SessionCall& call) const {
    v1::SessionReply reply = FakeGateway::answer(call);
    if (call.has_execute()) reply.mutable_execute()->mutable_transaction()->set_recovery_token("token");
    if (call.has_commit()) {
      reply = FakeGateway::error(call, v1::ERROR_KIND_TIMEOUT, "the deadline passed in the transaction's queue");
      reply.mutable_error()->set_outcome(v1::OUTCOME_NOT_EXECUTED);
      reply.mutable_error()->set_retryable(true);
    }
    if (call.has_get_transaction_outcome()) {
      reply.clear_error();
      reply.mutable_get_transaction_outcome()->set_outcome(outcome_);
    }
    return reply;
  }

  void lose_session() { EXPECT_THROW(sync_wait(connector_->async_execute("BREAK")), DatabaseConnectionError); }
  [[nodiscard]] bool asked() const {
    for (const auto& call : gateway_.calls()) {
      if (call.has_get_transaction_outcome()) return true;
    }
    return false;
  }

  std::atomic<bool> refuses_first_ = false;
  std::atomic<bool> rollback_breaks_ = false;
  std::atomic<v1::Outcome> outcome_ = v1::OUTCOME_COMMITTED;
  std::atomic<int> commits_ = 0;
  std::promise<void> release_;
  ErrorInfo first_error_;
  FakeGateway gateway_{[this](FakeGateway::Stream& stream, const v1::SessionCall& call) { handle(stream, call); }};
  std::unique_ptr<PostgresAsyncConnector> connector_ =
      std::make_unique<PostgresAsyncConnector>(any_target(300), gateway_.options());
};

// What did not run is the second; the first may be done all the same.
TEST_F(RepeatedCommit, ThatDidNotRunLeavesTheFirstInDoubt) {
  EXPECT_EQ(first_error_.outcome, Outcome::kUnknown);
  for (int i = 0; i < 2; ++i) {
    const DatabaseError error = error_of(connector_->async_commit());
    EXPECT_EQ(error.kind(), ErrorKind::kTimeout);
    EXPECT_EQ(error.outcome(), Outcome::kUnknown);
    EXPECT_EQ(error.info().phase, Phase::kCommitting);
    EXPECT_FALSE(error.retryable()) << "the transaction is not to be run again";
  }
}

TEST_F(RepeatedCommit, IsFoundOutWhenTheSessionIsLost) {
  EXPECT_EQ(error_of(connector_->async_commit()).outcome(), Outcome::kUnknown);
  lose_session();
  EXPECT_NO_THROW(sync_wait(connector_->async_commit()));
  EXPECT_NO_THROW(sync_wait(connector_->async_begin())) << "it is over";
}

TEST_F(RepeatedCommit, ThatIsStillUnsentWhenTheConnectorIsDestroyedLeavesTheFirstInDoubt) {
  // The gateway reads no more, so that nothing is sent that follows a large call.
  Async<Result> held = connector_->async_execute("HOLD");
  EXPECT_TRUE(gateway_.wait_for(v1::SessionCall::kExecute, 2));
  Async<Result> large = connector_->async_execute(std::string(3 << 20, ' '));
  Async<void> again = connector_->async_commit();
  connector_ = nullptr;
  EXPECT_EQ(error_of(std::move(again)).outcome(), Outcome::kUnknown);
  release_.set_value();
}

class RefusedCommit : public RepeatedCommit {
 protected:
  RefusedCommit() { refuses_first_ = true; }
};

TEST_F(RefusedCommit, IsAsIfItHadNotBeen) {
  EXPECT_EQ(first_error_.outcome, Outcome::kNotExecuted);
  EXPECT_EQ(error_of(connector_->async_commit()).outcome(), Outcome::kNotExecuted);
  lose_session();
  const DatabaseError error = error_of(connector_->async_commit());
  EXPECT_EQ(error.reason(), "TRANSACTION_LOST");
  EXPECT_EQ(error.outcome(), Outcome::kRolledBack);
  EXPECT_FALSE(asked());
}

using RollbackAfterCommit = RepeatedCommit;

TEST_F(RollbackAfterCommit, ThatIsDoneFailsAndSaysSo) {
  EXPECT_EQ(error_of(connector_->async_commit()).outcome(), Outcome::kUnknown);
  lose_session();
  const DatabaseError error = error_of(connector_->async_rollback());
  EXPECT_EQ(error.reason(), "TRANSACTION_COMMITTED");
  EXPECT_EQ(error.outcome(), Outcome::kCommitted);
  EXPECT_NO_THROW(sync_wait(connector_->async_begin())) << "it is over";
}

TEST_F(RollbackAfterCommit, ThatIsRolledBackSucceeds) {
  outcome_ = v1::OUTCOME_ROLLED_BACK;
  lose_session();
  EXPECT_NO_THROW(sync_wait(connector_->async_rollback()));
  EXPECT_NO_THROW(sync_wait(connector_->async_begin())) << "it is over";
}

TEST_F(RollbackAfterCommit, ThatIsLostItselfIsFoundOutToo) {
  rollback_breaks_ = true;
  EXPECT_EQ(error_of(connector_->async_rollback()).outcome(), Outcome::kCommitted);
}

}  // namespace
}  // namespace engine::db

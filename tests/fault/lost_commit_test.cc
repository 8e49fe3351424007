// A COMMIT whose answer is lost is found out: whether the transaction is committed is never a guess.
#include <future>

#include "tests/fault/contract_fault_test.h"

namespace engine::db::test {
namespace {

using grpc::StatusCode;

class LostCommit : public ContractFaultTest {
 protected:
  void SetUp() override { CreateTable("n int"); }
  [[nodiscard]] std::string Insert() const { return "INSERT INTO " + name() + " VALUES (?)"; }
  [[nodiscard]] std::string BeginAndInsert(const std::string& connection) {
    const std::string transaction = Begin(connection).response.transaction_id();
    const auto inserted = ExecuteIn(connection, transaction, Insert(), {Int(1)});
    EXPECT_TRUE(inserted.ok()) << inserted.status.error_message();
    token_ = inserted.response.transaction().recovery_token();
    EXPECT_NE(token_, "");
    return transaction;
  }
  [[nodiscard]] v1::ExecuteRequest InsertRequest(const std::string& connection) const {
    v1::ExecuteRequest request;
    request.set_connection_id(connection);
    request.set_sql(Insert());
    *request.add_parameters() = Int(1);
    return request;
  }
  Answer<v1::ExecuteResponse> InsertOnce(const std::string& connection) {
    v1::ExecuteRequest request = InsertRequest(connection);
    request.set_exactly_once(true);
    return Call(&Stub::Execute, request);
  }
  // A transaction of its own.
  [[nodiscard]] v1::ExecuteRequest TransactionRequest(const std::string& connection) const {
    v1::ExecuteRequest request = InsertRequest(connection);
    request.mutable_begin();
    request.set_commit(true);
    return request;
  }
  // The last statement of one, and its COMMIT.
  [[nodiscard]] v1::ExecuteRequest LastRequest(const std::string& connection) {
    v1::ExecuteRequest request = InsertRequest(connection);
    request.set_transaction_id(BeginAndInsert(connection));
    request.set_commit(true);
    return request;
  }
  Answer<v1::ExecuteBatchResponse> InsertAsBatch(const std::string& connection) {
    v1::ExecuteBatchRequest request;
    request.set_connection_id(connection);
    request.set_atomic(true);
    v1::BatchStatement& statement = *request.add_statements();
    statement.set_sql(Insert());
    *statement.add_parameters() = Int(1);
    return Call(&Stub::ExecuteBatch, request);
  }
  v1::Outcome OutcomeByToken(const std::string& connection, const std::string& token) {
    v1::GetTransactionOutcomeRequest request;
    request.set_connection_id(connection);
    request.set_recovery_token(token);
    const auto answer = Call(&Stub::GetTransactionOutcome, request);
    EXPECT_TRUE(answer.ok()) << answer.status.error_message();
    return answer.response.outcome();
  }
  std::string token_;
};

TEST_F(LostCommit, WhoseReplyWasDroppedIsCommitted) {
  for (const FaultAct act : {FaultAct::kCut, FaultAct::kClose, FaultAct::kBlackHole}) {
    const std::string connection = OpenFaulty(3);
    const std::string transaction = BeginAndInsert(connection);
    const auto rule = Fault("^COMMIT", FaultPoint::kBeforeReply, act);
    const auto answer = Commit(connection, transaction);
    EXPECT_EQ(proxy().Fired(rule), 1);
    EXPECT_TRUE(answer.ok()) << answer.status.error_message();
    EXPECT_EQ(answer.response.transaction().state(), v1::TRANSACTION_STATE_COMMITTED);
    EXPECT_TRUE(Commit(connection, transaction).ok()) << "a repeated Commit gets the same answer";
    EXPECT_EQ(OutcomeByToken(connection, token_), v1::OUTCOME_COMMITTED);
  }
  EXPECT_EQ(Rows(), 3);
}

TEST_F(LostCommit, ThatNeverReachedTheServerIsRolledBack) {
  for (const FaultPoint point : {FaultPoint::kBeforeRequest, FaultPoint::kInRequest}) {
    for (const FaultAct act : {FaultAct::kCut, FaultAct::kBlackHole}) {
      const std::string connection = OpenFaulty(3);
      const std::string transaction = BeginAndInsert(connection);
      // Nobody tells the server that its client has gone.
      const auto rule = proxy().Add(
          {.statement = "^COMMIT", .point = point, .act = act, .bytes = 5, .server_learns = act == FaultAct::kCut});
      v1::CommitRequest request;
      request.set_connection_id(connection);
      request.set_transaction_id(transaction);
      // A COMMIT that is still open on the server is waited for until the deadline, and found out behind it.
      request.set_timeout_ms(act == FaultAct::kBlackHole ? 4000 : 0);
      const auto answer = Call(&Stub::Commit, request, seconds(60));
      EXPECT_EQ(proxy().Fired(rule), 1);
      ASSERT_FALSE(answer.ok());
      const Failure failure = Decode(answer.status);
      if (act == FaultAct::kCut) {
        EXPECT_EQ(failure.error.outcome(), v1::OUTCOME_ROLLED_BACK) << failure.error.ShortDebugString();
        EXPECT_EQ(failure.error.kind(), v1::ERROR_KIND_TRANSACTION);
        EXPECT_EQ(failure.code, StatusCode::ABORTED);
        EXPECT_EQ(failure.error.phase(), v1::PHASE_COMMITTING);
        EXPECT_EQ(OutcomeByToken(connection, token_), v1::OUTCOME_ROLLED_BACK);
      } else {
        EXPECT_EQ(failure.code, StatusCode::DEADLINE_EXCEEDED);
        EXPECT_EQ(failure.error.outcome(), v1::OUTCOME_UNKNOWN);
      }
      proxy().Heal();
    }
  }
  EXPECT_TRUE(WaitUntil(seconds(60), [&] { return Backends("state <> 'idle'") == 0; }));
  EXPECT_EQ(Rows(), 0);
}

TEST_F(LostCommit, OfATransactionInOneCallIsFoundOut) {
  const std::string connection = OpenFaulty(3);
  v1::ExecuteRequest request = TransactionRequest(connection);
  request.set_sql(Insert() + " RETURNING n");
  *request.mutable_parameters(0) = Int(7);
  const auto rule = Fault("^COMMIT", FaultPoint::kBeforeReply);
  const auto answer = Call(&Stub::Execute, request);
  EXPECT_EQ(proxy().Fired(rule), 1);
  ASSERT_TRUE(answer.ok()) << answer.status.error_message();
  EXPECT_EQ(answer.response.rows(0).values(0).int64_value(), 7);
  EXPECT_EQ(answer.response.transaction().state(), v1::TRANSACTION_STATE_COMMITTED);
  EXPECT_EQ(Rows(), 1);

  v1::ExecuteBatchRequest batch;
  batch.set_connection_id(connection);
  batch.set_atomic(true);
  for (int i = 0; i < 3; ++i) {
    v1::BatchStatement& statement = *batch.add_statements();
    statement.set_sql(Insert());
    *statement.add_parameters() = Int(i);
  }
  static_cast<void>(Fault("^COMMIT", FaultPoint::kBeforeReply));
  const auto all = Call(&Stub::ExecuteBatch, batch);
  ASSERT_TRUE(all.ok()) << all.status.error_message();
  EXPECT_EQ(all.response.results_size(), 3);
  EXPECT_EQ(Rows(), 4);
}

TEST_F(LostCommit, OfATransactionInOneCallIsNoGuessWhereverTheLinkBreaks) {
  int rows = 0;
  for (const bool batch : {false, true}) {
    for (const char* statement : {"^BEGIN", "^INSERT", "pg_current_xact_id", "^COMMIT"}) {
      for (const FaultPoint point : {FaultPoint::kBeforeRequest, FaultPoint::kInRequest, FaultPoint::kAfterRequest,
                                     FaultPoint::kBeforeReply, FaultPoint::kInReply}) {
        SCOPED_TRACE((batch ? "batch, " : "") + std::string(statement) + " at " +
                     std::to_string(static_cast<int>(point)));
        const std::string connection = OpenFaulty(/*attempts=*/1);
        const auto rule = Fault(statement, point);
        const grpc::Status status =
            batch ? InsertAsBatch(connection).status : Call(&Stub::Execute, TransactionRequest(connection)).status;
        EXPECT_EQ(proxy().Fired(rule), 1);
        const v1::Outcome outcome = status.ok() ? v1::OUTCOME_COMMITTED : Decode(status).error.outcome();
        EXPECT_NE(outcome, v1::OUTCOME_UNKNOWN) << status.error_message();
        rows += outcome == v1::OUTCOME_COMMITTED ? 1 : 0;
        EXPECT_EQ(Rows(), rows);
      }
    }
  }
}

// The cancel comes too late for the statements, whose answers are still under way; COMMIT has not been sent.
TEST_F(LostCommit, OfACallThatWasStoppedBeforeItIsRolledBack) {
  const std::string connection = OpenFaulty(3);
  v1::ExecuteRequest exactly_once = InsertRequest(connection);
  exactly_once.set_exactly_once(true);
  v1::ExecuteRequest on_its_own = TransactionRequest(connection);
  v1::ExecuteRequest in_a_transaction = InsertRequest(connection);
  in_a_transaction.set_transaction_id(Begin(connection).response.transaction_id());
  in_a_transaction.set_commit(true);
  for (v1::ExecuteRequest* request : {&exactly_once, &on_its_own, &in_a_transaction}) {
    const auto rule = proxy().Add({.statement = "pg_current_xact_id",
                                   .point = FaultPoint::kBeforeReply,
                                   .act = FaultAct::kDelay,
                                   .delay = milliseconds(250)});
    request->set_timeout_ms(200);
    const auto answer = Call(&Stub::Execute, *request);
    EXPECT_EQ(proxy().Fired(rule), 1);
    EXPECT_FALSE(answer.ok());
    const Failure failure = Decode(answer.status);
    EXPECT_EQ(failure.error.reason(), "DEADLINE_EXCEEDED") << failure.error.ShortDebugString();
    EXPECT_EQ(failure.error.outcome(), v1::OUTCOME_ROLLED_BACK);
    proxy().Heal();
    EXPECT_EQ(Rows(), 0);
  }
  EXPECT_TRUE(WaitForBackends(0, "state <> 'idle'"));
}

// Nothing of it is left, and it would be run again if there were time.
TEST_F(LostCommit, OfACallThatWasStoppedBeforeItsNextAttemptIsNoMatter) {
  const std::string connection = OpenFaulty(1);
  v1::ExecuteBatchRequest batch;
  batch.set_connection_id(connection);
  batch.set_atomic(true);
  batch.set_timeout_ms(300);
  batch.mutable_retry()->set_max_attempts(3);
  batch.mutable_retry()->set_initial_delay_ms(60'000);
  batch.mutable_retry()->set_max_delay_ms(600'000);
  batch.mutable_retry()->set_multiplier(10);
  batch.add_statements()->set_sql("INSERT INTO " + name() + " VALUES (1)");
  const auto rule = Fault("^INSERT", FaultPoint::kBeforeReply, FaultAct::kCut, /*times=*/3);
  const Failure failure = Decode(Call(&Stub::ExecuteBatch, batch).status);
  EXPECT_GE(proxy().Fired(rule), 1);
  EXPECT_EQ(failure.error.reason(), "LINK_LOST") << failure.error.ShortDebugString();
  EXPECT_EQ(failure.error.outcome(), v1::OUTCOME_ROLLED_BACK);
  EXPECT_EQ(Rows(), 0);
}

// Whoever asks about its COMMIT falls into a black hole.
TEST_F(LostCommit, OfACallThatIsStoppedWhileItIsAskedAboutIsNotWaitedFor) {
  const std::string connection = OpenFaulty(3);
  v1::ExecuteRequest request = LastRequest(connection);
  request.set_timeout_ms(300);
  const auto commit = Fault("^COMMIT", FaultPoint::kBeforeReply);
  const auto asked = Fault("pg_control_system", FaultPoint::kBeforeRequest, FaultAct::kBlackHole, kAlways);
  const auto begin = Now();
  const Failure failure = Decode(Call(&Stub::Execute, request, seconds(60)).status);
  EXPECT_LT(Since(begin), milliseconds(300) + Slack(begin));
  EXPECT_EQ(proxy().Fired(commit), 1);
  EXPECT_GE(proxy().Fired(asked), 1);
  EXPECT_EQ(failure.error.reason(), "DEADLINE_EXCEEDED") << failure.error.ShortDebugString();
  EXPECT_EQ(failure.error.outcome(), v1::OUTCOME_UNKNOWN);
  proxy().Heal();
  EXPECT_TRUE(WaitUntil(seconds(60), [&] { return Commit(connection, request.transaction_id()).ok(); }));
  EXPECT_EQ(Rows(), 2);
}

// Its answer comes just past the deadline, and is waited for: a machine may be too busy for that once, but not always.
TEST_F(LostCommit, ThatEndsSoonAfterTheDeadlineIsCommitted) {
  const std::string connection = OpenFaulty(3);
  int told = 0;
  int rows = 0;
  for (; told == 0 && rows < 10; ++rows) {
    v1::CommitRequest request;
    request.set_connection_id(connection);
    request.set_transaction_id(BeginAndInsert(connection));
    request.set_timeout_ms(200);
    const auto rule = proxy().Add({.statement = "^COMMIT",
                                   .point = FaultPoint::kBeforeReply,
                                   .act = FaultAct::kDelay,
                                   .delay = milliseconds(205)});
    told += Call(&Stub::Commit, request).ok() ? 1 : 0;
    EXPECT_EQ(proxy().Fired(rule), 1);
  }
  EXPECT_EQ(told, 1);
  EXPECT_TRUE(WaitUntil(kSoon, [&] { return Rows() == rows; }));
}

// COMMIT is sent when they have been answered, the last statement of the transaction too.
TEST_F(LostCommit, OfATransactionThatIsLostBeforeItIsRolledBack) {
  for (const FaultPoint point : {FaultPoint::kAfterRequest, FaultPoint::kBeforeReply, FaultPoint::kInReply}) {
    const std::string connection = OpenFaulty(3);
    v1::ExecuteRequest request = LastRequest(connection);
    const auto rule = Fault("^INSERT", point);
    const Failure failure = Decode(Call(&Stub::Execute, request).status);
    EXPECT_EQ(proxy().Fired(rule), 1);
    EXPECT_EQ(failure.error.reason(), "TRANSACTION_LOST") << failure.error.ShortDebugString();
    EXPECT_EQ(failure.error.outcome(), v1::OUTCOME_ROLLED_BACK);
    EXPECT_EQ(Rows(), 0);
  }
}

// It is made to have an id, by which it is found out about like any other.
TEST_F(LostCommit, OfATransactionThatHadWrittenNothingIsFoundOut) {
  const std::string connection = OpenFaulty(3);
  const std::string transaction = Begin(connection).response.transaction_id();
  ASSERT_TRUE(ExecuteIn(connection, transaction, "UPDATE " + name() + " SET n = 1").ok());
  static_cast<void>(Fault("^COMMIT", FaultPoint::kBeforeReply));
  const auto committed = Commit(connection, transaction);
  EXPECT_TRUE(committed.ok()) << Decode(committed.status).error.ShortDebugString();
}

// A notification is all that it does, and is sent or not.
TEST_F(LostCommit, OfATransactionThatOnlyNotifiesIsFoundOut) {
  for (const std::string& statement : {"NOTIFY " + name(), "SELECT pg_notify('" + name() + "', '')"}) {
    const std::string connection = OpenFaulty(3);
    const std::string transaction = Begin(connection).response.transaction_id();
    const auto notified = ExecuteIn(connection, transaction, statement);
    ASSERT_TRUE(notified.ok());
    const std::string token = notified.response.transaction().recovery_token();
    EXPECT_NE(token, "") << "whoever loses the gateway must not think that there was nothing";
    const auto rule = Fault("^COMMIT", FaultPoint::kBeforeReply);
    EXPECT_TRUE(Commit(connection, transaction).ok()) << statement;
    EXPECT_EQ(proxy().Fired(rule), 1);
    EXPECT_EQ(OutcomeByToken(connection, token), token == "unmarked" ? v1::OUTCOME_UNKNOWN : v1::OUTCOME_COMMITTED);
  }
}

TEST_F(LostCommit, ExactlyOnceIsExactlyOnceWhereverTheLinkBreaks) {
  int rows = 0;
  for (const char* statement : {"^BEGIN", "^INSERT", "pg_current_xact_id", "^COMMIT"}) {
    for (const FaultPoint point : {FaultPoint::kBeforeRequest, FaultPoint::kInRequest, FaultPoint::kAfterRequest,
                                   FaultPoint::kBeforeReply, FaultPoint::kInReply}) {
      SCOPED_TRACE(std::string(statement) + " at " + std::to_string(static_cast<int>(point)));
      const std::string connection = OpenFaulty(3);
      const auto rule = Fault(statement, point);
      const auto answer = InsertOnce(connection);
      EXPECT_EQ(proxy().Fired(rule), 1);
      EXPECT_TRUE(answer.ok()) << answer.status.error_message();
      EXPECT_EQ(answer.response.rows_affected(), 1);
      EXPECT_EQ(Rows(), ++rows);
    }
  }
}

TEST_F(LostCommit, ExactlyOnceWithoutRetriesSaysWhatHappened) {
  const std::string connection = OpenFaulty(1);
  static_cast<void>(Fault("^COMMIT", FaultPoint::kBeforeRequest));
  const Failure failure = Decode(InsertOnce(connection).status);
  EXPECT_EQ(failure.error.outcome(), v1::OUTCOME_ROLLED_BACK);
  EXPECT_TRUE(failure.error.retryable());
  static_cast<void>(Fault("^COMMIT", FaultPoint::kBeforeReply));
  EXPECT_TRUE(InsertOnce(connection).ok()) << "it is committed";
  EXPECT_EQ(Rows(), 1);
}

TEST_F(LostCommit, ExactlyOnceIsRefusedWhereItMeansNothing) {
  const std::string connection = OpenFaulty(3);
  v1::ExecuteRequest request = InsertRequest(connection);
  request.set_exactly_once(true);
  request.mutable_begin();
  EXPECT_EQ(Decode(Call(&Stub::Execute, request).status).error.field(), "exactly_once");
  v1::ExecuteBatchRequest batch;
  batch.set_connection_id(connection);
  batch.set_exactly_once(true);
  batch.add_statements()->set_sql("SELECT 1");
  EXPECT_EQ(Decode(Call(&Stub::ExecuteBatch, batch).status).error.reason(), "EXACTLY_ONCE_NOT_ATOMIC");
  request.clear_begin();
  request.set_sql("SELECT ?::int");
  EXPECT_TRUE(Call(&Stub::Execute, request).ok()) << "a read is repeated anyway";
  EXPECT_EQ(Rows(), 0);
}

TEST_F(LostCommit, ACallerWhoLostTheGatewayAsksAnotherOne) {
  const std::string connection = OpenFaulty(3);
  static_cast<void>(BeginAndInsert(connection));
  const auto other = StartGateway({});
  const auto stub = StubFor(*other);
  const auto ask = [&](const std::string& token) {
    grpc::ClientContext connecting;
    v1::ConnectResponse connected;
    EXPECT_TRUE(stub->Connect(&connecting, ConnectTo(), &connected).ok());
    grpc::ClientContext context;
    v1::GetTransactionOutcomeRequest request;
    request.set_connection_id(connected.connection_id());
    request.set_recovery_token(token);
    request.set_timeout_ms(500);
    v1::GetTransactionOutcomeResponse response;
    const grpc::Status status = stub->GetTransactionOutcome(&context, request, &response);
    return std::make_pair(Decode(status), response.outcome());
  };
  // Open still: nobody can tell.
  const auto open = ask(token_);
  EXPECT_EQ(open.first.code, StatusCode::DEADLINE_EXCEEDED);
  EXPECT_TRUE(open.first.error.retryable());
  TerminateBackends("state = 'idle in transaction'");
  EXPECT_EQ(ask(token_).second, v1::OUTCOME_ROLLED_BACK);
  EXPECT_EQ(ask("nonsense").first.error.field(), "recovery_token");
  EXPECT_EQ(ask("999999999" + token_.substr(token_.find('.'))).second, v1::OUTCOME_UNKNOWN) << "in the future";
}

// A question by token to a gateway of its own, while the transaction is open: nobody can tell.
class OpenQuestion : public LostCommit {
 protected:
  void SetUp() override {
    LostCommit::SetUp();
    static_cast<void>(BeginAndInsert(OpenFaulty(3)));
    gateway_ = StartGateway({{"ENGINE_DB_DRAIN_GRACE", "2s"}});
    stub_ = StubFor(*gateway_);
    v1::ConnectRequest request = ConnectTo(2);
    request.mutable_config()->set_host(proxy().host());
    request.mutable_config()->set_port(proxy().port());
    grpc::ClientContext context;
    v1::ConnectResponse connected;
    ASSERT_TRUE(stub_->Connect(&context, request, &connected).ok());
    connection_ = connected.connection_id();
  }
  // Asks, and returns when the server has been asked.
  std::future<grpc::Status> Ask(milliseconds timeout) {
    const auto looks = proxy().Add({.statement = "pg_xact_status", .act = FaultAct::kDelay, .delay = milliseconds(1)});
    auto answer = std::async(std::launch::async, [this, timeout] {
      grpc::ClientContext context;
      context.set_deadline(std::chrono::system_clock::now() + seconds(60));
      v1::GetTransactionOutcomeRequest request;
      request.set_connection_id(connection_);
      request.set_recovery_token(token_);
      request.set_timeout_ms(static_cast<uint32_t>(timeout.count()));
      v1::GetTransactionOutcomeResponse response;
      return stub_->GetTransactionOutcome(&context, request, &response);
    });
    EXPECT_TRUE(proxy().WaitForFired(looks));
    return answer;
  }

  std::unique_ptr<GatewayProcess> gateway_;
  std::unique_ptr<Stub> stub_;
  std::string connection_;
};

TEST_F(OpenQuestion, IsAnsweredAlthoughTheConnectionIsClosed) {
  const auto start = Now();
  auto answer = Ask(seconds(3));
  grpc::ClientContext context;
  v1::CloseRequest request;
  request.set_connection_id(connection_);
  v1::CloseResponse response;
  ASSERT_TRUE(stub_->Close(&context, request, &response).ok());
  EXPECT_EQ(answer.wait_for(seconds(3) + kSoon), std::future_status::ready);
  EXPECT_LT(Since(start), seconds(3) + Slack(start));
  EXPECT_EQ(gateway_->Terminate(seconds(10)), 0);
  EXPECT_EQ(Decode(answer.get()).error.reason(), "DEADLINE_EXCEEDED");
}

TEST_F(OpenQuestion, DoesNotKeepTheGatewayFromStopping) {
  auto answer = Ask(seconds(50));
  EXPECT_EQ(gateway_->Terminate(seconds(10)), 0);
  EXPECT_FALSE(answer.get().ok());
}

TEST_F(LostCommit, ATransactionTellsWhereItStands) {
  const std::string connection = OpenFaulty(3);
  const std::string transaction = BeginAndInsert(connection);
  const auto ask = [&](const std::string& id) {
    v1::GetTransactionOutcomeRequest request;
    request.set_connection_id(connection);
    request.set_transaction_id(id);
    return Call(&Stub::GetTransactionOutcome, request);
  };
  EXPECT_EQ(ask(transaction).response.outcome(), v1::OUTCOME_UNSPECIFIED);
  EXPECT_EQ(ask(transaction).response.transaction().state(), v1::TRANSACTION_STATE_OPEN);
  ASSERT_TRUE(Commit(connection, transaction).ok());
  EXPECT_EQ(ask(transaction).response.outcome(), v1::OUTCOME_COMMITTED);
  const std::string second = BeginAndInsert(connection);
  ASSERT_TRUE(Rollback(connection, second).ok());
  EXPECT_EQ(ask(second).response.outcome(), v1::OUTCOME_ROLLED_BACK);
  EXPECT_EQ(Decode(ask("t-0-0").status).error.reason(), "UNKNOWN_TRANSACTION");
}

}  // namespace
}  // namespace engine::db::test

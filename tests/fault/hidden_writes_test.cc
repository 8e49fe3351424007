// A SELECT may write: through a function that a view calls, or a policy, or an operator. What is done about its failure
// is done as for any other write.
#include "tests/fault/contract_fault_test.h"

namespace engine::db::test {
namespace {

class HiddenWrites : public ContractFaultTest {
 protected:
  void SetUp() override {
    CreateTable("n int");
    Sql("CREATE FUNCTION " + name() + "_write() RETURNS int LANGUAGE sql AS $$ INSERT INTO " + name() +
        " VALUES (1) RETURNING n $$; CREATE VIEW " + name() + "_view AS SELECT " + name() + "_write() AS n");
  }
  [[nodiscard]] std::string Select() const { return "SELECT n FROM " + name() + "_view"; }
  FaultProxy::RuleId LoseTheAnswer() { return Fault("_view", FaultPoint::kBeforeReply); }
  FaultProxy::RuleId LoseTheAnswerOfTheWrite() {  // the guard's refusal comes first
    return proxy().Add({.statement = "_view", .skip = 1, .point = FaultPoint::kBeforeReply, .act = FaultAct::kCut});
  }
  [[nodiscard]] v1::ExecuteRequest Request(const std::string& connection) const {
    v1::ExecuteRequest request;
    request.set_connection_id(connection);
    request.set_sql(Select());
    return request;
  }
  [[nodiscard]] v1::ExecuteBatchRequest Batch(const std::string& connection, int statements) const {
    v1::ExecuteBatchRequest request;
    request.set_connection_id(connection);
    for (int i = 0; i < statements; ++i) request.add_statements()->set_sql(Select());
    return request;
  }
};

TEST_F(HiddenWrites, InAutocommitAreRunOnce) {
  const std::string connection = OpenFaulty(3);
  for (const bool known : {false, true}) {
    const auto rule = known ? LoseTheAnswer() : LoseTheAnswerOfTheWrite();
    const int before = Rows();
    const Failure failure = Decode(Call(&Stub::Execute, Request(connection)).status);
    EXPECT_EQ(proxy().Fired(rule), 1);
    EXPECT_EQ(failure.error.outcome(), v1::OUTCOME_UNKNOWN) << failure.error.ShortDebugString();
    EXPECT_EQ(Rows(), before + 1);
  }
}

TEST_F(HiddenWrites, ExactlyOnceIsExactlyOnce) {
  const std::string connection = OpenFaulty(3);
  v1::ExecuteRequest request = Request(connection);
  request.set_exactly_once(true);
  for (int n = 1; n <= 2; ++n) {
    const auto rule = n == 1 ? LoseTheAnswerOfTheWrite() : LoseTheAnswer();
    const auto answer = Call(&Stub::Execute, request);
    EXPECT_EQ(proxy().Fired(rule), 1);
    EXPECT_TRUE(answer.ok()) << answer.status.error_message();
    EXPECT_EQ(Rows(), n);
    static_cast<void>(Fault("^COMMIT", FaultPoint::kBeforeReply));
  }
}

TEST_F(HiddenWrites, InAStreamAreRunOnce) {
  const std::string connection = OpenFaulty(3);
  v1::ExecuteStreamRequest request;
  request.set_connection_id(connection);
  request.set_sql(Select());
  const StreamAnswer first = Stream(request);
  EXPECT_TRUE(first.status.ok()) << first.status.error_message();
  ASSERT_EQ(Rows(), 1);
  const auto rule = LoseTheAnswer();
  const Failure failure = Decode(Stream(request).status);
  EXPECT_EQ(proxy().Fired(rule), 1);
  EXPECT_EQ(failure.error.outcome(), v1::OUTCOME_UNKNOWN) << failure.error.ShortDebugString();
  EXPECT_EQ(Rows(), 2);
}

TEST_F(HiddenWrites, InABatchAreRunOnce) {
  for (const int statements : {1, 2}) {
    const std::string connection = OpenFaulty(3);
    const int before = Rows();
    const auto answer = Call(&Stub::ExecuteBatch, Batch(connection, statements));
    ASSERT_TRUE(answer.ok()) << answer.status.error_message();
    for (const v1::BatchResult& result : answer.response.results()) {
      EXPECT_FALSE(result.has_error()) << result.error().ShortDebugString();
      EXPECT_EQ(result.response().rows_size(), 1);
    }
    EXPECT_EQ(Rows(), before + statements);

    const auto rule = LoseTheAnswer();
    const auto lost = Call(&Stub::ExecuteBatch, Batch(connection, statements));
    EXPECT_EQ(proxy().Fired(rule), 1);
    ASSERT_TRUE(lost.ok()) << lost.status.error_message();
    for (const v1::BatchResult& result : lost.response.results()) {
      EXPECT_EQ(result.error().outcome(), v1::OUTCOME_UNKNOWN) << result.ShortDebugString();
    }
    EXPECT_GE(Rows(), before + statements + 1);
    EXPECT_LE(Rows(), before + 2 * statements);
  }
}

TEST_F(HiddenWrites, InATransactionInOneCallAreRunOnce) {
  const std::string connection = OpenFaulty(3);
  v1::ExecuteRequest request = Request(connection);
  request.mutable_begin();
  request.set_commit(true);
  static_cast<void>(Fault("^COMMIT", FaultPoint::kBeforeReply));
  const auto alone = Call(&Stub::Execute, request);
  EXPECT_TRUE(alone.ok()) << alone.status.error_message();
  EXPECT_EQ(Rows(), 1);

  v1::ExecuteBatchRequest batch = Batch(connection, 2);
  batch.set_atomic(true);
  static_cast<void>(Fault("^COMMIT", FaultPoint::kBeforeReply));
  const auto together = Call(&Stub::ExecuteBatch, batch);
  EXPECT_TRUE(together.ok()) << together.status.error_message();
  EXPECT_EQ(Rows(), 3);
}

TEST_F(HiddenWrites, InATransactionAreFoundOutAbout) {
  const std::string connection = OpenFaulty(3);
  for (const bool replay : {false, true}) {
    const int before = Rows();
    v1::TransactionOptions options;
    options.set_replay(replay);
    const std::string transaction = Begin(connection, options).response.transaction_id();
    const auto selected = ExecuteIn(connection, transaction, Select());
    ASSERT_TRUE(selected.ok()) << selected.status.error_message();
    EXPECT_NE(selected.response.transaction().recovery_token(), "");
    const auto rule = Fault("^COMMIT", FaultPoint::kBeforeReply);
    const auto committed = Commit(connection, transaction);
    EXPECT_EQ(proxy().Fired(rule), 1);
    EXPECT_TRUE(committed.ok()) << committed.status.error_message();
    EXPECT_EQ(Rows(), before + 1);
  }
}

// It is not told what it may not hear: that nothing can have been written.
TEST_F(HiddenWrites, ReadsInATransactionThatWroteNothingAreNoMatter) {
  const std::string connection = OpenFaulty(3);
  const std::string transaction = Begin(connection).response.transaction_id();
  const auto selected = ExecuteIn(connection, transaction, "SELECT count(*) FROM " + name());
  ASSERT_TRUE(selected.ok()) << selected.status.error_message();
  EXPECT_EQ(selected.response.transaction().recovery_token(), "");
  static_cast<void>(Fault("^COMMIT", FaultPoint::kBeforeReply));
  EXPECT_EQ(Decode(Commit(connection, transaction).status).error.outcome(), v1::OUTCOME_ROLLED_BACK);
}

TEST_F(HiddenWrites, StreamsAndBatchesOfReadsAreRunAgain) {
  Sql("INSERT INTO " + name() + " SELECT generate_series(1, 10)");
  const std::string connection = OpenFaulty(3);
  v1::ExecuteStreamRequest stream;
  stream.set_connection_id(connection);
  stream.set_sql("SELECT n FROM " + name());
  const auto rule = Fault("^SELECT n", FaultPoint::kBeforeReply);
  const StreamAnswer streamed = Stream(stream);
  EXPECT_EQ(proxy().Fired(rule), 1);
  EXPECT_TRUE(streamed.status.ok()) << streamed.status.error_message();
  EXPECT_EQ(streamed.messages.back().summary().row_count(), 10U);
  EXPECT_EQ(streamed.messages.back().summary().attempts(), 2U);

  for (const int statements : {1, 3}) {
    v1::ExecuteBatchRequest batch;
    batch.set_connection_id(connection);
    for (int i = 0; i < statements; ++i) batch.add_statements()->set_sql("SELECT n FROM " + name());
    const auto cut = Fault("^SELECT n", FaultPoint::kBeforeReply);
    const auto answer = Call(&Stub::ExecuteBatch, batch);
    EXPECT_EQ(proxy().Fired(cut), 1);
    ASSERT_TRUE(answer.ok()) << answer.status.error_message();
    EXPECT_EQ(answer.response.attempts(), 2U);
    for (const v1::BatchResult& result : answer.response.results()) {
      EXPECT_EQ(result.response().rows_size(), 10) << result.ShortDebugString();
      EXPECT_NE(result.response().bound_sql(), "");
    }
  }
}

}  // namespace
}  // namespace engine::db::test

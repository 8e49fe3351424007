// Calls with an idempotency key: repeated by whoever, whenever and however often, each is done once.
#include <future>

#include "tests/fault/contract_fault_test.h"

namespace engine::db::test {
namespace {

using grpc::StatusCode;

class IdempotencyKeys : public ContractFaultTest {
 protected:
  void SetUp() override { CreateTable("n int PRIMARY KEY, at timestamptz DEFAULT clock_timestamp()"); }
  [[nodiscard]] std::string Insert() const { return "INSERT INTO " + name() + " VALUES (?) RETURNING n, at::text"; }
  [[nodiscard]] v1::ExecuteRequest Request(const std::string& connection, const std::string& key, int n) const {
    v1::ExecuteRequest request;
    request.set_connection_id(connection);
    request.set_sql(Insert());
    *request.add_parameters() = Int(n);
    request.set_idempotency_key(key);
    return request;
  }
  Answer<v1::ExecuteResponse> InsertBy(const std::string& connection, const std::string& key, int n) {
    return Call(&Stub::Execute, Request(connection, key, n));
  }
};

TEST_F(IdempotencyKeys, ARepeatedCallGetsTheFirstOnesResult) {
  const std::string connection = Open();
  const auto first = InsertBy(connection, name() + "-1", 1);
  ASSERT_TRUE(first.ok()) << first.status.error_message();
  EXPECT_FALSE(first.response.answered_before());
  const auto again = InsertBy(Open(), name() + "-1", 1);
  ASSERT_TRUE(again.ok()) << again.status.error_message();
  EXPECT_TRUE(again.response.answered_before());
  EXPECT_EQ(again.response.rows(0).SerializeAsString(), first.response.rows(0).SerializeAsString());
  EXPECT_EQ(again.response.command_tag(), "INSERT 0 1");
  EXPECT_EQ(again.response.bound_sql(), first.response.bound_sql());
  EXPECT_TRUE(InsertBy(connection, name() + "-2", 2).ok()) << "another key, another call";
  EXPECT_EQ(Rows(), 2);
}

TEST_F(IdempotencyKeys, ManyAtOnceAreDoneOnce) {
  const std::string connection = Open(8);
  std::vector<std::future<Answer<v1::ExecuteResponse>>> calls;
  for (int i = 0; i < 16; ++i) {
    calls.push_back(std::async(std::launch::async, [&] { return InsertBy(connection, name() + "-k", 1); }));
  }
  int first = 0;
  for (auto& call : calls) {
    const auto answer = call.get();
    EXPECT_TRUE(answer.ok()) << answer.status.error_message();
    first += answer.response.answered_before() ? 0 : 1;
  }
  EXPECT_EQ(first, 1);
  EXPECT_EQ(Rows(), 1);
}

TEST_F(IdempotencyKeys, WhereverTheLinkBreaksItIsDoneOnce) {
  int n = 0;
  for (const char* statement : {"^BEGIN", "^DO", "INSERT INTO engine_db.calls",
                                "^INSERT INTO integration|^INSERT INTO \\w+ ", "^UPDATE engine_db.calls", "^COMMIT"}) {
    for (const FaultPoint point : {FaultPoint::kBeforeRequest, FaultPoint::kAfterRequest, FaultPoint::kBeforeReply}) {
      SCOPED_TRACE(std::string(statement) + " at " + std::to_string(static_cast<int>(point)));
      const std::string connection = OpenFaulty(3);
      const auto rule = Fault(statement, point);
      ++n;
      const auto answer = InsertBy(connection, name() + "-" + std::to_string(n), n);
      EXPECT_EQ(proxy().Fired(rule), 1);
      EXPECT_TRUE(answer.ok()) << answer.status.error_message();
      EXPECT_EQ(answer.response.rows_affected(), 1);
      EXPECT_EQ(Rows(), n);
      proxy().Heal();
    }
  }
}

TEST_F(IdempotencyKeys, ACallThatFailedLeavesNoKey) {
  const std::string connection = Open();
  ASSERT_TRUE(InsertBy(connection, name() + "-1", 1).ok());
  EXPECT_EQ(Decode(InsertBy(connection, name() + "-2", 1).status).error.sqlstate(), "23505");
  Sql("DELETE FROM " + name());
  const auto answer = InsertBy(connection, name() + "-2", 1);
  ASSERT_TRUE(answer.ok());
  EXPECT_FALSE(answer.response.answered_before());
}

TEST_F(IdempotencyKeys, OneKeyIsForOneCall) {
  const std::string connection = Open();
  ASSERT_TRUE(InsertBy(connection, name() + "-1", 1).ok());
  const Failure failure = ExpectFailure(InsertBy(connection, name() + "-1", 2).status, StatusCode::INVALID_ARGUMENT,
                                        v1::ERROR_KIND_INVALID_REQUEST, "IDEMPOTENCY_KEY_REUSED");
  EXPECT_EQ(failure.error.field(), "idempotency_key");
  EXPECT_EQ(Decode(InsertBy(connection, std::string(201, 'k'), 3).status).error.reason(), "MALFORMED_KEY");
  EXPECT_EQ(Rows(), 1);
}

TEST_F(IdempotencyKeys, AnAtomicBatchHasOneToo) {
  const std::string connection = Open();
  v1::ExecuteBatchRequest request;
  request.set_connection_id(connection);
  request.set_atomic(true);
  request.set_idempotency_key(name() + "-batch");
  v1::BatchStatement& statement = *request.add_statements();
  statement.set_sql(Insert());
  for (int n = 1; n <= 3; ++n) *statement.add_parameter_lists()->add_parameters() = Int(n);
  const auto first = Call(&Stub::ExecuteBatch, request);
  ASSERT_TRUE(first.ok()) << first.status.error_message();
  const auto again = Call(&Stub::ExecuteBatch, request);
  ASSERT_TRUE(again.ok()) << again.status.error_message();
  EXPECT_TRUE(again.response.answered_before());
  ASSERT_EQ(again.response.results_size(), 3);
  EXPECT_EQ(again.response.results(2).response().rows(0).SerializeAsString(),
            first.response.results(2).response().rows(0).SerializeAsString());
  EXPECT_EQ(Rows(), 3);
  request.set_atomic(false);
  EXPECT_EQ(Decode(Call(&Stub::ExecuteBatch, request).status).error.field(), "exactly_once");
}

TEST_F(IdempotencyKeys, TheTableIsMadeWhenItIsFirstAskedFor) {
  PostgresCluster cluster;
  v1::ConnectRequest target = ConnectTo(8);
  target.mutable_config()->set_host(cluster.host());
  target.mutable_config()->set_port(cluster.port());
  target.mutable_config()->set_password(cluster.password());
  const std::string connection = Open(target);
  ASSERT_TRUE(Execute(connection, "CREATE TABLE t (n int)").ok());
  EXPECT_EQ(cluster.Scalar("SELECT count(*) FROM pg_class WHERE relname = 'calls'"), "0");
  std::vector<std::future<Answer<v1::ExecuteResponse>>> calls;
  for (int i = 0; i < 8; ++i) {
    calls.push_back(std::async(std::launch::async, [&, i] {
      v1::ExecuteRequest request;
      request.set_connection_id(connection);
      request.set_sql("INSERT INTO t VALUES (1)");
      request.set_idempotency_key("key " + std::to_string(i));
      return Call(&Stub::Execute, request);
    }));
  }
  for (auto& call : calls) {
    const auto answer = call.get();
    EXPECT_TRUE(answer.ok()) << answer.status.error_message();
  }
  EXPECT_EQ(cluster.Scalar("SELECT count(*) FROM t"), "8");
  EXPECT_EQ(cluster.Scalar("SELECT count(*) FROM engine_db.calls"), "8");
}

}  // namespace
}  // namespace engine::db::test

// Sizes that no caller should send, and that some will.
#include <cstdlib>
#include <iostream>

#include "tests/integration/gateway_calls.h"

namespace engine::db::test {
namespace {

// ./test.sh --all sets it: the full sizes, which take gigabytes of memory.
bool Thorough() { return std::getenv("ENGINE_DB_ALL_CHECKS") != nullptr; }

class InputFaults : public GatewayCallsTest {
 protected:
  void TearDown() override {
    // Whatever came before: others are still served.
    EXPECT_EQ(Connect()->execute("SELECT 5 AS n").rows()[0]["n"].as<int>(), 5);
    GatewayCallsTest::TearDown();
  }
};

TEST_F(InputFaults, AsManyParametersAsTheProtocolHasAndOneMore) {
  const auto connector = Connect();
  constexpr int kMost = 65'535;
  for (const int count : {kMost, kMost + 1}) {
    std::string sql = "SELECT array_length(ARRAY[?::int";
    for (int i = 1; i < count; ++i) sql += ",?";
    sql += "], 1) AS n";
    const Parameters parameters(static_cast<size_t>(count), 1);
    if (count == kMost) {
      EXPECT_EQ(connector->execute(sql, parameters).rows()[0]["n"].as<int>(), count);
    } else {
      const auto error = Catch<DatabaseRequestError>([&] { connector->execute(sql, parameters); });
      EXPECT_THAT(error.what(), testing::HasSubstr("65535"));
    }
  }
}

TEST_F(InputFaults, ARowLargerThanAnyMessage) {
  const std::string size = Thorough() ? "536870912" : "67108864";
  const auto connector = Connect();
  // All of it or a clear error, and the memory comes back.
  try {
    RowStream stream =
        connector->execute_stream("SELECT repeat('x', " + size + ") AS x", {}, {.timeout = seconds(120)});
    size_t got = 0;
    while (const auto batch = stream.next_batch()) got += (*batch)[0]["x"].as<std::string_view>().size();
    EXPECT_EQ(got, std::stoull(size));
  } catch (const DatabaseError& error) {
    EXPECT_THAT(std::string(error.what()), testing::Not(testing::IsEmpty()));
    EXPECT_FALSE(error.reason().empty()) << error.what();
    RecordProperty("error", error.reason() + ": " + error.what());
    std::cout << "error: " << error.reason() << ": " << error.what() << "\n";
  }
  EXPECT_TRUE(WaitForBackends(0, "state = 'active'"));
  EXPECT_TRUE(WaitUntil(kSoon, [] { return Gateway().Memory().resident_kib < 256 * 1024; }))
      << Gateway().Memory().resident_kib / 1024 << " MiB";
}

TEST_F(InputFaults, AParameterOfMoreThanAGibibyte) {
  if (!Thorough()) GTEST_SKIP() << "takes gigabytes; see bad_input_test for one that is over the limit";
  const auto connector = Connect();
  const auto error = Catch([&] { connector->execute("SELECT length(?)", {std::string(1'181'116'006, 'x')}); });
  EXPECT_EQ(error.outcome(), Outcome::kNotExecuted);
  EXPECT_FALSE(error.retryable());
}

TEST_F(InputFaults, MetadataOfTwentyKilobytes) {
  const std::string connection = Open();
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + seconds(10));
  context.AddMetadata("x-large", std::string(20'000, 'm'));
  v1::ExecuteRequest request;
  request.set_connection_id(connection);
  request.set_sql("SELECT 1");
  v1::ExecuteResponse response;
  const grpc::Status status = stub().Execute(&context, request, &response);
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_TRUE(WaitUntil(kSoon, [&] { return Execute(connection, "SELECT 1").ok(); }));  // perhaps on a new link
}

}  // namespace
}  // namespace engine::db::test

// Types that were created after the gateway had read the catalogue have their names in every result.
#include <string>
#include <thread>
#include <vector>

#include "tests/integration/gateway_calls.h"

namespace engine::db::test {
namespace {

class NewTypes : public GatewayCallsTest {
 protected:
  // Elsewhere, and after the connection was made.
  std::string Create(const std::string& suffix) {
    const std::string type = name() + suffix;
    Postgres().Exec("CREATE TYPE " + type + " AS ENUM ('a')");
    return type;
  }
};

TEST_F(NewTypes, AreNamedInEveryResultOfABatch) {
  const std::string connection = Open();
  int number = 0;
  for (const bool atomic : {false, true}) {
    for (const v1::ResultFormat format : {v1::RESULT_FORMAT_ROWS, v1::RESULT_FORMAT_COLUMNS}) {
      const std::string type = Create("_" + std::to_string(number));
      const std::string other = Create("_other_" + std::to_string(number++));
      v1::ExecuteBatchRequest request;
      request.set_connection_id(connection);
      request.set_atomic(atomic);
      request.set_result_format(format);
      for (int i = 0; i < 20; ++i) {
        request.add_statements()->set_sql("SELECT 'a'::" + (i % 5 == 4 ? other : type) + " AS v, " + std::to_string(i));
      }
      const auto answer = Call(&Stub::ExecuteBatch, request);
      ASSERT_TRUE(answer.ok()) << answer.status.error_message();
      for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(answer.response.results(i).response().columns(0).type_name(), i % 5 == 4 ? other : type) << i;
      }
    }
  }
}

TEST_F(NewTypes, AreNamedForEveryCallerAtOnce) {
  const std::string connection = Open(4);
  for (int round = 0; round < 5; ++round) {
    const std::string type = Create("_" + std::to_string(round));
    std::vector<std::string> names(12);
    std::vector<std::thread> callers;
    for (size_t i = 0; i < names.size(); ++i) {
      callers.emplace_back([&, i] {
        const auto answer = Execute(connection, "SELECT 'a'::" + type + " AS v, " + std::to_string(i % 3));
        names[i] = answer.ok() ? answer.response.columns(0).type_name() : answer.status.error_message();
      });
    }
    for (std::thread& caller : callers) caller.join();
    for (const std::string& named : names) EXPECT_EQ(named, type);
  }
}

TEST_F(NewTypes, AreNamedInDescriptionsAndStreams) {
  const std::string connection = Open();
  const std::string described = Create("_described");
  v1::DescribeRequest describe;
  describe.set_connection_id(connection);
  describe.set_sql("SELECT ?::" + described + " AS v");
  const auto description = Call(&Stub::Describe, describe);
  ASSERT_TRUE(description.ok()) << description.status.error_message();
  EXPECT_EQ(description.response.columns(0).type_name(), described);
  EXPECT_EQ(description.response.parameter_type_names(0), described);
  const std::string streamed = Create("_streamed");
  v1::ExecuteStreamRequest stream;
  stream.set_connection_id(connection);
  stream.set_sql("SELECT 'a'::" + streamed + " AS v FROM generate_series(1, 100)");
  const StreamAnswer answer = Stream(stream);
  ASSERT_TRUE(answer.status.ok()) << answer.status.error_message();
  EXPECT_EQ(answer.messages.front().columns(0).type_name(), streamed);
}

}  // namespace
}  // namespace engine::db::test

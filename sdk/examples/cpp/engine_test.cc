// The engine without a database: its connector only pretends, and remembers what it was asked.
#include "engine.h"

#include <engine_db/connector.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace example {
namespace {

using builtins::Json;
using engine::db::DatabaseConnector;

struct Log {
  std::vector<std::string> calls;
  engine::db::Parameters parameters;
};

class MockConnector final : public DatabaseConnector {
 public:
  explicit MockConnector(Log& log) : log_(log) {}

  void connect() override { log_.calls.emplace_back("connect"); }
  engine::db::Result execute(std::string_view /*sql*/, const engine::db::Parameters& parameters,
                             const engine::db::CallOptions& /*options*/) override {
    log_.calls.emplace_back("execute");
    log_.parameters = parameters;
    return {engine::db::RowBatch::from_rows({{.name = "loyaltyscore", .type_name = "bigint"}}, {{42}}),
            {.rowcount = 1, .command_tag = "SELECT 1"}};
  }
  void begin(const engine::db::TransactionOptions& /*options*/) override { log_.calls.emplace_back("begin"); }
  void commit() override { log_.calls.emplace_back("commit"); }
  void rollback() override { log_.calls.emplace_back("rollback"); }
  void close() override { log_.calls.emplace_back("close"); }

 private:
  Log& log_;
};

std::optional<std::string> environment(const std::string& name) {
  return name == "DB_URL" ? "postgresql://db.example/loyalty" : "unused";
}

TEST(EngineTest, RunsThePipelineOverWhateverConnectorItHolds) {
  builtins::LoadOptions options;
  options.environment = environment;
  const builtins::Pipeline pipeline = builtins::load_pipeline_file(PIPELINE, options);
  Log log;
  Engine engine([&log](const builtins::DatabaseServer&) { return std::make_unique<MockConnector>(log); });
  engine.add_plugin("kafka", [](const std::string&, const Json&) { return Json::Object{{"customerId"}, {"C-1001"}}; });
  engine.add_plugin("calculation", [](const std::string&, const Json&) {
    return Json::Object{{"minStartDate"}, {"2024-01-01"}};
  });

  const Json outputs = engine.run(pipeline);

  EXPECT_EQ(outputs.object()->find("query-loyalty-score")->dump(), R"({"loyaltyScore":42})");
  EXPECT_EQ(log.parameters, (engine::db::Parameters{"C-1001", "2024-01-01", engine::db::currentdatetime()}));
  EXPECT_EQ(log.calls, (std::vector<std::string>{"connect", "execute", "close"}));
}

}  // namespace
}  // namespace example

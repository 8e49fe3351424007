// What PostgreSQL remarks, on the gateway's own connections and in its callers' statements.
#include <sstream>

#include "tests/integration/gateway_calls.h"

namespace engine::db::test {
namespace {

using testing::HasSubstr;
using testing::Not;

class Notices : public GatewayCallsTest {
 protected:
  static std::vector<std::string> Lines(const GatewayProcess& gateway, const std::string& text = "") {
    std::vector<std::string> lines;
    std::istringstream log(gateway.Log());
    for (std::string line; std::getline(log, line);) {
      if (line.find(text) != std::string::npos) lines.push_back(line);
    }
    return lines;
  }
  static void ExpectOnlyJson(const GatewayProcess& gateway) {
    for (const std::string& line : Lines(gateway)) {
      EXPECT_TRUE(line.starts_with("{\"ts\":") && line.ends_with("}")) << line;
    }
  }
};

// Of every login, the control plane's included: some ten of them here.
TEST_F(Notices, AWarningAtLoginIsOneLineOfTheLog) {
  PostgresCluster postgres;
  postgres.Exec("UPDATE pg_database SET datcollversion = 'x' WHERE datname = 'app'");
  const auto gateway = StartGateway({});
  ConnectionConfig config = Config(4);
  config.port = postgres.port();
  config.min_pool_size = 4;
  for (int i = 0; i < 3; ++i) {
    PostgresSyncConnector connector(config, At(*gateway));
    connector.connect();
    EXPECT_EQ(connector.execute("SELECT 1").rows()[0][0].as<int>(), 1);
    connector.close();
  }
  const std::vector<std::string> lines = Lines(*gateway, "notice from PostgreSQL");
  ASSERT_EQ(lines.size(), 1U) << gateway->Log();
  EXPECT_THAT(lines[0], HasSubstr("\"level\":\"warning\""));
  EXPECT_THAT(lines[0], HasSubstr("\"severity\":\"WARNING\""));
  EXPECT_THAT(lines[0], HasSubstr("\"function\":\"CheckMyDatabase\""));
  EXPECT_THAT(lines[0], HasSubstr("database \\\"...\\\" has "));
  ExpectOnlyJson(*gateway);
}

TEST_F(Notices, ThoseOfStatementsAreCountedAndShowNothing) {
  const auto gateway = StartGateway({});
  PostgresSyncConnector connector(Config(1), At(*gateway));
  connector.connect();
  for (int i = 0; i < 20; ++i) {
    connector.execute(
        "DO $$ BEGIN RAISE NOTICE 'canary %', now(); RAISE WARNING 'canary' USING ERRCODE = 'ABCDE', "
        "DETAIL = 'canary', HINT = 'canary', TABLE = 'canary'; END $$");
  }
  connector.close();
  EXPECT_THAT(gateway->Log(), Not(HasSubstr("canary")));
  EXPECT_EQ(Lines(*gateway, "notice from PostgreSQL").size(), 2U) << gateway->Log();
  EXPECT_EQ(Lines(*gateway, "\"severity\":\"NOTICE\",\"sqlstate\":\"00000\"").size(), 1U) << gateway->Log();
  EXPECT_EQ(Lines(*gateway, "\"severity\":\"WARNING\",\"sqlstate\":\"ABCDE\"").size(), 1U) << gateway->Log();
  ExpectOnlyJson(*gateway);
}

}  // namespace
}  // namespace engine::db::test

#include "tests/integration/integration_test.h"

#include <atomic>
#include <iostream>

namespace engine::db::test {
namespace {

std::unique_ptr<PostgresCluster> postgres;
std::unique_ptr<GatewayProcess> gateway;

class Servers : public testing::Environment {
 public:
  void TearDown() override {
    gateway.reset();
    postgres.reset();
  }
};

// gtest owns it.
[[maybe_unused]] const testing::Environment* const servers = testing::AddGlobalTestEnvironment(new Servers);

std::string LastLines(const std::string& text) {
  constexpr size_t kBytes = 6000;
  return text.size() <= kBytes ? text : text.substr(text.size() - kBytes);
}

}  // namespace

IntegrationTest::IntegrationTest() {
  static std::atomic<int> counter = 0;
  name_ = "test_" + std::to_string(++counter);
}

void IntegrationTest::TearDown() {
  if (postgres == nullptr) return;
  if (gateway != nullptr && !gateway->Running()) {
    ADD_FAILURE() << "the gateway died; its log ends:\n" << LastLines(gateway->Log());
    gateway.reset();  // the next test gets a new one
  }
  if (postgres->pid() != 0) {
    EXPECT_TRUE(WaitForBackends(0)) << "backends that the test left behind:\n"
                                    << Scalar(
                                           "SELECT string_agg(concat_ws(' ', pid, state, left(query, 80)), E'\\n') "
                                           "FROM pg_stat_activity WHERE application_name = '" +
                                           name_ + "'");
  }
}

PostgresCluster& IntegrationTest::Postgres() {
  if (postgres == nullptr) {
    PostgresOptions options;
    options.settings = {{"max_connections", "200"}, {"max_prepared_transactions", "4"}};
    postgres = std::make_unique<PostgresCluster>(options);
  }
  return *postgres;
}

GatewayProcess& IntegrationTest::Gateway() {
  if (gateway == nullptr) gateway = std::make_unique<GatewayProcess>();
  return *gateway;
}

std::unique_ptr<GatewayProcess> IntegrationTest::StartGateway(const std::map<std::string, std::string>& environment) {
  GatewayOptions options;
  options.environment = environment;
  return std::make_unique<GatewayProcess>(options);
}

ConnectionConfig IntegrationTest::Config(int max_pool_size) const { return Config(max_pool_size, RetryConfig{}); }

ConnectionConfig IntegrationTest::Config(int max_pool_size, const RetryConfig& retry) const {
  ConnectionConfig config;
  config.host = Postgres().host();
  config.port = Postgres().port();
  config.user = Postgres().user();
  config.password = Postgres().password();
  config.dbname = Postgres().dbname();
  config.max_pool_size = max_pool_size;
  config.application_name = name_;
  config.retry = retry;
  return config;
}

engine::db::GatewayOptions IntegrationTest::At(const GatewayProcess& process) {
  return engine::db::GatewayOptions{.address = process.address()};
}

std::unique_ptr<PostgresSyncConnector> IntegrationTest::Connect(const ConnectionConfig& config) const {
  auto connector = std::make_unique<PostgresSyncConnector>(config, At(Gateway()));
  connector->connect();
  return connector;
}

std::unique_ptr<PostgresAsyncConnector> IntegrationTest::ConnectAsync(const ConnectionConfig& config) const {
  auto connector = std::make_unique<PostgresAsyncConnector>(config, At(Gateway()));
  sync_wait(connector->async_connect());
  return connector;
}

void IntegrationTest::CreateTable(const std::string& columns) const {
  Sql("CREATE TABLE " + name_ + " (" + columns + ")");
}

int IntegrationTest::Backends(const std::string& condition) const {
  return Number("SELECT count(*) FROM pg_stat_activity WHERE application_name = '" + name_ + "' AND (" + condition +
                ")");
}

bool IntegrationTest::WaitForBackends(int count, const std::string& condition, milliseconds timeout) const {
  return WaitUntil(timeout, [&] { return Backends(condition) == count; });
}

void IntegrationTest::TerminateBackends(const std::string& condition) const {
  const pqxx::result pids = Postgres().Exec("SELECT pid FROM pg_stat_activity WHERE application_name = '" + name_ +
                                            "' AND (" + condition + ")");
  ASSERT_FALSE(pids.empty()) << "there is no backend to be terminated: " << condition;
  std::string list;
  for (const auto& row : pids) {
    if (!list.empty()) list += ',';
    list += row[0].c_str();
  }
  Postgres().Exec("SELECT pg_terminate_backend(pid) FROM unnest('{" + list + "}'::int[]) AS pid");
  ASSERT_TRUE(WaitUntil(
      kSoon, [&] { return Number("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY ('{" + list + "}')") == 0; }));
}

}  // namespace engine::db::test

// SIGTERM, SIGKILL, a second gateway; metrics and logs without secrets.
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <future>
#include <thread>

#include "tests/integration/gateway_calls.h"
#include "tests/support/network.h"
#include "tests/support/temporary_folder.h"

namespace engine::db::test {
namespace {

using testing::HasSubstr;
using testing::Not;

// grpc.health.v1.Health/Check by hand (Debian ships no generated code for it): the answer's only field is
// `status` = 1, a varint; 1 is SERVING, 2 is NOT_SERVING. 0 when there is no answer.
int Health(const std::string& address) {
  const auto channel = grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + seconds(5));
  grpc::Slice nothing;
  const grpc::ByteBuffer request(&nothing, 1);
  grpc::ByteBuffer response;
  std::promise<grpc::Status> done;
  grpc::GenericStub stub(channel);
  stub.UnaryCall(&context, "/grpc.health.v1.Health/Check", grpc::StubOptions(), &request, &response,
                 [&](const grpc::Status& status) { done.set_value(status); });
  const grpc::Status status = done.get_future().get();
  if (!status.ok()) return 0;
  std::vector<grpc::Slice> slices;
  if (!response.Dump(&slices).ok()) return 0;
  std::string bytes;
  for (const grpc::Slice& slice : slices) bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return bytes.size() == 2 && bytes[0] == 8 ? bytes[1] : 0;
}

class Shutdown : public IntegrationTest {
 protected:
  void SetUp() override { CreateTable("n int"); }
};

TEST_F(Shutdown, SigtermLetsRunningStatementsFinish) {
  const auto gateway = StartGateway({{"ENGINE_DB_DRAIN_GRACE", "10s"}});
  EXPECT_EQ(Health(gateway->address()), 1);
  engine::db::GatewayOptions impatient = At(*gateway);
  impatient.wait = false;
  PostgresSyncConnector connector(Config(3), impatient);
  connector.connect();
  auto read = std::async(std::launch::async, [&] { return connector.execute("SELECT 7 AS n FROM pg_sleep(1.5)"); });
  auto write = std::async(std::launch::async,
                          [&] { return connector.execute("INSERT INTO " + name() + " SELECT 1 FROM pg_sleep(1.5)"); });
  ASSERT_TRUE(WaitForBackends(2, "state = 'active'"));
  gateway->Signal(SIGTERM);
  EXPECT_TRUE(WaitUntil(
      kSoon, [&] { return Health(gateway->address()) == 2; }, milliseconds(50)))
      << "the health service says NOT_SERVING while it drains";
  const auto refused = Catch<DatabaseConnectionError>([&] { connector.execute("SELECT 1"); });
  EXPECT_EQ(refused.reason(), "DRAINING");
  EXPECT_TRUE(refused.retryable());
  EXPECT_EQ(read.get().rows()[0]["n"].as<int>(), 7);
  EXPECT_EQ(write.get().rowcount(), 1);
  EXPECT_EQ(gateway->Wait(seconds(12)), 0);
  EXPECT_EQ(Rows(), 1);
}

TEST_F(Shutdown, SigtermLetsOpenTransactionsEnd) {
  const auto gateway = StartGateway({{"ENGINE_DB_DRAIN_GRACE", "10s"}});
  PostgresSyncConnector connector(Config(2), At(*gateway));
  connector.connect();
  connector.begin();
  connector.execute("INSERT INTO " + name() + " VALUES (1)");
  gateway->Signal(SIGTERM);
  EXPECT_TRUE(WaitUntil(
      kSoon, [&] { return Health(gateway->address()) == 2; }, milliseconds(50)));
  connector.execute("INSERT INTO " + name() + " VALUES (2)");
  connector.commit();
  EXPECT_EQ(gateway->Wait(seconds(12)), 0);
  EXPECT_EQ(Rows(), 2);
}

TEST_F(Shutdown, WhatADrainingGatewayRefusesItsSuccessorDoes) {
  const TemporaryFolder folder;
  const std::string address = "unix:" + (folder.path() / "gateway.sock").string();
  auto gateway = std::make_unique<GatewayProcess>(test::GatewayOptions{.listen = {address}});
  PostgresSyncConnector connector(Config(3), {.address = address});
  connector.connect();
  // Keeps it from ending until the others have been refused.
  Transaction open = connector.begin_transaction();
  open.execute("INSERT INTO " + name() + " VALUES (1)");
  gateway->Signal(SIGTERM);
  ASSERT_TRUE(WaitUntil(
      kSoon, [&] { return Health(address) == 2; }, milliseconds(50)));
  auto read =
      std::async(std::launch::async, [&] { return connector.execute("SELECT 7 AS n").rows()[0]["n"].as<int>(); });
  auto write = std::async(std::launch::async,
                          [&] { return connector.execute("INSERT INTO " + name() + " VALUES (2)").rowcount(); });
  auto transaction = std::async(std::launch::async, [&] {
    connector.run_transaction([&](Transaction& t) { t.execute("INSERT INTO " + name() + " VALUES (3)"); });
  });
  PostgresSyncConnector newcomer(Config(3), {.address = address});
  auto connecting = std::async(std::launch::async, [&] { newcomer.connect(); });
  EXPECT_EQ(connecting.wait_for(milliseconds(300)), std::future_status::timeout) << "it waits";
  open.execute("INSERT INTO " + name() + " VALUES (1)");
  open.commit();
  EXPECT_EQ(gateway->Wait(seconds(12)), 0);
  gateway = std::make_unique<GatewayProcess>(test::GatewayOptions{.listen = {address}});
  EXPECT_EQ(read.get(), 7);
  EXPECT_EQ(write.get(), 1);
  transaction.get();
  connecting.get();
  EXPECT_EQ(Scalar("SELECT string_agg(n::text, ' ' ORDER BY n) FROM " + name()), "1 1 2 3");
  EXPECT_EQ(newcomer.execute("SELECT 8 AS n").rows()[0]["n"].as<int>(), 8);
}

TEST_F(Shutdown, CloseRollsBackWhatIsOpenOnADrainingGateway) {
  const auto gateway = StartGateway({{"ENGINE_DB_DRAIN_GRACE", "60s"}});
  PostgresSyncConnector connector(Config(3), At(*gateway));
  connector.connect();
  connector.begin();
  connector.execute("INSERT INTO " + name() + " VALUES (1)");
  Transaction apart = connector.begin_transaction();
  apart.execute("INSERT INTO " + name() + " VALUES (2)");
  gateway->Signal(SIGTERM);
  ASSERT_TRUE(WaitUntil(
      kSoon, [&] { return Health(gateway->address()) == 2; }, milliseconds(50)));
  // Refused, it goes to a session that waits for the next gateway: the connector's from now on.
  auto moved = std::async(std::launch::async, [&] { static_cast<void>(connector.begin_transaction()); });
  EXPECT_EQ(moved.wait_for(milliseconds(300)), std::future_status::timeout);
  connector.close();
  EXPECT_EQ(gateway->Wait(seconds(12)), 0) << "nothing is open any more";
  EXPECT_EQ(Rows(), 0);
  EXPECT_THROW(apart.execute("SELECT 1"), DatabaseTransactionError);
  EXPECT_THROW(moved.get(), DatabaseConnectionError);
}

TEST_F(Shutdown, SigtermRollsBackWhatIsLeftWithinTheGraceTime) {
  const auto gateway = StartGateway({{"ENGINE_DB_DRAIN_GRACE", "2s"}});
  PostgresSyncConnector connector(Config(3), At(*gateway));
  connector.connect();
  connector.begin();
  connector.execute("INSERT INTO " + name() + " VALUES (1)");
  engine::db::GatewayOptions impatient = At(*gateway);
  impatient.wait = false;
  PostgresSyncConnector other(Config(3), impatient);
  other.connect();
  auto running = std::async(std::launch::async, [&] { other.execute("SELECT pg_sleep(60)"); });
  ASSERT_TRUE(WaitForBackends(1, "state = 'active'"));
  const auto start = Now();
  EXPECT_EQ(gateway->Terminate(seconds(10)), 0);
  EXPECT_LT(Since(start), seconds(2) + 2 * Slack(start));
  static_cast<void>(Catch<DatabaseConnectionError>([&] { running.get(); }));
  EXPECT_TRUE(WaitForBackends(0));
  EXPECT_EQ(Rows(), 0);
  static_cast<void>(Catch<DatabaseError>([&] { connector.commit(); }));
}

TEST_F(Shutdown, AnIdleGatewayEndsAtOnce) {
  const auto gateway = StartGateway({});
  PostgresSyncConnector connector(Config(2), At(*gateway));
  connector.connect();  // an idle session
  connector.execute("SELECT 1");
  const auto start = Now();
  EXPECT_EQ(gateway->Terminate(seconds(10)), 0);
  EXPECT_LT(Since(start), seconds(4));
  EXPECT_TRUE(WaitForBackends(0));
}

TEST_F(Shutdown, SigintWorksToo) {
  const auto gateway = StartGateway({});
  gateway->Signal(SIGINT);
  EXPECT_EQ(gateway->Wait(seconds(10)), 0);
}

TEST_F(Shutdown, AKilledGatewayLeavesNothingOpenAndItsClientsConnectToTheNext) {
  const int port = FreePort();
  GatewayOptions options;
  options.listen = {"127.0.0.1:" + std::to_string(port)};
  auto gateway = std::make_unique<GatewayProcess>(options);
  PostgresSyncConnector connector(Config(2), At(*gateway));
  connector.connect();
  connector.begin();
  connector.execute("INSERT INTO " + name() + " VALUES (1)");
  gateway->Kill();
  EXPECT_TRUE(WaitForBackends(0));
  EXPECT_EQ(Rows(), 0);
  static_cast<void>(Catch<DatabaseError>([&] { connector.commit(); }));
  gateway = std::make_unique<GatewayProcess>(options);
  EXPECT_TRUE(WaitUntil(kSoon, [&] {
    try {
      return connector.execute("SELECT 5 AS n").rows()[0]["n"].as<int>() == 5;
    } catch (const DatabaseConnectionError&) {
      return false;  // the link is being made anew
    }
  }));
  connector.begin();
  connector.execute("INSERT INTO " + name() + " VALUES (2)");
  connector.commit();
  EXPECT_EQ(Rows(), 1);
}

TEST_F(Shutdown, ASecondGatewayOnTheSamePortRefusesToStart) {
  GatewayOptions options;
  options.listen = {Gateway().address()};
  try {
    const GatewayProcess second(options);
    FAIL() << "it started";
  } catch (const std::runtime_error& error) {
    EXPECT_THAT(error.what(), HasSubstr(Gateway().address()));
    EXPECT_THAT(error.what(), HasSubstr("in use"));
  }
  options.listen = {"127.0.0.1:0"};
  options.metrics_listen = Gateway().metrics_address();
  try {
    const GatewayProcess second(options);
    FAIL() << "it started";
  } catch (const std::runtime_error& error) {
    EXPECT_THAT(error.what(), HasSubstr(Gateway().metrics_address()));
  }
  EXPECT_EQ(Connect()->execute("SELECT 1 AS n").rows()[0]["n"].as<int>(), 1);
}

TEST_F(Shutdown, AUnixSocketServes) {
  TemporaryFolder folder;
  GatewayOptions options;
  options.listen = {"unix:" + (folder.path() / "gateway.sock").string()};
  GatewayProcess gateway(options);
  PostgresSyncConnector connector(Config(2), engine::db::GatewayOptions{.address = options.listen.front()});
  connector.connect();
  EXPECT_EQ(connector.execute("SELECT 1 AS n").rows()[0]["n"].as<int>(), 1);
}

TEST_F(Shutdown, ADataSourceIsReachedWithoutItsPassword) {
  TemporaryFolder folder;
  WriteFile(folder.path() / "password", Postgres().password() + "\n");
  WriteFile(
      folder.path() / "gateway.yaml",
      "dataSources:\n  orders:\n    protocol: database\n    driver: postgres\n    url: \"${ENV:TEST_URL}\"\n"
      "    applicationName: " +
          name() +
          "\n"
          "    securitySchemes:\n      dbAuth:\n        - type: basic\n          username: app\n          password: "
          "\"${FILE:" +
          (folder.path() / "password").string() + "}\"\n");
  GatewayOptions options;
  options.arguments = {"--config", (folder.path() / "gateway.yaml").string()};
  options.environment = {{"TEST_URL", "postgresql://" + Postgres().host() + ":" + std::to_string(Postgres().port()) +
                                          "/" + Postgres().dbname()}};
  GatewayProcess gateway(options);
  PostgresSyncConnector connector(DataSource{"orders"}, At(gateway));
  connector.connect();
  EXPECT_EQ(connector.execute("SELECT current_user::text AS u").rows()[0]["u"].to_string(), "app");
  EXPECT_THAT(gateway.Log() + gateway.Output() + gateway.Metrics(), Not(HasSubstr(Postgres().password())));
  PostgresSyncConnector nowhere(DataSource{"nowhere"}, At(gateway));
  EXPECT_EQ(Catch<DatabaseRequestError>([&] { nowhere.connect(); }).field(), "data_source");
}

}  // namespace
}  // namespace engine::db::test

// US-002 as an operator meets it: the real gateway, its configuration file in the requirements' form, the variables and
// files that it names, and a PostgreSQL that asks for the password (SCRAM).
#include "tests/integration/gateway_calls.h"
#include "tests/support/requirements_yaml.h"

namespace engine::db::test {
namespace {

constexpr char kCanary[] = "canary-pa55word";

class DataSources : public IntegrationTest {
 protected:
  std::string WriteConfig(const std::string& content) {
    const std::filesystem::path file = folder_.path() / "gateway.yaml";
    WriteFile(file, content);
    return file;
  }
  [[nodiscard]] std::map<std::string, std::string> Environment() const {
    return {{"DB_URL", "postgresql://" + Postgres().host() + ":" + std::to_string(Postgres().port()) + "/" +
                           Postgres().dbname() + "?application_name=" + name()},
            {"DB_USERNAME", Postgres().user()},
            {"DB_PASSWORD", Postgres().password()}};
  }
  std::unique_ptr<GatewayProcess> Start(const std::string& content,
                                        const std::map<std::string, std::string>& environment) {
    GatewayOptions options;
    options.arguments = {"--config", WriteConfig(content)};
    options.environment = environment;
    return std::make_unique<GatewayProcess>(options);
  }
  static std::string UserOf(GatewayProcess& gateway, const std::string& data_source) {
    PostgresSyncConnector connector(DataSource{data_source}, At(gateway));
    connector.connect();
    std::string user = connector.execute("SELECT session_user || ' ' || current_database()").rows()[0][0].to_string();
    connector.close();
    return user;
  }
  Completed CheckConfig(const std::string& content, const std::map<std::string, std::string>& environment) {
    ProcessOptions options;
    options.command = {GatewayProgram(), "--check-config", "--config", WriteConfig(content)};
    options.environment = environment;
    return RunProgram(options);
  }

  TemporaryFolder folder_;
};

TEST_F(DataSources, TheRequirementsFormConnectsAsItStands) {
  const auto gateway = Start(kDatabaseServer, Environment());
  EXPECT_EQ(UserOf(*gateway, "databaseServer"), "app app");
  EXPECT_EQ(gateway->Log().find(Postgres().password()), std::string::npos);
}

TEST_F(DataSources, ThePasswordIsReallyAskedFor) {
  auto environment = Environment();
  environment["DB_PASSWORD"] = kCanary;
  const auto gateway = Start(kDatabaseServer, environment);
  PostgresSyncConnector connector(DataSource{"databaseServer"}, At(*gateway));
  const auto error = Catch<DatabaseConnectionError>([&] { connector.connect(); });
  EXPECT_EQ(error.sqlstate(), "28P01") << error.what();
  EXPECT_EQ(std::string(error.what()).find(kCanary), std::string::npos);
  EXPECT_EQ(gateway->Log().find(kCanary), std::string::npos);
}

TEST_F(DataSources, EveryWayOfWritingOneWorks) {
  const std::string port = std::to_string(Postgres().port());
  WriteFile(folder_.path() / "password", Postgres().password() + "\n");
  auto environment = Environment();
  environment["PORT"] = port;
  const std::string suffix = "?application_name=" + name();
  const auto gateway = Start(
      "dataSources:\n"
      "  by-file:\n"
      "    url: '${ENV:DB_URL}'\n"
      "    securitySchemes: {dbAuth: [{type: basic, username: app, password: '${FILE:" +
          (folder_.path() / "password").string() +
          "}'}]}\n"
          "  all-in-the-url:\n"
          "    url: 'postgres://app:${FILE:" +
          (folder_.path() / "password").string() + "}@127.0.0.1:${ENV:PORT}/app" + suffix +
          "'\n"
          "  encoded:\n"
          "    url: 'postgresql://a%70p:${ENV:DB_PASSWORD}@127.0.0.1:" +
          port + "/%61pp" + suffix +
          "&connect_timeout=20&sslmode=prefer'\n"
          "  by-socket:\n"
          "    url: 'postgresql:///app?host=" +
          Postgres().socket_dir() + "&port=" + port +
          "&user=app&password=${ENV:DB_PASSWORD}&application_name=" + name() +
          "'\n"
          "the-scheme-wins:\n"
          "  url: 'postgresql://nobody:nothing@127.0.0.1:" +
          port + "/app" + suffix +
          "'\n"
          "  securitySchemes: {login: [{type: basic, username: app, password: '${ENV:DB_PASSWORD}'}]}\n"
          "  maxPoolSize: 1\n",
      environment);
  for (const char* source : {"by-file", "all-in-the-url", "encoded", "by-socket", "the-scheme-wins"}) {
    EXPECT_EQ(UserOf(*gateway, source), "app app") << source;
  }
}

TEST_F(DataSources, CheckConfigShowsWhatIsInForceAndNoSecret) {
  auto environment = Environment();
  environment["DB_PASSWORD"] = kCanary;
  environment["ENGINE_DB_LIMITS_WAITERS"] = "77";
  const Completed checked = CheckConfig(kDatabaseServer, environment);
  EXPECT_EQ(checked.exit_code, 0) << checked.err;
  EXPECT_EQ((checked.out + checked.err).find(kCanary), std::string::npos);
  EXPECT_NE(checked.out.find("\n  databaseServer:\n"), std::string::npos) << checked.out;
  EXPECT_NE(checked.out.find("postgresql://app@127.0.0.1:"), std::string::npos) << checked.out;
  EXPECT_NE(checked.out.find("waiters: 77"), std::string::npos) << checked.out;
  // What it shows is a configuration, and the same one.
  const Completed again = CheckConfig(checked.out, {});
  EXPECT_EQ(again.exit_code, 0) << again.err;
}

TEST_F(DataSources, CheckConfigTellsEveryFaultAndFails) {
  const Completed checked = CheckConfig(std::string(kDatabaseServer) +
                                            "  max_pool_size: 5\n"
                                            "orders: {url: 'postgresql://u:canary-pa55word@h:0/d', minPoolSize: 11}\n"
                                            "limits: {waiters: none}\n",
                                        {{"DB_URL", "mysql://u:canary-pa55word@h/d"}, {"DB_PASSWORD", kCanary}});
  EXPECT_EQ(checked.exit_code, 1);
  EXPECT_EQ(checked.out, "");
  EXPECT_EQ(checked.err.find(kCanary), std::string::npos) << checked.err;
  for (const char* fault : {"gateway.yaml has 6 faults:\n", "\n  databaseServer.url (line 3): must be postgresql://",
                            "\n  databaseServer.securitySchemes.dbAuth[0].username (line 10): environment variable "
                            "DB_USERNAME is not set\n",
                            "\n  databaseServer.max_pool_size (line 12): is unknown (did you mean maxPoolSize?)",
                            "\n  orders.url (line 13): port must be 1 to 65535\n",
                            "\n  orders.minPoolSize (line 13): must be at most max_pool_size (10, the default), got 11",
                            "\n  limits.waiters (line 14): must be a whole number, 1 to 1000000"}) {
    EXPECT_NE(checked.err.find(fault), std::string::npos) << fault << "\nin:\n" << checked.err;
  }
}

}  // namespace
}  // namespace engine::db::test

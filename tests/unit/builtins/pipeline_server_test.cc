// The servers of a pipeline's file: their settings, and what is wrong with them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <variant>

#include "tests/support/requirements_yaml.h"
#include "tests/unit/builtins/pipeline_text.h"

namespace engine::db::builtins {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST(PipelineServerTest, SettingsBesideTheUrlAreTaken) {
  const Pipeline pipeline = load(std::string(test::kDatabaseServer) +
                                 "  minPoolSize: 1\n  maxPoolSize: 5\n  timeoutMs: 1000\n  tlsMode: require\n"
                                 "  applicationName: loyalty\n  retry: {maxAttempts: 7, multiplier: 1.5}\nsteps: []\n");
  const auto& config = std::get<ConnectionConfig>(*pipeline.servers[0].target);
  EXPECT_EQ(config.max_pool_size, 5);
  EXPECT_EQ(config.timeout_ms, 1000);
  EXPECT_EQ(config.tls_mode, TlsMode::kRequire);
  EXPECT_EQ(config.application_name, "loyalty");
  EXPECT_EQ(config.retry.max_attempts, 7);
  EXPECT_EQ(config.retry.multiplier, 1.5);
  EXPECT_EQ(config.retry.initial_delay_ms, RetryConfig{}.initial_delay_ms);
}

TEST(PipelineServerTest, SettingsOfTheUrlHoldUnlessOthersStandBesideIt) {
  const auto config_of = [](const std::string& parameters, const std::string& beside) {
    const Pipeline pipeline = load("db:\n  protocol: database\n  driver: postgres\n  url: 'postgresql://u@h/d?" +
                                   parameters + "'\n" + beside + "steps: []\n");
    return std::get<ConnectionConfig>(*pipeline.servers[0].target);
  };
  const std::string parameters = "sslmode=require&channel_binding=require&connect_timeout=7";
  const ConnectionConfig of_url = config_of(parameters, "  timeoutMs: 1000\n");
  EXPECT_EQ(of_url.channel_binding, ChannelBinding::kRequire);
  EXPECT_EQ(of_url.tls_mode, TlsMode::kRequire);
  EXPECT_EQ(of_url.connect_timeout_ms, 7000);
  const ConnectionConfig beside = config_of(parameters, "  channelBinding: disable\n  connectTimeoutMs: 500\n");
  EXPECT_EQ(beside.channel_binding, ChannelBinding::kDisable);
  EXPECT_EQ(beside.connect_timeout_ms, 500);
}

TEST(PipelineServerTest, ADataSourceOfTheGatewaysNeedsNoUrl) {
  const Pipeline pipeline = load("orders: {protocol: database, driver: postgres, dataSource: orders-db}\nsteps: []\n");
  EXPECT_EQ(std::get<DataSource>(*pipeline.servers[0].target).name, "orders-db");
  EXPECT_THAT(faults_of(std::string(test::kDatabaseServer) + "  dataSource: x\nsteps: []\n"),
              HasSubstr("url: can't stand beside dataSource"));
}

TEST(PipelineServerTest, FaultsNameTheFieldAndShowNoSecret) {
  const std::string faults = faults_of(R"(db:
  protocol: databse
  url: "postgresql://ann:hush/hush@host:5432/x"
  driver: mysql
  maxPoolSize: 0
  pasword: x
  securitySchemes:
    dbAuth:
      - type: oauth2
        username: "${ENV:NOT_SET}"
steps: []
)");
  EXPECT_THAT(
      faults,
      AllOf(HasSubstr("p.yaml:2: db.protocol: must be \"database\""),
            HasSubstr("p.yaml:4: db.driver: must be \"postgres\""), HasSubstr("p.yaml:6: db.pasword: is unknown"),
            HasSubstr("p.yaml:9: db.securitySchemes.dbAuth[0].type: must be \"basic\""),
            HasSubstr("p.yaml:10: db.securitySchemes.dbAuth[0].username: environment variable NOT_SET is not set"),
            Not(HasSubstr("hush"))));
  const auto fault = [](const std::string& url, const std::string& more = "") {
    return faults_of("db:\n  protocol: database\n  driver: postgres\n  url: \"" + url + "\"\n" + more + "steps: []\n");
  };
  EXPECT_THAT(fault("postgresql://ann:hush/hush@host:5432/x"),
              AllOf(HasSubstr("p.yaml:4: db.url: has a \"/\" in front of an \"@\""), Not(HasSubstr("hush"))));
  EXPECT_THAT(fault("postgresql://ann:hush?hush@host:5432/x"),
              AllOf(HasSubstr("p.yaml:4: db.url: "), Not(HasSubstr("hush"))));
  EXPECT_THAT(fault("mysql://x"), HasSubstr("db.url: begins with postgresql://"));
  EXPECT_THAT(fault("postgresql://host"),
              AllOf(HasSubstr("db.url: user is required"), HasSubstr("db.url: dbname is required")));
  EXPECT_THAT(fault("postgresql://host", "  maxPoolSize: 0\n"),
              AllOf(HasSubstr("db.url: user is required"), HasSubstr("p.yaml:5: db.maxPoolSize: ")));
  EXPECT_THAT(faults_of("db: {protocol: database}\nsteps: []\n"),
              AllOf(HasSubstr("db.driver: is required"), HasSubstr("db.url: is required")));
}

// A comma in a password, or a quote that is not closed, makes keys of its pieces.
TEST(PipelineServerTest, AKeyThatMayBeAPieceOfAValueIsNotQuoted) {
  for (const std::string block :
       {"{url: 'postgresql://u@h/d', securitySchemes: {dbAuth: [{type: basic, password: its,hush}]}}",
        "{url: 'postgresql://u@h/d', 'password: hush': x}", "{url: 'postgresql://u@h/d', \"log\\nhush\": x}"}) {
    EXPECT_THAT(faults_of("db: " + block + "\nsteps: []\n"),
                AllOf(HasSubstr(".?: is unknown (not shown, since it may be a piece of a value; known here"),
                      HasSubstr("p.yaml:1: db."), Not(HasSubstr("hush"))))
        << block;
  }
  EXPECT_THAT(faults_of("'password: hush': {url: 'postgresql://u@h/d'}\nsteps: []\n"),
              AllOf(HasSubstr("p.yaml:1: ?.driver: is required"), Not(HasSubstr("hush"))));
  for (const std::string value : {"*hush", "\"\\q hush\"", "[hush"}) {
    EXPECT_THAT(faults_of("db:\n  url: " + value + "\nsteps: []\n"),
                AllOf(HasSubstr("is not YAML"), Not(HasSubstr("hush"))))
        << value;
  }
}

}  // namespace
}  // namespace engine::db::builtins

// Where settings come from, and what wins over what.
#include "tests/unit/config/settings_test.h"

#include <sys/stat.h>

#include <fstream>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/config/in_force.h"
#include "server/config/setting.h"
#include "tests/support/requirements_yaml.h"

namespace engine::db::config {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(SettingsTest, RunsWithoutAFile) {
  const auto settings = Load();
  ASSERT_TRUE(settings.ok()) << settings.status();
  ASSERT_EQ(settings->listen.size(), 1u);
  EXPECT_EQ(settings->listen[0].ToString(), "127.0.0.1:50051");
  EXPECT_EQ(settings->metrics_listen->ToString(), "127.0.0.1:9464");
  EXPECT_TRUE(settings->data_sources.empty());
  EXPECT_TRUE(settings->allow_inline_targets);
  EXPECT_GE(settings->event_loops, 1);
  EXPECT_EQ(settings->drain_grace, absl::Seconds(20));
  EXPECT_EQ(settings->shared_reads.depth, 16);
  EXPECT_FALSE(settings->tls);
}

TEST_F(SettingsTest, TheRequirementsDatabaseServerIsADataSource) {
  variables_ = {{"DB_URL", "postgresql://nobody:nothing@db.internal:6543/loyalty"},
                {"DB_USERNAME", "app"},
                {"DB_PASSWORD", kCanary}};
  const auto settings = LoadFile(test::kDatabaseServer);
  ASSERT_TRUE(settings.ok()) << settings.status();
  const TargetSettings& target = settings->data_sources.at("databaseServer");
  EXPECT_EQ(target.user, "app") << "the scheme's user wins over the URL's";
  EXPECT_EQ(target.host, "db.internal");
  EXPECT_EQ(target.port, 6543);
  EXPECT_EQ(target.dbname, "loyalty");
  EXPECT_EQ(target.DisplayName(), target.data_source);
  EXPECT_EQ(*target.ReadPassword(), kCanary);
}

TEST_F(SettingsTest, DataSourcesTakeTheSameBlockWithPoolRetryAndTls) {
  const auto settings = LoadFile(R"(
dataSources:
  orders:
    protocol: database
    url: postgresql://app:pw@[::1]/orders?sslmode=require
    minPoolSize: 2
    maxPoolSize: 20
    timeoutMs: 1500
    tlsMode: verify-full
    tlsRootCertificate: /etc/ca.pem
    applicationName: orders-app
    retry: {maxAttempts: 5, initialDelayMs: 10, maxDelayMs: 100, multiplier: 1.5, budgetMs: 700}
  audit:
    url: postgresql://auditor@audit/audit
)");
  ASSERT_TRUE(settings.ok()) << settings.status();
  ASSERT_EQ(settings->data_sources.size(), 2u);
  const TargetSettings& orders = settings->data_sources.at("orders");
  EXPECT_EQ(orders.user, "app");
  EXPECT_EQ(orders.host, "::1");
  EXPECT_EQ(orders.port, 5432);
  EXPECT_EQ(orders.dbname, "orders");
  EXPECT_EQ(orders.min_pool_size, 2);
  EXPECT_EQ(orders.max_pool_size, 20);
  EXPECT_EQ(orders.timeout, absl::Milliseconds(1500));
  EXPECT_EQ(orders.tls_mode, v1::TLS_MODE_VERIFY_FULL) << "the key wins over the URL";
  EXPECT_EQ(orders.tls_root_certificate, "/etc/ca.pem");
  EXPECT_EQ(orders.application_name, "orders-app");
  EXPECT_EQ(orders.retry.max_attempts, 5);
  EXPECT_EQ(orders.retry.multiplier, 1.5);
  EXPECT_EQ(orders.retry.budget, absl::Milliseconds(700));
}

TEST_F(SettingsTest, APasswordFromAFileIsReadOnDemand) {
  const std::string secret = testing::TempDir() + "engine_db_secret";
  std::ofstream(secret) << "one\n";
  variables_["DB_URL"] = "postgresql://h/d";
  const auto settings = LoadFile(R"(
dataSources:
  a:
    url: ${ENV:DB_URL}
    securitySchemes: {dbAuth: [{type: basic, username: app, password: "${FILE:)" +
                                 secret + R"(}"}]}
)");
  ASSERT_TRUE(settings.ok()) << settings.status();
  const TargetSettings& target = settings->data_sources.at("a");
  EXPECT_EQ(target.password, "");
  EXPECT_EQ(*target.ReadPassword(), "one");
  std::ofstream(secret) << "two\n";
  EXPECT_EQ(*target.ReadPassword(), "two");
  std::remove(secret.c_str());
}

TEST_F(SettingsTest, ReferencesMayStandWithinALongerValue) {
  variables_ = {{"HOST", "db.internal"}, {"PORT", "6543"}};
  std::ofstream(file_ + ".secret") << kCanary << "\r\n";
  const auto settings =
      LoadFile("orders: {url: 'postgres://app:${FILE:" + file_ + ".secret}@${ENV:HOST}:${ENV:PORT}/d'}");
  std::remove((file_ + ".secret").c_str());
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->data_sources.at("orders").host, "db.internal");
  EXPECT_EQ(settings->data_sources.at("orders").port, 6543);
  EXPECT_EQ(*settings->data_sources.at("orders").ReadPassword(), kCanary);
}

TEST_F(SettingsTest, OnlyARegularFileIsASecret) {
  const std::string pipe = file_ + ".pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THAT(Faults("logLevel: '${FILE:" + pipe + "}'"), HasSubstr("it is not a regular file"));
  std::remove(pipe.c_str());
  EXPECT_THAT(Faults("logLevel: '${FILE:/tmp}'"), HasSubstr("it is not a regular file"));
  std::ofstream(file_ + ".large") << std::string(65'537, 'x');
  EXPECT_THAT(Faults("logLevel: '${FILE:" + file_ + ".large}'"), HasSubstr("it has more than 65536 bytes"));
  std::remove((file_ + ".large").c_str());
}

// As in pipelines.
TEST_F(SettingsTest, WhatIsEmptyInASchemeLeavesTheUrlsAsItIs) {
  variables_["NOTHING"] = "";
  for (const char* empty : {"\"\"", "''", "\"${ENV:NOTHING}\""}) {
    const auto settings =
        LoadFile(absl::StrCat("a: {url: 'postgresql://u:secret@h/d', securitySchemes: {b: [{username: ", empty,
                              ", password: ", empty, "}]}}"));
    ASSERT_TRUE(settings.ok()) << settings.status();
    EXPECT_EQ(settings->data_sources.at("a").user, "u");
    EXPECT_EQ(*settings->data_sources.at("a").ReadPassword(), "secret");
  }
}

TEST_F(SettingsTest, WhatIsInForceIsAConfigurationWithoutSecrets) {
  variables_ = {{"DB_URL", "postgresql://nobody:nothing@[::1]:6543/loy%20alty"},
                {"DB_USERNAME", "a@b"},
                {"DB_PASSWORD", kCanary},
                {"ENGINE_DB_LIMITS_WAITERS", "77"},
                {"ENGINE_DB_METRICS_LISTEN", ""}};
  const auto settings = LoadFile(test::kDatabaseServer);
  ASSERT_TRUE(settings.ok()) << settings.status();
  const std::string shown = SettingsInForce(*settings);
  EXPECT_THAT(shown, AllOf(Not(HasSubstr(kCanary)), Not(HasSubstr("nothing")), HasSubstr("waiters: 77"),
                           HasSubstr("url: \"postgresql://a%40b@[::1]:6543/loy%20alty\""),
                           HasSubstr("with a password, which is not shown")));
  variables_.clear();
  const auto again = LoadFile(shown);
  ASSERT_TRUE(again.ok()) << again.status() << "\n" << shown;
  EXPECT_EQ(SettingsInForce(*again).substr(0, 200), shown.substr(0, 200));
  TargetSettings target = settings->data_sources.at("databaseServer");
  target.password.clear();
  EXPECT_EQ(again->data_sources.at("databaseServer"), target);
}

TEST_F(SettingsTest, AnEmptyFileLeavesTheDefaults) { EXPECT_TRUE(LoadFile("# nothing\n").ok()); }

TEST_F(SettingsTest, TheEnvironmentWinsOverTheFileAndTheCommandLineOverBoth) {
  std::ofstream(file_) << "listen: 127.0.0.1:1\nmetricsListen: 127.0.0.1:2\nlogLevel: error\neventLoops: 3\n";
  variables_ = {{"ENGINE_DB_CONFIG", file_},
                {"ENGINE_DB_LISTEN", "127.0.0.1:11, unix:/tmp/s"},
                {"ENGINE_DB_METRICS_LISTEN", "127.0.0.1:12"},
                {"ENGINE_DB_LOG_LEVEL", "debug"},
                {"ENGINE_DB_DRAIN_GRACE", "5s"},
                {"ENGINE_DB_LIMITS_TRANSACTION_IDLE", "10s"},
                {"ENGINE_DB_SHARED_READS_ENABLED", "false"},
                {"ENGINE_DB_ALLOW_INLINE_TARGETS", "false"}};
  CommandLine command_line;
  command_line.metrics_listen = "";
  const auto settings = Load(command_line);
  ASSERT_TRUE(settings.ok()) << settings.status();
  ASSERT_EQ(settings->listen.size(), 2u);
  EXPECT_EQ(settings->listen[0].port, 11);
  EXPECT_EQ(settings->listen[1].unix_path, "/tmp/s");
  EXPECT_FALSE(settings->metrics_listen) << "switched off by the command line";
  EXPECT_EQ(settings->log_level, observe::LogLevel::kDebug);
  EXPECT_EQ(settings->event_loops, 3);
  EXPECT_EQ(settings->drain_grace, absl::Seconds(5));
  EXPECT_EQ(settings->limits.transaction_idle, absl::Seconds(10));
  EXPECT_FALSE(settings->shared_reads.enabled);
  EXPECT_FALSE(settings->allow_inline_targets);
}

TEST_F(SettingsTest, AListenerThatOthersCanReachNeedsMutualTls) {
  variables_["ENGINE_DB_LISTEN"] = "0.0.0.0:50051";
  EXPECT_THAT(std::string(Load().status().message()),
              AllOf(HasSubstr("0.0.0.0:50051"), HasSubstr("mutual TLS"), HasSubstr("ENGINE_DB_TLS_CLIENT_CA"),
                    HasSubstr("unix:PATH")));
  variables_["ENGINE_DB_TLS_CERTIFICATE"] = "/tls/tls.crt";
  variables_["ENGINE_DB_TLS_KEY"] = "/tls/tls.key";
  EXPECT_THAT(std::string(Load().status().message()), HasSubstr("must name all of certificate, key and clientCa"));
  variables_["ENGINE_DB_TLS_CLIENT_CA"] = "/tls/ca.crt";
  const auto settings = Load();
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->tls->client_ca, "/tls/ca.crt");
  EXPECT_FALSE(settings->allow_inline_targets) << "others can reach it";
  variables_["ENGINE_DB_ALLOW_INLINE_TARGETS"] = "true";
  EXPECT_TRUE(Load()->allow_inline_targets);
}

TEST_F(SettingsTest, LimitsThatContradictEachOtherAreRefused) {
  EXPECT_THAT(
      Faults("limits: {requestBytes: 65536, transactionIdle: 1h}"),
      AllOf(HasSubstr("limits.statementBytes: must be at most"), HasSubstr("limits.transactionIdle: must be at most")));
}

TEST(Setting, VariableNamesFollowFromThePaths) {
  std::map<std::string, std::string> names;
  for (const Setting& setting : ScalarSettings()) names[setting.VariableName()] = setting.name;
  EXPECT_EQ(names.size(), ScalarSettings().size());
  EXPECT_EQ(names["ENGINE_DB_LIMITS_TRANSACTION_LIFETIME"], "limits.transactionLifetime");
  EXPECT_EQ(names["ENGINE_DB_METRICS_LISTEN"], "metricsListen");
  EXPECT_EQ(names["ENGINE_DB_TLS_CLIENT_CA"], "tls.clientCa");
}

}  // namespace
}  // namespace engine::db::config

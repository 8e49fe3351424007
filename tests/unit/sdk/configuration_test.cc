#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "engine_db/config.h"

namespace engine::db {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

ConnectionConfig valid() {
  ConnectionConfig config;
  config.host = "db.example.com";
  config.user = "engine";
  config.password = "s3cret-password";
  config.dbname = "loyalty";
  return config;
}

std::vector<std::string> faulty_fields(const ConnectionConfig& config) {
  std::vector<std::string> fields;
  for (const ConfigFault& fault : config.validate()) fields.push_back(fault.field);
  return fields;
}

// The fields that are wrong after `change`.
std::vector<std::string> faulty_after(const std::function<void(ConnectionConfig&)>& change) {
  ConnectionConfig config = valid();
  change(config);
  return faulty_fields(config);
}

std::map<std::string, std::string> valid_map() {
  return {{"host", "db"}, {"user", "engine"}, {"password", "s3cret-password"}, {"dbname", "loyalty"}};
}

// The message that from_map() refuses the settings with.
std::string refusal(const std::map<std::string, std::string>& settings) {
  try {
    static_cast<void>(ConnectionConfig::from_map(settings));
  } catch (const ConfigurationError& error) {
    return error.what();
  }
  return "";
}

TEST(US002ConfigurationValidation, ValidConfigurationPasses) {
  EXPECT_THAT(valid().validate(), IsEmpty());
  EXPECT_NO_THROW(require_valid(valid()));
  EXPECT_NO_THROW(require_valid(DataSource{"loyalty"}));
}

TEST(US002ConfigurationValidation, FieldsHaveDefaults) {
  const ConnectionConfig config;
  EXPECT_EQ(config.port, 5432);
  EXPECT_EQ(config.min_pool_size, 0);
  EXPECT_EQ(config.max_pool_size, 10);
  EXPECT_EQ(config.timeout_ms, 30000);
  EXPECT_EQ(config.tls_mode, TlsMode::kPrefer);
  EXPECT_EQ(config.retry, RetryConfig());
}

TEST(US002ConfigurationValidation, MissingFieldsAreAllReportedAtOnce) {
  EXPECT_THAT(faulty_fields(ConnectionConfig()), ElementsAre("host", "user", "dbname"));
  EXPECT_THAT(refusal({}),
              AllOf(HasSubstr("host: is required"), HasSubstr("user: is required"), HasSubstr("dbname: is required")));
}

TEST(US002ConfigurationValidation, InvalidPortIsRejected) {
  for (const int port : {-1, 0, 65536, 70000}) {
    EXPECT_THAT(faulty_after([&](auto& c) { c.port = port; }), ElementsAre("port")) << port;
  }
  for (const int port : {1, 65535}) {
    EXPECT_THAT(faulty_after([&](auto& c) { c.port = port; }), IsEmpty()) << port;
  }
}

TEST(US002ConfigurationValidation, PortThatIsNoNumberIsRejected) {
  for (const std::string port : {"abc", "", "54x", "5432 ", "99999999999", "1.5"}) {
    auto settings = valid_map();
    settings["port"] = port;
    EXPECT_THAT(refusal(settings), HasSubstr("port: is a whole number, not \"" + port + '"'));
  }
  auto settings = valid_map();
  settings["port"] = "-1";
  EXPECT_THAT(refusal(settings), HasSubstr("port: is 1 to 65535, not -1"));
}

TEST(US002ConfigurationValidation, PoolSizesKeepTheirBounds) {
  const auto pool = [](int min, int max) {
    return faulty_after([&](auto& c) {
      c.min_pool_size = min;
      c.max_pool_size = max;
    });
  };
  EXPECT_THAT(pool(0, 1), IsEmpty());
  EXPECT_THAT(pool(5, 5), IsEmpty());
  EXPECT_THAT(pool(1000, 1000), IsEmpty());
  EXPECT_THAT(pool(6, 5), ElementsAre("min_pool_size"));
  EXPECT_THAT(pool(-1, 5), ElementsAre("min_pool_size"));
  EXPECT_THAT(pool(0, 0), ElementsAre("max_pool_size"));
  EXPECT_THAT(pool(0, 1001), ElementsAre("max_pool_size"));
}

TEST(US002ConfigurationValidation, MinAboveMaxSaysWhatWasExpected) {
  ConnectionConfig config = valid();
  config.min_pool_size = 11;
  ASSERT_EQ(config.validate().size(), 1U);
  EXPECT_EQ(config.validate()[0].message, "is 0 to max_pool_size (10), not 11");
}

TEST(US002ConfigurationValidation, TimeoutKeepsItsBounds) {
  EXPECT_THAT(faulty_after([](auto& c) { c.timeout_ms = 0; }), ElementsAre("timeout_ms"));
  EXPECT_THAT(faulty_after([](auto& c) { c.timeout_ms = 86'400'001; }), ElementsAre("timeout_ms"));
  EXPECT_THAT(faulty_after([](auto& c) { c.timeout_ms = 1; }), IsEmpty());
}

TEST(US002ConfigurationValidation, TextsKeepTheirBounds) {
  EXPECT_THAT(faulty_after([](auto& c) { c.host = std::string(256, 'h'); }), ElementsAre("host"));
  EXPECT_THAT(faulty_after([](auto& c) { c.user = std::string(64, 'u'); }), ElementsAre("user"));
  EXPECT_THAT(faulty_after([](auto& c) { c.dbname = std::string(64, 'd'); }), ElementsAre("dbname"));
  EXPECT_THAT(faulty_after([](auto& c) { c.application_name = std::string(64, 'a'); }),
              ElementsAre("application_name"));
  EXPECT_THAT(faulty_after([](auto& c) { c.dbname = std::string("a\0b", 3); }), ElementsAre("dbname"));
  EXPECT_THAT(faulty_after([](auto& c) { c.password.clear(); }), IsEmpty());
}

TEST(US002ConfigurationValidation, ThePasswordIsNeverShown) {
  auto settings = valid_map();
  settings["port"] = "abc";
  settings["password"] = "s3cret-password" + std::string(20'000, 'x');
  EXPECT_THAT(refusal(settings), AllOf(HasSubstr("password: has at most"), Not(HasSubstr("s3cret"))));
}

TEST(US002ConfigurationValidation, UnknownSettingsAreRejected) {
  auto settings = valid_map();
  settings["prot"] = "5432";
  EXPECT_THAT(refusal(settings), AllOf(HasSubstr("prot: is not a setting"), HasSubstr("max_pool_size")));
}

TEST(US002ConfigurationValidation, AllSettingsCanBeGivenAsTexts) {
  auto settings = valid_map();
  settings.merge(std::map<std::string, std::string>{{"port", "6543"},
                                                    {"min_pool_size", "2"},
                                                    {"max_pool_size", "20"},
                                                    {"timeout_ms", "1500"},
                                                    {"tls_mode", "verify-full"},
                                                    {"application_name", "app"},
                                                    {"retry.max_attempts", "7"},
                                                    {"retry.initial_delay_ms", "10"},
                                                    {"retry.max_delay_ms", "100"},
                                                    {"retry.multiplier", "1.5"},
                                                    {"retry.budget_ms", "900"}});
  const ConnectionConfig config = ConnectionConfig::from_map(settings);
  EXPECT_EQ(config.host, "db");
  EXPECT_EQ(config.port, 6543);
  EXPECT_EQ(config.min_pool_size, 2);
  EXPECT_EQ(config.max_pool_size, 20);
  EXPECT_EQ(config.timeout_ms, 1500);
  EXPECT_EQ(config.tls_mode, TlsMode::kVerifyFull);
  EXPECT_EQ(config.application_name, "app");
  EXPECT_EQ(config.retry, (RetryConfig{7, 10, 100, 1.5, 900}));
}

TEST(US002ConfigurationValidation, TlsModeHasLibpqsWords) {
  auto settings = valid_map();
  settings["tls_mode"] = "on";
  EXPECT_THAT(refusal(settings),
              HasSubstr("tls_mode: is disable, prefer, require, verify-ca or verify-full, not \"on\""));
}

TEST(US002ConfigurationValidation, TheErrorIsOneOfTheFourKinds) {
  EXPECT_THROW(require_valid(ConnectionConfig()), DatabaseExecutionError);
  try {
    require_valid(ConnectionConfig());
  } catch (const ConfigurationError& error) {
    EXPECT_EQ(error.faults().size(), 3U);
    EXPECT_EQ(error.field(), "host");
    EXPECT_EQ(error.outcome(), Outcome::kNotExecuted);
  }
}

TEST(US002ConfigurationValidation, ADataSourceNeedsAName) {
  EXPECT_THROW(require_valid(DataSource{}), ConfigurationError);
  EXPECT_THROW(require_valid(DataSource{std::string(64, 'n')}), ConfigurationError);
}

TEST(US002ConfigurationUrl, EveryPartIsRead) {
  const auto config =
      ConnectionConfig::from_url("postgresql://eng%40ine:p%3Aw@db:6543/loyalty?sslmode=require&timeout_ms=99");
  EXPECT_EQ(config.user, "eng@ine");
  EXPECT_EQ(config.password, "p:w");
  EXPECT_EQ(config.host, "db");
  EXPECT_EQ(config.port, 6543);
  EXPECT_EQ(config.dbname, "loyalty");
  EXPECT_EQ(config.tls_mode, TlsMode::kRequire);
  EXPECT_EQ(config.timeout_ms, 99);
}

TEST(US002ConfigurationUrl, LoginGivenBesideItReplacesItsOwn) {
  const auto config = ConnectionConfig::from_url("postgres://a:b@[::1]/loyalty", "engine", "other");
  EXPECT_EQ(config.host, "::1");
  EXPECT_EQ(config.user, "engine");
  EXPECT_EQ(config.password, "other");
  EXPECT_EQ(config.port, 5432);
}

TEST(US002ConfigurationUrl, SettingsGivenBesideItReplaceItsOwnAndShowOnlyTheirValues) {
  const auto config = ConnectionConfig::from_url("postgresql://u@h/d?sslmode=disable&max_pool_size=20",
                                                 {{"tls_mode", "require"}, {"retry.initial_delay_ms", "5000"}});
  EXPECT_EQ(config.tls_mode, TlsMode::kRequire);
  EXPECT_EQ(config.max_pool_size, 20);
  EXPECT_EQ(config.retry.longest_delay_ms(), 5000);
  try {
    static_cast<void>(ConnectionConfig::from_url("postgresql://u@h:123456/d", {{"timeout_ms", "-7"}}));
    ADD_FAILURE();
  } catch (const ConfigurationError& error) {
    EXPECT_THAT(error.what(), HasSubstr("timeout_ms: is 1 to 86400000, not -7"));
    EXPECT_THAT(error.what(), Not(HasSubstr("123456")));
  }
}

TEST(US002ConfigurationUrl, AWrongOneIsRejectedWithoutShowingIt) {
  for (const std::string url :
       {"mysql://u:s3cret@h/d", "u:s3cret@h", "postgres://u:s3cret%4@h/d", "postgres://u:s3cret@h:abc/d", ""}) {
    try {
      static_cast<void>(ConnectionConfig::from_url(url));
      ADD_FAILURE() << url;
    } catch (const ConfigurationError& error) {
      EXPECT_THAT(error.what(), Not(HasSubstr("s3cret")));
    }
  }
}

TEST(US002ConnectionConfig, NoPieceOfAUrlIsShownSinceItMayBeOfItsPassword) {
  for (const char* url : {"postgresql://app:sec/ret@db/loyalty", "postgresql://app:sec?ret@db/loyalty",
                          "postgresql://app:x@db:sec/d?port=ret", "postgresql://app@db/d?sslmode=secret",
                          "postgresql://app@db/d?secret=1", "postgresql://app:x@db:99887766/d"}) {
    try {
      static_cast<void>(ConnectionConfig::from_url(url));
      ADD_FAILURE() << url;
    } catch (const ConfigurationError& error) {
      for (const char* piece : {"sec", "ret@", "998877"}) EXPECT_THAT(error.what(), Not(HasSubstr(piece))) << url;
    }
  }
}

TEST(US006RetryConfig, DefaultsAreValid) { EXPECT_THAT(RetryConfig().validate(), IsEmpty()); }

TEST(US006RetryConfig, EachFieldKeepsItsBounds) {
  const auto fields = [](RetryConfig retry) {
    std::vector<std::string> names;
    for (const ConfigFault& fault : retry.validate()) names.push_back(fault.field);
    return names;
  };
  EXPECT_THAT(fields({.max_attempts = 0}), ElementsAre("max_attempts"));
  EXPECT_THAT(fields({.max_attempts = 101}), ElementsAre("max_attempts"));
  EXPECT_THAT(fields({.initial_delay_ms = -1}), ElementsAre("initial_delay_ms"));
  EXPECT_THAT(fields({.initial_delay_ms = 100, .max_delay_ms = 99}), ElementsAre("max_delay_ms"));
  EXPECT_THAT(fields({.max_delay_ms = 600'001}), ElementsAre("max_delay_ms"));
  EXPECT_THAT(fields({.initial_delay_ms = 5000}), IsEmpty());  // a default gives way
  EXPECT_EQ(RetryConfig{.initial_delay_ms = 5000}.max_delay_before(2), std::chrono::milliseconds(5000));
  EXPECT_THAT(fields({.initial_delay_ms = 5000, .max_delay_ms = 2000}), ElementsAre("max_delay_ms"));
  EXPECT_THAT(fields({.budget_ms = -1}), ElementsAre("budget_ms"));
  EXPECT_THAT(fields({.budget_ms = 86'400'001}), ElementsAre("budget_ms"));
  EXPECT_THAT(fields({.multiplier = 0.9}), ElementsAre("multiplier"));
  EXPECT_THAT(fields({.multiplier = 10.1}), ElementsAre("multiplier"));
  EXPECT_THAT(fields({.multiplier = std::numeric_limits<double>::quiet_NaN()}), ElementsAre("multiplier"));
}

TEST(US006RetryConfig, FaultsAreReportedBelowTheConnection) {
  EXPECT_THAT(faulty_after([](auto& c) { c.retry.max_attempts = 0; }), ElementsAre("retry.max_attempts"));
}

TEST(US006RetryConfig, BackoffGrowsExponentiallyUpToItsLimit) {
  using std::chrono::milliseconds;
  const RetryConfig retry{.max_attempts = 10, .initial_delay_ms = 50, .max_delay_ms = 300, .multiplier = 2.0};
  EXPECT_EQ(retry.max_delay_before(1), milliseconds(0));
  EXPECT_EQ(retry.max_delay_before(2), milliseconds(50));
  EXPECT_EQ(retry.max_delay_before(3), milliseconds(100));
  EXPECT_EQ(retry.max_delay_before(4), milliseconds(200));
  EXPECT_EQ(retry.max_delay_before(5), milliseconds(300));
  EXPECT_EQ(retry.max_delay_before(100), milliseconds(300));
}

}  // namespace
}  // namespace engine::db

#include "server/config/target.h"

#include <cstdio>
#include <fstream>
#include <limits>
#include <string>

#include "absl/hash/hash.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/base/failure.h"

namespace engine::db::config {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kCanary[] = "canary-pa55word";

v1::ConnectionConfig Minimal() {
  v1::ConnectionConfig config;
  config.set_host("db.example.org");
  config.set_user("app");
  config.set_password(kCanary);
  config.set_dbname("orders");
  return config;
}

// The failure, which every fault must have.
Failure Refused(const v1::ConnectionConfig& config) {
  const auto target = ValidateTarget(config, "config");
  EXPECT_FALSE(target.ok());
  Failure error = FailureOf(target.status());
  EXPECT_EQ(error.kind, ErrorKind::kInvalidRequest);
  EXPECT_EQ(target.status().code(), absl::StatusCode::kInvalidArgument);
  const std::string shown = error.message + error.hint + error.field;
  EXPECT_THAT(shown, Not(HasSubstr(kCanary)));
  EXPECT_LE(shown.size(), 2'000U) << "of an HTTP/2 trailer's 2,048 bytes";
  return error;
}

TEST(US002ConnectionConfig, ValidConfigurationPassesWithDefaults) {
  const auto target = ValidateTarget(Minimal(), "config");
  ASSERT_TRUE(target.ok()) << target.status();
  EXPECT_EQ(target->host, "db.example.org");
  EXPECT_EQ(target->port, 5432);
  EXPECT_EQ(target->min_pool_size, 0);
  EXPECT_EQ(target->max_pool_size, 10);
  EXPECT_EQ(target->timeout, absl::Seconds(30));
  EXPECT_EQ(target->tls_mode, v1::TLS_MODE_PREFER);
  EXPECT_EQ(target->application_name, "engine-db-gateway");
  EXPECT_EQ(target->retry, RetrySettings{});
  EXPECT_EQ(*target->ReadPassword(), kCanary);
}

TEST(US002ConnectionConfig, EveryOptionalFieldIsTakenOver) {
  v1::ConnectionConfig config = Minimal();
  config.set_port(6432);
  config.set_min_pool_size(2);
  config.set_max_pool_size(20);
  config.set_timeout_ms(1500);
  config.set_tls_mode(v1::TLS_MODE_VERIFY_FULL);
  config.set_application_name("loyalty");
  config.mutable_retry()->set_max_attempts(5);
  config.mutable_retry()->set_multiplier(3.5);
  const auto target = ValidateTarget(config, "config");
  ASSERT_TRUE(target.ok()) << target.status();
  EXPECT_EQ(target->port, 6432);
  EXPECT_EQ(target->min_pool_size, 2);
  EXPECT_EQ(target->max_pool_size, 20);
  EXPECT_EQ(target->timeout, absl::Milliseconds(1500));
  EXPECT_STREQ(target->SslMode(), "verify-full");
  EXPECT_EQ(target->application_name, "loyalty");
  EXPECT_EQ(target->retry.max_attempts, 5);
  EXPECT_EQ(target->retry.multiplier, 3.5);
}

TEST(US002ConnectionConfig, MissingFieldsAreAllNamedAtOnce) {
  const Failure error = Refused(v1::ConnectionConfig());
  EXPECT_EQ(error.field, "config.host");
  EXPECT_EQ(error.reason, Reason::kInvalidConfig);
  EXPECT_THAT(error.message, AllOf(HasSubstr("config.host: is required"), HasSubstr("config.user: is required"),
                                   HasSubstr("config.dbname: is required")));
}

TEST(US002ConnectionConfig, AnInvalidPortIsRejected) {
  for (const int port : {-1, 0, 65536, 70000, std::numeric_limits<int>::min()}) {
    v1::ConnectionConfig config = Minimal();
    config.set_port(port);
    const Failure error = Refused(config);
    EXPECT_EQ(error.field, "config.port");
    EXPECT_EQ(error.message, "config.port: must be 1 to 65535, got " + std::to_string(port));
  }
}

TEST(US002ConnectionConfig, PortBoundariesPass) {
  for (const int port : {1, 65535}) {
    v1::ConnectionConfig config = Minimal();
    config.set_port(port);
    EXPECT_EQ(ValidateTarget(config, "config")->port, port);
  }
}

TEST(US002ConnectionConfig, PoolSizeBoundariesPass) {
  const std::pair<int, int> sizes[] = {{0, 1}, {1, 1}, {0, 1000}, {1000, 1000}};
  for (const auto& [min, max] : sizes) {
    v1::ConnectionConfig config = Minimal();
    config.set_min_pool_size(min);
    config.set_max_pool_size(max);
    EXPECT_TRUE(ValidateTarget(config, "config").ok()) << min << " " << max;
  }
}

TEST(US002ConnectionConfig, MinPoolSizeAboveMaxIsRejected) {
  v1::ConnectionConfig config = Minimal();
  config.set_min_pool_size(6);
  config.set_max_pool_size(5);
  const Failure error = Refused(config);
  EXPECT_EQ(error.field, "config.min_pool_size");
  EXPECT_EQ(error.message, "config.min_pool_size: must be at most max_pool_size (5), got 6");

  config.clear_max_pool_size();
  config.set_min_pool_size(11);
  EXPECT_THAT(Refused(config).message, HasSubstr("(10, the default), got 11"));
}

TEST(US002ConnectionConfig, PoolSizesOutOfRangeAreRejected) {
  v1::ConnectionConfig config = Minimal();
  for (const int max : {0, -1, 1001}) {
    config.set_max_pool_size(max);
    EXPECT_EQ(Refused(config).field, "config.max_pool_size");
  }
  config.clear_max_pool_size();
  config.set_min_pool_size(-1);
  EXPECT_EQ(Refused(config).field, "config.min_pool_size");
}

TEST(US002ConnectionConfig, TimeoutOutOfRangeIsRejected) {
  for (const int timeout_ms : {0, -1, 86'400'001}) {
    v1::ConnectionConfig config = Minimal();
    config.set_timeout_ms(timeout_ms);
    EXPECT_EQ(Refused(config).field, "config.timeout_ms");
  }
}

TEST(US002ConnectionConfig, FaultsOfSeveralKindsAreAllNamed) {
  v1::ConnectionConfig config = Minimal();
  config.clear_user();
  config.set_port(-1);
  config.set_max_pool_size(0);
  config.set_tls_mode(static_cast<v1::TlsMode>(77));
  config.mutable_retry()->set_max_attempts(0);
  config.mutable_retry()->set_multiplier(std::numeric_limits<double>::quiet_NaN());
  const Failure error = Refused(config);
  EXPECT_EQ(error.field, "config.port");
  for (const char* field : {"config.port", "config.user", "config.max_pool_size", "config.tls_mode",
                            "config.retry.max_attempts", "config.retry.multiplier"}) {
    EXPECT_THAT(error.message, HasSubstr(field));
  }
}

TEST(US002ConnectionConfig, NulBytesAreRejectedInEveryText) {
  const std::string nul("a\0b", 3);
  const std::pair<const char*, void (*)(v1::ConnectionConfig&, const std::string&)> texts[] = {
      {"config.host", [](auto& config, const std::string& text) { config.set_host(text); }},
      {"config.user", [](auto& config, const std::string& text) { config.set_user(text); }},
      {"config.password", [](auto& config, const std::string& text) { config.set_password(kCanary + text); }},
      {"config.dbname", [](auto& config, const std::string& text) { config.set_dbname(text); }},
      {"config.application_name", [](auto& config, const std::string& text) { config.set_application_name(text); }},
  };
  for (const auto& [field, set] : texts) {
    v1::ConnectionConfig config = Minimal();
    set(config, nul);
    const Failure error = Refused(config);
    EXPECT_EQ(error.field, field);
    EXPECT_THAT(error.message, HasSubstr("must not contain a NUL byte"));
  }
}

TEST(US002ConnectionConfig, TextsThatAreTooLongAreRejectedAndNotQuoted) {
  v1::ConnectionConfig config = Minimal();
  config.set_host(std::string(256, 'h'));
  config.set_user(std::string(64, 'u'));
  config.set_dbname(std::string(64, 'd'));
  config.set_application_name(std::string(64, 'a'));
  const Failure error = Refused(config);
  EXPECT_THAT(error.message,
              AllOf(HasSubstr("config.host: must have at most 255 bytes, got 256"),
                    HasSubstr("config.user: must have at most 63 bytes, got 64"), HasSubstr("config.dbname"),
                    HasSubstr("config.application_name"), Not(HasSubstr("uuu"))));
}

TEST(US002ConnectionConfig, HostsThatLibpqWouldReadOtherwiseAreRejected) {
  for (const char* host : {"a,b", "@abstract", "db example", "postgresql://u:canary-pa55word@h/d", "[::1]", "h=1"}) {
    v1::ConnectionConfig config = Minimal();
    config.set_host(host);
    EXPECT_EQ(Refused(config).field, "config.host") << host;
  }
  for (const char* host : {"/var/run/my sockets", "::1", "fe80::1%eth0", "10.0.0.1", "db-1.internal", "localhost"}) {
    v1::ConnectionConfig config = Minimal();
    config.set_host(host);
    EXPECT_TRUE(ValidateTarget(config, "config").ok()) << host;
  }
}

TEST(RetrySettings, RangesAreChecked) {
  const auto refused = [](auto set) {
    v1::RetrySettings retry;
    set(retry);
    return FailureOf(ValidateRetry(retry, "retry", RetrySettings{}).status()).field;
  };
  EXPECT_EQ(refused([](auto& retry) { retry.set_max_attempts(101); }), "retry.max_attempts");
  EXPECT_EQ(refused([](auto& retry) { retry.set_initial_delay_ms(-1); }), "retry.initial_delay_ms");
  EXPECT_EQ(refused([](auto& retry) { retry.set_max_delay_ms(49); }), "retry.max_delay_ms");
  EXPECT_EQ(refused([](auto& retry) { retry.set_max_delay_ms(600'001); }), "retry.max_delay_ms");
  EXPECT_EQ(refused([](auto& retry) { retry.set_multiplier(0.99); }), "retry.multiplier");
  EXPECT_EQ(refused([](auto& retry) { retry.set_budget_ms(-1); }), "retry.budget_ms");
}

TEST(RetrySettings, WhatIsNotSetComesFromTheConnection) {
  RetrySettings connection;
  connection.max_attempts = 7;
  connection.multiplier = 4;
  v1::RetrySettings retry;
  retry.set_initial_delay_ms(5000);
  const auto settings = ValidateRetry(retry, "retry", connection);
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->max_attempts, 7);
  EXPECT_EQ(settings->multiplier, 4);
  EXPECT_EQ(settings->initial_delay, absl::Seconds(5));
  EXPECT_EQ(settings->max_delay, absl::Seconds(5)) << "never below the initial delay";
}

TEST(TargetSettings, EqualSettingsAreOneKeyAndThePasswordIsPartOfIt) {
  const TargetSettings one = *ValidateTarget(Minimal(), "");
  TargetSettings other = *ValidateTarget(Minimal(), "");
  EXPECT_EQ(one, other);
  EXPECT_EQ(absl::HashOf(one), absl::HashOf(other));
  other.password = "other";
  EXPECT_FALSE(one == other);
}

TEST(TargetSettings, WhatIsShownHasNoPassword) {
  const TargetSettings target = *ValidateTarget(Minimal(), "");
  EXPECT_EQ(target.DisplayName(), "app@db.example.org:5432/orders");
  const v1::ConnectionConfig shown = ToProto(target);
  EXPECT_EQ(shown.password(), "");
  EXPECT_EQ(shown.port(), 5432);
  EXPECT_EQ(shown.retry().max_delay_ms(), 2000);
  EXPECT_EQ(shown.retry().multiplier(), 2.0);
  EXPECT_EQ(shown.retry().budget_ms(), 0) << "no limit";

  v1::ConnectionConfig again = shown;
  again.set_password(kCanary);
  EXPECT_EQ(*ValidateTarget(again, ""), target) << "what is shown is what is in force";
}

TEST(TargetSettings, APasswordFileIsReadAgainEachTime) {
  const std::string file = testing::TempDir() + "engine_db_password";
  TargetSettings target = *ValidateTarget(Minimal(), "");
  target.password_file = file;
  std::ofstream(file) << "first\n";
  EXPECT_EQ(*target.ReadPassword(), "first");
  std::ofstream(file) << "rotated\r\n";
  EXPECT_EQ(*target.ReadPassword(), "rotated");
  std::ofstream(file) << kCanary << '\0';
  EXPECT_THAT(std::string(target.ReadPassword().status().message()), AllOf(HasSubstr("NUL"), Not(HasSubstr(kCanary))));
  std::remove(file.c_str());
  const auto gone = target.ReadPassword();
  EXPECT_EQ(gone.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(FailureOf(gone.status()).kind, ErrorKind::kConnection);
}

}  // namespace
}  // namespace engine::db::config

// The gateway's and the SDK's readers of database URLs make the same of each of urls.txt; so does Python's
// (tests/python/configuration_test.py).
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine_db/config.h"
#include "gmock/gmock.h"
#include "google/protobuf/descriptor.h"
#include "gtest/gtest.h"
#include "server/config/database_url.h"
#include "server/config/target.h"

namespace engine::db::config {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

struct Example {
  std::string url;
  bool right;
  std::string expected;  // the settings, or a part of the fault
};

std::vector<Example> Examples() {
  std::ifstream file(ENGINE_DB_SOURCE_DIR "/tests/unit/config/urls.txt");
  std::vector<Example> examples;
  std::string url;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    if (line[0] == '=' || line[0] == '!') {
      examples.push_back({url, line[0] == '=', line.substr(std::min<size_t>(line.size(), 2))});
    } else {
      url = line;
    }
  }
  return examples;
}

std::string Shown(const std::vector<std::pair<std::string, std::string>>& settings) {
  std::vector<std::string> shown;
  for (const auto& [name, value] : settings) {
    if (!value.empty()) shown.push_back(absl::StrCat(name, "=", value));
  }
  return absl::StrJoin(shown, " ");
}

std::string UnlessDefault(int value, int by_default) { return value == by_default ? "" : std::to_string(value); }

struct Read {
  std::string settings;
  std::string faults;
};

Read ByGateway(const std::string& url) {
  std::vector<std::string> faults;
  const DatabaseUrl parsed = ParseDatabaseUrl(url, faults);
  std::vector<Fault> more;
  const TargetSettings target = CheckTarget(parsed.config, more);
  for (const Fault& fault : more) faults.push_back(absl::StrCat(fault.field, " ", fault.expected));
  if (!faults.empty()) return {.settings = "", .faults = absl::StrJoin(faults, "; ")};
  const v1::ConnectionConfig config = ToProto(target);
  const std::string mode = target.SslMode();
  const std::string binding = target.ChannelBinding();
  return {.settings = Shown({{"host", config.host()},
                             {"port", UnlessDefault(config.port(), 5432)},
                             {"user", config.user()},
                             {"password", target.password},
                             {"dbname", config.dbname()},
                             {"min_pool_size", UnlessDefault(config.min_pool_size(), 0)},
                             {"max_pool_size", UnlessDefault(config.max_pool_size(), 10)},
                             {"timeout_ms", UnlessDefault(config.timeout_ms(), 30'000)},
                             {"connect_timeout_ms", UnlessDefault(config.connect_timeout_ms(), 0)},
                             {"tls_mode", mode == "prefer" ? "" : mode},
                             {"channel_binding", binding == "prefer" ? "" : binding},
                             {"application_name", parsed.config.application_name()},
                             {"retry.max_attempts", UnlessDefault(config.retry().max_attempts(), 3)}}),
          .faults = ""};
}

Read BySdk(const std::string& url) {
  const std::vector<std::string> modes = {"disable", "", "require", "verify-ca", "verify-full"};
  const std::vector<std::string> bindings = {"disable", "", "require"};
  try {
    const ConnectionConfig config = ConnectionConfig::from_url(url);
    return {.settings = Shown({{"host", config.host},
                               {"port", UnlessDefault(config.port, 5432)},
                               {"user", config.user},
                               {"password", config.password},
                               {"dbname", config.dbname},
                               {"min_pool_size", UnlessDefault(config.min_pool_size, 0)},
                               {"max_pool_size", UnlessDefault(config.max_pool_size, 10)},
                               {"timeout_ms", UnlessDefault(config.timeout_ms, 30'000)},
                               {"connect_timeout_ms", UnlessDefault(config.connect_timeout_ms, 0)},
                               {"tls_mode", modes.at(static_cast<size_t>(config.tls_mode))},
                               {"channel_binding", bindings.at(static_cast<size_t>(config.channel_binding))},
                               {"application_name", config.application_name},
                               {"retry.max_attempts", UnlessDefault(config.retry.max_attempts, 3)}}),
            .faults = ""};
  } catch (const ConfigurationError& error) {
    return {.settings = "", .faults = error.what()};
  }
}

TEST(UrlsAgree, OnWhatHostingProvidersHandOutAndOnFaults) {
  const std::vector<Example> examples = Examples();
  ASSERT_GT(examples.size(), 60U);
  for (const Example& example : examples) {
    for (const auto& [reader, read] :
         {std::pair("gateway", ByGateway(example.url)), std::pair("sdk", BySdk(example.url))}) {
      SCOPED_TRACE(absl::StrCat(reader, ": ", example.url));
      if (example.right) {
        EXPECT_EQ(read.settings, example.expected) << read.faults;
      } else {
        EXPECT_NE(read.faults, "") << read.settings;
        EXPECT_THAT(read.faults, HasSubstr(example.expected));
        EXPECT_THAT(read.faults, Not(HasSubstr("ary")));
      }
    }
  }
}

// Whatever is a fault of one is a fault of the other, for every parameter that either of them knows.
TEST(UrlsAgree, OnEveryParameter) {
  std::vector<std::string> names = {"sslmode", "ssl", "connect_timeout", "connection_limit"};
  for (const char* name : {"options",
                           "schema",
                           "currentSchema",
                           "search_path",
                           "pgbouncer",
                           "target_session_attrs",
                           "hostaddr",
                           "gssencmode",
                           "sslaccept",
                           "pool_timeout",
                           "socket_timeout",
                           "statement_timeout",
                           "pool_max_conns",
                           "pool_min_conns",
                           "fallback_application_name",
                           "client_encoding",
                           "keepalives",
                           "keepalives_idle",
                           "keepalives_interval",
                           "keepalives_count",
                           "tcp_user_timeout",
                           "load_balance_hosts",
                           "sslnegotiation",
                           "sslsni",
                           "sslcompression",
                           "sslcrl",
                           "sslpassword",
                           "require_auth",
                           "statement_cache_size",
                           "uselibpqcompat",
                           "service",
                           "passfile",
                           "krbsrvname",
                           "requirepeer",
                           "replication",
                           "data_source"}) {
    names.emplace_back(name);
  }
  for (const auto* message : {v1::ConnectionConfig::descriptor(), v1::RetrySettings::descriptor()}) {
    const std::string prefix = message == v1::RetrySettings::descriptor() ? "retry." : "";
    for (int i = 0; i < message->field_count(); ++i) names.push_back(prefix + message->field(i)->name());
  }
  for (const std::string& name : names) {
    for (const char* value : {"", "0", "1", "2", "3.5", "-1", "true", "false", "any", "disable", "require",
                              "verify-full", "UTF8", "postgres", "x"}) {
      const std::string url = absl::StrCat("postgresql://u:p@h/d?", name, "=", value);
      const Read gateway = ByGateway(url);
      const Read sdk = BySdk(url);
      EXPECT_EQ(gateway.settings, sdk.settings) << url << "\n" << gateway.faults << "\n" << sdk.faults;
    }
  }
}

}  // namespace
}  // namespace engine::db::config

// The rules for a connection are written three times, because three programs check them: the gateway for the contract
// and for its own file, and the SDK before it sends anything. Here all three judge the same settings.
#include <algorithm>
#include <cstdint>
#include <fstream>
#include <functional>
#include <limits>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "engine_db/config.h"
#include "gmock/gmock.h"
#include "google/protobuf/descriptor.h"
#include "gtest/gtest.h"
#include "server/config/settings.h"
#include "server/config/target.h"

namespace engine::db::config {
namespace {

using ::testing::HasSubstr;

// By the contract's names: {{"port", "5432"}, {"retry.max_attempts", "3"}}.
using Texts = std::map<std::string, std::string>;
using Fields = std::set<std::string>;

Texts Valid() { return {{"host", "db.example.org"}, {"user", "app"}, {"dbname", "orders"}}; }

std::string CamelCase(const std::string& snake) {
  std::string camel;
  for (size_t i = 0; i < snake.size(); ++i) {
    camel += snake[i] == '_' ? static_cast<char>(std::toupper(snake[++i])) : snake[i];
  }
  return camel;
}

// A field of a message by its path, and the message that holds it.
std::pair<google::protobuf::Message*, const google::protobuf::FieldDescriptor*> Find(v1::ConnectionConfig& config,
                                                                                     const std::string& path) {
  if (path.starts_with("retry.")) {
    return {config.mutable_retry(), v1::RetrySettings::descriptor()->FindFieldByName(path.substr(6))};
  }
  return {&config, v1::ConnectionConfig::descriptor()->FindFieldByName(path)};
}

// Which fields the contract's check finds fault with.
Fields ByContract(const Texts& texts) {
  v1::ConnectionConfig config;
  for (const auto& [path, text] : texts) {
    const auto [message, field] = Find(config, path);
    if (field == nullptr) {
      ADD_FAILURE() << "the contract has no " << path;
      continue;
    }
    const auto* reflection = message->GetReflection();
    switch (field->cpp_type()) {
      case google::protobuf::FieldDescriptor::CPPTYPE_STRING:
        reflection->SetString(message, field, text);
        break;
      case google::protobuf::FieldDescriptor::CPPTYPE_INT32:
        reflection->SetInt32(message, field, std::stoi(text));
        break;
      case google::protobuf::FieldDescriptor::CPPTYPE_DOUBLE:
        reflection->SetDouble(message, field, std::stod(text));
        break;
      default:
        ADD_FAILURE() << path;
    }
  }
  std::vector<Fault> faults;
  static_cast<void>(CheckTarget(config, faults));
  Fields fields;
  for (const Fault& fault : faults) fields.insert(fault.field);
  return fields;
}

Fields BySdk(const Texts& texts) {
  Fields fields;
  try {
    static_cast<void>(ConnectionConfig::from_map(texts));
  } catch (const ConfigurationError& error) {
    for (const ConfigFault& fault : error.faults()) fields.insert(fault.field);
  }
  return fields;
}

// Percent-encoded, whatever it is.
std::string Encoded(const std::string& text) {
  std::string encoded;
  for (const unsigned char c : text) absl::StrAppend(&encoded, "%", absl::Hex(c, absl::kZeroPad2));
  return encoded;
}

// As a data source of the gateway's file; only whether it is right.
bool ByFile(const Texts& texts) {
  const auto get = [&](const char* field) { return texts.count(field) == 0 ? std::string() : texts.at(field); };
  std::string url = absl::StrCat("postgresql://", Encoded(get("user")));
  if (texts.count("password") != 0) absl::StrAppend(&url, ":", Encoded(get("password")));
  absl::StrAppend(&url, "@", Encoded(get("host")));
  if (texts.count("port") != 0) absl::StrAppend(&url, ":", get("port"));
  absl::StrAppend(&url, "/", Encoded(get("dbname")));
  std::string yaml = absl::StrCat("dataSources:\n  x:\n    url: '", url, "'\n");
  std::string retry;
  for (const auto& [path, text] : texts) {
    if (path.starts_with("retry.")) {
      absl::StrAppend(&retry, "      ", CamelCase(path.substr(6)), ": ", text, "\n");
    } else if (path != "host" && path != "port" && path != "user" && path != "password" && path != "dbname") {
      absl::StrAppend(&yaml, "    ", CamelCase(path), ": \"",
                      absl::StrReplaceAll(text, {{std::string(1, '\0'), "\\0"}}), "\"\n");
    }
  }
  if (!retry.empty()) absl::StrAppend(&yaml, "    retry:\n", retry);
  const std::string file = testing::TempDir() + "engine_db_rules_agree.yaml";
  std::ofstream(file) << yaml;
  CommandLine command_line;
  command_line.config_file = file;
  const auto settings = LoadSettings(command_line, [](const std::string&) { return std::nullopt; });
  std::remove(file.c_str());
  return settings.ok();
}

void ExpectAgreement(const Texts& texts, const std::string& what) {
  const Fields contract = ByContract(texts);
  EXPECT_EQ(BySdk(texts), contract) << what << ": the SDK and the contract";
  EXPECT_EQ(ByFile(texts), contract.empty()) << what << ": the file and the contract";
}

// Every number that the contract has, at the edges of every range in use.
TEST(RulesAgree, OnNumbers) {
  const std::vector<const char*> fields = {"port",
                                           "min_pool_size",
                                           "max_pool_size",
                                           "timeout_ms",
                                           "retry.max_attempts",
                                           "retry.initial_delay_ms",
                                           "retry.max_delay_ms",
                                           "retry.budget_ms"};
  std::set<int64_t> values = {std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max()};
  for (const int64_t edge : {0, 1, 10, 50, 100, 1000, 2000, 60'000, 65'535, 600'000, 86'400'000}) {
    values.insert({edge - 1, edge, edge + 1});
  }
  int refused = 0;
  for (const char* field : fields) {
    for (const int64_t value : values) {
      Texts texts = Valid();
      texts[field] = std::to_string(value);
      ExpectAgreement(texts, absl::StrCat(field, "=", value));
      refused += ByContract(texts).empty() ? 0 : 1;
    }
  }
  EXPECT_GT(refused, 50) << "the values must hit the bounds";
  for (const char* value : {"0.99", "1", "1.0", "10", "10.01", "-1", "1e300", "nan", "inf"}) {
    Texts texts = Valid();
    texts["retry.multiplier"] = value;
    ExpectAgreement(texts, absl::StrCat("retry.multiplier=", value));
  }
}

TEST(RulesAgree, OnPoolSizesAndDelaysTogether) {
  for (const int min : {-1, 0, 1, 5, 9, 10, 11, 1000, 1001}) {
    for (const int max : {-1, 0, 1, 5, 10, 1000, 1001}) {
      Texts texts = Valid();
      texts["min_pool_size"] = std::to_string(min);
      texts["max_pool_size"] = std::to_string(max);
      ExpectAgreement(texts, absl::StrCat("min_pool_size=", min, " max_pool_size=", max));
    }
  }
  for (const int initial : {-1, 0, 50, 3'000, 60'000, 60'001}) {
    for (const int max : {-1, 0, 49, 50, 2'000, 60'001, 600'000, 600'001}) {
      Texts texts = Valid();
      texts["retry.initial_delay_ms"] = std::to_string(initial);
      texts["retry.max_delay_ms"] = std::to_string(max);
      ExpectAgreement(texts, absl::StrCat("initial_delay_ms=", initial, " max_delay_ms=", max));
    }
  }
}

TEST(RulesAgree, OnTexts) {
  for (const char* field : {"host", "user", "password", "dbname", "application_name"}) {
    for (const size_t size : {0, 1, 63, 64, 255, 256, 1024, 1025, 16'384, 16'385}) {
      Texts texts = Valid();
      texts[field] = std::string(size, 'x');
      ExpectAgreement(texts, absl::StrCat(field, " of ", size, " bytes"));
    }
    Texts texts = Valid();
    texts[field] = std::string("a\0b", 3);
    ExpectAgreement(texts, absl::StrCat(field, " with NUL"));
  }
  for (const char* host :
       {"a,b", "@abstract", "/var/run/postgresql", "/var/run,/tmp", "::1", "[::1]", "fe80::1%eth0", "a b",
        "postgresql://h", "h:5432", "xn--bcher-kva.example", "a_b", "a/b", "bücher.example"}) {
    Texts texts = Valid();
    texts["host"] = host;
    ExpectAgreement(texts, absl::StrCat("host ", host));
  }
}

// Names are shown in logs, metrics and errors: what may hold a password is none.
TEST(RulesAgree, ThatNoNameHoldsAPassword) {
  const std::map<std::string, std::vector<std::string>> refused = {
      {"host",
       {"app:secret", "app:secret@h", "h:5432", "/tmp password=secret", "postgresql://app:secret@h", "h password=x",
        "/tmp/postgresql://app:secret@h"}},
      {"user",
       {"app:secret", "app:secret@h", "app%3asecret", "app%3Asecret", "user=app password=secret", "password=secret",
        "user = app", "postgresql://app:secret@h"}},
      {"dbname",
       {"dbname=x password=secret", "dbname=x", "host = h", "postgresql://app:secret@h/d", "app:secret@h/d",
        "postgres://h/d"}},
      {"application_name",
       {"password=secret", "app PASSWORD = secret", "postgresql://app:secret@h/d", "app:secret@h"}}};
  for (const auto& [field, values] : refused) {
    for (const std::string& value : values) {
      Texts texts = Valid();
      texts[field] = value;
      ExpectAgreement(texts, absl::StrCat(field, " ", value));
      EXPECT_EQ(ByContract(texts), Fields{field}) << value;
      v1::ConnectionConfig config;
      std::vector<Fault> faults;
      for (const auto& [path, text] : texts) {
        const auto [message, descriptor] = Find(config, path);
        message->GetReflection()->SetString(message, descriptor, text);
      }
      static_cast<void>(CheckTarget(config, faults));
      for (const Fault& fault : faults) EXPECT_THAT(fault.expected, testing::Not(HasSubstr("secret")));
    }
  }
  const std::map<std::string, std::vector<std::string>> taken = {
      {"host", {"::1", "fe80::1%eth0", "/var/run/postgresql", "db.example.org"}},
      {"user", {"app", "app@tenant", "svc-1@project.iam", "Müller", "postgres.ref", "a b", "100%"}},
      {"dbname", {"orders", "a b", "tenant:1", "a@b", "x/y"}},
      {"application_name", {"worker=3", "a:b", "orders (blue)", "me@host"}}};
  for (const auto& [field, values] : taken) {
    for (const std::string& value : values) {
      Texts texts = Valid();
      texts[field] = value;
      ExpectAgreement(texts, absl::StrCat(field, " ", value));
      EXPECT_EQ(ByContract(texts), Fields{}) << field << " " << value;
    }
  }
}

// The defaults, and what the documentation of each of the three says about them.
TEST(RulesAgree, OnDefaults) {
  const auto target = ValidateTarget(
      [] {
        v1::ConnectionConfig config;
        config.set_host("h");
        config.set_user("u");
        config.set_dbname("d");
        return config;
      }(),
      "config");
  ASSERT_TRUE(target.ok()) << target.status();
  const v1::ConnectionConfig contract = ToProto(*target);
  const ConnectionConfig sdk;
  EXPECT_EQ(sdk.port, contract.port());
  EXPECT_EQ(sdk.min_pool_size, contract.min_pool_size());
  EXPECT_EQ(sdk.max_pool_size, contract.max_pool_size());
  EXPECT_EQ(sdk.timeout_ms, contract.timeout_ms());
  EXPECT_EQ(sdk.tls_mode, TlsMode::kPrefer);
  EXPECT_EQ(contract.tls_mode(), v1::TLS_MODE_PREFER);
  EXPECT_EQ(sdk.retry.max_attempts, contract.retry().max_attempts());
  EXPECT_EQ(sdk.retry.initial_delay_ms, contract.retry().initial_delay_ms());
  EXPECT_EQ(sdk.retry.max_delay_ms, contract.retry().max_delay_ms());
  EXPECT_EQ(sdk.retry.multiplier, contract.retry().multiplier());
  EXPECT_EQ(sdk.retry.budget_ms, contract.retry().budget_ms());
}

std::string Source(const std::string& path) {
  std::ostringstream content;
  content << std::ifstream(std::string(ENGINE_DB_SOURCE_DIR "/") + path).rdbuf();
  EXPECT_FALSE(content.str().empty()) << path;
  return content.str();
}

// The lines of comment right above the line that matches.
std::string CommentAbove(const std::string& text, const std::string& declaration) {
  const std::vector<std::string> lines = absl::StrSplit(text, '\n');
  const std::regex wanted(declaration);
  for (size_t i = 0; i < lines.size(); ++i) {
    if (!std::regex_search(lines[i], wanted)) continue;
    std::string comment;
    for (size_t above = i; above-- > 0 && lines[above].find("//") != std::string::npos;)
      comment = lines[above] + comment;
    return comment;
  }
  ADD_FAILURE() << "there is no " << declaration;
  return "";
}

std::string WithoutCommas(const std::string& text) {
  return std::regex_replace(text, std::regex("(\\d),(\\d)"), "$1$2");
}

// Each number's comment in the contract tells its range and its default, and the range is the one in force.
TEST(RulesAgree, WithTheDocumentationOfTheContractAndTheSdk) {
  const std::string proto = Source("proto/engine/db/v1/config.proto");
  const std::string header = Source("sdk/include/engine_db/config.h");
  const v1::ConnectionConfig defaults = [] {
    v1::ConnectionConfig config;
    config.set_host("h");
    config.set_user("u");
    config.set_dbname("d");
    return ToProto(*ValidateTarget(config, ""));
  }();
  int documented = 0;
  const auto check = [&](const google::protobuf::Message& message, const std::string& prefix) {
    for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
      const auto* field = message.GetDescriptor()->field(i);
      const std::string& name = field->name();
      const std::string in_proto = WithoutCommas(CommentAbove(proto, " " + name + " = \\d+;"));
      const std::string in_header = WithoutCommas(CommentAbove(header, "\\b" + name + "( =|;)"));
      EXPECT_GT(in_proto.size(), 10U) << name;
      if (field->cpp_type() != google::protobuf::FieldDescriptor::CPPTYPE_INT32) continue;
      ++documented;
      const std::string value = std::to_string(message.GetReflection()->GetInt32(message, field));
      EXPECT_THAT(in_proto, testing::ContainsRegex("Default " + value + "[.,]")) << name;
      std::smatch range;
      ASSERT_TRUE(std::regex_search(in_proto, range, std::regex("(\\w+)( \\([^)]*\\))? to (\\w+)"))) << in_proto;
      EXPECT_THAT(std::regex_replace(in_header, std::regex("\\s+"), " "), HasSubstr(range[1].str())) << name;
      EXPECT_THAT(in_header, HasSubstr(range[3].str())) << name;
      // The bounds hold, and one beyond does not.
      for (const auto& [bound, beyond] : {std::pair(range[1].str(), -1), std::pair(range[3].str(), 1)}) {
        if (!std::isdigit(bound[0])) continue;  // another field's value
        Texts texts = Valid();
        texts[prefix + name] = bound;
        if (name == "min_pool_size") texts["max_pool_size"] = "1000";
        if (name == "initial_delay_ms") texts["retry.max_delay_ms"] = "600000";
        EXPECT_EQ(ByContract(texts), Fields{}) << name << "=" << bound;
        texts[prefix + name] = std::to_string(std::stol(bound) + beyond);
        EXPECT_EQ(ByContract(texts).count(prefix + name), 1U) << name << "=" << texts[prefix + name];
      }
    }
  };
  check(defaults, "");
  check(defaults.retry(), "retry.");
  EXPECT_EQ(documented, 8);
}

}  // namespace
}  // namespace engine::db::config

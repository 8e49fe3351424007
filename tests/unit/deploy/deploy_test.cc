// Checks of deploy/ and the Dockerfile that need neither a container engine nor a cluster.
#include <yaml-cpp/yaml.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <memory>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "server/config/in_force.h"
#include "server/config/setting.h"
#include "server/config/settings.h"
#include "server/observe/metrics.h"

namespace engine::db {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsSubsetOf;

const fs::path kSource = ENGINE_DB_SOURCE_DIR;

std::string Read(const fs::path& path) {
  std::ostringstream content;
  content << std::ifstream(path).rdbuf();
  EXPECT_FALSE(content.str().empty()) << path;
  return content.str();
}

// Every name under which the gateway's metrics can be asked for.
std::set<std::string> MetricNames() {
  const std::array<std::string_view, 1> methods = {"Execute"};
  observe::Metrics metrics("0", methods);
  const auto pool = metrics.AddPool("pool");
  std::set<std::string> names;
  for (const prometheus::MetricFamily& family : metrics.registry()->Collect()) {
    names.insert(family.name);
    if (family.type == prometheus::MetricType::Histogram) {
      for (const char* suffix : {"_bucket", "_count", "_sum"}) names.insert(family.name + suffix);
    }
  }
  return names;
}

std::set<std::string> MetricNamesIn(const std::string& text) {
  const std::regex metric("engine_db_[a-z_]+");
  return {std::sregex_token_iterator(text.begin(), text.end(), metric), std::sregex_token_iterator()};
}

// The settings that `yaml` gives, with the secrets' folder replaced by one that is there.
absl::StatusOr<config::GatewaySettings> Load(const std::string& yaml, const std::string& secrets) {
  const fs::path folder = fs::path(testing::TempDir()) / "engine_db_deploy";
  fs::create_directories(folder);
  std::ofstream(folder / "username") << "app\n";
  std::ofstream(folder / "password") << "secret\n";
  std::ofstream(folder / "gateway.yaml") << absl::StrReplaceAll(yaml, {{secrets, folder.string()}});
  config::CommandLine command_line;
  command_line.config_file = folder / "gateway.yaml";
  auto settings = config::LoadSettings(command_line, [](const std::string&) { return std::nullopt; });
  fs::remove_all(folder);
  return settings;
}

TEST(Deploy, EveryYamlAndJsonFileParses) {
  int files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(kSource / "deploy")) {
    const fs::path& path = entry.path();
    if (path.extension() == ".yaml") {
      EXPECT_NO_THROW((void)YAML::LoadAllFromFile(path)) << path;
      ++files;
    } else if (path.extension() == ".json") {
      EXPECT_TRUE(nlohmann::json::accept(Read(path))) << path;
      ++files;
    }
  }
  EXPECT_GE(files, 7);
}

TEST(Deploy, AlertsAndDashboardAskForMetricsThatExist) {
  const std::set<std::string> names = MetricNames();
  for (const char* file : {"deploy/prometheus/alerts.yaml", "deploy/grafana/dashboard.json"}) {
    const std::set<std::string> asked = MetricNamesIn(Read(kSource / file));
    EXPECT_FALSE(asked.empty()) << file;
    EXPECT_THAT(asked, IsSubsetOf(names)) << file;
  }
}

TEST(Deploy, TheConfigMapIsAConfiguration) {
  const YAML::Node map = YAML::LoadFile(kSource / "deploy/kubernetes/configmap.yaml");
  const auto settings = Load(map["data"]["gateway.yaml"].as<std::string>(), "/run/secrets/engine-db");
  ASSERT_TRUE(settings.ok()) << settings.status();
  EXPECT_EQ(settings->data_sources.at("orders").host, "postgres.databases.svc");
  EXPECT_EQ(settings->data_sources.at("orders").DisplayName(), "orders");
  EXPECT_FALSE(settings->allow_inline_targets);
}

TEST(Deploy, TheUnitsFileIsAConfigurationAndItsCommentsTellTheDefaults) {
  const std::string yaml = Read(kSource / "deploy/systemd/gateway.yaml");
  const std::string secrets = "/run/credentials/engine-db-gateway.service";
  const auto settings = Load(yaml, secrets);
  ASSERT_TRUE(settings.ok()) << settings.status();

  // The same with every comment that is a setting made one, but for TLS and the folder's own text.
  std::string uncommented;
  for (const std::string& line : std::vector<std::string>(absl::StrSplit(yaml, '\n'))) {
    static const std::regex setting("^( *)# ( *)([a-zA-Z]+:.*)$");
    uncommented += std::regex_replace(line, setting, "$1$2$3") + "\n";
  }
  const auto explicit_settings = Load(uncommented, secrets);
  ASSERT_TRUE(explicit_settings.ok()) << explicit_settings.status();
  EXPECT_TRUE(explicit_settings->tls.has_value());
  EXPECT_EQ(explicit_settings->data_sources.at("orders").tls_root_certificate, "/etc/engine-db/postgresql-ca.crt");
  config::GatewaySettings spelled_out = *explicit_settings;
  spelled_out.tls.reset();
  spelled_out.event_loops = settings->event_loops;  // half of the cores
  config::TargetSettings& orders = spelled_out.data_sources.at("orders");
  orders.tls_root_certificate = orders.tls_certificate = orders.tls_key = "";
  EXPECT_EQ(config::SettingsInForce(spelled_out), config::SettingsInForce(*settings));

  // None is left out.
  const YAML::Node file = YAML::Load(uncommented);
  std::vector<std::string> names = {"listen"};
  for (const config::Setting& setting : config::ScalarSettings()) names.push_back(setting.name);
  for (const auto* message : {v1::ConnectionConfig::descriptor(), v1::RetrySettings::descriptor()}) {
    const std::string prefix = message == v1::RetrySettings::descriptor() ? "retry." : "";
    for (int i = 0; i < message->field_count(); ++i) {
      // What the url and the security scheme say.
      static const std::set<std::string> kElsewhere = {"host", "port", "user", "password", "dbname"};
      if (kElsewhere.count(message->field(i)->name()) > 0) continue;
      names.push_back("dataSources.orders." + prefix + message->field(i)->json_name());
    }
  }
  for (const std::string& name : names) {
    YAML::Node node = YAML::Clone(file);
    for (const auto& key : absl::StrSplit(name, '.')) node.reset(node[std::string(key)]);
    EXPECT_TRUE(node.IsDefined()) << name << " is not in deploy/systemd/gateway.yaml";
  }
}

TEST(Deploy, ThePodLeavesTheGatewayTimeToDrain) {
  const YAML::Node spec = YAML::LoadFile(kSource / "deploy/kubernetes/pod.yaml")["spec"];
  const YAML::Node gateway = spec["initContainers"][0];
  EXPECT_EQ(gateway["restartPolicy"].as<std::string>(), "Always");
  EXPECT_GT(absl::Seconds(spec["terminationGracePeriodSeconds"].as<int>()), config::GatewaySettings().drain_grace);
  for (const char* probe : {"startupProbe", "readinessProbe", "livenessProbe"}) {
    EXPECT_EQ(gateway[probe]["exec"]["command"][0].as<std::string>(), "engine-db") << probe;
  }
  EXPECT_TRUE(spec["securityContext"]["runAsNonRoot"].as<bool>());
  EXPECT_TRUE(gateway["securityContext"]["readOnlyRootFilesystem"].as<bool>());
}

// The Dockerfile's instructions, continued lines joined.
std::vector<std::string> DockerInstructions() {
  std::vector<std::string> instructions;
  std::string instruction;
  for (const std::string& line : std::vector<std::string>(absl::StrSplit(Read(kSource / "Dockerfile"), '\n'))) {
    if (line.empty() || line.front() == '#') continue;
    instruction += line;
    if (line.back() == '\\') {
      instruction.back() = ' ';
    } else {
      instructions.push_back(std::exchange(instruction, ""));
    }
  }
  return instructions;
}

TEST(Dockerfile, CopiesWhatIsThere) {
  int sources = 0;
  for (const std::string& instruction : DockerInstructions()) {
    std::vector<std::string> words = absl::StrSplit(instruction, ' ', absl::SkipEmpty());
    if (words.front() != "COPY" || words[1].rfind("--from", 0) == 0) continue;
    for (size_t i = 1; i + 1 < words.size(); ++i, ++sources) EXPECT_TRUE(fs::exists(kSource / words[i])) << words[i];
  }
  EXPECT_GT(sources, 0);
}

TEST(Dockerfile, BuildsWithThePackagesOfTheInstallScript) {
  const std::string script = Read(kSource / "scripts/install.sh");
  const std::set<std::string> known = [&] {
    const std::regex word("[a-z0-9+.-]+");
    return std::set<std::string>{std::sregex_token_iterator(script.begin(), script.end(), word),
                                 std::sregex_token_iterator()};
  }();
  for (const std::string& instruction : DockerInstructions()) {
    const size_t install = instruction.find("--no-install-recommends");
    if (install == std::string::npos) continue;
    const std::string packages = instruction.substr(install, instruction.find("&&", install) - install);
    for (const std::string& package : std::vector<std::string>(absl::StrSplit(packages, ' ', absl::SkipEmpty()))) {
      if (package.front() != '-') {
        EXPECT_THAT(known, Contains(package));
      }
    }
    return;  // the second stage installs other packages
  }
  FAIL() << "no packages";
}

TEST(Dockerfile, RunsAsAnotherUserThanRootAndHasAHealthCheck) {
  const std::vector<std::string> instructions = DockerInstructions();
  EXPECT_THAT(instructions, Contains("USER 10001:10001"));
  EXPECT_THAT(instructions, Contains(HasSubstr("HEALTHCHECK")));
  EXPECT_THAT(instructions.back(), HasSubstr("engine-db-gateway"));
}

}  // namespace
}  // namespace engine::db

// Settings read from a file and an environment that the test writes.
#ifndef ENGINE_DB_TESTS_UNIT_CONFIG_SETTINGS_TEST_H_
#define ENGINE_DB_TESTS_UNIT_CONFIG_SETTINGS_TEST_H_

#include <cstdio>
#include <fstream>
#include <map>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/config/settings.h"

namespace engine::db::config {

// Stands for a secret, which no message may show.
inline constexpr char kCanary[] = "canary-pa55word";

class SettingsTest : public testing::Test {
 protected:
  SettingsTest()
      : file_(testing::TempDir() + "engine_db_settings_" +
              testing::UnitTest::GetInstance()->current_test_info()->name()) {}
  ~SettingsTest() override { std::remove(file_.c_str()); }

  absl::StatusOr<GatewaySettings> Load(const CommandLine& command_line = {}) {
    return LoadSettings(command_line, [this](const std::string& name) -> std::optional<std::string> {
      const auto variable = variables_.find(name);
      if (variable == variables_.end()) return std::nullopt;
      return variable->second;
    });
  }

  absl::StatusOr<GatewaySettings> LoadFile(const std::string& content) {
    std::ofstream(file_) << content;
    CommandLine command_line;
    command_line.config_file = file_;
    return Load(command_line);
  }

  // The message about what is wrong with the file.
  std::string Faults(const std::string& content) {
    const auto settings = LoadFile(content);
    EXPECT_FALSE(settings.ok());
    std::string message(settings.status().message());
    EXPECT_THAT(message, ::testing::Not(::testing::HasSubstr(kCanary)));
    return message;
  }

  std::string file_;
  std::map<std::string, std::string> variables_;
};

}  // namespace engine::db::config

#endif  // ENGINE_DB_TESTS_UNIT_CONFIG_SETTINGS_TEST_H_

#include "server/observe/log.h"

#include <cmath>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace engine::db::observe {
namespace {

// What `log` wrote, a parsed line each.
template <typename Function>
std::vector<nlohmann::json> Lines(Function&& log) {
  testing::internal::CaptureStderr();
  log();
  std::istringstream output(testing::internal::GetCapturedStderr());
  std::vector<nlohmann::json> lines;
  for (std::string line; std::getline(output, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

TEST(Log, ALineIsOneObjectWithTypedFields) {
  const auto lines = Lines([] {
    LogInfo("pool opened", {{"pool", std::string("orders")},
                            {"max_size", 10},
                            {"age_seconds", absl::Milliseconds(1500)},
                            {"tls", true},
                            {"bytes", uint64_t{1} << 63},
                            {"ratio", std::nan("")}});
  });
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0]["level"], "info");
  EXPECT_EQ(lines[0]["msg"], "pool opened");
  EXPECT_EQ(lines[0]["pool"], "orders");
  EXPECT_EQ(lines[0]["max_size"], 10);
  EXPECT_EQ(lines[0]["age_seconds"], 1.5);
  EXPECT_EQ(lines[0]["tls"], true);
  EXPECT_EQ(lines[0]["bytes"], uint64_t{1} << 63);
  EXPECT_TRUE(lines[0]["ratio"].is_null());
  const std::string ts = lines[0]["ts"];
  EXPECT_EQ(ts.size(), std::string("2024-05-01T12:00:00.123456Z").size()) << ts;
}

TEST(Log, TextCannotBreakOutOfItsLine) {
  const std::string text = std::string("\"},{\n\r\t\\%v%s{}\x01\x7f") + '\0' + "\xc3\xa9 \xff\xc3 \xed\xa0\x80";
  const auto lines = Lines([&] { LogWarning(text, {{"value", text}}); });
  ASSERT_EQ(lines.size(), 1u);
  const std::string bad = "\xef\xbf\xbd";
  const std::string expected =
      std::string("\"},{\n\r\t\\%v%s{}\x01\x7f") + '\0' + "\xc3\xa9 " + bad + bad + " " + bad + bad + bad;
  EXPECT_EQ(lines[0]["msg"], expected);
  EXPECT_EQ(lines[0]["value"], expected);
}

TEST(Log, LevelsBelowTheSetOneAreDropped) {
  SetLogLevel(*ParseLogLevel("warning"));
  const auto lines = Lines([] {
    LogDebug("a");
    LogInfo("b");
    LogWarning("c");
    LogError("d");
  });
  SetLogLevel(LogLevel::kInfo);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0]["level"], "warning");
  EXPECT_EQ(lines[1]["level"], "error");
  EXPECT_FALSE(ParseLogLevel("loud"));
}

TEST(Log, LinesOfSeveralThreadsStayWhole) {
  const auto lines = Lines([] {
    std::vector<std::thread> threads;
    threads.reserve(4);
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([t] {
        for (int i = 0; i < 200; ++i) LogInfo("line", {{"thread", t}, {"i", i}});
      });
    }
    for (std::thread& thread : threads) thread.join();
  });
  EXPECT_EQ(lines.size(), 800u);
}

}  // namespace
}  // namespace engine::db::observe

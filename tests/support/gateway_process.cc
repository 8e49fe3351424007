#include "tests/support/gateway_process.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>
#include <stdexcept>
#include <string_view>

#include "tests/support/network.h"
#include "tests/support/wait.h"

namespace engine::db::test {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

}  // namespace

std::string GatewayProgram() {
  const char* named = std::getenv("ENGINE_DB_GATEWAY_PATH");
  return named != nullptr ? named : ENGINE_DB_GATEWAY_PATH;
}

GatewayProcess::GatewayProcess(const GatewayOptions& options) {
  ProcessOptions process;
  process.command = {GatewayProgram(), "--metrics-listen", options.metrics_listen};
  for (const std::string& address : options.listen) {
    process.command.emplace_back("--listen");
    process.command.push_back(address);
  }
  process.command.insert(process.command.end(), options.arguments.begin(), options.arguments.end());
  process.environment = options.environment;
  process.stdout_file = folder_.path() / "out";
  process.stderr_file = folder_.path() / "log";
  process_ = std::make_unique<Process>(process);
  const bool answered = WaitUntil(std::chrono::seconds(30), [this] { return ParseReadyLine() || !Running(); });
  if (answered && !addresses_.empty()) return;
  process_->Kill();
  throw std::runtime_error("the gateway is not ready:\n" + Output() + Log());
}

GatewayProcess::~GatewayProcess() {
  // Leaks are looked for at an orderly end only, which takes longer.
  if (kSanitized) Terminate();
  process_->Kill();
  const std::string log = Log();
  // The last is what the gateway says of a state that it should never have come to.
  const size_t report = std::min({log.find("Sanitizer"), log.find("runtime error: "), log.find("internal error: ")});
  constexpr size_t kShown = 20'000;
  if (report != std::string::npos) {
    ADD_FAILURE() << "in the gateway:\n" << log.substr(log.rfind('\n', report) + 1, kShown);
  }
}

// "engine-db-gateway ready: grpc=127.0.0.1:50051 grpc=unix:/run/x.sock metrics=127.0.0.1:9464"
bool GatewayProcess::ParseReadyLine() {
  const std::string output = Output();
  constexpr std::string_view kBegin = "engine-db-gateway ready: ";
  const size_t begin = output.find(kBegin);
  const size_t end = output.find('\n', begin == std::string::npos ? 0 : begin);
  if (begin == std::string::npos || end == std::string::npos) return false;
  std::istringstream words(output.substr(begin + kBegin.size(), end - begin - kBegin.size()));
  for (std::string word; words >> word;) {
    if (word.starts_with("grpc=")) addresses_.push_back(word.substr(5));
    if (word.starts_with("metrics=")) metrics_address_ = word.substr(8);
  }
  return true;
}

std::optional<int> GatewayProcess::Terminate(std::chrono::milliseconds timeout) {
  process_->Signal(SIGTERM);
  return process_->Wait(timeout);
}

std::string GatewayProcess::Log() const { return ReadFile(folder_.path() / "log"); }

std::string GatewayProcess::Output() const { return ReadFile(folder_.path() / "out"); }

std::string GatewayProcess::Metrics() const {
  const HttpResponse response = HttpGet(metrics_address_, "/metrics");
  if (response.status != 200) throw std::runtime_error("/metrics answered " + std::to_string(response.status));
  return response.body;
}

std::optional<double> GatewayProcess::Metric(const std::string& series) const {
  std::istringstream lines(Metrics());
  for (std::string line; std::getline(lines, line);) {
    if (line.size() > series.size() && line.starts_with(series) && line[series.size()] == ' ') {
      return std::stod(line.substr(series.size()));
    }
  }
  return std::nullopt;
}

}  // namespace engine::db::test

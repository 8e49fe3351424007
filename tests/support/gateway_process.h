// The gateway as a process of its own, as in production.
#ifndef ENGINE_DB_TESTS_SUPPORT_GATEWAY_PROCESS_H_
#define ENGINE_DB_TESTS_SUPPORT_GATEWAY_PROCESS_H_

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/process.h"
#include "tests/support/temporary_folder.h"

namespace engine::db::test {

// The gateway's program.
std::string GatewayProgram();

struct GatewayOptions {
  // --listen, one each: "127.0.0.1:0", "unix:/path".
  std::vector<std::string> listen = {"127.0.0.1:0"};
  // --metrics-listen.
  std::string metrics_listen = "127.0.0.1:0";
  // More arguments: {"--config", file}.
  std::vector<std::string> arguments = {};
  // Added to the environment: ENGINE_DB_….
  std::map<std::string, std::string> environment = {};
};

// build/bin/engine-db-gateway (or the program that the environment variable ENGINE_DB_GATEWAY_PATH names), started and
// ready. A test that uses it says add_dependencies(TEST engine-db-gateway). Not thread-safe. Killed by the destructor,
// and when the thread that made it dies.
class GatewayProcess {
 public:
  // Throws std::runtime_error, with the gateway's log, when it is not ready within 30 s.
  explicit GatewayProcess(const GatewayOptions& options = {});
  // Fails the test when a sanitizer has found something in the gateway.
  ~GatewayProcess();
  GatewayProcess(const GatewayProcess&) = delete;
  GatewayProcess& operator=(const GatewayProcess&) = delete;

  // Where it takes calls, as gRPC names it: the first address, and all of them.
  const std::string& address() const { return addresses_.front(); }
  const std::vector<std::string>& addresses() const { return addresses_; }
  const std::string& metrics_address() const { return metrics_address_; }

  pid_t pid() const { return process_->pid(); }
  bool Running() { return process_->Running(); }
  void Signal(int signal) { process_->Signal(signal); }

  // SIGTERM. Returns the exit code, or nothing if it still runs after `timeout`.
  std::optional<int> Terminate(std::chrono::milliseconds timeout = std::chrono::seconds(30));
  // Waits for its end after a signal; as Terminate.
  std::optional<int> Wait(std::chrono::milliseconds timeout) { return process_->Wait(timeout); }
  // SIGKILL.
  void Kill() { process_->Kill(); }

  // What it has written to stderr (its log) and to stdout (the line that says it is ready).
  std::string Log() const;
  std::string Output() const;

  // GET /metrics.
  std::string Metrics() const;
  // The value of one series, its labels written as /metrics shows them: `name{label="value"}`; nothing if it is not
  // there.
  std::optional<double> Metric(const std::string& series) const;

  MemoryUsage Memory() const { return ReadMemoryUsage(pid()); }

 private:
  bool ParseReadyLine();

  TemporaryFolder folder_;
  std::unique_ptr<Process> process_;
  std::vector<std::string> addresses_;
  std::string metrics_address_;
};

}  // namespace engine::db::test

#endif  // ENGINE_DB_TESTS_SUPPORT_GATEWAY_PROCESS_H_

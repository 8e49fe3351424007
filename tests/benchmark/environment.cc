#include "tests/benchmark/environment.h"

#include <libpq-fe.h>

#include <sstream>
#include <thread>

#include "tests/support/process.h"

namespace engine::db::bench {
namespace {

// The value of "key: value" or "key\t: value" in a file of /proc.
std::string ProcField(const std::string& file, const std::string& key) {
  std::istringstream lines(test::ReadFile(file));
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(key)) continue;
    const size_t colon = line.find(':');
    const size_t begin = colon == std::string::npos ? colon : line.find_first_not_of(" \t", colon + 1);
    if (begin != std::string::npos) return line.substr(begin);
  }
  return "?";
}

std::string Mebibytes(long kib) { return std::to_string((kib + 512) / 1024) + " MiB"; }

}  // namespace

Environment::Environment(int pool_size)
    : pool_size_(pool_size),
      // pgbench's own connections come on top of both pools.
      postgres_({.settings = {{"max_connections", std::to_string(2 * pool_size + 100)}, {"shared_buffers", "512MB"}}}),
      pgbouncer_(postgres_, {.pool_size = pool_size}),
      gateway_({.listen = {"127.0.0.1:0", "unix:" + (folder_.path() / "gateway.sock").string()},
                .environment = {{"ENGINE_DB_LOG_LEVEL", "warning"}}}) {}

ConnectionConfig Environment::Target() const {
  ConnectionConfig config;
  config.host = postgres_.host();
  config.port = postgres_.port();
  config.user = postgres_.user();
  config.password = postgres_.password();
  config.dbname = postgres_.dbname();
  config.max_pool_size = pool_size_;
  config.timeout_ms = 120'000;
  return config;
}

std::vector<std::pair<std::string, std::string>> Environment::Describe() const {
  const std::string load = test::ReadFile("/proc/loadavg");
  return {
      {"cpu", ProcField("/proc/cpuinfo", "model name")},
      {"cores", std::to_string(std::thread::hardware_concurrency())},
      {"load before", load.substr(0, load.find(' '))},
      {"gateway", ENGINE_DB_VERSION},
      {"postgresql", postgres_.Scalar("SHOW server_version")},
      {"pgbouncer", pgbouncer_.version()},
      {"libpq", std::to_string(PQlibVersion() / 10000)},
      {"pool size", std::to_string(pool_size_)},
  };
}

std::string Environment::DescribeGateway() const {
  const test::MemoryUsage memory = gateway_.Memory();
  return "gateway at the end: " + Mebibytes(memory.resident_kib) + " resident, " + Mebibytes(memory.peak_resident_kib) +
         " at most, " + ProcField("/proc/" + std::to_string(gateway_.pid()) + "/status", "Threads") + " threads";
}

}  // namespace engine::db::bench

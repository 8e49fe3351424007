// engine-db-gateway: reads its settings, puts the layers together, waits for a signal, drains.
#include <grpc/support/log.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/base/version.h"
#include "server/config/in_force.h"
#include "server/config/settings.h"
#include "server/gateway/gateway.h"
#include "server/gateway/methods.h"
#include "server/observe/log.h"
#include "server/observe/metrics.h"
#include "server/observe/metrics_server.h"
#include "server/postgres/libpq_environment.h"
#include "server/rpc/server.h"
#include "server/rpc/status.h"

namespace {

using namespace engine::db;  // NOLINT(google-build-using-namespace)

int Fail(const absl::Status& status) {
  std::cerr << "engine-db-gateway: " << std::string(status.message()) << "\n";
  return 1;
}

// Every thread inherits the mask, so that only the main thread hears of these.
sigset_t BlockSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  return signals;
}

// gRPC's own errors (an address in use, a broken handshake) as lines of our log.
void LogOfGrpc(gpr_log_func_args* line) {
  if (line->severity == GPR_LOG_SEVERITY_ERROR) {
    observe::LogWarning("grpc", {{"text", line->message}});
  }
}

int Run(const config::GatewaySettings& settings, const sigset_t& signals) {
  observe::SetLogLevel(settings.log_level);
  gpr_set_log_function(&LogOfGrpc);
  observe::Metrics metrics(kVersion, gateway::kCountedMethods);
  std::unique_ptr<observe::MetricsServer> metrics_server;
  std::string ready = "engine-db-gateway ready:";
  gateway::Gateway gateway(settings, metrics, &rpc::WriteError);
  absl::StatusOr<std::unique_ptr<rpc::Server>> server = rpc::Server::Start(settings, gateway);
  if (!server.ok()) return Fail(server.status());
  for (const std::string& address : (*server)->addresses()) absl::StrAppend(&ready, " grpc=", address);
  if (settings.metrics_listen.has_value()) {
    auto started =
        observe::MetricsServer::Start(metrics.registry(), settings.metrics_listen->host, settings.metrics_listen->port);
    if (!started.ok()) return Fail(started.status());
    metrics_server = *std::move(started);
    absl::StrAppend(&ready, " metrics=", settings.metrics_listen->host, ":", metrics_server->port());
  }
  std::cout << ready << std::endl;

  int signal = 0;
  sigwait(&signals, &signal);
  observe::LogInfo("stopping", {{"signal", signal == SIGTERM ? "SIGTERM" : "SIGINT"}});
  (*server)->StopServing();
  gateway.Drain(settings.drain_grace);
  (*server)->Shutdown(absl::Now() + absl::Milliseconds(500));  // idle sessions stay open until somebody ends them
  return 0;
}

int Main(int argc, char** argv) {
  CLI::App app("PostgreSQL gateway: pools, transactions and retries behind gRPC");
  config::CommandLine command_line;
  bool check = false;
  std::string metrics_listen;
  app.add_option("--listen", command_line.listen, "HOST:PORT or unix:PATH; may be repeated (127.0.0.1:50051)");
  CLI::Option* metrics_option =
      app.add_option("--metrics-listen", metrics_listen, "HOST:PORT of /metrics, or \"\" for none (127.0.0.1:9464)");
  app.add_option("--config", command_line.config_file, "configuration file (YAML)");
  app.add_option("--log-level", command_line.log_level, "debug, info, warning, error or off (info)");
  app.add_flag("--check-config", check, "check the settings, print them (no secrets) and exit");
  app.set_version_flag("--version", std::string(kVersion));
  CLI11_PARSE(app, argc, argv);
  if (metrics_option->count() > 0) command_line.metrics_listen = metrics_listen;

  const sigset_t signals = BlockSignals();
  const absl::StatusOr<config::GatewaySettings> settings = config::LoadSettings(command_line);
  if (!settings.ok()) return Fail(settings.status());
  if (check) {
    std::cout << "# The configuration is valid. In force are:\n" << config::SettingsInForce(*settings) << "\n";
    return 0;
  }
  postgres::ForgetLibpqEnvironment();
  return Run(*settings, signals);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return Main(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "engine-db-gateway: %s\n", error.what());
    return 1;
  }
}

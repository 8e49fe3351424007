#include "tests/unit/gateway/scripted_gateway.h"

#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "server/base/failure.h"
#include "server/gateway/methods.h"

namespace engine::db::test {
namespace {

config::GatewaySettings SettingsWith(config::Limits limits) {
  config::GatewaySettings settings;
  settings.limits = limits;
  config::TargetSettings& target = settings.data_sources["db"];
  target.data_source = "db";
  target.host = "nowhere";
  target.user = "app";
  target.dbname = "app";
  return settings;
}

postgres::ServerInfo Info() {
  postgres::ServerInfo info;
  info.version = "15.0";
  info.version_number = 150000;
  info.system_identifier = 1;
  info.types = std::make_shared<const postgres::TypeCatalog>();
  return info;
}

}  // namespace

struct ScriptedGateway::Servers {
  Script script;
  std::vector<std::unique_ptr<ScriptedServer>> started;

  std::unique_ptr<postgres::BackendFactory> Start(loop::EventLoop& loop) {
    started.push_back(std::make_unique<ScriptedServer>(loop));
    if (script) script(*started.back());
    return started.back()->MakeFactory();
  }
};

ScriptedGateway::ScriptedGateway(config::Limits limits, Script script)
    : settings_(SettingsWith(limits)),
      metrics_("0", gateway::kCountedMethods),
      servers_(std::make_shared<Servers>(Servers{std::move(script), {}})),
      gateway_(settings_, metrics_,
               [](const absl::Status& status, v1::DatabaseError& error) {
                 error.set_message(std::string(status.message()));
               },
               {.make_backends = [servers = servers_](loop::EventLoop& loop, loop::BlockingExecutor&,
                                                      const config::TargetSettings&) { return servers->Start(loop); },
                .probe = [](const postgres::ConnectParameters&, absl::Duration) { return Info(); }}) {}

std::string ScriptedGateway::Connect() {
  v1::ConnectRequest request;
  request.set_data_source("db");
  v1::ConnectResponse response;
  const absl::Status status = Call(request, response);
  EXPECT_TRUE(status.ok()) << status;
  return response.connection_id();
}

std::string ScriptedGateway::Begin(const std::string& connection_id) {
  v1::BeginRequest request;
  request.set_connection_id(connection_id);
  v1::BeginResponse response;
  const absl::Status status = Call(request, response);
  EXPECT_TRUE(status.ok()) << status;
  return response.transaction_id();
}

}  // namespace engine::db::test

// A scripted gateway behind its services, on a channel within the process.
#ifndef ENGINE_DB_TESTS_UNIT_RPC_SERVED_GATEWAY_H_
#define ENGINE_DB_TESTS_UNIT_RPC_SERVED_GATEWAY_H_

#include <grpcpp/channel.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/support/channel_arguments.h>

#include <chrono>
#include <memory>
#include <utility>

#include "server/rpc/services.h"
#include "tests/unit/gateway/scripted_gateway.h"

namespace engine::db::test {

class ServedGateway {
 public:
  explicit ServedGateway(config::Limits limits = {}, ScriptedGateway::Script script = {})
      : scripted_(limits, std::move(script)), connector_(scripted_.gateway()), admin_(scripted_.gateway()) {
    grpc::ServerBuilder builder;
    builder.RegisterService(&connector_);
    builder.RegisterService(&admin_);
    server_ = builder.BuildAndStart();
    channel_ = server_->InProcessChannel(grpc::ChannelArguments());
  }
  ~ServedGateway() { server_->Shutdown(std::chrono::system_clock::now()); }
  ServedGateway(const ServedGateway&) = delete;
  ServedGateway& operator=(const ServedGateway&) = delete;

  [[nodiscard]] gateway::Gateway& gateway() { return scripted_.gateway(); }
  [[nodiscard]] const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }

 private:
  ScriptedGateway scripted_;
  rpc::ConnectorService connector_;
  rpc::AdminService admin_;
  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
};

}  // namespace engine::db::test

#endif  // ENGINE_DB_TESTS_UNIT_RPC_SERVED_GATEWAY_H_

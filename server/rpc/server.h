// The gRPC server: listeners, services, health, reflection.
#ifndef ENGINE_DB_SERVER_RPC_SERVER_H_
#define ENGINE_DB_SERVER_RPC_SERVER_H_

#include <grpcpp/server.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/config/settings.h"
#include "server/gateway/gateway.h"
#include "server/rpc/callback_threads.h"
#include "server/rpc/services.h"

namespace engine::db::rpc {

class Server {
 public:
  // Listens and serves. UNAVAILABLE names the address that is taken. The gateway must outlive the server.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<Server>> Start(const config::GatewaySettings& settings,
                                                                     gateway::Gateway& gateway);
  // Ends what still runs at once: see Shutdown().
  ~Server();

  // Where it listens, the ports filled in.
  [[nodiscard]] const std::vector<std::string>& addresses() const { return addresses_; }

  // The health service says NOT_SERVING from now on; calls go on.
  void StopServing();
  // Takes no more calls, waits for those that run until `deadline`, then breaks them off. Blocks.
  void Shutdown(absl::Time deadline);

 private:
  explicit Server(gateway::Gateway& gateway) : connector_(gateway), admin_(gateway) {}

  ConnectorService connector_;
  AdminService admin_;
  const CallbackThreads callback_threads_;
  std::unique_ptr<grpc::Server> server_;
  std::vector<std::string> addresses_;
};

}  // namespace engine::db::rpc

#endif  // ENGINE_DB_SERVER_RPC_SERVER_H_

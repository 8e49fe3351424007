// PostgreSQL, a link that fails on command, and the gateway: what faults are injected into.
#ifndef ENGINE_DB_TESTS_FAULT_RIG_H_
#define ENGINE_DB_TESTS_FAULT_RIG_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine_db/config.h"
#include "engine_db/gateway_options.h"
#include "tests/support/fault_proxy.h"
#include "tests/support/gateway_process.h"
#include "tests/support/postgres_cluster.h"

namespace engine::db::test {

// Servers of its own. One thread at a time, which has to live as long as they shall: the servers die with it.
class FaultRig {
 public:
  explicit FaultRig(const std::map<std::string, std::string>& postgres_settings = {});

  [[nodiscard]] PostgresCluster& postgres() { return postgres_; }
  [[nodiscard]] FaultProxy& proxy() { return proxy_; }
  [[nodiscard]] GatewayProcess& gateway() { return *gateway_; }

  // The role `app`, through the proxy; its backends bear the name kApplication.
  [[nodiscard]] ConnectionConfig Config(int max_pool_size) const;
  [[nodiscard]] engine::db::GatewayOptions Gateway() const { return {.address = gateway_address_}; }
  static constexpr const char* kApplication = "soak";

  // Ends the gateway by SIGKILL, or by SIGTERM and its drain, and starts another one at the same address.
  void ReplaceGateway(int signal);

  // Backends of the gateway's on the server for which the condition holds.
  [[nodiscard]] int Backends(const std::string& condition = "true") const;

  // All that gateways, dead ones too, have written to their logs and now say in their metrics.
  [[nodiscard]] std::string GatewayOutput();
  // The most memory that a gateway has had.
  [[nodiscard]] long GatewayPeakKib();

 private:
  void Remember();

  PostgresCluster postgres_;
  FaultProxy proxy_;
  test::GatewayOptions gateway_options_;
  std::string gateway_address_;
  std::unique_ptr<GatewayProcess> gateway_;
  std::string output_;  // of dead gateways
  long peak_kib_ = 0;
};

}  // namespace engine::db::test

#endif  // ENGINE_DB_TESTS_FAULT_RIG_H_

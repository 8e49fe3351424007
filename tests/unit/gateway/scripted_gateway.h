// A gateway that reaches no server but a test's script.
#ifndef ENGINE_DB_TESTS_UNIT_GATEWAY_SCRIPTED_GATEWAY_H_
#define ENGINE_DB_TESTS_UNIT_GATEWAY_SCRIPTED_GATEWAY_H_

#include <functional>
#include <memory>
#include <string>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/synchronization/notification.h"
#include "server/config/settings.h"
#include "server/gateway/gateway.h"
#include "server/gateway/methods.h"
#include "server/observe/metrics.h"
#include "tests/support/scripted_backend.h"

namespace engine::db::test {

class ScriptedGateway {
 public:
  using Script = std::function<void(ScriptedServer&)>;

  // `script` is told to each target's server, on the gateway's loop. One event loop; "db" is a data source.
  explicit ScriptedGateway(config::Limits limits = {}, Script script = {});

  [[nodiscard]] gateway::Gateway& gateway() { return gateway_; }
  [[nodiscard]] observe::Metrics& metrics() { return metrics_; }

  // Calls a method and waits for its end.
  template <typename Request, typename Output>
  absl::Status Call(const Request& request, Output& output, const gateway::Caller& caller = {}) {
    using Declared = std::conditional_t<std::is_base_of_v<gateway::RowSink, Output>, gateway::RowSink, Output>;
    absl::Status end;
    absl::Notification ended;
    gateway_.Call(caller, request, static_cast<Declared&>(output), [&](const absl::Status& status) {
      end = status;
      ended.Notify();
    });
    ended.WaitForNotification();
    return end;
  }

  // A connection on the data source.
  [[nodiscard]] std::string Connect();
  // A transaction on it.
  [[nodiscard]] std::string Begin(const std::string& connection_id);

 private:
  // The gateway's, which it must outlive.
  struct Servers;

  const config::GatewaySettings settings_;
  observe::Metrics metrics_;
  const std::shared_ptr<Servers> servers_;
  gateway::Gateway gateway_;
};

}  // namespace engine::db::test

#endif  // ENGINE_DB_TESTS_UNIT_GATEWAY_SCRIPTED_GATEWAY_H_

// The door of the gateway. Every method of the contract passes it, whether it is called on its own or on a session:
// who calls, what the gateway takes at the moment, limits, and what all requests have in common are decided here, and
// nowhere else.
#ifndef ENGINE_DB_SERVER_GATEWAY_ADMISSION_H_
#define ENGINE_DB_SERVER_GATEWAY_ADMISSION_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/db/v1/connector.pb.h"
#include "server/call/ids.h"
#include "server/config/settings.h"
#include "server/gateway/answer.h"
#include "server/gateway/connections.h"
#include "server/loop/clock.h"
#include "server/observe/metrics.h"

namespace engine::db::gateway {

// Who calls.
struct Caller {
  absl::Time deadline = absl::InfiniteFuture();
  call::SessionId session = 0;  // 0: not on a session
};

// What a method needs, which decides when it is refused.
enum class Needs : uint8_t {
  kNothing,         // nothing: it is answered also while the gateway drains
  kRoom,            // a gateway that does not drain
  kConnection,      // an open connection
  kTransaction,     // an open connection, and the name of a transaction
  kStatement,       // an open connection; one that does not drain, unless the call names a transaction
  kNewTransaction,  // an open connection, one that does not drain, and room for another transaction
};

// What the door reads of a request: fields of the same name in many requests. Null or 0 where a request has no such
// field, or leaves it out. Points into the request.
struct CommonFields {
  const std::string* connection_id = nullptr;
  const std::string* transaction_id = nullptr;
  const v1::TransactionOptions* begin = nullptr;
  const char* begin_field = "begin";
  bool commit = false;
  const v1::RetrySettings* retry = nullptr;
  int result_format = 0;
  uint32_t timeout_ms = 0;
};

template <typename Request>
[[nodiscard]] CommonFields CommonFieldsOf(const Request& request) {
  CommonFields fields;
  if constexpr (requires { request.connection_id(); }) fields.connection_id = &request.connection_id();
  if constexpr (requires { request.has_transaction_id(); }) {
    if (request.has_transaction_id()) fields.transaction_id = &request.transaction_id();
  } else if constexpr (requires { request.transaction_id(); }) {
    if (!request.transaction_id().empty()) fields.transaction_id = &request.transaction_id();
  }
  if constexpr (requires { request.begin(); }) {
    if (request.has_begin()) fields.begin = &request.begin();
  } else if constexpr (requires { request.options(); }) {
    fields.begin = &request.options();
    fields.begin_field = "options";
  }
  if constexpr (requires { request.commit(); }) fields.commit = request.commit();
  if constexpr (requires { request.retry(); }) {
    if (request.has_retry()) fields.retry = &request.retry();
  }
  if constexpr (requires { request.result_format(); }) fields.result_format = request.result_format();
  if constexpr (requires { request.timeout_ms(); }) fields.timeout_ms = request.timeout_ms();
  return fields;
}

// A call that has passed: what its method goes on with.
struct Admitted {
  Caller caller;
  CommonFields fields;
  // Of the connection that it names; its retry settings are the call's own where the call has some.
  Connection connection;
  // The earliest of the caller's deadline and timeout_ms; the connection's timeout where the call has neither.
  absl::Time deadline;
  Answer answer;
};

// Any thread.
class Admission {
 public:
  // Everything must outlive the admission. `transactions` is how many are open.
  Admission(const config::GatewaySettings& settings, observe::Metrics& metrics, const loop::Clock& clock,
            const Connections& connections, const std::atomic<size_t>& transactions)
      : settings_(settings), metrics_(metrics), clock_(clock), connections_(connections), transactions_(transactions) {}

  // Nothing when the call is refused: it has been answered then. `counted` may be null.
  [[nodiscard]] std::optional<Admitted> Admit(const observe::MethodMetrics* counted, Needs needs, const Caller& caller,
                                              const CommonFields& fields, Done done) const;

  // A Session stream. Fails past the limit; EndSession gives its place back.
  [[nodiscard]] absl::StatusOr<call::SessionId> BeginSession();
  void EndSession();
  [[nodiscard]] size_t sessions() const { return sessions_; }

  // From now on whatever would begin something new is refused.
  void StartDraining();
  [[nodiscard]] bool draining() const { return draining_; }

 private:
  [[nodiscard]] absl::Status Decide(Needs needs, Admitted& call) const;

  const config::GatewaySettings& settings_;
  observe::Metrics& metrics_;
  const loop::Clock& clock_;
  const Connections& connections_;
  const std::atomic<size_t>& transactions_;
  std::atomic<call::SessionId> next_session_{1};
  std::atomic<size_t> sessions_{0};
  std::atomic<bool> draining_{false};
};

}  // namespace engine::db::gateway

#endif  // ENGINE_DB_SERVER_GATEWAY_ADMISSION_H_

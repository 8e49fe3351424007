// The gateway without its wire. Puts its parts together, and takes the contract's calls to their methods (methods.h).
#ifndef ENGINE_DB_SERVER_GATEWAY_GATEWAY_H_
#define ENGINE_DB_SERVER_GATEWAY_GATEWAY_H_

#include <optional>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/call/context.h"
#include "server/call/handle.h"
#include "server/config/settings.h"
#include "server/gateway/admission.h"
#include "server/gateway/connections.h"
#include "server/gateway/methods.h"
#include "server/gateway/parts.h"
#include "server/gateway/shards.h"
#include "server/loop/blocking_executor.h"
#include "server/loop/clock.h"
#include "server/observe/metrics.h"
#include "server/sql/statement_cache.h"

namespace engine::db::gateway {

// Any thread may call it.
class Gateway {
 public:
  // The settings and metrics must outlive the gateway; the metrics count kCountedMethods. `servers`: tests give their
  // own.
  Gateway(const config::GatewaySettings& settings, observe::Metrics& metrics, ErrorWriter write_error,
          call::Servers servers = {});
  // Breaks off whatever still runs: see Drain().
  ~Gateway();
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  // Calls the method of the contract that takes this request. Request and output (its response, or the sink of a
  // stream's rows) must live until `done`, which is called exactly once.
  template <typename Request, typename Output>
  CallRef Call(const Caller& caller, const Request& request, Output& output, Done done) {
    constexpr const Method<Request, Output>& method = kMethodFor<Request, Output>;
    constexpr size_t counted_as = CountedAs(method.name);
    const observe::MethodMetrics* counted = nullptr;
    if constexpr (counted_as < kCountedMethods.size()) counted = &metrics_.ForMethod(counted_as);
    std::optional<Admitted> call =
        admission_.Admit(counted, method.needs, caller, CommonFieldsOf(request), std::move(done));
    if (!call.has_value()) return {};
    const absl::StatusOr<CallRef> ref = method.handler(parts_, *call, request, output);
    if (!ref.ok()) call->answer(ref.status());
    return ref.value_or(CallRef{});
  }

  void Cancel(CallRef call) { shards_.Cancel(call); }
  void ResumeStream(CallRef call) { shards_.ResumeStream(call); }

  // For a Session stream. Fails past the limit; what it opened ends with it.
  [[nodiscard]] absl::StatusOr<call::SessionId> BeginSession() { return admission_.BeginSession(); }
  void EndSession(call::SessionId session);

  // Refuses new work, waits until what runs has ended or `grace` has passed, rolls back what is left. Blocks.
  void Drain(absl::Duration grace);

  [[nodiscard]] const loop::Clock& clock() const { return clock_; }

  // Runs `task` when the current round of the loop that this thread is has ended; at once on any other thread. What
  // many calls have to say at the same time can so leave together.
  static void AtEndOfRound(absl::AnyInvocable<void()> task);

 private:
  const config::GatewaySettings& settings_;
  observe::Metrics& metrics_;
  const call::HandleMaker handles_;
  const loop::SteadyClock clock_;
  loop::BlockingExecutor executor_;
  loop::BlockingExecutor server_query_executor_;
  call::Context context_;
  Connections connections_;
  sql::StatementCache statements_;
  Admission admission_;
  Shards shards_;
  Parts parts_;
};

}  // namespace engine::db::gateway

#endif  // ENGINE_DB_SERVER_GATEWAY_GATEWAY_H_

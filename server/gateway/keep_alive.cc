// KeepAlive: a transaction's idle time begins anew.
#include <utility>

#include "server/call/target.h"
#include "server/gateway/methods.h"

namespace engine::db::gateway {

absl::StatusOr<CallRef> KeepAlive(Parts& parts, Admitted& call, const v1::KeepAliveRequest& request,
                                  v1::KeepAliveResponse& response) {
  parts.shards.OnTarget(call.connection,
                        [&parts, &request, &response, answer = std::move(call.answer)](call::Target* target) mutable {
                          if (target == nullptr) {
                            answer(parts.connections.Find(request.connection_id()).status());
                            return;
                          }
                          const absl::StatusOr<v1::TransactionStatus> transaction =
                              target->KeepAlive(request.transaction_id(), request.connection_id());
                          if (transaction.ok()) *response.mutable_transaction() = *transaction;
                          answer(transaction.status());
                        });
  return CallRef{};
}

}  // namespace engine::db::gateway

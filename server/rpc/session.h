// One Session stream: many correlated calls at once.
#ifndef ENGINE_DB_SERVER_RPC_SESSION_H_
#define ENGINE_DB_SERVER_RPC_SESSION_H_

#include <grpcpp/support/server_callback.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "engine/db/v1/connector.pb.h"
#include "server/gateway/gateway.h"
#include "server/gateway/methods.h"

namespace engine::db::rpc {

// Answers leave together: those that become ready in one round of an event loop, or while a message is being written,
// share the next message. Bounded: past so many calls under way or bytes not yet taken by the client, no more requests
// are read. Deletes itself in OnDone, which comes when the stream and its last call have ended.
class Session final : public grpc::ServerBidiReactor<v1::SessionRequest, v1::SessionResponse> {
 public:
  explicit Session(gateway::Gateway& gateway);

 private:
  class Call;

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

  void Read();
  void StartCall(const std::shared_ptr<v1::SessionRequest>& request, const v1::SessionCall& message);
  [[nodiscard]] gateway::CallRef Dispatch(const std::shared_ptr<Call>& call);
  template <typename Request, typename Output>
  bool StartIf(const gateway::Method<Request, Output>& method, const std::shared_ptr<Call>& call,
               gateway::CallRef& ref);
  void AddCredit(uint64_t correlation_id, uint64_t bytes);
  void CancelCall(uint64_t correlation_id);

  // What is to be done once the mutex is free. Nothing else may touch the session afterwards, except from gRPC's own
  // reactions: it may be gone.
  enum class Next : uint8_t { kNothing, kPlanWrite, kWrite, kFinish };

  // A call has ended; on a loop, or on gRPC's thread.
  void OnCallDone(Call& call, const absl::Status& status);
  // Puts a reply into the next message.
  [[nodiscard]] Next Send(std::unique_ptr<v1::SessionReply> reply) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Writes what is there; or finishes, when the client has said its last word and has every answer, or is gone.
  [[nodiscard]] Next WriteOrFinish() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Do(Next next);
  [[nodiscard]] bool MayRead() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  gateway::Gateway& gateway_;
  call::SessionId id_ = 0;

  absl::Mutex mutex_;
  // The request that is being read; afterwards its calls share it.
  std::shared_ptr<v1::SessionRequest> reading_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<uint64_t, std::shared_ptr<Call>> calls_ ABSL_GUARDED_BY(mutex_);
  v1::SessionResponse outbox_ ABSL_GUARDED_BY(mutex_);
  v1::SessionResponse writing_;  // gRPC's while write_active_
  size_t outbox_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool write_active_ ABSL_GUARDED_BY(mutex_) = false;
  bool write_planned_ ABSL_GUARDED_BY(mutex_) = false;
  bool read_paused_ ABSL_GUARDED_BY(mutex_) = false;
  bool reads_over_ ABSL_GUARDED_BY(mutex_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace engine::db::rpc

#endif  // ENGINE_DB_SERVER_RPC_SESSION_H_

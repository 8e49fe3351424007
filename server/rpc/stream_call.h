// One ExecuteStream call.
#ifndef ENGINE_DB_SERVER_RPC_STREAM_CALL_H_
#define ENGINE_DB_SERVER_RPC_STREAM_CALL_H_

#include <grpcpp/support/server_callback.h>

#include <deque>
#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "engine/db/v1/connector.pb.h"
#include "server/gateway/gateway.h"

namespace engine::db::rpc {

// Passes messages on one at a time, as gRPC wants it, and stops the gateway while two wait: a slow reader costs no
// memory. Deletes itself in OnDone.
class StreamCall final : public grpc::ServerWriteReactor<v1::ExecuteStreamResponse>, private gateway::RowSink {
 public:
  StreamCall(gateway::Gateway& gateway, const gateway::Caller& caller, const v1::ExecuteStreamRequest& request);

 private:
  bool Write(std::unique_ptr<v1::ExecuteStreamResponse> message) override;
  void OnEnd(const absl::Status& status);
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override { delete this; }

  gateway::Gateway& gateway_;
  gateway::CallRef ref_;  // set before gRPC calls any method of ours
  absl::Mutex mutex_;
  std::deque<std::unique_ptr<v1::ExecuteStreamResponse>> messages_
      ABSL_GUARDED_BY(mutex_);  // the first is being written
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);
  bool full_ ABSL_GUARDED_BY(mutex_) = false;
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace engine::db::rpc

#endif  // ENGINE_DB_SERVER_RPC_STREAM_CALL_H_

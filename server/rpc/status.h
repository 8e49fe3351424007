// The gateway's errors as gRPC carries them.
#ifndef ENGINE_DB_SERVER_RPC_STATUS_H_
#define ENGINE_DB_SERVER_RPC_STATUS_H_

#include <grpcpp/support/status.h>

#include "absl/status/status.h"
#include "engine/db/v1/error.pb.h"

namespace engine::db::rpc {

// The same code and message, with google.rpc.Status details: ErrorInfo, RetryInfo where a retry is safe, DatabaseError.
[[nodiscard]] grpc::Status ToGrpc(const absl::Status& status);

// The error as a part of a message, where it is not the call's own.
void WriteError(const absl::Status& status, v1::DatabaseError& error);

}  // namespace engine::db::rpc

#endif  // ENGINE_DB_SERVER_RPC_STATUS_H_

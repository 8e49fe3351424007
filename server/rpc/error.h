// A failure as the contract has it.
#ifndef ENGINE_DB_SERVER_RPC_ERROR_H_
#define ENGINE_DB_SERVER_RPC_ERROR_H_

#include "engine/db/v1/error.pb.h"
#include "server/base/failure.h"

namespace engine::db::rpc {

[[nodiscard]] v1::DatabaseError ToProto(const Failure& failure);

}  // namespace engine::db::rpc

#endif  // ENGINE_DB_SERVER_RPC_ERROR_H_

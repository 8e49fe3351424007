// A failure as the contract has it.
#ifndef ENGINE_DB_SERVER_BASE_ERROR_H_
#define ENGINE_DB_SERVER_BASE_ERROR_H_

#include "absl/status/status.h"
#include "engine/db/v1/error.pb.h"
#include "server/base/failure.h"

namespace engine::db {

[[nodiscard]] v1::DatabaseError ToProto(const Failure& failure);

// ToProto(FailureOf(status)); an empty detail for an OK status.
[[nodiscard]] v1::DatabaseError ErrorDetail(const absl::Status& status);

}  // namespace engine::db

#endif  // ENGINE_DB_SERVER_BASE_ERROR_H_

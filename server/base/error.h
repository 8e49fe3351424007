// The form that errors had before server/base/failure.h, for code that has not moved to it yet: a v1::DatabaseError in
// place of a Failure.
#ifndef ENGINE_DB_SERVER_BASE_ERROR_H_
#define ENGINE_DB_SERVER_BASE_ERROR_H_

#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "engine/db/v1/error.pb.h"
#include "server/base/failure.h"

namespace engine::db {

// Makes a Status of `code` with `detail` as its failure. detail.reason must be one of server/base/reason.h.
[[nodiscard]] absl::Status MakeError(absl::StatusCode code, const v1::DatabaseError& detail);

// The usual case: kind, reason and message.
[[nodiscard]] absl::Status MakeError(absl::StatusCode code, v1::ErrorKind kind, std::string_view reason,
                                     std::string_view message);

[[nodiscard]] absl::Status InvalidRequest(std::string_view field, std::string_view reason, std::string_view message);

// The failure as the contract has it.
[[nodiscard]] v1::DatabaseError ToProto(const Failure& failure);

// ToProto(FailureOf(status)); an empty detail for an OK status.
[[nodiscard]] v1::DatabaseError ErrorDetail(const absl::Status& status);

// What the contract knows of a failure, taken from `detail`; the rest of `failure` stays.
void Assign(const v1::DatabaseError& detail, Failure& failure);

// The same status with its detail changed by `change(v1::DatabaseError&)`. The code stays, and so do other payloads.
template <typename Change>
[[nodiscard]] absl::Status WithDetail(const absl::Status& status, Change&& change) {
  return WithFailure(status, [&](Failure& failure) {
    v1::DatabaseError detail = ToProto(failure);
    change(detail);
    Assign(detail, failure);
  });
}

}  // namespace engine::db

#endif  // ENGINE_DB_SERVER_BASE_ERROR_H_

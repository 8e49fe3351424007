// How the gateway's layers say that something failed: an absl::Status whose payload is the v1::DatabaseError that the
// caller will get. Whoever finds a fault fills in what it knows; the layers above may add to it (phase, statement
// index), and server/rpc hands it on.
#ifndef ENGINE_DB_SERVER_BASE_ERROR_H_
#define ENGINE_DB_SERVER_BASE_ERROR_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "absl/strings/string_view.h"
#include "engine/db/v1/error.pb.h"

namespace engine::db {

// Makes a Status of `code` with `detail` as payload. detail.message becomes the status's message; detail.status_code is
// filled in.
[[nodiscard]] absl::Status MakeError(absl::StatusCode code, v1::DatabaseError detail);

// The usual case: kind, reason and message.
[[nodiscard]] absl::Status MakeError(absl::StatusCode code, v1::ErrorKind kind, std::string_view reason,
                                     std::string_view message);

// INVALID_ARGUMENT, kind INVALID_REQUEST, outcome NOT_EXECUTED: `field` is the path of what is wrong ("config.port"),
// `message` says what was expected.
[[nodiscard]] absl::Status InvalidRequest(std::string_view field, std::string_view reason, std::string_view message);

// The payload of a status made by MakeError; for any other one that is not OK, a detail with its code and message.
[[nodiscard]] v1::DatabaseError ErrorDetail(const absl::Status& status);

// The same status with its detail changed by `change(v1::DatabaseError&)`. The code stays, and so do other payloads.
template <typename Change>
[[nodiscard]] absl::Status WithDetail(const absl::Status& status, Change&& change) {
  v1::DatabaseError detail = ErrorDetail(status);
  change(detail);
  absl::Status changed = MakeError(status.code(), std::move(detail));
  status.ForEachPayload([&changed](absl::string_view url, const absl::Cord& payload) {
    if (!changed.GetPayload(url)) changed.SetPayload(url, payload);
  });
  return changed;
}

}  // namespace engine::db

#endif  // ENGINE_DB_SERVER_BASE_ERROR_H_

// The messages of a Session stream, as far as a session itself fills them in.
#ifndef ENGINE_DB_CLIENT_CPP_SRC_SESSION_MESSAGE_H_
#define ENGINE_DB_CLIENT_CPP_SRC_SESSION_MESSAGE_H_

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/db/v1/connector.pb.h"

namespace engine::db::internal {

void set_connection_id(v1::SessionCall& call, const std::string& id);

// The gateway is to know how much of the call's time is left.
void set_timeout(v1::SessionCall& call, std::chrono::milliseconds left);

// Appends a call, serialized but for its correlation id, to a serialized SessionRequest.
void append_call(std::string& request, uint64_t correlation_id, std::string_view call);

}  // namespace engine::db::internal

#endif  // ENGINE_DB_CLIENT_CPP_SRC_SESSION_MESSAGE_H_

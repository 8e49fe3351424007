// The HTTP/2 channel to the gateway.
#ifndef ENGINE_DB_CLIENT_CPP_SRC_GATEWAY_H_
#define ENGINE_DB_CLIENT_CPP_SRC_GATEWAY_H_

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/support/byte_buffer.h>

#include <string>

#include "engine/db/v1/connector.pb.h"
#include "engine_db/gateway_options.h"

namespace engine::db::internal {

// The gateway's address and the HTTP/2 channel to it, which outlives the sessions.
struct Gateway {
  // Throws ConfigurationError for an address that is neither "HOST:PORT" nor "unix:PATH".
  explicit Gateway(const GatewayOptions& options);

  const std::string address;
  const bool wait;  // See GatewayOptions.
  // Requests are bytes, since calls are serialized by those who make them; see Session::submit().
  grpc::TemplatedGenericStub<grpc::ByteBuffer, v1::SessionResponse> stub;
};

}  // namespace engine::db::internal

#endif  // ENGINE_DB_CLIENT_CPP_SRC_GATEWAY_H_

#include "client/cpp/src/gateway.h"

#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <charconv>
#include <memory>
#include <string_view>
#include <system_error>
#include <utility>

#include "engine_db/config.h"

namespace engine::db::internal {
namespace {

constexpr int kReconnectBackoffMinMs = 50;
constexpr int kConnectAttemptMs = 5000;
constexpr int kReconnectBackoffMaxMs = 1000;

// gRPC runs callbacks on threads that it joins, with a global lock held, when the last channel goes. Sessions end on
// those very threads, and may be the last to hold theirs. So one channel, to nowhere, takes part in the threads (by one
// call) and stays for ever.
void keep_callback_threads() {
  using Stub = grpc::TemplatedGenericStub<grpc::ByteBuffer, grpc::ByteBuffer>;
  struct Forever {
    Stub stub{grpc::CreateChannel("nowhere", nullptr)};  // Without credentials: fails at once, and opens nothing.
    grpc::ClientContext context;
    grpc::Slice nothing;
    grpc::ByteBuffer request{&nothing, 1};
    grpc::ByteBuffer response;
  };
  // "used", or the compiler drops the pointer, and LeakSanitizer sees a leak.
  [[gnu::used]] static const Forever* const forever = [] {
    auto* kept = new Forever;
    kept->stub.UnaryCall(&kept->context, "/nowhere", grpc::StubOptions(), &kept->request, &kept->response,
                         [](const grpc::Status& /*failed*/) {});
    return kept;
  }();
}

// Whether gRPC would make of it what the caller means; it takes much for a host name, and 443 for the port.
bool is_address(std::string_view address) {
  constexpr std::string_view kUnix = "unix:";
  if (address.starts_with(kUnix)) return address.size() > kUnix.size();
  const size_t colon = address.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  unsigned port = 0;
  const char* const end = address.data() + address.size();
  const auto [stop, error] = std::from_chars(address.data() + colon + 1, end, port);
  return error == std::errc() && stop == end && port >= 1 && port <= 65535;
}

std::shared_ptr<grpc::Channel> make_channel(const std::string& address) {
  if (!is_address(address)) {
    throw ConfigurationError({{"gateway.address", "is HOST:PORT or unix:PATH, not \"" + address + '"'}});
  }
  keep_callback_threads();
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);  // A single row may be as large as PostgreSQL lets it.
  // Each connector has a TCP connection of its own.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // A gateway beside the application restarts in a moment; gRPC's own backoff grows to two minutes.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kReconnectBackoffMinMs);
  // Also what one attempt to connect may take.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectAttemptMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kReconnectBackoffMaxMs);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace

Gateway::Gateway(const GatewayOptions& options)
    : address(options.address), wait(options.wait), stub(make_channel(address)) {}

}  // namespace engine::db::internal

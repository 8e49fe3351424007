#include "client/cpp/src/gateway.h"

#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <charconv>
#include <chrono>
#include <memory>
#include <string_view>
#include <system_error>
#include <utility>

#include "engine_db/async.h"
#include "engine_db/config.h"
#include "engine_db/repeat.h"

namespace engine::db::internal {
namespace {

using std::chrono::milliseconds;

constexpr int kReconnectBackoffMinMs = 50;
constexpr int kConnectAttemptMs = 5000;
constexpr int kReconnectBackoffMaxMs = 1000;

// gRPC 1.51's threads for callbacks have two habits. They are joined, with a global lock held, when the last channel
// goes; but sessions end on those very threads, and may be the last to hold theirs. And each that has seen nothing for
// a second sleeps for 100 ms without looking, so that an answer after a quiet second may lie for so long. So one
// channel, to nowhere, stays for ever, and a call on it, which fails at once, wakes one of them often enough.
class CallbackThreads {
 public:
  static void keep() {
    // "used", or the compiler drops the pointer, and LeakSanitizer sees a leak.
    [[gnu::used]] static CallbackThreads* const forever = [] {
      auto* kept = new CallbackThreads;
      kept->wake();
      return kept;
    }();
  }

 private:
  static constexpr milliseconds kInterval{400};

  struct Event {
    grpc::ClientContext context;
    grpc::Slice nothing;
    grpc::ByteBuffer request{&nothing, 1};
    grpc::ByteBuffer response;
  };

  void wake() {
    const auto event = std::make_shared<Event>();
    stub_.UnaryCall(&event->context, "/nowhere", grpc::StubOptions(), &event->request, &event->response,
                    [event](const grpc::Status& /*failed*/) {});
    after(kInterval).then([this](const Completion<void>& /*done*/) { wake(); });
  }

  // Without credentials: opens nothing.
  grpc::GenericStub stub_{grpc::CreateChannel("nowhere", nullptr)};
};

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
  CallbackThreads::keep();
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

#include "server/rpc/callback_threads.h"

#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>

#include <memory>

#include "absl/time/time.h"

namespace engine::db::rpc {
namespace {

// Well within the second. The same thread may get each event, and the other none.
constexpr absl::Duration kInterval = absl::Milliseconds(400);

// A call on a channel without credentials fails at once and opens nothing; that it has failed is the event.
struct Event {
  grpc::ClientContext context;
  grpc::Slice nothing;
  grpc::ByteBuffer request{&nothing, 1};
  grpc::ByteBuffer response;
};

}  // namespace

CallbackThreads::CallbackThreads() : thread_([this] { Run(); }) {}

CallbackThreads::~CallbackThreads() {
  ending_.Notify();
  thread_.join();
}

void CallbackThreads::Run() {
  grpc::GenericStub stub(grpc::CreateChannel("nowhere", nullptr));
  while (!ending_.WaitForNotificationWithTimeout(kInterval)) {
    const auto event = std::make_shared<Event>();
    stub.UnaryCall(&event->context, "/nowhere", grpc::StubOptions(), &event->request, &event->response,
                   [event](const grpc::Status& /*failed*/) {});
  }
}

}  // namespace engine::db::rpc

#include "server/rpc/callback_threads.h"

#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>

#include <chrono>
#include <memory>

namespace engine::db::rpc {
namespace {

// Well within the second. The same thread may get each event, and the other none.
constexpr std::chrono::milliseconds kInterval{400};

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
  {
    const std::scoped_lock lock(mutex_);
    ended_ = true;
  }
  ending_.notify_one();
  thread_.join();
}

void CallbackThreads::Run() {
  grpc::GenericStub stub(grpc::CreateChannel("nowhere", nullptr));
  std::unique_lock lock(mutex_);
  while (!ending_.wait_for(lock, kInterval, [this] { return ended_; })) {
    const auto event = std::make_shared<Event>();
    stub.UnaryCall(&event->context, "/nowhere", grpc::StubOptions(), &event->request, &event->response,
                   [event](const grpc::Status& /*failed*/) {});
  }
}

}  // namespace engine::db::rpc

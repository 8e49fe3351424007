// A DatabaseConnector service in this process that answers as a test says: for what the client does with streams,
// deadlines and answers. (What the gateway and PostgreSQL do is tested with both of them, elsewhere.)
#ifndef ENGINE_DB_TESTS_UNIT_SDK_FAKE_GATEWAY_H_
#define ENGINE_DB_TESTS_UNIT_SDK_FAKE_GATEWAY_H_

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/db/v1/connector.grpc.pb.h"
#include "engine_db/postgres_connector.h"

namespace engine::db {

class FakeGateway final : private v1::DatabaseConnector::Service {
 public:
  // One Session stream, as a handler sees it. Any thread may call while the handler runs or the stream lives.
  class Stream {
   public:
    using Writer = grpc::ServerReaderWriter<v1::SessionResponse, v1::SessionRequest>;
    Stream(grpc::ServerContext& context, Writer& writer) : context_(context), writer_(writer) {}

    void reply(const v1::SessionReply& reply);
    void break_off() { context_.TryCancel(); }

   private:
    grpc::ServerContext& context_;
    Writer& writer_;
    std::mutex mutex_;
  };

  // Called for each call, except those that the fake answers itself: Connect and Close.
  using Handler = std::function<void(Stream&, const v1::SessionCall&)>;

  // Answers every call as answer() does.
  FakeGateway();
  explicit FakeGateway(Handler handler, const std::string& address = "127.0.0.1:0");
  ~FakeGateway() override { stop(); }

  // Breaks all streams and listens no more.
  void stop();

  [[nodiscard]] GatewayOptions options() const { return {address_}; }
  [[nodiscard]] const std::string& address() const { return address_; }
  [[nodiscard]] int sessions() const { return sessions_; }
  [[nodiscard]] int messages() const { return messages_; }

  // All calls so far, in their order.
  [[nodiscard]] std::vector<v1::SessionCall> calls() const;
  // Waits until a call of this kind has come; false when none comes for 5 s.
  [[nodiscard]] bool wait_for(v1::SessionCall::CallCase kind, size_t count = 1);

  // Connect fails with this from now on, if it has a kind.
  void refuse_connect(v1::DatabaseError error);
  // Connect gets no answer from now on, as while a database does not answer.
  void ignore_connect() { ignores_connect_ = true; }

  // A sensible answer: Execute returns one row with the statement's text in "sql", Begin a new transaction's id.
  [[nodiscard]] static v1::SessionReply answer(const v1::SessionCall& call);
  [[nodiscard]] static v1::SessionReply error(const v1::SessionCall& call, v1::ErrorKind kind,
                                              const std::string& message);

 private:
  grpc::Status Session(grpc::ServerContext* context, Stream::Writer* writer) override;
  void handle(Stream& stream, const v1::SessionCall& call);
  [[nodiscard]] size_t count(v1::SessionCall::CallCase kind) const;

  Handler handler_;
  std::string address_;
  std::atomic<bool> ignores_connect_ = false;
  std::atomic<int> sessions_ = 0;
  std::atomic<int> messages_ = 0;
  mutable std::mutex mutex_;
  std::condition_variable called_;
  std::vector<v1::SessionCall> calls_;
  v1::DatabaseError connect_error_;
  std::unique_ptr<grpc::Server> server_;
};

// A target that passes validation; the fake does not look at it.
[[nodiscard]] ConnectionConfig any_target(int timeout_ms = 5000);

}  // namespace engine::db

#endif  // ENGINE_DB_TESTS_UNIT_SDK_FAKE_GATEWAY_H_

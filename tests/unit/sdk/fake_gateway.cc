#include "tests/unit/sdk/fake_gateway.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace engine::db {

void FakeGateway::Stream::reply(const v1::SessionReply& reply) {
  v1::SessionResponse response;
  *response.add_replies() = reply;
  const std::scoped_lock lock(mutex_);
  writer_.Write(response);
}

FakeGateway::FakeGateway()
    : FakeGateway([](Stream& stream, const v1::SessionCall& call) {
        if (!call.has_cancel() && !call.has_credit()) stream.reply(answer(call));
      }) {}

FakeGateway::FakeGateway(Handler handler, const std::string& address) : handler_(std::move(handler)) {
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
  address_ = address.substr(0, address.rfind(':') + 1) + std::to_string(port);
}

void FakeGateway::stop() {
  if (server_) server_->Shutdown(std::chrono::system_clock::now());
  server_ = nullptr;
}

std::vector<v1::SessionCall> FakeGateway::calls() const {
  const std::scoped_lock lock(mutex_);
  return calls_;
}

size_t FakeGateway::count(v1::SessionCall::CallCase kind) const {
  return static_cast<size_t>(std::ranges::count(calls_, kind, &v1::SessionCall::call_case));
}

bool FakeGateway::wait_for(v1::SessionCall::CallCase kind, size_t number) {
  std::unique_lock lock(mutex_);
  return called_.wait_for(lock, std::chrono::seconds(5), [&] { return count(kind) >= number; });
}

void FakeGateway::refuse_connect(v1::DatabaseError error) {
  const std::scoped_lock lock(mutex_);
  connect_error_ = std::move(error);
}

grpc::Status FakeGateway::Session(grpc::ServerContext* context, Stream::Writer* writer) {
  ++sessions_;
  Stream stream(*context, *writer);
  v1::SessionRequest request;
  while (writer->Read(&request)) {
    ++messages_;
    for (const v1::SessionCall& call : request.calls()) handle(stream, call);
  }
  return grpc::Status::OK;
}

void FakeGateway::handle(Stream& stream, const v1::SessionCall& call) {
  v1::SessionReply reply;
  reply.set_correlation_id(call.correlation_id());
  {
    const std::scoped_lock lock(mutex_);
    calls_.push_back(call);
    called_.notify_all();
    if (call.has_connect()) {
      if (connect_error_.kind() != v1::ERROR_KIND_UNSPECIFIED) {
        *reply.mutable_error() = connect_error_;
      } else {
        reply.mutable_connect()->set_connection_id("connection-" + std::to_string(sessions_));
        reply.mutable_connect()->mutable_settings()->set_timeout_ms(call.connect().config().timeout_ms());
      }
    }
  }
  if (call.has_connect() && ignores_connect_) return;
  if (call.has_connect()) return stream.reply(reply);
  if (call.has_close()) {
    reply.mutable_close();
    return stream.reply(reply);
  }
  handler_(stream, call);
}

v1::SessionReply FakeGateway::answer(const v1::SessionCall& call) {
  v1::SessionReply reply;
  reply.set_correlation_id(call.correlation_id());
  switch (call.call_case()) {
    case v1::SessionCall::kExecute: {
      v1::ExecuteResponse& response = *reply.mutable_execute();
      v1::Column& column = *response.add_columns();
      column.set_name("sql");
      column.set_type_name("text");
      column.set_type_oid(25);
      v1::ColumnBatch& batch = *response.mutable_column_batch();
      batch.set_row_count(1);
      v1::ColumnData& data = *batch.add_columns();
      data.set_data(call.execute().sql());
      data.add_lengths(static_cast<uint32_t>(call.execute().sql().size()));
      data.set_data_kind(v1::DATA_KIND_TEXT);
      response.set_rows_affected(1);
      response.set_command_tag("SELECT 1");
      response.set_attempts(1);
      break;
    }
    case v1::SessionCall::kBegin: {
      reply.mutable_begin()->set_transaction_id("transaction-" + std::to_string(call.correlation_id()));
      break;
    }
    case v1::SessionCall::kCommit:
      reply.mutable_commit();
      break;
    case v1::SessionCall::kRollback:
      reply.mutable_rollback();
      break;
    case v1::SessionCall::kSavepoint:
      reply.mutable_savepoint();
      break;
    case v1::SessionCall::kRollbackToSavepoint:
      reply.mutable_rollback_to_savepoint();
      break;
    case v1::SessionCall::kReleaseSavepoint:
      reply.mutable_release_savepoint();
      break;
    case v1::SessionCall::kDescribe:
      reply.mutable_describe()->add_parameter_type_names("bigint");
      break;
    default:
      return error(call, v1::ERROR_KIND_EXECUTION, "the fake gateway has no answer to this");
  }
  return reply;
}

v1::SessionReply FakeGateway::error(const v1::SessionCall& call, v1::ErrorKind kind, const std::string& message) {
  v1::SessionReply reply;
  reply.set_correlation_id(call.correlation_id());
  reply.mutable_error()->set_kind(kind);
  reply.mutable_error()->set_message(message);
  return reply;
}

ConnectionConfig any_target(int timeout_ms) {
  ConnectionConfig config;
  config.host = "db";
  config.user = "engine";
  config.password = "s3cret";
  config.dbname = "loyalty";
  config.timeout_ms = timeout_ms;
  return config;
}

}  // namespace engine::db

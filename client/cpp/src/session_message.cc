#include "client/cpp/src/session_message.h"

namespace engine::db::internal {
namespace {

void append_varint(std::string& bytes, uint64_t number) {
  for (; number >= 0x80; number >>= 7) bytes += static_cast<char>(number | 0x80);
  bytes += static_cast<char>(number);
}

}  // namespace

void set_connection_id(v1::SessionCall& call, const std::string& id) {
  switch (call.call_case()) {
    case v1::SessionCall::kExecute:
      return call.mutable_execute()->set_connection_id(id);
    case v1::SessionCall::kExecuteStream:
      return call.mutable_execute_stream()->set_connection_id(id);
    case v1::SessionCall::kExecuteBatch:
      return call.mutable_execute_batch()->set_connection_id(id);
    case v1::SessionCall::kDescribe:
      return call.mutable_describe()->set_connection_id(id);
    case v1::SessionCall::kBegin:
      return call.mutable_begin()->set_connection_id(id);
    case v1::SessionCall::kCommit:
      return call.mutable_commit()->set_connection_id(id);
    case v1::SessionCall::kRollback:
      return call.mutable_rollback()->set_connection_id(id);
    case v1::SessionCall::kSavepoint:
      return call.mutable_savepoint()->set_connection_id(id);
    case v1::SessionCall::kRollbackToSavepoint:
      return call.mutable_rollback_to_savepoint()->set_connection_id(id);
    case v1::SessionCall::kReleaseSavepoint:
      return call.mutable_release_savepoint()->set_connection_id(id);
    case v1::SessionCall::kKeepAlive:
      return call.mutable_keep_alive()->set_connection_id(id);
    case v1::SessionCall::kGetTransactionOutcome:
      return call.mutable_get_transaction_outcome()->set_connection_id(id);
    case v1::SessionCall::kClose:
      return call.mutable_close()->set_connection_id(id);
    case v1::SessionCall::kConnect:
    case v1::SessionCall::kCancel:
    case v1::SessionCall::kCredit:
    case v1::SessionCall::CALL_NOT_SET:
      return;
  }
}

void set_timeout(v1::SessionCall& call, std::chrono::milliseconds left) {
  const google::protobuf::Reflection& reflection = *v1::SessionCall::GetReflection();
  const auto* oneof = v1::SessionCall::descriptor()->FindOneofByName("call");
  const auto* set = reflection.GetOneofFieldDescriptor(call, oneof);
  if (set == nullptr) return;
  google::protobuf::Message& request = *reflection.MutableMessage(&call, set);
  const auto* timeout = request.GetDescriptor()->FindFieldByName("timeout_ms");
  if (timeout != nullptr) request.GetReflection()->SetUInt32(&request, timeout, static_cast<uint32_t>(left.count()));
}

void append_call(std::string& request, uint64_t correlation_id, std::string_view call) {
  // SessionRequest.calls and SessionCall.correlation_id both are field 1.
  constexpr char kCallsTag = 1 << 3 | 2;
  constexpr char kCorrelationIdTag = 1 << 3 | 0;
  std::string head(1, kCorrelationIdTag);
  append_varint(head, correlation_id);
  request += kCallsTag;
  append_varint(request, head.size() + call.size());
  request += head;
  request += call;
}

}  // namespace engine::db::internal

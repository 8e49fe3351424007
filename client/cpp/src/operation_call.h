// What the operations are made of.
#ifndef ENGINE_DB_CLIENT_CPP_SRC_OPERATION_CALL_H_
#define ENGINE_DB_CLIENT_CPP_SRC_OPERATION_CALL_H_

#include <google/protobuf/arena.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "client/cpp/src/call.h"
#include "client/cpp/src/recovery.h"
#include "client/cpp/src/session.h"
#include "engine/db/v1/connector.pb.h"
#include "engine_db/async.h"
#include "engine_db/transaction.h"

namespace engine::db::internal {

// A message that is dropped as soon as it is serialized: on an arena with its first block on the stack, so that most
// messages need no heap.
class ScratchCall {
 public:
  v1::SessionCall& operator*() { return *message_; }
  v1::SessionCall* operator->() { return message_; }

 private:
  static google::protobuf::ArenaOptions options(char* block, size_t size) {
    google::protobuf::ArenaOptions options;
    options.initial_block = block;
    options.initial_block_size = size;
    return options;
  }

  alignas(16) char block_[2048];
  google::protobuf::Arena arena_{options(block_, sizeof(block_))};
  v1::SessionCall* message_ = google::protobuf::Arena::CreateMessage<v1::SessionCall>(&arena_);
};

// Makes the call that completes with what `convert` makes of its reply.
template <typename T, typename Convert>
auto make_call(Convert convert) {
  return std::make_shared<ReplyCall<T, Convert>>(std::move(convert));
}

// Runs `send`, which returns an Async<T>; what it throws becomes the Async's error.
template <typename T, typename Send>
Async<T> as_async(Send send) {
  try {
    return send();
  } catch (...) {
    return Async<T>::completed(std::current_exception());
  }
}

inline void require_answer(bool right, const char* method) {
  if (!right) throw std::invalid_argument(std::string("no answer to ") + method);
}

// Tells the transaction, if there is one, that a statement is sent, and then what its reply says.
class ReplyRecorder {
 public:
  explicit ReplyRecorder(const Scope& scope)
      : recovery_(scope.recovery), number_(recovery_ == nullptr ? 0 : recovery_->sending()) {}
  // `response` has a TransactionStatus.
  template <typename Response>
  void operator()(Response& response, Session& session) const {
    if (recovery_ != nullptr) recovery_->replied(number_, *response.mutable_transaction(), session);
  }

 private:
  std::shared_ptr<Recovery> recovery_;
  uint64_t number_;
};

}  // namespace engine::db::internal

#endif  // ENGINE_DB_CLIENT_CPP_SRC_OPERATION_CALL_H_

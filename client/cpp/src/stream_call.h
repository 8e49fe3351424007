// A streamed result on its way.
#ifndef ENGINE_DB_CLIENT_CPP_SRC_STREAM_CALL_H_
#define ENGINE_DB_CLIENT_CPP_SRC_STREAM_CALL_H_

#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "client/cpp/src/call.h"
#include "client/cpp/src/recovery.h"
#include "client/cpp/src/session.h"
#include "engine_db/async.h"
#include "engine_db/result.h"
#include "engine_db/row_batch.h"
#include "engine_db/transaction.h"

namespace engine::db::internal {

// Between the session, which delivers batches, and one reader, which takes them. The credit that the gateway has bounds
// what is kept here: it is given back as batches are taken.
class StreamCall final : public Call {
 public:
  // `scope` has no session for a call that has failed already.
  explicit StreamCall(const Scope& scope)
      : session_(scope.session), recovery_(scope.recovery), number_(recovery_ == nullptr ? 0 : recovery_->sending()) {}

  void reply(v1::SessionReply& reply) override;
  void fail(ErrorInfo info) override;

  // The reader's side; see AsyncRowStream.
  Async<std::optional<RowBatch>> next_batch();
  [[nodiscard]] const Result::Summary* summary() const;
  [[nodiscard]] const std::vector<Column>& columns() const;
  // Cancels the call unless it has ended. There is no reader any more.
  void abandon();

 private:
  struct Arrived {
    RowBatch rows;
    uint64_t bytes;
  };
  using Next = std::optional<RowBatch>;

  // The result of next_batch(), if it is known.
  [[nodiscard]] std::optional<Completion<Next>> take() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::shared_ptr<Session> session_;
  const std::shared_ptr<Recovery> recovery_;  // Null outside of a transaction.
  const uint64_t number_;

  mutable absl::Mutex mutex_;
  std::shared_ptr<const Schema> schema_ ABSL_GUARDED_BY(mutex_);
  std::deque<Arrived> arrived_ ABSL_GUARDED_BY(mutex_);
  std::optional<AsyncPromise<Next>> reader_ ABSL_GUARDED_BY(mutex_);  // Waits.
  std::optional<ErrorInfo> error_ ABSL_GUARDED_BY(mutex_);
  Result::Summary summary_ ABSL_GUARDED_BY(mutex_);
  uint64_t rows_arrived_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t credit_ ABSL_GUARDED_BY(mutex_) = 0;    // Bytes that were taken and not given back yet.
  bool complete_ ABSL_GUARDED_BY(mutex_) = false;  // The summary came.
  bool end_seen_ ABSL_GUARDED_BY(mutex_) = false;  // And the reader knows.
};

}  // namespace engine::db::internal

#endif  // ENGINE_DB_CLIENT_CPP_SRC_STREAM_CALL_H_

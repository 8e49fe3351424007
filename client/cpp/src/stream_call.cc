#include "client/cpp/src/stream_call.h"

#include <stdexcept>
#include <utility>

#include "client/cpp/src/convert.h"
#include "engine_db/reasons.h"

namespace engine::db::internal {
namespace {

// Credit goes back in pieces of this size, a quarter of what a stream begins with; sooner when the reader has to wait.
constexpr uint64_t kCreditPiece = uint64_t{256} << 10;

}  // namespace

void StreamCall::reply(v1::SessionReply& reply) {
  if (!reply.has_execute_stream()) throw std::invalid_argument("no part of a streamed result");
  v1::ExecuteStreamResponse& part = *reply.mutable_execute_stream();
  const uint64_t bytes = part.ByteSizeLong();

  std::shared_ptr<const Schema> schema;
  if (part.columns_size() > 0) schema = std::make_shared<const Schema>(read_columns(*part.mutable_columns()));
  std::optional<AsyncPromise<Next>> reader;
  std::optional<Completion<Next>> next;
  {
    const absl::MutexLock lock(&mutex_);
    if (schema) schema_ = std::move(schema);
    if (!part.bound_sql().empty()) summary_.bound_sql = std::move(*part.mutable_bound_sql());
    if (part.column_batch().row_count() > 0) {
      if (!schema_) schema_ = std::make_shared<const Schema>();  // "SELECT FROM t" gives rows without columns
      arrived_.push_back({read_batch(schema_, *part.mutable_column_batch()), bytes});
      rows_arrived_ += arrived_.back().rows.size();
    } else {
      credit_ += bytes;
    }
    if (part.has_summary()) {
      if (part.summary().row_count() != rows_arrived_) throw std::invalid_argument("rows are missing from the stream");
      if (recovery_ != nullptr) {
        recovery_->replied(number_, *part.mutable_summary()->mutable_transaction(), *session_);
      }
      summary_.rowcount = part.summary().rows_affected();
      summary_.command_tag = std::move(*part.mutable_summary()->mutable_command_tag());
      summary_.attempts = part.summary().attempts();
      complete_ = true;
    }
    if (reader_ && (next = take())) reader = std::exchange(reader_, std::nullopt);
  }
  if (reader) reader->complete(*std::move(next));
}

void StreamCall::fail(ErrorInfo info) {
  std::optional<AsyncPromise<Next>> reader;
  std::optional<Completion<Next>> next;
  {
    const absl::MutexLock lock(&mutex_);
    if (complete_ || error_) return;
    error_ = std::move(info);
    error_->rows_delivered = rows_arrived_;
    if (rows_arrived_ > 0) error_->retryable = false;
    if (reader_ && (next = take())) reader = std::exchange(reader_, std::nullopt);
  }
  if (reader) reader->complete(*std::move(next));
}

std::optional<Completion<StreamCall::Next>> StreamCall::take() {
  if (!arrived_.empty()) {
    Arrived first = std::move(arrived_.front());
    arrived_.pop_front();
    credit_ += first.bytes;
    return Completion<Next>(std::move(first.rows));
  }
  if (error_) return Completion<Next>(make_error(*error_));
  if (complete_) {
    end_seen_ = true;
    return Completion<Next>(Next(std::nullopt));
  }
  return std::nullopt;
}

Async<std::optional<RowBatch>> StreamCall::next_batch() {
  std::optional<Completion<Next>> next;
  std::optional<Async<Next>> later;
  uint64_t credit = 0;
  {
    const absl::MutexLock lock(&mutex_);
    if (reader_) throw std::logic_error("next_batch() before the previous one is done");
    // What this call hands out is given back by the next one, when it has been used.
    if (credit_ >= kCreditPiece || arrived_.empty()) credit = std::exchange(credit_, 0);
    if (complete_ || error_) credit = 0;
    next = take();
    if (!next) later = reader_.emplace().async();
  }
  if (credit > 0) session_->add_credit(*this, credit);
  return next ? Async<Next>::completed(*std::move(next)) : *std::move(later);
}

const Result::Summary* StreamCall::summary() const {
  const absl::MutexLock lock(&mutex_);
  return end_seen_ ? &summary_ : nullptr;
}

const std::vector<Column>& StreamCall::columns() const {
  static const std::vector<Column> none;
  const absl::MutexLock lock(&mutex_);
  return schema_ ? schema_->columns() : none;
}

void StreamCall::abandon() {
  {
    const absl::MutexLock lock(&mutex_);
    if (complete_ || error_) return;
    arrived_.clear();
    ErrorInfo info;
    info.kind = ErrorKind::kTimeout;
    info.reason = reasons::kCancelled;
    info.message = "the stream was destroyed before its end";
    error_ = std::move(info);
  }
  session_->abandon(*this);
}

}  // namespace engine::db::internal

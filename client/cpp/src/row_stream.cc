#include "engine_db/row_stream.h"

#include "client/cpp/src/stream_call.h"

namespace engine::db {

AsyncRowStream::AsyncRowStream(std::shared_ptr<internal::StreamCall> call) : call_(std::move(call)) {}

AsyncRowStream& AsyncRowStream::operator=(AsyncRowStream&& other) noexcept {
  if (this != &other) {
    if (call_) call_->abandon();
    call_ = std::move(other.call_);
  }
  return *this;
}

AsyncRowStream::~AsyncRowStream() {
  if (call_) call_->abandon();
}

Async<std::optional<RowBatch>> AsyncRowStream::next_batch() { return call_->next_batch(); }

const Result::Summary* AsyncRowStream::summary() const { return call_->summary(); }

const std::vector<Column>& AsyncRowStream::columns() const { return call_->columns(); }

std::optional<RowBatch> RowStream::next_batch() {
  if (ahead_) return std::exchange(ahead_, std::nullopt);
  return internal::wait(stream_.next_batch());
}

const std::vector<Column>& RowStream::columns() {
  if (!ahead_ && stream_.columns().empty() && stream_.summary() == nullptr) ahead_ = next_batch();
  return stream_.columns();
}

void RowStream::Iterator::fetch() {
  row_ = 0;
  if (auto batch = stream_->next_batch()) {
    stream_->current_ = *std::move(batch);
  } else {
    stream_ = nullptr;
  }
}

}  // namespace engine::db

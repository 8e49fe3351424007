// A result that is read while it comes, in bounded memory: what has not been read yet is held back at the database.
#ifndef ENGINE_DB_ROW_STREAM_H_
#define ENGINE_DB_ROW_STREAM_H_

#include <cstddef>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "engine_db/async.h"
#include "engine_db/result.h"
#include "engine_db/row_batch.h"

namespace engine::db {

namespace internal {
class StreamCall;
}

// Batches by co_await or callback:
//
//   AsyncRowStream stream = connector.async_execute_stream("SELECT …");
//   while (std::optional<RowBatch> batch = co_await stream.next_batch()) use(*batch);
//
// Move-only. Destroying one that has not ended cancels its statement (which fails the transaction that it runs in, if
// any). One thread at a time. The timeout of the call bounds the reading too.
class AsyncRowStream {
 public:
  explicit AsyncRowStream(std::shared_ptr<internal::StreamCall> call);
  AsyncRowStream(AsyncRowStream&&) noexcept = default;
  AsyncRowStream& operator=(AsyncRowStream&& other) noexcept;
  AsyncRowStream(const AsyncRowStream&) = delete;
  AsyncRowStream& operator=(const AsyncRowStream&) = delete;
  ~AsyncRowStream();

  // The next rows, at least one; nothing at the end. A stream that breaks off is an error, whose rows_delivered() says
  // how many rows came before it; never a short result. Not again before the previous one is done.
  Async<std::optional<RowBatch>> next_batch();

  // Null until next_batch() has said that this is the end.
  [[nodiscard]] const Result::Summary* summary() const;

  // Known from the first batch or the end on; empty before.
  [[nodiscard]] const std::vector<Column>& columns() const;

 private:
  std::shared_ptr<internal::StreamCall> call_;
};

// Row by row or batch by batch, blocking:
//
//   RowStream stream = connector.execute_stream("SELECT …");
//   for (Row row : stream) use(row["name"].as<std::string_view>());
//
// Otherwise as AsyncRowStream.
class RowStream {
 public:
  class Iterator;

  explicit RowStream(AsyncRowStream stream) : stream_(std::move(stream)) {}

  // As AsyncRowStream::next_batch(); not while an iterator is in use.
  [[nodiscard]] std::optional<RowBatch> next_batch();

  // Waits for the first rows or the end.
  [[nodiscard]] const std::vector<Column>& columns();

  [[nodiscard]] const Result::Summary* summary() const { return stream_.summary(); }

  // Once. A row is valid until the iterator moves on.
  [[nodiscard]] Iterator begin();
  [[nodiscard]] static std::default_sentinel_t end() { return std::default_sentinel; }

 private:
  AsyncRowStream stream_;
  std::optional<RowBatch> ahead_;  // read by columns(), not returned yet
  RowBatch current_;               // The iterator's.
};

class RowStream::Iterator {
 public:
  using iterator_concept = std::input_iterator_tag;
  using value_type = Row;
  using difference_type = std::ptrdiff_t;

  explicit Iterator(RowStream* stream) : stream_(stream) { fetch(); }
  Row operator*() const { return stream_->current_[row_]; }
  Iterator& operator++() {
    if (++row_ == stream_->current_.size()) fetch();
    return *this;
  }
  void operator++(int) { ++*this; }
  friend bool operator==(const Iterator& it, std::default_sentinel_t) { return it.stream_ == nullptr; }

 private:
  void fetch();

  RowStream* stream_;  // Null at the end.
  size_t row_ = 0;
};

inline RowStream::Iterator RowStream::begin() { return Iterator(this); }

}  // namespace engine::db

#endif  // ENGINE_DB_ROW_STREAM_H_

// Turns PostgreSQL's rows (text format) into the contract's messages.
#ifndef ENGINE_DB_SERVER_POSTGRES_RESULT_ENCODER_H_
#define ENGINE_DB_SERVER_POSTGRES_RESULT_ENCODER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/db/v1/value.pb.h"
#include "server/postgres/libpq_types.h"

namespace engine::db::postgres {

// Appends the rows of one result, in one of the two formats. Loop thread only.
class ResultEncoder {
 public:
  using Columns = google::protobuf::RepeatedPtrField<v1::Column>;
  using Rows = google::protobuf::RepeatedPtrField<v1::Row>;

  // `header` is any result that carries the columns.
  ResultEncoder(const PGresult& header, v1::ResultFormat format);

  // The columns' metadata, but for the types' names.
  static void EncodeColumns(const PGresult& header, Columns* columns);

  // Appends a row to `rows` or to `batch`, as the format has it. Both belong to one message, and go on from where
  // Begin() was called.
  void Append(const PGresult& result, int row, Rows* rows, v1::ColumnBatch* batch);
  // A new message begins.
  void Begin();

  // About as many bytes as what was appended since Begin() will take on the wire.
  [[nodiscard]] size_t bytes() const { return bytes_; }
  // Rows appended since Begin().
  [[nodiscard]] uint32_t rows() const { return rows_; }
  // The same since the encoder was made.
  [[nodiscard]] size_t total_bytes() const { return earlier_bytes_ + bytes_; }
  [[nodiscard]] uint64_t total_rows() const { return earlier_rows_ + rows_; }

 private:
  enum class CellKind : uint8_t { kInt64, kDouble, kBool, kBytes, kText };

  static CellKind KindOf(uint32_t type_oid);
  void AppendToRows(const PGresult& result, int row, Rows* rows);
  void AppendToBatch(const PGresult& result, int row, v1::ColumnBatch* batch);

  std::vector<CellKind> kinds_;
  const bool columnar_;
  size_t bytes_ = 0;
  uint32_t rows_ = 0;
  size_t earlier_bytes_ = 0;
  uint64_t earlier_rows_ = 0;
};

}  // namespace engine::db::postgres

#endif  // ENGINE_DB_SERVER_POSTGRES_RESULT_ENCODER_H_

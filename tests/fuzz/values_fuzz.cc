// Values on their way out: what a gateway may send, sense or nonsense, is a result or an error to the client and never
// a crash; and what the gateway's encoder writes is read by the client, cell by cell the same in both formats.
#include <fuzzer/FuzzedDataProvider.h>
#include <google/protobuf/stubs/logging.h>
#include <libpq-fe.h>

#include <algorithm>
#include <bit>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "client/cpp/src/convert.h"
#include "engine/db/v1/connector.pb.h"
#include "engine_db/error.h"
#include "engine_db/result.h"
#include "server/postgres/result_encoder.h"
#include "tests/fuzz/fuzz.h"

namespace engine::db {
namespace {

// Rows that are looked at: a batch may claim four billion, and most of the ways to read a cell end in an exception.
constexpr size_t kRowsRead = 4;

template <typename Work>
void MayBeRefused(Work&& work) {
  try {
    work();
  } catch (const DatabaseRequestError&) {  // the accessors' own
  }
}

// Every way to read a cell.
void ReadCell(const Cell& cell) {
  static_cast<void>(cell.to_string());
  MayBeRefused([&] { static_cast<void>(cell.as<bool>()); });
  MayBeRefused([&] { static_cast<void>(cell.as<int64_t>()); });
  MayBeRefused([&] { static_cast<void>(cell.as<uint8_t>()); });
  MayBeRefused([&] { static_cast<void>(cell.as<double>()); });
  MayBeRefused([&] { static_cast<void>(cell.as<std::string>()); });
  MayBeRefused([&] { static_cast<void>(cell.as<std::optional<Bytes>>()); });
  MayBeRefused([&] { static_cast<void>(cell.as<Value>()); });
}

void ReadRows(const RowBatch& rows) {
  for (size_t i = 0; i < std::min(rows.size(), kRowsRead); ++i) {
    for (size_t column = 0; column < rows[i].size(); ++column) ReadCell(rows[i][column]);
  }
  if (!rows.empty()) {
    const Row last = rows[rows.size() - 1];
    for (size_t column = 0; column < last.size(); ++column) ReadCell(last[column]);
  }
  MayBeRefused([&] { static_cast<void>(rows.column_index("a")); });
}

// Whatever comes from the wire. (std::invalid_argument is what the session turns into an error.)
void ReadNonsense(v1::ExecuteBatchResponse& message) {
  for (v1::BatchResult& entry : *message.mutable_results()) {
    try {
      ReadRows(internal::read_result(*entry.mutable_response()).rows());
    } catch (const std::invalid_argument&) {
    }
    static_cast<void>(internal::read_error(*entry.mutable_error()));
  }
}

void ReadBytes(FuzzedDataProvider& data) {
  v1::ExecuteBatchResponse message;
  if (message.ParseFromString(data.ConsumeRemainingBytesAsString())) ReadNonsense(message);
}

// Nonsense that is nearly right: sizes that are off by a little, or by a lot.
void ReadNearly(FuzzedDataProvider& data) {
  v1::ExecuteBatchResponse message;
  v1::ExecuteResponse& response = *message.add_results()->mutable_response();
  v1::ColumnBatch& batch = *response.mutable_column_batch();
  const auto rows = data.ConsumeIntegralInRange<uint32_t>(0, 20);
  batch.set_row_count(data.ConsumeBool() ? rows : data.ConsumeIntegral<uint32_t>());
  const auto columns = data.ConsumeIntegralInRange<int>(0, 20);
  for (int i = 0; i < columns; ++i) {
    v1::Column& column = *response.add_columns();
    column.set_name(data.ConsumeRandomLengthString(4));
    column.set_type_oid(data.ConsumeBool() ? 1700 : 25);
    v1::ColumnData& cells = *batch.add_columns();
    if (data.ConsumeBool()) cells.set_null_bitmap(data.ConsumeRandomLengthString(4));
    const auto entries = data.ConsumeBool() ? rows : data.ConsumeIntegralInRange<uint32_t>(0, 24);
    switch (data.ConsumeIntegralInRange(0, 4)) {
      case 0:
        for (uint32_t n = 0; n < entries; ++n) cells.add_int64_values(data.ConsumeIntegral<int64_t>());
        break;
      case 1:
        for (uint32_t n = 0; n < entries; ++n)
          cells.add_double_values(std::bit_cast<double>(data.ConsumeIntegral<uint64_t>()));
        break;
      case 2:
        for (uint32_t n = 0; n < entries; ++n) cells.add_bool_values(data.ConsumeBool());
        break;
      default:
        cells.set_data_kind(static_cast<v1::DataKind>(data.ConsumeIntegralInRange(0, 3)));
        for (uint32_t n = 0; n < entries; ++n) {
          const std::string text = data.ConsumeRandomLengthString(8);
          cells.mutable_data()->append(text);
          cells.add_lengths(static_cast<uint32_t>(text.size()) + (data.ConsumeIntegral<uint8_t>() == 255 ? 1 : 0));
        }
    }
  }
  if (columns > 0 && data.ConsumeIntegral<uint8_t>() == 0) batch.mutable_columns()->RemoveLast();
  ReadNonsense(message);
}

std::unique_ptr<PGresult, decltype(&PQclear)> MakeResult(FuzzedDataProvider& data) {
  constexpr Oid kTypes[] = {16, 17, 20, 21, 23, 26, 700, 701, 25, 1700, 1184, 3802};
  std::unique_ptr<PGresult, decltype(&PQclear)> result(PQmakeEmptyPGresult(nullptr, PGRES_TUPLES_OK), &PQclear);
  std::vector<PGresAttDesc> columns(data.ConsumeIntegralInRange<size_t>(1, 6));
  std::string name = "a";
  for (PGresAttDesc& column : columns) {
    column = {name.data(), 0, 0, 0, kTypes[data.ConsumeIntegralInRange<size_t>(0, std::size(kTypes) - 1)], -1, -1};
  }
  PQsetResultAttrs(result.get(), static_cast<int>(columns.size()), columns.data());
  const auto rows = data.ConsumeIntegralInRange(0, 40);
  for (int row = 0; row < rows; ++row) {
    for (int column = 0; column < static_cast<int>(columns.size()); ++column) {
      std::string text = data.ConsumeRandomLengthString(12);
      const bool null = data.ConsumeBool();
      PQsetvalue(result.get(), row, column, null ? nullptr : text.data(), null ? -1 : static_cast<int>(text.size()));
    }
  }
  return result;
}

void RequireSame(const v1::Value& value, const Cell& cell) {
  switch (value.kind_case()) {
    case v1::Value::kNullValue:
      return Require(cell.is_null(), "NULL is NULL in both formats");
    case v1::Value::kBoolValue:
      return Require(cell.as<bool>() == value.bool_value(), "the same boolean in both formats");
    case v1::Value::kInt64Value:
      return Require(cell.as<int64_t>() == value.int64_value(), "the same integer in both formats");
    case v1::Value::kDoubleValue:
      return Require(std::bit_cast<uint64_t>(cell.as<double>()) == std::bit_cast<uint64_t>(value.double_value()),
                     "the same double in both formats");
    case v1::Value::kTextValue:
      // A batch tells text that is not UTF-8 by the column, not by the cell.
      return Require(cell.kind() == CellKind::kBytes ? cell.as<Bytes>().data == value.text_value()
                                                     : cell.as<std::string>() == value.text_value(),
                     "the same text in both formats");
    case v1::Value::kBytesValue:
      return Require(cell.as<Bytes>().data == value.bytes_value(), "the same bytes in both formats");
    default:
      Require(false, "every cell has a value");
  }
}

// From PostgreSQL's text, whatever it is, to the client's cells.
void EncodeAndRead(FuzzedDataProvider& data) {
  const auto result = MakeResult(data);
  v1::ExecuteResponse rows;
  v1::ExecuteResponse columns;
  postgres::ResultEncoder rows_encoder(*result, v1::RESULT_FORMAT_ROWS);
  postgres::ResultEncoder columns_encoder(*result, v1::RESULT_FORMAT_COLUMNS);
  postgres::ResultEncoder::EncodeColumns(*result, columns.mutable_columns());
  for (int row = 0; row < PQntuples(result.get()); ++row) {
    rows_encoder.Append(*result, row, rows.mutable_rows(), nullptr);
    columns_encoder.Append(*result, row, nullptr, columns.mutable_column_batch());
  }
  const Result read = internal::read_result(columns);  // nothing of ours may be refused
  Require(static_cast<int>(read.rows().size()) == rows.rows_size(), "as many rows in both formats");
  for (int row = 0; row < rows.rows_size(); ++row) {
    for (int column = 0; column < rows.rows(row).values_size(); ++column) {
      RequireSame(rows.rows(row).values(column), read.rows()[static_cast<size_t>(row)][column]);
    }
  }
  ReadRows(read.rows());
}

}  // namespace
}  // namespace engine::db

// Protobuf's complaints about what is not UTF-8 are not news here.
extern "C" int LLVMFuzzerInitialize(int*, char***) {
  google::protobuf::SetLogHandler(nullptr);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  FuzzedDataProvider data(bytes, size);
  switch (data.ConsumeIntegralInRange(0, 2)) {
    case 0:
      engine::db::ReadBytes(data);
      break;
    case 1:
      engine::db::ReadNearly(data);
      break;
    default:
      engine::db::EncodeAndRead(data);
  }
  return 0;
}

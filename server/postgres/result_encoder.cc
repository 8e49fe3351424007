#include "server/postgres/result_encoder.h"

#include <libpq-fe.h>

#include <charconv>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include "sdk/common/utf8.h"

namespace engine::db::postgres {
namespace {

// pg_type.dat: OIDs of built-in types never change.
constexpr uint32_t kBool = 16;
constexpr uint32_t kBytea = 17;
constexpr uint32_t kInt8 = 20;
constexpr uint32_t kInt2 = 21;
constexpr uint32_t kInt4 = 23;
constexpr uint32_t kOid = 26;
constexpr uint32_t kFloat4 = 700;
constexpr uint32_t kFloat8 = 701;

int64_t ParseInt64(std::string_view text) {
  int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

double ParseDouble(std::string_view text) {
  if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
  if (text == "Infinity") return std::numeric_limits<double>::infinity();
  if (text == "-Infinity") return -std::numeric_limits<double>::infinity();
  double value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// Hex, \x0a1b..., as our sessions begin; or what the caller has SET bytea_output to: escape, which writes a backslash
// as two, others as themselves or in octal, \012.
void AppendBytea(std::string_view text, std::string* out) {
  if (!text.starts_with("\\x")) {
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '\\' && i + 3 < text.size() && text[i + 1] != '\\') {
        out->push_back(
            static_cast<char>(((text[i + 1] - '0') << 6) | ((text[i + 2] - '0') << 3) | (text[i + 3] - '0')));
        i += 3;
        continue;
      }
      if (text[i] == '\\') ++i;
      if (i < text.size()) out->push_back(text[i]);
    }
    return;
  }
  const std::string_view hex = text.substr(2);
  const auto nibble = [](char c) { return static_cast<unsigned char>(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10); };
  const size_t start = out->size();
  out->resize(start + hex.size() / 2);
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    (*out)[start + i / 2] = static_cast<char>((nibble(hex[i]) << 4) | nibble(hex[i + 1]));
  }
}

}  // namespace

ResultEncoder::ResultEncoder(const PGresult& header, v1::ResultFormat format)
    : columnar_(format == v1::RESULT_FORMAT_COLUMNS) {
  const int count = PQnfields(&header);
  kinds_.reserve(count);
  for (int i = 0; i < count; ++i) kinds_.push_back(KindOf(PQftype(&header, i)));
}

ResultEncoder::CellKind ResultEncoder::KindOf(uint32_t type_oid) {
  switch (type_oid) {
    case kInt2:
    case kInt4:
    case kInt8:
    case kOid:
      return CellKind::kInt64;
    case kFloat4:
    case kFloat8:
      return CellKind::kDouble;
    case kBool:
      return CellKind::kBool;
    case kBytea:
      return CellKind::kBytes;
    default:
      return CellKind::kText;
  }
}

void ResultEncoder::EncodeColumns(const PGresult& header, Columns* columns) {
  const int count = PQnfields(&header);
  columns->Reserve(count);
  for (int i = 0; i < count; ++i) {
    v1::Column* column = columns->Add();
    column->set_name(common::to_utf8(PQfname(&header, i)));
    column->set_type_oid(PQftype(&header, i));
    column->set_type_modifier(PQfmod(&header, i));
  }
}

void ResultEncoder::Begin() {
  earlier_bytes_ += std::exchange(bytes_, 0);
  earlier_rows_ += std::exchange(rows_, 0);
}

void ResultEncoder::Append(const PGresult& result, int row, Rows* rows, v1::ColumnBatch* batch) {
  if (columnar_) {
    AppendToBatch(result, row, batch);
  } else {
    AppendToRows(result, row, rows);
  }
  ++rows_;
}

void ResultEncoder::AppendToRows(const PGresult& result, int row, Rows* rows) {
  v1::Row* out = rows->Add();
  out->mutable_values()->Reserve(static_cast<int>(kinds_.size()));
  bytes_ += 2;  // rows without columns have no other
  for (int i = 0; i < static_cast<int>(kinds_.size()); ++i) {
    v1::Value* value = out->add_values();
    if (PQgetisnull(&result, row, i) != 0) {
      value->set_null_value(google::protobuf::NULL_VALUE);
      bytes_ += 4;
      continue;
    }
    const std::string_view text(PQgetvalue(&result, row, i), PQgetlength(&result, row, i));
    bytes_ += text.size() + 4;
    switch (kinds_[i]) {
      case CellKind::kInt64:
        value->set_int64_value(ParseInt64(text));
        break;
      case CellKind::kDouble:
        value->set_double_value(ParseDouble(text));
        break;
      case CellKind::kBool:
        value->set_bool_value(text == "t");
        break;
      case CellKind::kBytes:
        AppendBytea(text, value->mutable_bytes_value());
        break;
      case CellKind::kText:
        if (common::is_utf8(text)) {
          value->set_text_value(text.data(), text.size());
        } else {
          value->set_bytes_value(text.data(), text.size());
        }
        break;
    }
  }
}

void ResultEncoder::AppendToBatch(const PGresult& result, int row, v1::ColumnBatch* batch) {
  if (rows_ == 0) {
    batch->mutable_columns()->Reserve(static_cast<int>(kinds_.size()));
    for (const CellKind kind : kinds_) {
      v1::ColumnData* column = batch->add_columns();
      if (kind == CellKind::kText) column->set_data_kind(v1::DATA_KIND_TEXT);
      if (kind == CellKind::kBytes) column->set_data_kind(v1::DATA_KIND_BYTES);
    }
  }
  for (int i = 0; i < static_cast<int>(kinds_.size()); ++i) {
    v1::ColumnData* column = batch->mutable_columns(i);
    const bool is_null = PQgetisnull(&result, row, i) != 0;
    if (is_null || !column->null_bitmap().empty()) {  // once begun it has a bit for every row
      std::string* bitmap = column->mutable_null_bitmap();
      bitmap->resize(rows_ / 8 + 1);
      if (is_null) (*bitmap)[rows_ / 8] = static_cast<char>((*bitmap)[rows_ / 8] | (1 << (rows_ % 8)));
    }
    const std::string_view text =
        is_null ? std::string_view() : std::string_view(PQgetvalue(&result, row, i), PQgetlength(&result, row, i));
    switch (kinds_[i]) {
      case CellKind::kInt64:
        column->add_int64_values(ParseInt64(text));
        bytes_ += 8;
        break;
      case CellKind::kDouble:
        column->add_double_values(ParseDouble(text));
        bytes_ += 8;
        break;
      case CellKind::kBool:
        column->add_bool_values(text == "t");
        bytes_ += 1;
        break;
      case CellKind::kBytes: {
        const size_t before = column->data().size();
        AppendBytea(text, column->mutable_data());
        column->add_lengths(static_cast<uint32_t>(column->data().size() - before));
        bytes_ += column->data().size() - before + 4;
        break;
      }
      case CellKind::kText:
        // Text that is not UTF-8 is told apart once a batch, not once a cell.
        if (!text.empty() && column->data_kind() == v1::DATA_KIND_TEXT && !common::is_utf8(text)) {
          column->set_data_kind(v1::DATA_KIND_BYTES);
        }
        column->mutable_data()->append(text);
        column->add_lengths(static_cast<uint32_t>(text.size()));
        bytes_ += text.size() + 4;
        break;
    }
  }
  batch->set_row_count(rows_ + 1);
}

}  // namespace engine::db::postgres

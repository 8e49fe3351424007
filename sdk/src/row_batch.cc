#include "engine_db/row_batch.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <numeric>
#include <stdexcept>

#include "engine_db/error.h"
#include "engine_db/reasons.h"
#include "sdk/common/utf8.h"
#include "sdk/src/time_text.h"

namespace engine::db {
namespace {

constexpr size_t kFewColumns = 16;
constexpr size_t kColumnsListed = 32;
constexpr uint32_t kByteaOid = 17;
constexpr uint32_t kNumericOid = 1700;
constexpr uint32_t kTimeOid = 1083;
constexpr uint32_t kDateOid = 1082;
constexpr uint32_t kTimestampOid = 1114;
constexpr uint32_t kTimestamptzOid = 1184;

[[noreturn]] void throw_request_error(std::string_view reason, std::string field, std::string message) {
  ErrorInfo info;
  info.kind = ErrorKind::kInvalidRequest;
  info.reason = reason;
  info.field = std::move(field);
  info.message = std::move(message);
  throw DatabaseRequestError(std::move(info));
}

std::string in_quotes(std::string_view name) { return '"' + std::string(name) + '"'; }

bool equal_but_for_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

[[noreturn]] void throw_unknown_column(std::string_view name, const std::vector<Column>& columns) {
  std::string message = "the result has no column " + in_quotes(name) + "; it has ";
  if (columns.empty()) message += "none";
  for (size_t i = 0; i < std::min(columns.size(), kColumnsListed); ++i) {
    message += (i == 0 ? "" : ", ") + in_quotes(columns[i].name);
  }
  if (columns.size() > kColumnsListed) message += " and " + std::to_string(columns.size() - kColumnsListed) + " more";
  for (const Column& column : columns) {
    if (equal_but_for_case(column.name, name)) {
      message +=
          ". PostgreSQL folds names without double quotes to lower case: did you mean " + in_quotes(column.name) + "?";
      break;
    }
  }
  throw_request_error(reasons::kUnknownColumn, std::string(name), std::move(message));
}

[[noreturn]] void throw_ambiguous_column(std::string_view name, const std::vector<Column>& columns) {
  std::string message = "several columns of the result are named " + in_quotes(name) + " (";
  bool first = true;
  for (size_t i = 0; i < columns.size(); ++i) {
    if (columns[i].name != name) continue;
    message += (first ? "indexes " : ", ") + std::to_string(i);
    first = false;
  }
  message += "): read them by index, or tell them apart with AS";
  throw_request_error(reasons::kAmbiguousColumn, std::string(name), std::move(message));
}

// What a column of from_rows() keeps its values in.
struct OwnedColumn {
  CellKind kind = CellKind::kNull;
  std::string null_bitmap;
  std::vector<int64_t> int64s;
  std::vector<double> doubles;
  std::unique_ptr<bool[]> bools;
  std::string data;
  std::vector<uint32_t> lengths;
};

CellKind kind_of(const Value& value) {
  struct Visitor {
    CellKind operator()(std::nullptr_t) const { return CellKind::kNull; }
    CellKind operator()(bool) const { return CellKind::kBool; }
    CellKind operator()(int64_t) const { return CellKind::kInt64; }
    CellKind operator()(double) const { return CellKind::kDouble; }
    CellKind operator()(const std::string&) const { return CellKind::kText; }
    CellKind operator()(const Bytes&) const { return CellKind::kBytes; }
    CellKind operator()(Expression) const { throw std::invalid_argument("a result's cell can't be an expression"); }
  };
  return std::visit(Visitor{}, value.content());
}

void add_data(OwnedColumn& column, std::string_view data) {
  column.data += data;
  column.lengths.push_back(static_cast<uint32_t>(data.size()));
}

// Adds row `row`, of `row_count`, to a column whose kind is known.
void add_value(OwnedColumn& column, const Value& value, size_t row, size_t row_count) {
  const bool null = value.is_null();
  if (null) {
    column.null_bitmap.resize((row_count + 7) / 8);
    column.null_bitmap[row / 8] = static_cast<char>(column.null_bitmap[row / 8] | (1 << (row % 8)));
  } else if (kind_of(value) != column.kind) {
    throw std::invalid_argument("a result's column has values of one kind");
  }
  const Value::Content& content = value.content();
  switch (column.kind) {
    case CellKind::kNull:
      return;
    case CellKind::kBool:
      if (!column.bools) column.bools = std::make_unique<bool[]>(row_count);
      column.bools[row] = !null && std::get<bool>(content);
      return;
    case CellKind::kInt64:
      column.int64s.push_back(null ? 0 : std::get<int64_t>(content));
      return;
    case CellKind::kDouble:
      column.doubles.push_back(null ? 0 : std::get<double>(content));
      return;
    case CellKind::kBytes:
      return add_data(column, null ? std::string_view() : std::get<Bytes>(content).data);
    case CellKind::kText:
      return add_data(column, null ? std::string_view() : std::get<std::string>(content));
  }
}

}  // namespace

std::string_view to_string(CellKind kind) {
  switch (kind) {
    case CellKind::kNull:
      return "NULL";
    case CellKind::kBool:
      return "bool";
    case CellKind::kInt64:
      return "int64";
    case CellKind::kDouble:
      return "double";
    case CellKind::kBytes:
      return "bytes";
    case CellKind::kText:
      return "text";
  }
  return "unknown";
}

Schema::Schema(std::vector<Column> columns) : columns_(std::move(columns)) {
  if (columns_.size() <= kFewColumns) return;
  for (size_t i = 0; i < columns_.size(); ++i) {
    auto [it, fresh] = by_name_.emplace(columns_[i].name, i);
    if (!fresh) it->second = kAmbiguous;
  }
}

size_t Schema::index_of(std::string_view name) const {
  size_t found = columns_.size();
  if (!by_name_.empty()) {
    if (auto it = by_name_.find(name); it != by_name_.end()) found = it->second;
  } else {
    for (size_t i = 0; i < columns_.size(); ++i) {
      if (columns_[i].name != name) continue;
      found = found == columns_.size() ? i : kAmbiguous;
    }
  }
  if (found == kAmbiguous) throw_ambiguous_column(name, columns_);
  if (found == columns_.size()) throw_unknown_column(name, columns_);
  return found;
}

RowBatch::RowBatch(std::shared_ptr<const Schema> schema, size_t row_count, std::span<const ColumnCells> columns,
                   std::shared_ptr<const void> owner)
    : schema_(std::move(schema)), owner_(std::move(owner)), row_count_(row_count) {
  if (columns.size() != this->schema().size()) throw std::invalid_argument("a batch has as many columns as its schema");
  columns_.reserve(columns.size());
  size_t lengths = 0;  // of what is there, whatever row_count says
  for (const ColumnCells& column : columns) lengths += column.lengths.size();
  ends_.reserve(lengths);
  for (const ColumnCells& column : columns) {
    if (!column.null_bitmap.empty() && column.null_bitmap.size() < (row_count + 7) / 8) {
      throw std::invalid_argument("a null bitmap has a bit a row");
    }
    const uint32_t type = this->schema().columns()[columns_.size()].type_oid;
    const bool mixed = column.kind == CellKind::kBytes && type != kByteaOid && type != 0;
    ColumnView view{column.kind, nullptr, nullptr, ends_.size(), mixed};
    if (!column.null_bitmap.empty()) view.nulls = reinterpret_cast<const unsigned char*>(column.null_bitmap.data());
    size_t entries = row_count;
    switch (column.kind) {
      case CellKind::kNull:
        break;
      case CellKind::kBool:
        entries = column.bools.size();
        view.values = column.bools.data();
        break;
      case CellKind::kInt64:
        entries = column.int64s.size();
        view.values = column.int64s.data();
        break;
      case CellKind::kDouble:
        entries = column.doubles.size();
        view.values = column.doubles.data();
        break;
      case CellKind::kBytes:
      case CellKind::kText: {
        entries = column.lengths.size();
        view.values = column.data.data();
        uint64_t end = 0;  // 64 bits, so that lying lengths can't wrap around.
        for (const uint32_t length : column.lengths) ends_.push_back(static_cast<uint32_t>(end += length));
        if (end != column.data.size()) throw std::invalid_argument("a column's lengths add up to its data");
        break;
      }
    }
    if (entries != row_count) throw std::invalid_argument("a column has an entry a row");
    columns_.push_back(view);
  }
}

RowBatch RowBatch::from_rows(std::vector<Column> columns, const std::vector<Parameters>& rows) {
  auto schema = std::make_shared<const Schema>(std::move(columns));
  auto owned = std::make_shared<std::vector<OwnedColumn>>(schema->size());
  for (const Parameters& row : rows) {
    if (row.size() != owned->size()) throw std::invalid_argument("a row has a value a column");
    for (size_t i = 0; i < row.size(); ++i) {
      if ((*owned)[i].kind == CellKind::kNull) (*owned)[i].kind = kind_of(row[i]);
    }
  }
  std::vector<ColumnCells> cells(owned->size());
  for (size_t i = 0; i < owned->size(); ++i) {
    OwnedColumn& column = (*owned)[i];
    for (size_t row = 0; row < rows.size(); ++row) add_value(column, rows[row][i], row, rows.size());
    const size_t bools = column.bools ? rows.size() : 0;
    cells[i] = {column.kind, column.null_bitmap, column.int64s, column.doubles, {column.bools.get(), bools},
                column.data, column.lengths};
  }
  return {std::move(schema), rows.size(), cells, std::move(owned)};
}

const Schema& RowBatch::schema() const {
  static const Schema none;
  return schema_ ? *schema_ : none;
}

Row RowBatch::at(size_t index) const {
  if (index >= row_count_) {
    throw_request_error(reasons::kNoSuchRow, "",
                        "there is no row " + std::to_string(index) + ": the result has " + std::to_string(row_count_) +
                            " (the first is row 0)");
  }
  return {this, index};
}

void Row::throw_no_column(int64_t column) const {
  throw_request_error(reasons::kNoSuchColumn, "",
                      "there is no column " + std::to_string(column) + ": the result has " + std::to_string(size()) +
                          " (the first is column 0)");
}

bool Cell::is_numeric() const { return column().type_oid == kNumericOid || column().type_name == "numeric"; }

int64_t Cell::convert_to_int64(const char* wanted) const {
  if (!holds(CellKind::kText) || !is_numeric()) throw_mismatch(wanted);
  std::string_view text = batch_->data_of(view(), row_);
  // numeric(12,2) writes 3 as "3.00".
  if (const size_t point = text.find('.'); point != std::string_view::npos) {
    if (text.find_first_not_of('0', point + 1) != std::string_view::npos) throw_out_of_range(wanted);
    text = text.substr(0, point);
  }
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) throw_out_of_range(wanted);
  return number;
}

double Cell::convert_to_double() const {
  constexpr const char* kWanted = "a floating-point number";
  if (holds(CellKind::kInt64)) {
    const auto number = stored<int64_t>();
    constexpr int64_t kExact = int64_t{1} << std::numeric_limits<double>::digits;
    if (number > kExact || number < -kExact) throw_out_of_range(kWanted);
    return static_cast<double>(number);
  }
  if (!holds(CellKind::kText) || !is_numeric()) throw_mismatch(kWanted);
  const std::string_view text = batch_->data_of(view(), row_);
  double number = 0;  // "NaN" and "Infinity" included.
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) throw_out_of_range(kWanted);
  return number;
}

CellKind Cell::kind_of_mixed() const {
  return common::is_utf8(batch_->data_of(view(), row_)) ? CellKind::kText : CellKind::kBytes;
}

std::chrono::sys_time<std::chrono::microseconds> Cell::convert_to_sys_time() const {
  constexpr const char* kWanted = "a moment (timestamp with time zone)";
  if (!holds(CellKind::kText) || column().type_oid != kTimestamptzOid) throw_mismatch(kWanted);
  const auto read = internal::read_timestamptz(batch_->data_of(view(), row_));
  if (!read) throw_out_of_range(kWanted);
  return *read;
}

std::chrono::local_time<std::chrono::microseconds> Cell::convert_to_local_time() const {
  constexpr const char* kWanted = "a local time (timestamp without time zone)";
  if (!holds(CellKind::kText) || column().type_oid != kTimestampOid) throw_mismatch(kWanted);
  const auto read = internal::read_timestamp(batch_->data_of(view(), row_));
  if (!read) throw_out_of_range(kWanted);
  return *read;
}

std::chrono::year_month_day Cell::convert_to_date() const {
  if (!holds(CellKind::kText) || column().type_oid != kDateOid) throw_mismatch("a date");
  const auto read = internal::read_date(batch_->data_of(view(), row_));
  if (!read) throw_out_of_range("a date of std::chrono");
  return *read;
}

std::chrono::microseconds Cell::convert_to_time() const {
  if (!holds(CellKind::kText) || column().type_oid != kTimeOid) throw_mismatch("a time of day");
  const auto read = internal::read_time(batch_->data_of(view(), row_));
  if (!read) throw_out_of_range("a time of day");
  return *read;
}

// As PostgreSQL's array_out writes it: [2:3]={1,NULL,"a \"quoted\" text"}.
std::vector<std::optional<std::string>> Cell::array_elements() const {
  constexpr const char* kWanted = "an array of one dimension";
  if (!holds(CellKind::kText) || !column().type_name.ends_with("[]")) throw_mismatch(kWanted);
  std::string_view text = batch_->data_of(view(), row_);
  if (text.starts_with('[')) text.remove_prefix(std::min(text.size(), text.find('=') + 1));
  if (!text.starts_with('{') || !text.ends_with('}')) throw_mismatch(kWanted);
  text = text.substr(1, text.size() - 2);
  const char delimiter = column().type_name == "box[]" ? ';' : ',';

  std::vector<std::optional<std::string>> elements;
  while (!text.empty()) {
    std::string element;
    size_t end = 0;
    if (text[0] == '{') throw_out_of_range(kWanted);  // more dimensions
    if (text[0] == '"') {
      for (end = 1; end < text.size() && text[end] != '"'; ++end) {
        if (text[end] == '\\' && end + 1 < text.size()) ++end;
        element += text[end];
      }
      ++end;
      elements.emplace_back(std::move(element));
    } else {
      end = std::min(text.find(delimiter), text.size());
      const std::string_view plain = text.substr(0, end);
      elements.push_back(plain == "NULL" ? std::nullopt : std::optional<std::string>(plain));
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return elements;
}

bool Cell::element_to_bool(std::string_view text) const {
  if (text != "t" && text != "f") throw_mismatch("an array of bool");
  return text == "t";
}

int64_t Cell::element_to_int64(std::string_view text) const {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc::result_out_of_range) throw_out_of_range("an array of integers");
  if (error != std::errc() || end != text.data() + text.size()) throw_mismatch("an array of integers");
  return number;
}

double Cell::element_to_double(std::string_view text) const {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) throw_mismatch("an array of floating-point numbers");
  return number;
}

Value Cell::to_value() const {
  switch (kind()) {
    case CellKind::kNull:
      return nullptr;
    case CellKind::kBool:
      return stored<bool>();
    case CellKind::kInt64:
      return stored<int64_t>();
    case CellKind::kDouble:
      return stored<double>();
    case CellKind::kBytes:
      return as<Bytes>();
    case CellKind::kText:
      return as<std::string>();
  }
  return nullptr;
}

std::string Cell::to_string() const {
  switch (kind()) {
    case CellKind::kNull:
      return "";
    case CellKind::kBool:
      return stored<bool>() ? "true" : "false";
    case CellKind::kInt64:
      return std::to_string(stored<int64_t>());
    case CellKind::kDouble: {
      char buffer[32];  // The shortest text that reads back the same has 24 characters at most.
      return {buffer, std::to_chars(buffer, buffer + sizeof(buffer), stored<double>()).ptr};
    }
    case CellKind::kBytes: {
      std::string text = "\\x";
      for (const unsigned char byte : batch_->data_of(view(), row_)) {
        text += "0123456789abcdef"[byte >> 4];
        text += "0123456789abcdef"[byte & 15];
      }
      return text;
    }
    case CellKind::kText:
      return std::string(batch_->data_of(view(), row_));
  }
  return "";
}

void Cell::throw_mismatch(const char* wanted) const {
  std::string message = "column " + in_quotes(column().name) + " (" + column().type_name + ") holds " +
                        std::string(db::to_string(kind())) + ", not " + wanted;
  if (is_null()) message += ": read it as a std::optional, or ask is_null()";
  throw_request_error(reasons::kWrongType, column().name, std::move(message));
}

void Cell::throw_null_element() const {
  throw_request_error(reasons::kWrongType, column().name,
                      "column " + in_quotes(column().name) + " (" + column().type_name +
                          ") holds an array with NULL in it: read its elements as std::optional");
}

void Cell::throw_out_of_range(const char* wanted) const {
  throw_request_error(reasons::kOutOfRange, column().name,
                      "column " + in_quotes(column().name) + " (" + column().type_name + ") holds a " +
                          std::string(db::to_string(kind())) + " that does not fit " + wanted);
}

}  // namespace engine::db

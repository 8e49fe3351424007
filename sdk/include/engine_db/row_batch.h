// Rows as they come from the gateway: column by column, read row by row. Reading a cell neither allocates nor copies.
#ifndef ENGINE_DB_ROW_BATCH_H_
#define ENGINE_DB_ROW_BATCH_H_

#include <chrono>
#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine_db/value.h"

namespace engine::db {

// What a result's column is.
struct Column {
  // As PostgreSQL names it: AS loyaltyScore without quotes arrives as "loyaltyscore". Duplicates are legal in SQL.
  std::string name = {};
  // As SQL writes it: "bigint", "timestamp with time zone", "text[]".
  std::string type_name = {};
  // pg_type.oid; 0 for unknown.
  uint32_t type_oid = 0;
  // pg_attribute.atttypmod, -1 for none.
  int32_t type_modifier = -1;

  friend bool operator==(const Column&, const Column&) = default;
};

// The columns of a result, and which one a name means.
class Schema {
 public:
  Schema() = default;
  explicit Schema(std::vector<Column> columns);
  // by_name_ refers to columns_.
  Schema(const Schema&) = delete;
  Schema& operator=(const Schema&) = delete;

  [[nodiscard]] const std::vector<Column>& columns() const { return columns_; }
  [[nodiscard]] size_t size() const { return columns_.size(); }

  // The column's index. Throws DatabaseRequestError for a name that is unknown (it lists those that are known), or that
  // several columns bear (those can be told apart by index only).
  [[nodiscard]] size_t index_of(std::string_view name) const;

 private:
  static constexpr size_t kAmbiguous = static_cast<size_t>(-1);

  // Which column a name means, or kAmbiguous; filled only where there are many columns, since few are faster compared
  // one by one.
  std::vector<Column> columns_;
  std::unordered_map<std::string_view, size_t> by_name_;
};

// How a cell's value is held. Whatever is not one of the first five (numeric, dates and times, uuid, jsonb, arrays…) is
// kText: PostgreSQL's own canonical text, which loses nothing.
enum class CellKind : uint8_t { kNull, kBool, kInt64, kDouble, kBytes, kText };

[[nodiscard]] std::string_view to_string(CellKind kind);

// One column's cells, as a RowBatch is made of. Refers to memory that the batch's owner keeps.
struct ColumnCells {
  // kNull: every cell is NULL, and nothing else is set.
  CellKind kind = CellKind::kNull;
  // Bit i (least significant first) of byte i / 8 is set when row i is NULL. Empty: no cell is NULL.
  std::string_view null_bitmap;
  // The one for `kind` has an entry a row, of any value where the cell is NULL.
  std::span<const int64_t> int64s;
  std::span<const double> doubles;
  std::span<const bool> bools;
  // kText, kBytes: all cells' bytes one after the other, and each one's length.
  std::string_view data;
  std::span<const uint32_t> lengths;
};

class Row;

// A value of a row. Refers to its batch, which must outlive it.
class Cell;

// Some consecutive rows of a result. Copies share the memory; all of it is immutable, so any thread may read.
class RowBatch {
 public:
  class Iterator;

  // No rows, no columns.
  RowBatch() = default;

  // `columns` has one entry a column of `schema` and refers to memory that `owner` keeps. Throws std::invalid_argument
  // when the sizes contradict each other.
  RowBatch(std::shared_ptr<const Schema> schema, size_t row_count, std::span<const ColumnCells> columns,
           std::shared_ptr<const void> owner);

  // From values in rows, for connectors that have no better (mocks). Throws std::invalid_argument when a row's length
  // is not the number of columns, or a column mixes kinds of values.
  [[nodiscard]] static RowBatch from_rows(std::vector<Column> columns, const std::vector<Parameters>& rows);

  [[nodiscard]] size_t size() const { return row_count_; }
  [[nodiscard]] bool empty() const { return row_count_ == 0; }
  [[nodiscard]] const std::vector<Column>& columns() const { return schema().columns(); }
  // For hot loops: look a name up once, then read cells by index.
  [[nodiscard]] size_t column_index(std::string_view name) const { return schema().index_of(name); }

  // Row `index`; throws DatabaseRequestError when there is none.
  [[nodiscard]] Row operator[](size_t index) const;
  [[nodiscard]] Row at(size_t index) const;
  [[nodiscard]] Row front() const;
  [[nodiscard]] Iterator begin() const;
  [[nodiscard]] Iterator end() const;

  [[nodiscard]] const Schema& schema() const;

 private:
  friend class Cell;
  friend class Row;

  struct ColumnView {
    CellKind kind;
    const unsigned char* nulls;  // Null: no cell is NULL.
    const void* values;          // Of kind; the first byte of data for kText and kBytes.
    size_t first_end;            // kText, kBytes: where in ends_ this column's begin.
    bool mixed;                  // Text, held as bytes because some of it is not UTF-8.
  };

  [[nodiscard]] bool is_null(const ColumnView& column, size_t row) const {
    return column.kind == CellKind::kNull ||
           (column.nulls != nullptr && ((column.nulls[row / 8] >> (row % 8)) & 1) != 0);
  }
  [[nodiscard]] std::string_view data_of(const ColumnView& column, size_t row) const {
    const uint32_t* ends = ends_.data() + column.first_end;
    const uint32_t begin = row == 0 ? 0 : ends[row - 1];
    return {static_cast<const char*>(column.values) + begin, ends[row] - begin};
  }

  std::shared_ptr<const Schema> schema_;
  std::shared_ptr<const void> owner_;
  size_t row_count_ = 0;
  std::vector<ColumnView> columns_;
  std::vector<uint32_t> ends_;  // Running sums of the lengths, column after column.
};

class Cell {
 public:
  [[nodiscard]] bool is_null() const { return batch_->is_null(view(), row_); }
  [[nodiscard]] CellKind kind() const {
    if (is_null()) return CellKind::kNull;
    return view().mixed ? kind_of_mixed() : view().kind;
  }
  [[nodiscard]] const Column& column() const { return batch_->columns()[column_]; }

  // The value as a T:
  //   bool                            from a boolean
  //   any integer                     from an integer, or a numeric without fraction, that fits
  //   double, float                   from a floating-point number, an integer that it can hold exactly, or a numeric
  //   std::string, std::string_view   from text, and so from every type that has no kind of its own (see CellKind)
  //   Bytes, std::span<const std::byte>   from bytea, and from text of a database in SQL_ASCII that is not UTF-8
  //   std::chrono::sys_time<std::chrono::microseconds>     from timestamp with time zone
  //   std::chrono::local_time<std::chrono::microseconds>   from timestamp without time zone
  //   std::chrono::year_month_day     from date
  //   std::chrono::microseconds       from time without time zone: since midnight, up to 24 hours
  //   std::vector of bool, integers, floating-point numbers, std::string, or std::optional of one of these
  //                                   from an array of one dimension, whatever its lower bound
  //   std::optional of these          the same, and nothing for NULL
  //   Value                           from anything
  // Views live as long as the batch's memory. Throws DatabaseRequestError, which names the column, its SQL type and the
  // kind of the value but never the value itself, when it is something else, or is NULL where T is no optional.
  template <typename T>
  [[nodiscard]] T as() const;

  // For people: any value as text (a double as C++ writes it shortest), bytes as PostgreSQL writes them (\x…), NULL as
  // an empty text.
  [[nodiscard]] std::string to_string() const;

 private:
  friend class Row;
  template <typename T>
  struct OptionalValue {
    using type = void;
  };
  template <typename T>
  struct OptionalValue<std::optional<T>> {
    using type = T;
  };

  template <typename T>
  struct IsVector : std::false_type {};
  template <typename T>
  struct IsVector<std::vector<T>> : std::true_type {};

  Cell(const RowBatch* batch, size_t column, size_t row) : batch_(batch), column_(column), row_(row) {}

  [[nodiscard]] const RowBatch::ColumnView& view() const { return batch_->columns_[column_]; }
  template <typename T>
  [[nodiscard]] T stored() const {
    return static_cast<const T*>(view().values)[row_];
  }
  [[nodiscard]] bool holds(CellKind kind) const {
    return (view().mixed ? kind_of_mixed() : view().kind) == kind && !is_null();
  }
  // Text where it is UTF-8, else bytes.
  [[nodiscard]] CellKind kind_of_mixed() const;
  [[nodiscard]] bool is_numeric() const;

  // Slow paths: what is not held as it is asked for.
  [[nodiscard]] int64_t convert_to_int64(const char* wanted) const;
  [[nodiscard]] double convert_to_double() const;
  [[nodiscard]] std::chrono::sys_time<std::chrono::microseconds> convert_to_sys_time() const;
  [[nodiscard]] std::chrono::local_time<std::chrono::microseconds> convert_to_local_time() const;
  [[nodiscard]] std::chrono::year_month_day convert_to_date() const;
  [[nodiscard]] std::chrono::microseconds convert_to_time() const;
  // An array's elements as text; nothing for NULL.
  [[nodiscard]] std::vector<std::optional<std::string>> array_elements() const;
  template <typename T>
  [[nodiscard]] T element_as(const std::optional<std::string>& text) const;
  [[nodiscard]] bool element_to_bool(std::string_view text) const;
  [[nodiscard]] int64_t element_to_int64(std::string_view text) const;
  [[nodiscard]] double element_to_double(std::string_view text) const;
  [[nodiscard]] Value to_value() const;
  [[noreturn]] void throw_mismatch(const char* wanted) const;
  [[noreturn]] void throw_out_of_range(const char* wanted) const;
  [[noreturn]] void throw_null_element() const;

  const RowBatch* batch_;
  size_t column_;
  size_t row_;
};

// One row, read like a dictionary: row["name"], or like an array: row[0]. Refers to its batch, which must outlive it.
class Row {
 public:
  // As size() says.
  [[nodiscard]] size_t size() const { return batch_->columns_.size(); }
  [[nodiscard]] const std::vector<Column>& columns() const { return batch_->columns(); }

  // The cell of the column with this name; throws as Schema::index_of does.
  [[nodiscard]] Cell operator[](std::string_view name) const { return {batch_, batch_->column_index(name), row_}; }
  [[nodiscard]] Cell at(std::string_view name) const { return (*this)[name]; }
  // The cell of a column by its index; throws DatabaseRequestError when there is none.
  template <std::integral T>
  [[nodiscard]] Cell operator[](T column) const {
    if (!std::cmp_less(column, size()) || std::cmp_less(column, 0)) throw_no_column(static_cast<int64_t>(column));
    return {batch_, static_cast<size_t>(column), row_};
  }
  template <std::integral T>
  [[nodiscard]] Cell at(T column) const {
    return (*this)[column];
  }

 private:
  friend class RowBatch;
  friend class RowBatch::Iterator;
  Row(const RowBatch* batch, size_t row) : batch_(batch), row_(row) {}
  [[noreturn]] void throw_no_column(int64_t column) const;

  const RowBatch* batch_ = nullptr;
  size_t row_ = 0;
};

class RowBatch::Iterator {
 public:
  using iterator_category = std::input_iterator_tag;  // Rows are made as they are asked for.
  using iterator_concept = std::random_access_iterator_tag;
  using value_type = Row;
  using difference_type = std::ptrdiff_t;
  using reference = Row;
  using pointer = void;

  Iterator() = default;
  Row operator*() const { return {batch_, row_}; }
  Row operator[](difference_type offset) const { return *(*this + offset); }
  Iterator& operator++() { return *this += 1; }
  Iterator operator++(int) {
    Iterator before = *this;
    ++*this;
    return before;
  }
  Iterator& operator--() { return *this += -1; }
  Iterator operator--(int) {
    Iterator before = *this;
    --*this;
    return before;
  }
  Iterator& operator+=(difference_type offset) {
    row_ = static_cast<size_t>(static_cast<difference_type>(row_) + offset);
    return *this;
  }
  Iterator& operator-=(difference_type offset) { return *this += -offset; }
  friend Iterator operator+(Iterator it, difference_type offset) { return it += offset; }
  friend Iterator operator+(difference_type offset, Iterator it) { return it += offset; }
  friend Iterator operator-(Iterator it, difference_type offset) { return it -= offset; }
  friend difference_type operator-(const Iterator& a, const Iterator& b) {
    return static_cast<difference_type>(a.row_) - static_cast<difference_type>(b.row_);
  }
  friend bool operator==(const Iterator& a, const Iterator& b) { return a.row_ == b.row_; }
  friend auto operator<=>(const Iterator& a, const Iterator& b) { return a.row_ <=> b.row_; }

 private:
  friend class RowBatch;
  Iterator(const RowBatch* batch, size_t row) : batch_(batch), row_(row) {}

  const RowBatch* batch_ = nullptr;
  size_t row_ = 0;
};

inline RowBatch::Iterator RowBatch::begin() const { return {this, 0}; }
inline RowBatch::Iterator RowBatch::end() const { return {this, row_count_}; }
inline Row RowBatch::operator[](size_t index) const { return at(index); }
inline Row RowBatch::front() const { return at(0); }

template <typename T>
T Cell::as() const {
  using Wanted = typename OptionalValue<T>::type;
  if constexpr (!std::is_void_v<Wanted>) {
    if (is_null()) return std::nullopt;
    return as<Wanted>();
  } else if constexpr (std::same_as<T, bool>) {
    if (holds(CellKind::kBool)) return stored<bool>();
    throw_mismatch("bool");
  } else if constexpr (std::integral<T>) {
    const int64_t number = holds(CellKind::kInt64) ? stored<int64_t>() : convert_to_int64("an integer");
    if (!std::in_range<T>(number)) throw_out_of_range("the integer type asked for");
    return static_cast<T>(number);
  } else if constexpr (std::floating_point<T>) {
    return static_cast<T>(holds(CellKind::kDouble) ? stored<double>() : convert_to_double());
  } else if constexpr (std::same_as<T, std::string_view> || std::same_as<T, std::string>) {
    if (holds(CellKind::kText)) return T(batch_->data_of(view(), row_));
    throw_mismatch("text");
  } else if constexpr (std::same_as<T, Bytes>) {
    if (holds(CellKind::kBytes)) return Bytes{std::string(batch_->data_of(view(), row_))};
    throw_mismatch("bytes");
  } else if constexpr (std::same_as<T, std::span<const std::byte>>) {
    if (holds(CellKind::kBytes)) return std::as_bytes(std::span<const char>(batch_->data_of(view(), row_)));
    throw_mismatch("bytes");
  } else if constexpr (std::same_as<T, std::chrono::sys_time<std::chrono::microseconds>>) {
    return convert_to_sys_time();
  } else if constexpr (std::same_as<T, std::chrono::local_time<std::chrono::microseconds>>) {
    return convert_to_local_time();
  } else if constexpr (std::same_as<T, std::chrono::year_month_day>) {
    return convert_to_date();
  } else if constexpr (std::same_as<T, std::chrono::microseconds>) {
    return convert_to_time();
  } else if constexpr (IsVector<T>::value) {
    T elements;
    for (const std::optional<std::string>& text : array_elements()) {
      elements.push_back(element_as<typename T::value_type>(text));
    }
    return elements;
  } else {
    static_assert(std::same_as<T, Value>, "Cell::as() does not know this type; see its comment");
    return to_value();
  }
}

template <typename T>
T Cell::element_as(const std::optional<std::string>& text) const {
  using Wanted = typename OptionalValue<T>::type;
  if constexpr (!std::is_void_v<Wanted>) {
    if (!text) return std::nullopt;
    return element_as<Wanted>(text);
  } else {
    if (!text) throw_null_element();
    if constexpr (std::same_as<T, bool>) {
      return element_to_bool(*text);
    } else if constexpr (std::integral<T>) {
      const int64_t number = element_to_int64(*text);
      if (!std::in_range<T>(number)) throw_out_of_range("elements of the integer type asked for");
      return static_cast<T>(number);
    } else if constexpr (std::floating_point<T>) {
      return static_cast<T>(element_to_double(*text));
    } else {
      static_assert(std::same_as<T, std::string>, "Cell::as() does not know this type of elements; see its comment");
      return *text;
    }
  }
}

}  // namespace engine::db

#endif  // ENGINE_DB_ROW_BATCH_H_

#include "client/cli/row_writer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace engine::db::cli {
namespace {

// A number as PostgreSQL writes it, where C++ writes it otherwise.
std::string to_text(const Cell& cell) {
  if (cell.kind() == CellKind::kDouble) {
    const auto number = cell.as<double>();
    if (std::isnan(number)) return "NaN";
    if (std::isinf(number)) return number > 0 ? "Infinity" : "-Infinity";
  }
  return cell.to_string();
}

bool is_number(const Column& column) {
  constexpr std::array<std::string_view, 7> kTypes = {"smallint", "integer", "bigint",          "oid",
                                                      "numeric",  "real",    "double precision"};
  return std::find(kTypes.begin(), kTypes.end(), column.type_name) != kTypes.end();
}

// Lays the columns out by the first rows; a wider cell that comes later stands out, which is the price of not keeping
// everything.
class TableWriter final : public RowWriter {
 public:
  TableWriter(const std::vector<Column>& columns, std::ostream& out) : columns_(columns), out_(out) {}

  void write(const RowBatch& rows) override {
    row_count_ += rows.size();
    if (columns_.empty()) return;  // the number is all there is to show
    for (const Row row : rows) {
      std::vector<Text> line;
      line.reserve(row.size());
      for (size_t column = 0; column < row.size(); ++column) line.push_back(shown(row[column]));
      if (laid_out_) {
        write_line(line);
        continue;
      }
      first_lines_.push_back(std::move(line));
      if (first_lines_.size() == kLaidOutBy) lay_out();
    }
  }

  void finish() override {
    if (!laid_out_ && !columns_.empty()) lay_out();
    out_ << '(' << count(row_count_, "row") << ")\n";
  }

 private:
  static constexpr size_t kLaidOutBy = 1000;

  struct Text {
    std::string text;
    size_t width = 0;
  };

  static Text shown(std::string text) {
    const size_t width = display_width(text);
    return {std::move(text), width};
  }

  static Text shown(const Cell& cell) {
    if (cell.is_null()) return shown("NULL");
    return shown(cell.kind() == CellKind::kText ? printable(cell.as<std::string_view>()) : to_text(cell));
  }

  void lay_out() {
    laid_out_ = true;
    std::vector<Text> header;
    for (const Column& column : columns_) {
      header.push_back(shown(printable(column.name)));
      widths_.push_back(header.back().width);
    }
    for (const std::vector<Text>& line : first_lines_) {
      for (size_t i = 0; i < line.size(); ++i) widths_[i] = std::max(widths_[i], line[i].width);
    }
    write_line(header);
    for (size_t i = 0; i < widths_.size(); ++i) {
      out_ << (i == 0 ? "" : "+") << std::string(widths_[i] + 2, '-');
    }
    out_ << '\n';
    for (const std::vector<Text>& line : first_lines_) write_line(line);
    first_lines_.clear();
  }

  void write_line(const std::vector<Text>& line) {
    for (size_t i = 0; i < line.size(); ++i) {
      const std::string padding(widths_[i] - std::min(widths_[i], line[i].width), ' ');
      const bool last = i + 1 == line.size();
      const bool right = is_number(columns_[i]);
      out_ << (i == 0 ? " " : " | ");
      if (right) out_ << padding;
      out_ << line[i].text;
      if (!right && !last) out_ << padding;
    }
    out_ << '\n';
  }

  const std::vector<Column>& columns_;
  std::ostream& out_;
  std::vector<std::vector<Text>> first_lines_;
  std::vector<size_t> widths_;
  bool laid_out_ = false;
  uint64_t row_count_ = 0;
};

class CsvWriter final : public RowWriter {
 public:
  CsvWriter(const std::vector<Column>& columns, std::ostream& out) : out_(out) {
    for (size_t i = 0; i < columns.size(); ++i) out_ << (i == 0 ? "" : ",") << csv_text(columns[i].name);
    out_ << '\n';
  }

  void write(const RowBatch& rows) override {
    for (const Row row : rows) {
      for (size_t i = 0; i < row.size(); ++i) {
        if (i != 0) out_ << ',';
        const Cell cell = row[i];
        if (cell.kind() == CellKind::kText) {
          out_ << csv_text(cell.as<std::string_view>());
        } else if (!cell.is_null()) {
          out_ << to_text(cell);
        }
      }
      out_ << '\n';
    }
  }

  void finish() override {}

 private:
  std::ostream& out_;
};

class JsonWriter final : public RowWriter {
 public:
  JsonWriter(const std::vector<Column>& columns, std::ostream& out) : out_(out) {
    std::unordered_map<std::string_view, int> seen;
    for (const Column& column : columns) {
      // An object with the same key twice would lose a value.
      const int number = ++seen[column.name];
      const std::string name = number == 1 ? column.name : column.name + "#" + std::to_string(number);
      keys_.push_back((keys_.empty() ? "{" : ",") + json_text(name) + ":");
      json_.push_back(column.type_name == "json" || column.type_name == "jsonb");
    }
  }

  void write(const RowBatch& rows) override {
    for (const Row row : rows) {
      for (size_t i = 0; i < row.size(); ++i) {
        out_ << keys_[i];
        write(row[i], json_[i]);
      }
      out_ << (keys_.empty() ? "{}\n" : "}\n");
    }
  }

  void finish() override {}

 private:
  void write(const Cell& cell, bool json) {
    switch (cell.kind()) {
      case CellKind::kNull:
        out_ << "null";
        return;
      case CellKind::kBool:
        out_ << (cell.as<bool>() ? "true" : "false");
        return;
      case CellKind::kInt64:
        out_ << cell.as<int64_t>();
        return;
      case CellKind::kDouble:
        // JSON has no NaN and no infinity.
        out_ << (std::isfinite(cell.as<double>()) ? to_text(cell) : json_text(to_text(cell)));
        return;
      case CellKind::kBytes:
        out_ << json_text(cell.to_string());
        return;
      case CellKind::kText:
        if (json) return write_json(cell.as<std::string_view>());
        out_ << json_text(cell.as<std::string_view>());
    }
  }

  // It is JSON already. A line break in it stands between two tokens, since JSON's texts have none.
  void write_json(std::string_view text) {
    std::string line(text);
    std::replace(line.begin(), line.end(), '\n', ' ');
    std::replace(line.begin(), line.end(), '\r', ' ');
    out_ << line;
  }

  std::ostream& out_;
  std::vector<std::string> keys_;
  std::vector<bool> json_;
};

}  // namespace

std::unique_ptr<RowWriter> make_row_writer(Format format, const std::vector<Column>& columns, std::ostream& out) {
  switch (format) {
    case Format::kTable:
      return std::make_unique<TableWriter>(columns, out);
    case Format::kCsv:
      return std::make_unique<CsvWriter>(columns, out);
    case Format::kJson:
      break;
  }
  return std::make_unique<JsonWriter>(columns, out);
}

}  // namespace engine::db::cli

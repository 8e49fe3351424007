// SQL to JSON.
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <optional>
#include <span>
#include <unordered_map>

#include "engine_db/builtins/values.h"
#include "sdk/builtins/src/result_json.h"

namespace engine::db::builtins {
namespace {

bool is_any_of(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::ranges::find(words, word) != words.end();
}

// Not NaN and the infinities.
Json to_number(std::string_view text) {
  const bool special = text.find_first_of("Ny") != std::string_view::npos;  // NaN, Infinity
  return special ? Json(text) : Json::number(std::string(text));
}

// "2024-01-31 12:00:00+00" → "2024-01-31T12:00:00+00:00"; an infinity stays as it is.
Json to_timestamp(std::string_view text, bool with_zone) {
  std::string result(text);
  const size_t blank = result.find(' ');
  if (blank == std::string::npos || text.find(':') == std::string_view::npos) return result;
  result[blank] = 'T';
  if (!with_zone) return result;
  const size_t sign = result.find_first_of("+-", blank);
  if (sign == std::string::npos) return result;
  const size_t end = std::min(result.find(' ', sign), result.size());  // before " BC"
  if (end - sign == 3) result.insert(end, ":00");
  return result;
}

// Reads PostgreSQL's text of an array: {1,NULL,"a\"b"}, {{1},{2}}, [0:1]={1,2}.
class ArrayReader {
 public:
  ArrayReader(std::string_view text, std::string_view element_type) : text_(text), element_type_(element_type) {}

  // Nothing when it is none.
  std::optional<Json> read() {
    if (text_.starts_with('[')) {  // lower bounds, which JSON has not
      const size_t equals = text_.find("={");
      if (equals == std::string_view::npos) return std::nullopt;
      at_ = equals + 1;
    }
    auto list = read_list(0);
    if (!list || at_ != text_.size()) return std::nullopt;
    return list;
  }

 private:
  static constexpr int kMaxDimensions = 6;  // PostgreSQL's

  bool take(char expected) {
    if (at_ == text_.size() || text_[at_] != expected) return false;
    ++at_;
    return true;
  }

  std::optional<Json> read_list(int depth) {
    if (depth == kMaxDimensions || !take('{')) return std::nullopt;
    Json::List list;
    if (take('}')) return list;
    do {
      const bool nested = at_ < text_.size() && text_[at_] == '{';
      auto element = nested ? read_list(depth + 1) : read_element();
      if (!element) return std::nullopt;
      list.push_back(*std::move(element));
    } while (take(','));
    if (!take('}')) return std::nullopt;
    return list;
  }

  std::optional<Json> read_element() {
    if (!take('"')) {
      const size_t end = text_.find_first_of(",}", at_);
      if (end == std::string_view::npos) return std::nullopt;
      const std::string_view element = text_.substr(at_, end - at_);
      at_ = end;
      return element == "NULL" ? Json() : to_json(element_type_, element);
    }
    std::string element;
    while (at_ < text_.size() && text_[at_] != '"') {
      if (text_[at_] == '\\' && at_ + 1 < text_.size()) ++at_;
      element += text_[at_++];
    }
    if (!take('"')) return std::nullopt;
    return to_json(element_type_, element);
  }

  std::string_view text_;
  std::string_view element_type_;
  size_t at_ = 0;
};

// The shortest text that is this number and no other.
template <typename Float>
Json to_shortest(Float number) {
  if (std::isnan(number)) return "NaN";
  if (std::isinf(number)) return number > 0 ? "Infinity" : "-Infinity";
  std::array<char, 64> buffer{};
  return Json::number({buffer.data(), std::to_chars(buffer.data(), buffer.data() + buffer.size(), number).ptr});
}

Json of_cell(const Cell& cell) {
  switch (cell.kind()) {
    case CellKind::kNull:
      return nullptr;
    case CellKind::kBool:
      return cell.as<bool>();
    case CellKind::kInt64:
      return cell.as<int64_t>();
    case CellKind::kDouble:
      return cell.column().type_name == "real" ? to_shortest(cell.as<float>()) : to_shortest(cell.as<double>());
    case CellKind::kBytes:
      return cell.to_string();
    case CellKind::kText:
      break;
  }
  return to_json(cell.column().type_name, cell.as<std::string_view>());
}

size_t size_of(const Cell& cell) {
  if (cell.kind() == CellKind::kText) return cell.as<std::string_view>().size();
  return cell.kind() == CellKind::kBytes ? cell.as<std::span<const std::byte>>().size() * 2 : sizeof(int64_t);
}

// The columns' names, those that occur several times with a number behind them.
std::vector<std::string> distinct_names(const std::vector<Column>& columns) {
  std::unordered_map<std::string_view, int> total;
  for (const Column& column : columns) ++total[column.name];
  std::unordered_map<std::string_view, int> seen;
  std::vector<std::string> names;
  for (const Column& column : columns) {
    const bool several = total[column.name] > 1;
    names.push_back(several ? column.name + "#" + std::to_string(++seen[column.name]) : column.name);
  }
  return names;
}

}  // namespace

Json to_json(std::string_view type_name, std::string_view text) {
  if (type_name.ends_with("[]") && type_name != "box[]") {  // whose elements have ";" between them
    auto list = ArrayReader(text, type_name.substr(0, type_name.size() - 2)).read();
    return list ? *std::move(list) : Json(text);
  }
  if (is_any_of(type_name, {"json", "jsonb"})) return Json::parse(text);
  if (is_any_of(type_name, {"numeric", "smallint", "integer", "bigint", "oid", "real", "double precision"})) {
    return to_number(text);
  }
  if (type_name == "boolean" && is_any_of(text, {"t", "f"})) return text == "t";
  if (type_name == "timestamp without time zone") return to_timestamp(text, false);
  if (type_name == "timestamp with time zone") return to_timestamp(text, true);
  return text;
}

void ResultJson::add(const RowBatch& rows) {
  const std::vector<Column>& columns = rows.columns();
  if (columns_.empty()) {
    names_ = distinct_names(columns);
    for (const Column& column : columns) {
      columns_.push_back(Json::Object{{"name", "type"}, {names_[columns_.size()], column.type_name}});
    }
  }
  for (const Row row : rows) {
    Json::Object object{names_, {}, true};
    for (size_t i = 0; i < columns.size(); ++i) {
      try {
        object.values.push_back(of_cell(row[i]));
        bytes_ += size_of(row[i]);
      } catch (const JsonError& error) {
        throw JsonError("column \"" + names_[i] + "\" " + error.what());
      }
    }
    rows_.push_back(std::move(object));
  }
}

Json ResultJson::finish(int64_t rowcount) && {
  return Json::Object{{"rows", "rowcount", "columns"}, {std::move(rows_), rowcount, std::move(columns_)}};
}

Json to_json(const Result& result) {
  ResultJson json;
  json.add(result.rows());
  return std::move(json).finish(result.rowcount());
}

}  // namespace engine::db::builtins

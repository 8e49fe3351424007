// A statement's whole result.
#ifndef ENGINE_DB_RESULT_H_
#define ENGINE_DB_RESULT_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "engine_db/row_batch.h"

namespace engine::db {

// What a connector's execute() returns:
//
//   Result result = connector.execute("SELECT id, name FROM customers WHERE city = ?", {"Berlin"});
//   for (Row row : result.rows()) greet(row["id"].as<int64_t>(), row["name"].as<std::string_view>());
//
// Copies share the rows' memory; all of it is immutable, so any thread may read. Rows and cells refer to the Result
// they came from.
class Result {
 public:
  // What there is besides the rows.
  struct Summary {
    // Rows inserted, updated, deleted, merged or returned.
    int64_t rowcount = 0;
    // PostgreSQL's command tag: "INSERT 0 1".
    std::string command_tag = {};
    // The statement as it was sent: $1, $2… for the placeholders, and expressions in place.
    std::string bound_sql = {};
    // How often it was tried; 1 when the first attempt worked.
    uint32_t attempts = 1;
  };

  Result() = default;
  Result(RowBatch rows, Summary summary) : rows_(std::move(rows)), summary_(std::move(summary)) {}

  [[nodiscard]] int64_t rowcount() const { return summary_.rowcount; }
  // Empty for a statement that returns no rows.
  [[nodiscard]] const std::vector<Column>& columns() const { return rows_.columns(); }
  [[nodiscard]] const RowBatch& rows() const& { return rows_; }
  [[nodiscard]] RowBatch rows() && { return std::move(rows_); }
  [[nodiscard]] const std::string& command_tag() const { return summary_.command_tag; }
  [[nodiscard]] const std::string& bound_sql() const { return summary_.bound_sql; }
  [[nodiscard]] uint32_t attempts() const { return summary_.attempts; }

 private:
  RowBatch rows_;
  Summary summary_;
};

}  // namespace engine::db

#endif  // ENGINE_DB_RESULT_H_

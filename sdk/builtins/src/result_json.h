// A result as JSON, put together from the parts it comes in.
#ifndef ENGINE_DB_BUILTINS_SRC_RESULT_JSON_H_
#define ENGINE_DB_BUILTINS_SRC_RESULT_JSON_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "engine_db/builtins/json.h"
#include "engine_db/row_batch.h"

namespace engine::db::builtins {

class ResultJson {
 public:
  // Takes more rows, all of which have the same columns. Throws JsonError for a value that can't be taken.
  void add(const RowBatch& rows);
  [[nodiscard]] size_t rows() const { return rows_.size(); }
  // About, of all values as text.
  [[nodiscard]] size_t bytes() const { return bytes_; }

  // {rows, rowcount, columns}.
  [[nodiscard]] Json finish(int64_t rowcount) &&;

 private:
  std::vector<std::string> names_;
  Json::List columns_;
  Json::List rows_;
  size_t bytes_ = 0;
};

}  // namespace engine::db::builtins

#endif  // ENGINE_DB_BUILTINS_SRC_RESULT_JSON_H_

// Many statements in one round trip, and what a statement is.
#ifndef ENGINE_DB_BATCH_H_
#define ENGINE_DB_BATCH_H_

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "engine_db/async.h"
#include "engine_db/options.h"
#include "engine_db/result.h"
#include "engine_db/value.h"

namespace engine::db {

// A statement of a batch. It runs once for each parameter list, and once if there is none.
struct BatchStatement {
  std::string sql;
  std::vector<Parameters> parameter_lists = {};
};

// 1 to 10,000 runs in all.
using Batch = std::vector<BatchStatement>;

struct BatchOptions {
  // exactly_once and idempotent are for the batch as a whole; exactly_once needs `atomic`.
  CallOptions call = {};
  // All in one transaction of the batch's own: every statement is committed or none, and the first failure fails the
  // call. Otherwise each run commits by itself, and one that fails leaves the others alone. Not within a transaction,
  // which is atomic anyway.
  bool atomic = false;
};

// The end of one run.
struct BatchEntry {
  // Which of the batch's statements.
  size_t statement_index = 0;
  // Which of its parameter lists; 0 if it has none.
  size_t parameter_list_index = 0;
  // The result, or the error of this run.
  Completion<Result> completion;

  [[nodiscard]] bool ok() const { return completion.ok(); }
  // Throws this run's error.
  [[nodiscard]] const Result& result() const { return completion.value(); }
};

// One for each run, in order.
using BatchResults = std::vector<BatchEntry>;

// What a statement would return and take.
struct StatementDescription {
  // Empty: it returns no rows.
  std::vector<Column> columns;
  // As SQL writes them: "bigint", "text[]".
  std::vector<std::string> parameter_type_names;
  // As Result::bound_sql().
  std::string bound_sql;
};

}  // namespace engine::db

#endif  // ENGINE_DB_BATCH_H_

// The operations of database steps: dbConnection, executeSql, commitSql, rollbackSql.
#ifndef ENGINE_DB_BUILTINS_OPERATION_H_
#define ENGINE_DB_BUILTINS_OPERATION_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "engine_db/builtins/json.h"
#include "engine_db/builtins/pipeline.h"
#include "engine_db/connector.h"
#include "engine_db/options.h"

namespace engine::db::builtins {

// What an operation of a step runs with.
struct OperationContext {
  // Of the step's server, connected.
  DatabaseConnector& connector;
  // Of the steps before: an object with a member for each, by its name.
  const Json& outputs;
  // Where messages say that the step is.
  const Place& place;
  CallOptions call = {};
};

// What a step came to.
struct StepOutput {
  // What later steps find under its name.
  Json response = Json::Object();
  // Rows returned or affected, and PostgreSQL's command tag; empty for what is no statement.
  int64_t rowcount = 0;
  std::string command_tag = {};
  // Whether its statement may have changed something: it is not known to be a read.
  bool may_have_written = false;
};

// A step's result is kept as a whole, for the steps behind it: so much at most, of values as text.
inline constexpr size_t kMaxResultRows = 1'000'000;
inline constexpr size_t kMaxResultBytes = size_t{64} << 20;

// A plugin of the engine, one an operation. Without state, so that any thread may call.
class Operation {
 public:
  virtual ~Operation() = default;
  Operation() = default;
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;

  // As a step's `operation` says it.
  [[nodiscard]] virtual std::string_view name() const = 0;
  // Whether its steps have query, parameters and response.
  [[nodiscard]] virtual bool has_query() const { return false; }
  // Whether it ends the transaction of the steps before it.
  [[nodiscard]] virtual bool ends_transaction() const { return false; }
  // Runs `step`. Throws a DatabaseError whose message begins with the place of the fault.
  virtual StepOutput run(const DatabaseStep& step, const OperationContext& context) const = 0;
};

// All of them.
[[nodiscard]] std::span<const Operation* const> operations();

// The one with this name, or null. "dbConnecton", as the operation was once spelt, is dbConnection too.
[[nodiscard]] const Operation* find_operation(std::string_view name);

}  // namespace engine::db::builtins

#endif  // ENGINE_DB_BUILTINS_OPERATION_H_

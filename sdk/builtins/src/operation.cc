#include "engine_db/builtins/operation.h"

#include <algorithm>
#include <array>
#include <utility>

#include "engine_db/builtins/bind.h"
#include "engine_db/builtins/values.h"
#include "sdk/builtins/src/failure.h"
#include "sdk/builtins/src/suggestion.h"

namespace engine::db::builtins {
namespace {

// Runs `work`; an error says that it was this place.
template <typename Work>
auto at(const Place& place, Work work) {
  try {
    return work();
  } catch (const DatabaseError& error) {
    throw_at(place, error);
  }
}

Place with_field(Place place, std::string field, size_t line) {
  place.field = std::move(field);
  if (line != 0) place.line = line;
  return place;
}

class DbConnection final : public Operation {
 public:
  [[nodiscard]] std::string_view name() const override { return "dbConnection"; }
  StepOutput run(const DatabaseStep& /*step*/, const OperationContext& context) const override {
    at(context.place, [&] { context.connector.connect(); });
    return {};
  }
};

class ExecuteSql final : public Operation {
 public:
  [[nodiscard]] std::string_view name() const override { return "executeSql"; }
  [[nodiscard]] bool has_query() const override { return true; }

  StepOutput run(const DatabaseStep& step, const OperationContext& context) const override {
    const Parameters parameters = bind_parameters(step, context.outputs, context.place);
    const Result result = execute(step, parameters, context);
    StepOutput output{.rowcount = result.rowcount(), .command_tag = result.command_tag()};
    output.response = response_of(step, result, output, context.place);
    return output;
  }

 private:
  static Result execute(const DatabaseStep& step, const Parameters& parameters, const OperationContext& context) {
    try {
      return context.connector.execute(step.query, parameters, context.call);
    } catch (const DatabaseError& error) {
      throw_at(place_of(error, step, context.place), error);
    }
  }

  // The parameter that was refused, or else the query.
  static Place place_of(const DatabaseError& error, const DatabaseStep& step, const Place& place) {
    for (size_t i = 0; i < step.parameters.size(); ++i) {
      const std::string field = "parameters[" + std::to_string(i) + "]";
      if (error.field() == field || error.field().starts_with(field + ".")) {
        return with_field(place, field, step.parameters[i].line);
      }
    }
    return with_field(place, error.field() == "parameters" ? "parameters" : "query", step.query_line);
  }

  static Json response_of(const DatabaseStep& step, const Result& result, const StepOutput& output,
                          const Place& place) {
    Place field_place = with_field(place, "response", 0);
    try {
      Json whole = to_json(result);
      if (step.response.empty()) return whole;
      Json::Object response;
      for (const ResponseField& field : step.response) {
        field_place = with_field(place, "response." + field.name, field.line);
        response.add(field.name, select(field.path, whole));
      }
      return response;
    } catch (const std::runtime_error& error) {  // PathError, JsonError
      ErrorInfo info;
      info.kind = ErrorKind::kExecution;
      info.phase = Phase::kExecuting;
      info.reason = "RESPONSE_PATH";
      info.field = field_place.field;
      info.message = field_place.to_string() + ": " + error.what();
      // It has run, and failed only afterwards.
      if (!step.in_transaction && output.may_have_written()) info.outcome = Outcome::kCommitted;
      throw_error(std::move(info));
    }
  }

  // A row that there is not, or something that a value does not hold, is null: so are the data. A column that there is
  // not is a mistake, with rows or without.
  static Json select(const JsonPath& path, const Json& whole) {
    const bool in_rows = path.first_name() != nullptr && *path.first_name() == "rows";
    if (!in_rows) return path.select(whole);
    if (path.segments().size() > 2) {
      if (const auto* column = std::get_if<JsonPath::Name>(&path.segments()[2])) require_column(column->name, whole);
    }
    return path.select(whole, 1);
  }

  static void require_column(const std::string& name, const Json& whole) {
    constexpr size_t kShown = 20;
    Json::Object row{.is_row = true};
    for (const Json& column : *whole.object()->find("columns")->list()) {
      row.add(*column.object()->find("name")->text(), {});
    }
    if (row.find(name) != nullptr) return;
    std::string message = "the result has no column \"" + name + "\"" + did_you_mean(name, row.names);
    if (row.names.empty()) throw PathError(message + ": the statement returns no rows");
    message += " (it has ";
    for (size_t i = 0; i < std::min(row.names.size(), kShown); ++i) message += (i == 0 ? "" : ", ") + row.names[i];
    throw PathError(message + (row.names.size() > kShown ? ", …)" : ")"));
  }
};

class CommitSql final : public Operation {
 public:
  [[nodiscard]] std::string_view name() const override { return "commitSql"; }
  [[nodiscard]] bool ends_transaction() const override { return true; }
  StepOutput run(const DatabaseStep& /*step*/, const OperationContext& context) const override {
    at(context.place, [&] {
      try {
        context.connector.commit();
      } catch (const DatabaseError& error) {
        if (error.outcome() != Outcome::kUnknown) throw;
        context.connector.commit();  // repeated, it tells what became of it
      }
    });
    return {};
  }
};

class RollbackSql final : public Operation {
 public:
  [[nodiscard]] std::string_view name() const override { return "rollbackSql"; }
  [[nodiscard]] bool ends_transaction() const override { return true; }
  StepOutput run(const DatabaseStep& /*step*/, const OperationContext& context) const override {
    at(context.place, [&] { context.connector.rollback(); });
    return {};
  }
};

const std::array<const Operation*, 4>& all() {
  static const DbConnection db_connection;
  static const ExecuteSql execute_sql;
  static const CommitSql commit_sql;
  static const RollbackSql rollback_sql;
  static const std::array<const Operation*, 4> list = {&db_connection, &execute_sql, &commit_sql, &rollback_sql};
  return list;
}

}  // namespace

bool StepOutput::may_have_written() const {
  return !command_tag.empty() && !command_tag.starts_with("SELECT") && !command_tag.starts_with("SHOW") &&
         !command_tag.starts_with("EXPLAIN");
}

std::span<const Operation* const> operations() { return all(); }

const Operation* find_operation(std::string_view name) {
  if (name == "dbConnecton") name = "dbConnection";
  const auto* const found = std::ranges::find(all(), name, &Operation::name);
  return found == all().end() ? nullptr : *found;
}

}  // namespace engine::db::builtins

#include "engine_db/builtins/operation.h"

#include <algorithm>
#include <array>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "engine_db/builtins/bind.h"
#include "engine_db/reasons.h"
#include "sdk/builtins/src/failure.h"
#include "sdk/builtins/src/result_json.h"
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
    StepOutput output{.may_have_written = !step.only_reads.value_or(false)};
    const Json whole = whole_result(step, parameters, context, output);
    output.response = response_of(step, whole, output, context.place);
    return output;
  }

 private:
  // No more rows are wanted.
  struct Enough {};

  // {rows, rowcount, columns}; fills in what else the output tells.
  static Json whole_result(const DatabaseStep& step, const Parameters& parameters, const OperationContext& context,
                           StepOutput& output) {
    ResultJson json;
    std::string problem;
    // The outcome of a write that was stopped would be unknown.
    const bool runs_to_its_end = output.may_have_written && !step.in_transaction;
    const auto take = [&](const RowBatch& rows) {
      if (problem.empty()) problem = add(rows, json);
      if (!problem.empty() && !runs_to_its_end) throw Enough();
    };
    try {
      Result::Summary summary = execute(step, parameters, context, take);
      output.rowcount = summary.rowcount;
      output.command_tag = std::move(summary.command_tag);
    } catch (const Enough&) {  // NOLINT(bugprone-empty-catch): the problem is told below
    } catch (const DatabaseError& error) {
      throw_at(place_of(error, step, context.place), error);
    }
    if (!problem.empty())
      fail(step, output, with_field(context.place, "query", step.query_line), reasons::kResult, problem);
    return std::move(json).finish(output.rowcount);
  }

  // What is wrong with the rows; empty for nothing.
  static std::string add(const RowBatch& rows, ResultJson& json) {
    try {
      json.add(rows);
    } catch (const JsonError& error) {
      return error.what();
    }
    if (json.rows() <= kMaxResultRows && json.bytes() <= kMaxResultBytes) return {};
    return "the result has more than " + std::to_string(kMaxResultRows) + " rows or " +
           std::to_string(kMaxResultBytes) +
           " bytes, which is what a step may return: add a LIMIT, or let PostgreSQL aggregate it";
  }

  // In one piece, which is cheaper and may be tried again, unless it is known to write or could not be run once more.
  static Result::Summary execute(const DatabaseStep& step, const Parameters& parameters,
                                 const OperationContext& context, const std::function<void(const RowBatch&)>& take) {
    if (!step.in_transaction && step.only_reads.value_or(true)) {
      try {
        const Result result = context.connector.execute(step.query, parameters, context.call);
        take(result.rows());
        return {.rowcount = result.rowcount(), .command_tag = result.command_tag()};
      } catch (const DatabaseError& error) {
        const bool had_no_effect = error.outcome() == Outcome::kUnspecified || error.outcome() == Outcome::kRolledBack;
        if (error.reason() != reasons::kResultTooLarge || !had_no_effect) throw;
      }
    }
    return context.connector.execute_in_parts(step.query, parameters, context.call, take);
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

  static Json response_of(const DatabaseStep& step, const Json& whole, const StepOutput& output, const Place& place) {
    if (step.response.empty()) return whole;
    Json::Object response;
    for (const ResponseField& field : step.response) {
      try {
        response.add(field.name, select(field.path, whole));
      } catch (const PathError& error) {
        fail(step, output, with_field(place, "response." + field.name, field.line), reasons::kResponsePath,
             error.what());
      }
    }
    return response;
  }

  // It has run, and failed only afterwards.
  [[noreturn]] static void fail(const DatabaseStep& step, const StepOutput& output, const Place& at,
                                std::string_view reason, const std::string& message) {
    ErrorInfo info;
    info.kind = ErrorKind::kExecution;
    info.phase = Phase::kExecuting;
    info.reason = reason;
    info.field = at.field;
    info.message = at.to_string() + ": " + message;
    if (!step.in_transaction && output.may_have_written) info.outcome = Outcome::kCommitted;
    throw_error(std::move(info));
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

std::span<const Operation* const> operations() { return all(); }

const Operation* find_operation(std::string_view name) {
  if (name == "dbConnecton") name = "dbConnection";
  const auto* const found = std::ranges::find(all(), name, &Operation::name);
  return found == all().end() ? nullptr : *found;
}

}  // namespace engine::db::builtins

#include "server/call/statement_error.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/base/failure.h"
#include "server/base/text.h"
#include "server/call/parameter_hint.h"
#include "server/postgres/result_error.h"

namespace engine::db::call {
namespace {

// "parameters[1]" of the third statement is "statements[2].parameters[1]", or that of one of its lists.
std::string FromRoot(const PlannedStatement& planned, std::string_view field) {
  if (!planned.in_batch) return std::string(field);
  std::string path = absl::StrCat("statements[", planned.statement_index, "].");
  if (planned.parameter_list_index >= 0 && field.starts_with("parameters")) {
    absl::StrAppend(&path, "parameter_lists[", planned.parameter_list_index, "].");
  }
  return absl::StrCat(path, ToAbsl(field));
}

// Which of the request's parameters is $number: expressions have taken none.
int ParameterIndex(const sql::BoundStatement& bound, int number) {
  int index = 0;
  for (const std::string_view expression : bound.expressions) {
    if (expression.empty() && --number == 0) return index;
    ++index;
  }
  return index + number - 1;
}

void AppendValues(const sql::BoundParameters& parameters, std::vector<std::string_view>& values) {
  for (int i = 0; i < parameters.size(); ++i) {
    if (const char* value = parameters.values()[i]) {
      values.emplace_back(value, static_cast<size_t>(parameters.lengths()[i]));
    }
  }
}

std::vector<std::string_view> ValuesOf(absl::Span<const PlannedStatement> statements) {
  std::vector<std::string_view> values;
  for (const PlannedStatement& planned : statements) {
    if (!planned.internal) AppendValues(planned.bound.parameters, values);
  }
  return values;
}

}  // namespace

absl::Status StatementError(const absl::Status& status, absl::Span<const PlannedStatement> statements, size_t index,
                            bool independent) {
  const PlannedStatement& planned = statements[index];
  const bool is_own = planned.bound.statement == nullptr || planned.internal;
  const std::string_view sql = is_own ? std::string_view() : planned.bound.text->sql;
  // What one statement has written, a trigger of the next one may repeat.
  const absl::Status shown =
      postgres::WithoutValues(status, ValuesOf(independent ? statements.subspan(index, 1) : statements), sql);
  return WithFailure(shown, [&](Failure& failure) {
    if (planned.internal) {  // nothing that the caller wrote is at fault
      failure.position = 0;
      failure.field = "idempotency_key";
      if (failure.cause == Cause::kPermissionDenied)
        failure.hint = "the user needs CREATE on the database, or engine_db.calls";
    }
    failure.statement_index = planned.statement_index;
    if (is_own) return;
    if (failure.position > 0) failure.position = planned.bound.PositionInCallerText(failure.position);
    if (const std::string_view hint = ParameterHint(failure, planned.bound); !hint.empty()) {
      const bool alone = failure.hint.empty();
      failure.hint = alone ? std::string(hint) : absl::StrCat(failure.hint, " (", ToAbsl(hint), ")");
    }
    int number = 0;
    if (failure.field.starts_with('$') && absl::SimpleAtoi(failure.field.substr(1), &number)) {
      const int parameter = ParameterIndex(planned.bound, number);
      failure.field = FromRoot(planned, absl::StrCat("parameters[", parameter, "]"));
    }
  });
}

absl::Status EndingError(const absl::Status& status, absl::Span<const PlannedStatement> statements) {
  return postgres::WithoutValues(status, ValuesOf(statements), "");
}

absl::Status RequestError(const absl::Status& status, const PlannedStatement& planned) {
  if (!planned.in_batch) return status;
  return WithFailure(status, [&](Failure& failure) {
    failure.statement_index = planned.statement_index;
    failure.field = FromRoot(planned, failure.field);
  });
}

}  // namespace engine::db::call

#include "client/cli/pipeline_query.h"

#include <variant>

#include "client/cpp/src/convert.h"
#include "server/sql/bind.h"
#include "server/sql/statement.h"

namespace engine::db::cli {

BoundQuery bind_query(const builtins::DatabaseStep& step) {
  const auto statement = sql::Analyze(step.query);
  if (!statement.ok()) return {{}, std::string(statement.status().message())};
  // Which values they are makes no difference to the text.
  Parameters parameters;
  for (const builtins::StepParameter& parameter : step.parameters) {
    const auto* expression = std::get_if<Expression>(&parameter.source);
    parameters.push_back(expression == nullptr ? Value() : Value(*expression));
  }
  google::protobuf::RepeatedPtrField<v1::Value> messages;
  internal::write(parameters, "parameters", messages);
  const auto bound = sql::Bind(*statement, messages);
  if (!bound.ok()) return {{}, std::string(bound.status().message())};
  return {bound->text->sql, {}};
}

}  // namespace engine::db::cli

#include "client/cli/pipeline_query.h"

#include <algorithm>
#include <string_view>
#include <variant>

#include "client/cpp/src/convert.h"
#include "server/sql/bind.h"
#include "server/sql/scanner.h"
#include "server/sql/statement.h"
#include "server/sql/syntax.h"

namespace engine::db::cli {

namespace {

// Whether the "--" at `at` begins a comment, in what stands between tokens from `begin` on: not within another comment.
bool begins_line_comment(std::string_view sql, size_t begin, size_t at) {
  while (begin < at) {
    int depth = 0;
    if (sql.substr(begin).starts_with("--")) begin = std::min(sql.find('\n', begin), sql.size());
    do {
      const std::string_view rest = sql.substr(std::min(begin, sql.size()));
      const int step = rest.starts_with("/*") ? 1 : rest.starts_with("*/") ? -1 : 0;
      depth += step;
      begin += step == 0 ? 1 : 2;
    } while (depth > 0 && begin < sql.size());
  }
  return begin == at;
}

}  // namespace

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

std::string syntax_problem(const builtins::DatabaseStep& step) {
  const std::string sql = bind_query(step).sql;
  const auto tokens = sql::Scan(sql);
  if (!tokens.ok() || !sql::MayBeParsed(sql, *tokens)) return {};
  const auto error = sql::FindSyntaxError(sql);
  if (!error) return {};
  return *error + " (by the parser of PostgreSQL " + std::string(sql::ParserVersion()) + ")";
}

bool only_reads(const builtins::DatabaseStep& step) {
  const auto statement = sql::Analyze(step.query);
  return statement.ok() && (*statement)->statement_class() == sql::StatementClass::kRead;
}

bool comment_swallows_line(const builtins::DatabaseStep& step) {
  const auto tokens = sql::Scan(step.query);
  if (!tokens.ok()) return false;
  return std::ranges::any_of(step.dashes_before_folded_lines, [&](size_t at) {
    // What stands between two tokens is blanks and comments.
    size_t begin = 0;
    for (const sql::Token& token : *tokens) {
      if (token.begin > at) break;
      begin = std::max(token.end, token.begin + 1);
    }
    return begins_line_comment(step.query, begin, at);
  });
}

}  // namespace engine::db::cli

#include "client/cli/pipeline_query.h"

#include <algorithm>
#include <string_view>
#include <variant>
#include <vector>

#include "sdk/common/expression_text.h"
#include "sdk/sql/analysis.h"
#include "sdk/sql/scanner.h"
#include "sdk/sql/syntax.h"

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
  const auto facts = sql::AnalyzeText(step.query);
  if (!facts.ok()) return {{}, facts.refusal().message};
  // Which values they are makes no difference to the text.
  const int count = static_cast<int>(step.parameters.size());
  if (const auto refusal = sql::CheckParameterCount(step.query, *facts, count)) return {{}, refusal->message};
  std::vector<std::string_view> expressions(step.parameters.size());
  for (int i = 0; i < count; ++i) {
    const auto at = static_cast<size_t>(i);
    const auto* expression = std::get_if<Expression>(&step.parameters[at].source);
    if (expression == nullptr) continue;
    if (const auto refusal = sql::CheckExpression(*facts, i)) return {{}, refusal->message};
    expressions[at] = common::expression_text(static_cast<int>(*expression));
  }
  return {facts->placeholders.Render(step.query, expressions), {}};
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
  const auto facts = sql::AnalyzeText(step.query);
  return facts.ok() && facts->statement_class == sql::StatementClass::kRead;
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

// The list of tests/conformance: what is sent instead of the caller's text is, to PostgreSQL's own parser, the text
// that a person wrote with $1, $2….
#include "tests/conformance/statement_list.h"

#include <gtest/gtest.h>
#include <pg_query.h>

#include <nlohmann/json.hpp>
#include <string>

#include "server/base/failure.h"
#include "server/sql/bind.h"

namespace engine::db::sql {
namespace {

using test::ListedParameter;
using test::ListedStatement;
using Parameters = google::protobuf::RepeatedPtrField<v1::Value>;

v1::Expression ExpressionOf(const std::string& text) {
  v1::Expression expression = v1::EXPRESSION_UNSPECIFIED;
  EXPECT_TRUE(v1::Expression_Parse("EXPRESSION_" + text, &expression)) << text;
  return expression;
}

Parameters ParametersOf(const ListedStatement& statement) {
  Parameters parameters;
  for (const ListedParameter& listed : statement.parameters) {
    v1::Value& value = *parameters.Add();
    if (listed.kind == ListedParameter::Kind::kExpression) {
      value.set_expression_value(ExpressionOf(listed.text));
    } else {
      value.set_text_value("x");  // which value is of no matter here
      value.set_type_name(listed.type_name);
    }
  }
  return parameters;
}

absl::StatusOr<BoundStatement> BindTo(const ListedStatement& listed, const Parameters& parameters) {
  auto statement = Analyze(listed.caller_sql);
  if (!statement.ok()) return statement.status();
  return Bind(*statement, parameters);
}

// Where things stand in the text is not part of what it means.
void DropPositions(nlohmann::json& tree) {
  if (tree.is_object()) {
    for (const char* key : {"location", "stmt_location", "stmt_len"}) tree.erase(key);
  }
  if (tree.is_structured()) {
    for (nlohmann::json& below : tree) DropPositions(below);
  }
}

// null when the parser does not know it.
nlohmann::json TreeOf(const std::string& sql) {
  const PgQueryParseResult result = pg_query_parse(sql.c_str());
  nlohmann::json tree;
  if (result.error == nullptr) tree = nlohmann::json::parse(result.parse_tree);
  pg_query_free_parse_result(result);
  DropPositions(tree);
  return tree;
}

class Listed : public testing::TestWithParam<ListedStatement> {};

TEST_P(Listed, MeansWhatThePersonWrote) {
  const ListedStatement& listed = GetParam();
  const nlohmann::json wanted = TreeOf(listed.numbered_sql);
  const absl::StatusOr<BoundStatement> bound = BindTo(listed, ParametersOf(listed));
  if (!bound.ok()) {
    EXPECT_TRUE(wanted.is_null() || FailureOf(bound.status()).reason == Reason::kParametersNotSupported)
        << bound.status();
    EXPECT_EQ(FailureOf(bound.status()).sqlstate, listed.sqlstate) << bound.status();
    return;
  }
  EXPECT_EQ(bound->text->sql, listed.numbered_sql);
  EXPECT_EQ(TreeOf(bound->text->sql), wanted);
  EXPECT_EQ(bound->statement->parsed(), !wanted.is_null() || !bound->expressions.empty());
  EXPECT_EQ(static_cast<size_t>(bound->statement->parameter_count()), listed.parameters.size());
}

TEST_P(Listed, TakesExactlySoManyParameters) {
  const ListedStatement& listed = GetParam();
  if (!BindTo(listed, ParametersOf(listed)).ok()) return;
  Parameters parameters = ParametersOf(listed);
  parameters.Add()->set_text_value("one more");
  EXPECT_EQ(ReasonOf(BindTo(listed, parameters).status()), Reason::kParameterCount);
  parameters = ParametersOf(listed);
  if (parameters.empty()) return;
  parameters.RemoveLast();
  EXPECT_EQ(ReasonOf(BindTo(listed, parameters).status()), Reason::kParameterCount);
}

INSTANTIATE_TEST_SUITE_P(Statements, Listed, testing::ValuesIn(test::ReadStatementList().statements));

TEST(StatementList, IsLong) { EXPECT_GE(test::ReadStatementList().statements.size(), 450U); }

}  // namespace
}  // namespace engine::db::sql

#include "engine_db/builtins/values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

namespace engine::db::builtins {
namespace {

Value parameter(std::string_view json, bool as_json = false) { return to_parameter(Json::parse(json), as_json); }
std::string json(std::string_view type, std::string_view text) { return to_json(type, text).dump(); }

// JSON's numbers know no type: their place decides, as about a quoted literal.
TEST(ParameterValueTest, ScalarsKeepTheirValue) {
  EXPECT_EQ(parameter("null"), Value());
  EXPECT_EQ(parameter("true"), Value(true));
  EXPECT_EQ(parameter("-9223372036854775808"), Value("-9223372036854775808"));
  EXPECT_EQ(parameter("18446744073709551616"), Value("18446744073709551616"));
  EXPECT_EQ(parameter("1.10"), Value("1.10"));
  EXPECT_EQ(parameter(R"("")"), Value(""));
  EXPECT_EQ(parameter("\"currentdatetime()\""), Value("currentdatetime()"));  // data are never expressions
}

TEST(ParameterValueTest, ListsAreArraysAndObjectsAreJson) {
  EXPECT_EQ(parameter("[]"), Value("\f{}"));
  EXPECT_EQ(parameter("[1,null,2.50]"), Value("{1,NULL,2.50}"));
  EXPECT_EQ(parameter(R"(["a","NULL","","{}","q\"b\\",null])"), Value(R"({"a","NULL","","{}","q\"b\\",NULL})"));
  EXPECT_EQ(parameter("[[1,2],[3,4]]"), Value("{{1,2},{3,4}}"));
  EXPECT_EQ(parameter("[true,false]"), Value("{true,false}"));
  EXPECT_EQ(parameter(R"([{"a":"b"}])"), Value(R"({"{\"a\":\"b\"}"})"));
  EXPECT_EQ(parameter(R"({"b":1.0,"a":[1,{}]})"), Value(R"({"b":1.0,"a":[1,{}]})"));
  EXPECT_THROW((void)parameter("[1,[2]]"), std::invalid_argument);
}

TEST(ParameterValueTest, AsJsonAListStaysJson) {
  EXPECT_EQ(parameter("[1,[2]]", true), Value("[1,[2]]"));
  EXPECT_EQ(parameter(R"("x")", true), Value(R"("x")"));
  EXPECT_EQ(parameter("null", true), Value());
}

TEST(ResultValueTest, TextsOfTypesBecomeWhatRowToJsonMakesOfThem) {
  EXPECT_EQ(json("numeric", "123456789012345678901234567890.10"), "123456789012345678901234567890.10");
  EXPECT_EQ(json("numeric", "NaN"), R"("NaN")");
  EXPECT_EQ(json("numeric", "-Infinity"), R"("-Infinity")");
  EXPECT_EQ(json("timestamp without time zone", "2024-01-31 12:00:00.5"), R"("2024-01-31T12:00:00.5")");
  EXPECT_EQ(json("timestamp with time zone", "2024-01-31 12:00:00+00"), R"("2024-01-31T12:00:00+00:00")");
  EXPECT_EQ(json("timestamp with time zone", "2024-01-31 12:00:00-03:30"), R"("2024-01-31T12:00:00-03:30")");
  EXPECT_EQ(json("timestamp with time zone", "0044-03-15 12:00:00+00 BC"), R"("0044-03-15T12:00:00+00:00 BC")");
  EXPECT_EQ(json("timestamp with time zone", "infinity"), R"("infinity")");
  EXPECT_EQ(json("date", "2024-01-31"), R"("2024-01-31")");
  EXPECT_EQ(json("jsonb", R"({"a": [1.50, null]})"), R"({"a":[1.50,null]})");
  EXPECT_EQ(json("uuid", "00000000-0000-0000-0000-000000000001"), R"("00000000-0000-0000-0000-000000000001")");
}

TEST(ResultValueTest, ArraysBecomeLists) {
  EXPECT_EQ(json("integer[]", "{}"), "[]");
  EXPECT_EQ(json("integer[]", "{1,NULL,-3}"), "[1,null,-3]");
  EXPECT_EQ(json("integer[]", "{{1,2},{3,4}}"), "[[1,2],[3,4]]");
  EXPECT_EQ(json("integer[]", "[0:1]={1,2}"), "[1,2]");
  EXPECT_EQ(json("text[]", R"({a,"b,c","q\"\\","NULL",NULL,""})"), R"(["a","b,c","q\"\\","NULL",null,""])");
  EXPECT_EQ(json("boolean[]", "{t,f}"), "[true,false]");
  EXPECT_EQ(json("double precision[]", "{1.5,NaN,1e+300}"), R"([1.5,"NaN",1e+300])");
  EXPECT_EQ(json("jsonb[]", R"({"{\"a\": 1}"})"), R"([{"a":1}])");
  EXPECT_EQ(json("timestamp with time zone[]", R"({"2024-01-31 12:00:00+00"})"), R"(["2024-01-31T12:00:00+00:00"])");
  EXPECT_EQ(json("box[]", "{(1,1),(0,0);(2,2),(1,1)}"), R"("{(1,1),(0,0);(2,2),(1,1)}")");
  for (const char* broken : {"", "{", "{1", "{1}}", "{1,", R"({"a)", "[0:1]", "{{{{{{{1}}}}}}}"}) {
    EXPECT_EQ(json("integer[]", broken), Json(broken).dump());
  }
}

TEST(ResultValueTest, AResultHasRowsRowcountAndColumns) {
  const Result result(RowBatch::from_rows({{.name = "id", .type_name = "bigint"}, {.name = "f", .type_name = "real"}},
                                          {{1, 0.5}, {nullptr, nullptr}}),
                      {.rowcount = 2});
  EXPECT_EQ(to_json(result).dump(), R"({"rows":[{"id":1,"f":0.5},{"id":null,"f":null}],"rowcount":2,)"
                                    R"("columns":[{"name":"id","type":"bigint"},{"name":"f","type":"real"}]})");
}

TEST(ResultValueTest, ColumnsWithTheSameNameAreNumbered) {
  const Result result(RowBatch::from_rows({{.name = "id", .type_name = "bigint"},
                                           {.name = "x", .type_name = "bigint"},
                                           {.name = "id", .type_name = "bigint"}},
                                          {{1, 2, 3}}),
                      {.rowcount = 1});
  EXPECT_EQ(to_json(result).object()->find("rows")->dump(), R"([{"id#1":1,"x":2,"id#2":3}])");
}

}  // namespace
}  // namespace engine::db::builtins

#include "engine_db/builtins/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace engine::db::builtins {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string again(std::string_view text) { return Json::parse(text).dump(); }

std::string error_of(std::string_view text) {
  try {
    (void)Json::parse(text);
  } catch (const JsonError& error) {
    return error.what();
  }
  return "no error";
}

TEST(JsonTest, WhatIsReadIsWrittenAgain) {
  for (const char* text :
       {"null", "true", "-5", R"("")", R"("é\"\\\n")", "[]", "{}", R"({"b":[1,{"a":null}],"a":"x"})"}) {
    EXPECT_EQ(again(text), text);
  }
  EXPECT_EQ(again(" { \"a\" : [ 1 , 2 ] }\n"), R"({"a":[1,2]})");
}

TEST(JsonTest, NumbersKeepTheirDigits) {
  for (const char* number : {"1.10", "9223372036854775807", "9223372036854775808", "-9223372036854775809", "1e3",
                             "123456789012345678901234567890.000000000000000000001", "0.1000"}) {
    EXPECT_EQ(again(number), number);
  }
}

TEST(JsonTest, OfANameThatIsThereTwiceTheLaterOneCounts) {
  EXPECT_EQ(again(R"({"a":1,"b":2,"a":3})"), R"({"b":2,"a":3})");
}

TEST(JsonTest, ANameThatIsThereTwiceIsAnErrorToThoseWhoSaySo) {
  const auto outcome = [](std::string_view text) -> std::string {
    try {
      return Json::parse(text, Json::Repeated::kIsError).dump();
    } catch (const JsonError& error) {
      return error.what();
    }
  };
  EXPECT_EQ(outcome(R"({"a":1,"b":{"a":2}})"), R"({"a":1,"b":{"a":2}})");
  EXPECT_EQ(outcome(R"({"x":[{"a":1,"b":2,"a":3}]})"), "has the key \"a\" twice in one object");
  EXPECT_THAT(outcome(R"({"my secret":1,"my secret":2})"), Not(HasSubstr("secret")));
}

TEST(JsonTest, WhatIsNoJsonIsAnErrorThatSaysWhereAndQuotesNothing) {
  EXPECT_THAT(error_of("{\"a\": 1,\n \"b\": secret}"), HasSubstr("line 2"));
  EXPECT_THAT(error_of("{\"a\": 1,\n \"b\": secret}"), Not(HasSubstr("secret")));
  for (const char* text : {"", "{", "[1,]", "nul", "1 2", "\"\xff\"", "{\"a\" 1}", "'a'"}) {
    EXPECT_NE(error_of(text), "no error") << text;
  }
  EXPECT_THAT(error_of("1e400"), HasSubstr("1.8e308"));
}

TEST(JsonTest, NestingIsBounded) {
  const auto nested = [](size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_EQ(again(nested(kMaxJsonDepth)), nested(kMaxJsonDepth));
  EXPECT_THAT(error_of(nested(kMaxJsonDepth + 1)), HasSubstr("too deeply"));
  EXPECT_THAT(error_of(std::string(5'000'000, '[')), HasSubstr("too deeply"));
}

TEST(JsonTest, NamesOfARowMatchWithoutCaseUnlessThatIsAmbiguous) {
  Json::Object row{{"loyaltyscore", "Id", "ID"}, {1, 2, 3}, true};
  EXPECT_EQ(*row.find("loyaltyScore"), Json(1));
  EXPECT_EQ(*row.find("Id"), Json(2));
  EXPECT_EQ(row.find("id"), nullptr);
  row.is_row = false;
  EXPECT_EQ(row.find("loyaltyScore"), nullptr);
}

}  // namespace
}  // namespace engine::db::builtins

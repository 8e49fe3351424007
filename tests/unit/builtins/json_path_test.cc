#include "engine_db/builtins/json_path.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace engine::db::builtins {
namespace {

using testing::HasSubstr;
using testing::Not;

const char kDocument[] = R"({
  "receive-customer-kafka": {"customerId": "C-1001", "items": [{"id": 1, "tags": ["a", "b"]}, {"id": 2, "tags": []}]},
  "näme": 1, "a b": 2, "it's": 3, "quo\"te": 4, "nothing": null, "flags": {"x": true, "y": false}
})";

std::string select(const std::string& path, size_t null_from = JsonPath::kNowhere) {
  try {
    return JsonPath::parse(path).select(Json::parse(kDocument), null_from).dump();
  } catch (const PathError& error) {
    return error.what();
  }
}

std::string parse_error(const std::string& path) {
  try {
    (void)JsonPath::parse(path);
  } catch (const PathError& error) {
    return error.what();
  }
  return "no error";
}

TEST(JsonPathTest, LeadsToMembersAndElements) {
  EXPECT_EQ(select("$.receive-customer-kafka.customerId"), R"("C-1001")");
  EXPECT_EQ(select("$['receive-customer-kafka'][\"customerId\"]"), R"("C-1001")");
  EXPECT_EQ(select("$.receive-customer-kafka.items[0].id"), "1");
  EXPECT_EQ(select("$.receive-customer-kafka.items[-1].id"), "2");
  EXPECT_EQ(select("$.receive-customer-kafka.items[1]"), R"({"id":2,"tags":[]})");
  EXPECT_EQ(select("$.näme"), "1");
  EXPECT_EQ(select("$['a b']"), "2");
  EXPECT_EQ(select("$['it\\'s']"), "3");
  EXPECT_EQ(select("$[\"it's\"]"), "3");
  EXPECT_EQ(select("$['quo\"te']"), "4");
  EXPECT_EQ(select("$[\"quo\\\"te\"]"), "4");
  EXPECT_EQ(select("$['n\\u00e4me']"), "1");
  EXPECT_EQ(select("$[ 'a b' ]"), "2");
  EXPECT_EQ(select("$.nothing"), "null");
  EXPECT_EQ(JsonPath::parse("$").select(Json(5)).dump(), "5");
}

TEST(JsonPathTest, AllMeansAList) {
  EXPECT_EQ(select("$.receive-customer-kafka.items[*].id"), "[1,2]");
  EXPECT_EQ(select("$.receive-customer-kafka.items.*.id"), "[1,2]");
  EXPECT_EQ(select("$.receive-customer-kafka.items[*].tags[*]"), R"(["a","b"])");
  EXPECT_EQ(select("$.flags[*]"), "[true,false]");
  EXPECT_EQ(select("$.receive-customer-kafka.items[1].tags[*]"), "[]");
}

TEST(JsonPathTest, WhatIsNotThereIsAnErrorThatSaysHowFarItCame) {
  EXPECT_EQ(select("$.receive-customer-kafka.customerid"),
            "there is no $.receive-customer-kafka.customerid; did you mean \"customerId\"?");
  EXPECT_EQ(select("$.receive-customer-kafka.items[2]"),
            "there is no $.receive-customer-kafka.items[2]: $.receive-customer-kafka.items has 2 elements");
  EXPECT_EQ(select("$.receive-customer-kafka.items[-3].id"),
            "there is no $.receive-customer-kafka.items[-3]: $.receive-customer-kafka.items has 2 elements");
  EXPECT_EQ(select("$.receive-customer-kafka.customerId.x"),
            "$.receive-customer-kafka.customerId is a text, not an object");
  EXPECT_EQ(select("$.flags[0]"), "$.flags is an object, not a list");
  EXPECT_EQ(select("$.nothing.x"), "$.nothing is null, not an object");
  EXPECT_EQ(select("$.näme[*]"), "$.näme is a number, not a list");
  // An element without the member must not silently shorten the list.
  EXPECT_THAT(select("$.receive-customer-kafka.items[*].tags[0]"), HasSubstr("there is no"));
}

TEST(JsonPathTest, FromTheGivenPartOnWhatIsNotThereIsNull) {
  EXPECT_EQ(select("$.receive-customer-kafka.items[7].id", 2), "null");
  EXPECT_EQ(select("$.receive-customer-kafka.items[*].tags[0]", 4), R"(["a",null])");
  EXPECT_EQ(select("$.nothing.x.y", 1), "null");
  EXPECT_THAT(select("$.receive-customer-kafka.itemz[7]", 2), HasSubstr("there is no"));
  EXPECT_EQ(select("$.receive-customer-kafka.customerId.x", 1),
            "$.receive-customer-kafka.customerId is a text, not an object");
}

TEST(JsonPathTest, WhatIsNotSupportedIsSaid) {
  EXPECT_THAT(parse_error("$..customerId"), HasSubstr("\"..\", which is not supported"));
  EXPECT_THAT(parse_error("$.items[?(@.id > 1)]"), HasSubstr("a filter, which is not supported"));
  EXPECT_THAT(parse_error("$.items[?@.id > 1]"), HasSubstr("a filter, which is not supported"));
  EXPECT_THAT(parse_error("$.items[0:2]"), HasSubstr("a slice"));
  EXPECT_THAT(parse_error("$.items[:2]"), HasSubstr("a slice"));
  EXPECT_THAT(parse_error("$.items[0,1]"), HasSubstr("a list of names or indexes"));
  EXPECT_THAT(parse_error("$['a','b']"), HasSubstr("a list of names or indexes"));
  EXPECT_THAT(parse_error("$..x"), HasSubstr("a path is made of .name, ['name'], [n], [-n] and [*]"));
}

TEST(JsonPathTest, BrokenOnesAreErrors) {
  for (const char* path : {"", "a.b", "$.", "$.a.", "$[", "$[]", "$['a'", "$['a", "$a", "$.a b", "$[1.5]", "$[x]",
                           "$ .a", "$.a]", "$['\\x']", "$[99999999999999999999]", "$.a()", "$[--1]"}) {
    EXPECT_NE(parse_error(path), "no error") << path;
  }
  EXPECT_THAT(parse_error("$.a b"), HasSubstr("at character 4"));
}

TEST(JsonPathTest, LengthAndNumberOfPartsAreBounded) {
  EXPECT_THAT(parse_error("$." + std::string(JsonPath::kMaxBytes, 'a')), HasSubstr("1024 bytes"));
  std::string long_path = "$";
  for (size_t i = 0; i <= JsonPath::kMaxSegments; ++i) long_path += ".a";
  EXPECT_THAT(parse_error(long_path), HasSubstr("64 parts"));
}

TEST(JsonPathTest, WhatIsFoundIsBounded) {
  const Json lists(Json::List(JsonPath::kMaxFound / 1000 + 1, Json(Json::List(1000, Json(1)))));
  EXPECT_THROW((void)JsonPath::parse("$[*][*]").select(lists), PathError);
}

}  // namespace
}  // namespace engine::db::builtins

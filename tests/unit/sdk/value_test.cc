#include "engine_db/value.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

namespace engine::db {
namespace {

TEST(US005Parameters, AListReadsNaturally) {
  const Parameters list = {42, "x", std::nullopt, currentdatetime(), 1.5, true, Bytes{std::string("\0\1", 2)}};
  ASSERT_EQ(list.size(), 7U);
  EXPECT_EQ(std::get<int64_t>(list[0].content()), 42);
  EXPECT_EQ(std::get<std::string>(list[1].content()), "x");
  EXPECT_TRUE(list[2].is_null());
  EXPECT_EQ(std::get<Expression>(list[3].content()), Expression::kCurrentTimestamp);
  EXPECT_EQ(std::get<double>(list[4].content()), 1.5);
  EXPECT_TRUE(std::get<bool>(list[5].content()));
  EXPECT_TRUE(std::holds_alternative<Bytes>(list[6].content()));
}

TEST(US005Parameters, TheFunctionMakesTheSameList) {
  EXPECT_EQ(parameters(42, "x", std::nullopt), (Parameters{42, "x", std::nullopt}));
}

TEST(US005Parameters, TwoTextsAreTwoParameters) { EXPECT_EQ(Parameters({"a", "b"}).size(), 2U); }

TEST(US005Parameters, EmptyTextIsNotNull) { EXPECT_FALSE(Value("").is_null()); }

TEST(US005Parameters, OptionalsAreTheirValueOrNull) {
  EXPECT_EQ(Value(std::optional<int>(7)), Value(7));
  EXPECT_TRUE(Value(std::optional<std::string>()).is_null());
}

TEST(US005Parameters, IntegersBeyond64SignedBitsTravelAsText) {
  EXPECT_EQ(std::get<std::string>(Value(std::numeric_limits<uint64_t>::max()).content()), "18446744073709551615");
}

TEST(US005Parameters, ATypeMayBeNamed) {
  const Value value = Value::typed("jsonb", R"({"a": 1})");
  EXPECT_EQ(value.type_name(), "jsonb");
  EXPECT_NE(value, Value(R"({"a": 1})"));
}

// A pointer must not turn into a bool unasked.
static_assert(!std::is_convertible_v<int*, Value>);

}  // namespace
}  // namespace engine::db

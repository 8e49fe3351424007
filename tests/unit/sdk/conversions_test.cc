// Cell::as<T>() for what arrives as PostgreSQL's text: dates and times, arrays, text that is not UTF-8.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "engine_db/error.h"
#include "engine_db/row_batch.h"

namespace engine::db {
namespace {

using std::chrono::microseconds;
using Moment = std::chrono::sys_time<microseconds>;
using LocalTime = std::chrono::local_time<microseconds>;
using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace)

// One cell of a column of that type.
RowBatch One(const std::string& type_name, uint32_t oid, const Value& value) {
  return RowBatch::from_rows({{"c", type_name, oid, -1}}, {{value}});
}
template <typename T>
T As(const std::string& type_name, uint32_t oid, const Value& value) {
  const RowBatch batch = One(type_name, oid, value);
  return batch[0][0].as<T>();
}
template <typename T>
std::string Refusal(const std::string& type_name, uint32_t oid, const Value& value) {
  try {
    static_cast<void>(As<T>(type_name, oid, value));
  } catch (const DatabaseRequestError& error) {
    EXPECT_EQ(error.info().field, "c");
    return error.info().reason + ": " + error.what();
  }
  return "";
}

Moment At(const std::string& text) { return As<Moment>("timestamp with time zone", 1184, text); }
LocalTime LocalAt(const std::string& text) { return As<LocalTime>("timestamp without time zone", 1114, text); }

TEST(Moments, KeepTheirMicroseconds) {
  EXPECT_EQ(At("1970-01-01 00:00:00+00"), Moment(0us));
  EXPECT_EQ(At("1970-01-01 00:00:00.000001+00"), Moment(1us));
  EXPECT_EQ(At("1969-12-31 23:59:59.999999+00"), Moment(-1us));
  EXPECT_EQ(At("2024-02-29 13:14:15.1+05:30"), Moment(1'709'192'655'100'000us));
  EXPECT_EQ(At("1899-12-31 20:29:08-03:30:52"), At("1900-01-01 00:00:00+00"));
  EXPECT_EQ(At("0001-12-31 00:00:00+00 BC"), Moment(std::chrono::sys_days(std::chrono::year(0) / 12 / 31)));
  EXPECT_EQ(At("4714-11-24 00:00:00+00 BC"), Moment(std::chrono::sys_days(std::chrono::year(-4713) / 11 / 24)));
  EXPECT_EQ(At("294246-12-31 23:59:59.999999+00") + 1us - At("293846-12-31 00:00:00+00"), std::chrono::days(146'098));
}

TEST(Moments, OutOfReachAreRefused) {
  constexpr const char* kType = "timestamp with time zone";
  for (const char* text : {"infinity", "-infinity", "294276-12-31 23:59:59.999999+00"}) {
    EXPECT_EQ(
        Refusal<Moment>(kType, 1184, text),
        "OUT_OF_RANGE: column \"c\" (timestamp with time zone) holds a text that does not fit a moment (timestamp "
        "with time zone)");
  }
  EXPECT_THAT(Refusal<Moment>("date", 1082, "2024-01-01"),
              testing::StartsWith("WRONG_TYPE: column \"c\" (date) holds text"));
  EXPECT_THAT(Refusal<Moment>(kType, 1184, nullptr), testing::HasSubstr("holds NULL"));
  EXPECT_EQ(As<std::optional<Moment>>(kType, 1184, nullptr), std::nullopt);
}

TEST(LocalTimes, DatesAndTimes) {
  EXPECT_EQ(LocalAt("1970-01-02 00:00:00"), LocalTime(24h));
  EXPECT_EQ(LocalAt("2024-02-29 13:14:15.123456").time_since_epoch(), microseconds(1'709'212'455'123'456));
  using std::chrono::year_month_day;
  const auto date = [](const char* text) { return As<year_month_day>("date", 1082, text); };
  EXPECT_EQ(date("2024-02-29"), std::chrono::year(2024) / 2 / 29);
  EXPECT_EQ(date("0044-03-15 BC"), std::chrono::year(-43) / 3 / 15);
  EXPECT_THAT(Refusal<year_month_day>("date", 1082, "infinity"), testing::StartsWith("OUT_OF_RANGE"));
  EXPECT_THAT(Refusal<year_month_day>("date", 1082, "5874897-12-31"), testing::StartsWith("OUT_OF_RANGE"));
  const auto time = [](const char* text) { return As<microseconds>("time without time zone", 1083, text); };
  EXPECT_EQ(time("13:14:15.5"), 13h + 14min + 15s + 500ms);
  EXPECT_EQ(time("24:00:00"), 24h);
  EXPECT_EQ(time("00:00:00.000001"), 1us);
}

TEST(Arrays, OfOneDimension) {
  EXPECT_EQ(As<std::vector<int>>("integer[]", 1007, "{}"), std::vector<int>());
  EXPECT_EQ(As<std::vector<int>>("integer[]", 1007, "{1,-2,3}"), (std::vector<int>{1, -2, 3}));
  EXPECT_EQ(As<std::vector<int64_t>>("bigint[]", 1016, "[0:1]={9223372036854775807,5}"),
            (std::vector<int64_t>{INT64_MAX, 5}));
  EXPECT_EQ(As<std::vector<bool>>("boolean[]", 1000, "{t,f}"), (std::vector<bool>{true, false}));
  EXPECT_EQ(As<std::vector<double>>("double precision[]", 1022, "{0.1,-Infinity,1e+22}"),
            (std::vector<double>{0.1, -std::numeric_limits<double>::infinity(), 1e22}));
  EXPECT_EQ(As<std::vector<std::optional<int>>>("integer[]", 1007, "{1,NULL}"),
            (std::vector<std::optional<int>>{1, std::nullopt}));
  EXPECT_EQ(As<std::vector<std::string>>("text[]", 1009, R"({"a,b","c\"d\\e","{f}","NULL","",plain,"é x"})"),
            (std::vector<std::string>{"a,b", "c\"d\\e", "{f}", "NULL", "", "plain", "é x"}));
  EXPECT_EQ(As<std::vector<std::optional<std::string>>>("text[]", 1009, R"({NULL,"NULL"})"),
            (std::vector<std::optional<std::string>>{std::nullopt, "NULL"}));
  EXPECT_EQ(As<std::vector<std::string>>("box[]", 1020, "{(1,2),(0,0);(3,4),(1,1)}"),
            (std::vector<std::string>{"(1,2),(0,0)", "(3,4),(1,1)"}));
  EXPECT_EQ(As<std::string>("integer[]", 1007, "{{1,2}}"), "{{1,2}}");
}

TEST(Arrays, ThatDoNotFitAreRefusedWithoutTheirValues) {
  EXPECT_THAT(Refusal<std::vector<int>>("integer[]", 1007, "{1,NULL}"), testing::HasSubstr("std::optional"));
  EXPECT_THAT(Refusal<std::vector<int8_t>>("integer[]", 1007, "{1,300}"),
              testing::AllOf(testing::StartsWith("OUT_OF_RANGE"), testing::Not(testing::HasSubstr("300"))));
  EXPECT_THAT(Refusal<std::vector<int>>("text[]", 1009, "{secret}"),
              testing::AllOf(testing::StartsWith("WRONG_TYPE"), testing::Not(testing::HasSubstr("secret"))));
  EXPECT_THAT(Refusal<std::vector<int>>("integer[]", 1007, "{{1,2},{3,4}}"), testing::StartsWith("OUT_OF_RANGE"));
  EXPECT_THAT(Refusal<std::vector<int>>("text", 25, "{1,2}"), testing::StartsWith("WRONG_TYPE"));
}

TEST(TextThatIsNotUtf8, IsBytesAndTheRestOfTheColumnStaysText) {
  const RowBatch batch =
      RowBatch::from_rows({{"c", "text", 25, -1}}, {{Bytes{"plain"}}, {Bytes{"\xff"}}, {nullptr}, {Bytes{""}}});
  EXPECT_EQ(batch[0][0].kind(), CellKind::kText);
  EXPECT_EQ(batch[0][0].as<std::string>(), "plain");
  EXPECT_EQ(batch[1][0].kind(), CellKind::kBytes);
  EXPECT_EQ(batch[1][0].as<Bytes>().data, "\xff");
  EXPECT_THROW(static_cast<void>(batch[1][0].as<std::string>()), DatabaseRequestError);
  EXPECT_TRUE(batch[2][0].is_null());
  EXPECT_EQ(batch[3][0].as<std::string_view>(), "");
  EXPECT_EQ(As<Bytes>("bytea", 17, Bytes{"plain"}).data, "plain");
}

TEST(Parameters, ThatAreLargerThanBigintAreNumeric) {
  const Value large(std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(std::get<std::string>(large.content()), "18446744073709551615");
  EXPECT_EQ(large.type_name(), "numeric");
  EXPECT_EQ(Value(uint64_t{5}).type_name(), "");
}

}  // namespace
}  // namespace engine::db

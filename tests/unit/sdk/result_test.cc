#include "engine_db/result.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "engine_db/error.h"

namespace engine::db {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

RowBatch customers() {
  return RowBatch::from_rows({{.name = "id", .type_name = "bigint", .type_oid = 20},
                              {.name = "name", .type_name = "text", .type_oid = 25},
                              {.name = "active", .type_name = "boolean", .type_oid = 16},
                              {.name = "score", .type_name = "double precision", .type_oid = 701},
                              {.name = "total", .type_name = "numeric", .type_oid = 1700},
                              {.name = "token", .type_name = "bytea", .type_oid = 17}},
                             {{1, "Ada", true, 1.5, "12.00", Bytes{std::string("\0\xff", 2)}},
                              {2, std::nullopt, false, std::nullopt, "0.25", std::nullopt}});
}

// What reading throws.
template <typename Read>
std::string refusal(Read read) {
  try {
    static_cast<void>(read());
  } catch (const DatabaseRequestError& error) {
    EXPECT_EQ(error.outcome(), Outcome::kUnspecified);  // The statement has run, whatever the reader does.
    return error.what();
  }
  return "nothing was thrown";
}

TEST(US003Results, RowsReadLikeDictionaries) {
  const RowBatch rows = customers();
  EXPECT_EQ(rows[0]["id"].as<int64_t>(), 1);
  EXPECT_EQ(rows[0]["name"].as<std::string>(), "Ada");
  EXPECT_EQ(rows[0].at("active").as<bool>(), true);
  EXPECT_EQ(rows[0]["score"].as<double>(), 1.5);
  EXPECT_EQ(rows[0]["token"].as<Bytes>(), Bytes{std::string("\0\xff", 2)});
  EXPECT_TRUE(rows[1]["name"].is_null());
}

TEST(US003Results, RowsReadLikeArrays) {
  const RowBatch rows = customers();
  EXPECT_EQ(rows[1][0].as<int>(), 2);
  EXPECT_EQ(rows.at(1).at(0).as<int>(), 2);
  EXPECT_EQ(rows[0].size(), 6U);
}

TEST(US003Results, RowsAreARange) {
  std::vector<int64_t> ids;
  const RowBatch rows = customers();
  for (const Row row : rows) ids.push_back(row["id"].as<int64_t>());
  EXPECT_THAT(ids, ElementsAre(1, 2));
  EXPECT_EQ(rows.end() - rows.begin(), 2);
}

TEST(US003Results, NullIsNothingAndNotEmptyText) {
  const RowBatch rows = customers();
  EXPECT_EQ(rows[1]["name"].as<std::optional<std::string>>(), std::nullopt);
  EXPECT_EQ(rows[0]["name"].as<std::optional<std::string>>(), "Ada");
  EXPECT_THAT(refusal([&] { return rows[1]["name"].as<std::string>(); }),
              AllOf(HasSubstr("\"name\""), HasSubstr("NULL")));
}

TEST(US003Results, AnEmptyResultHasColumnsAndNoRows) {
  const Result result(RowBatch::from_rows({{.name = "id", .type_name = "bigint"}}, {}),
                      {.rowcount = 0, .command_tag = "SELECT 0"});
  EXPECT_TRUE(result.rows().empty());
  EXPECT_EQ(result.rowcount(), 0);
  EXPECT_EQ(result.columns().size(), 1U);
  EXPECT_THAT(refusal([&] { return result.rows()[0]; }), HasSubstr("there is no row 0: the result has 0"));
}

TEST(US003Results, AStatementWithoutRowsHasARowcount) {
  const Result result(RowBatch(), {.rowcount = 3, .command_tag = "UPDATE 3"});
  EXPECT_EQ(result.rowcount(), 3);
  EXPECT_TRUE(result.columns().empty());
  EXPECT_TRUE(result.rows().empty());
}

TEST(US003Results, AnUnknownColumnIsNamedWithThoseThatAreThere) {
  EXPECT_THAT(refusal([] { return customers()[0]["nmae"]; }),
              AllOf(HasSubstr("\"nmae\""), HasSubstr("\"id\", \"name\", \"active\"")));
}

TEST(US003Results, AColumnInTheWrongCaseIsExplained) {
  const RowBatch rows = RowBatch::from_rows({{.name = "loyaltyscore"}}, {{1}});
  EXPECT_THAT(refusal([&] { return rows[0]["loyaltyScore"]; }), HasSubstr("did you mean \"loyaltyscore\"?"));
}

TEST(US003Results, ADuplicateColumnIsReadByIndexOnly) {
  const RowBatch rows = RowBatch::from_rows({{.name = "n"}, {.name = "m"}, {.name = "n"}}, {{1, 2, 3}});
  EXPECT_EQ(rows[0][2].as<int>(), 3);
  EXPECT_EQ(rows[0]["m"].as<int>(), 2);
  EXPECT_THAT(refusal([&] { return rows[0]["n"]; }), AllOf(HasSubstr("several columns"), HasSubstr("indexes 0, 2")));
}

TEST(US003Results, ManyColumnsAreFoundToo) {
  std::vector<Column> columns;
  Parameters row;
  for (int i = 0; i < 100; ++i) {
    columns.push_back({.name = "c" + std::to_string(i % 99)});
    row.emplace_back(i);
  }
  const RowBatch rows = RowBatch::from_rows(columns, {row});
  EXPECT_EQ(rows[0]["c57"].as<int>(), 57);
  EXPECT_THAT(refusal([&] { return rows[0]["c0"]; }), HasSubstr("indexes 0, 99"));
  EXPECT_THAT(refusal([&] { return rows[0]["x"]; }), HasSubstr("and 68 more"));
}

TEST(US003Results, AColumnIndexOutOfRangeIsRefused) {
  EXPECT_THAT(refusal([] { return customers()[0][6]; }), HasSubstr("there is no column 6"));
  EXPECT_THAT(refusal([] { return customers()[0][-1]; }), HasSubstr("there is no column -1"));
}

TEST(US003Results, AWrongTypeNamesColumnTypeAndKindButNotTheValue) {
  const RowBatch rows = RowBatch::from_rows({{.name = "note", .type_name = "text"}}, {{"confidential"}});
  EXPECT_THAT(
      refusal([&] { return rows[0]["note"].as<int64_t>(); }),
      AllOf(HasSubstr("\"note\""), HasSubstr("(text)"), HasSubstr("an integer"), Not(HasSubstr("confidential"))));
  EXPECT_THAT(refusal([] { return customers()[0]["id"].as<std::string>(); }),
              AllOf(HasSubstr("(bigint)"), HasSubstr("int64")));
  EXPECT_THAT(refusal([] { return customers()[0]["id"].as<bool>(); }), HasSubstr("not bool"));
  EXPECT_THAT(refusal([] { return customers()[0]["score"].as<int>(); }), HasSubstr("not an integer"));
}

TEST(US003Results, IntegersThatDoNotFitAreRefused) {
  const RowBatch rows =
      RowBatch::from_rows({{.name = "n", .type_name = "bigint"}}, {{300}, {-1}, {(int64_t{1} << 53) + 1}});
  EXPECT_THAT(refusal([&] { return rows[0]["n"].as<int8_t>(); }),
              AllOf(HasSubstr("does not fit"), Not(HasSubstr("300"))));
  EXPECT_THAT(refusal([&] { return rows[1]["n"].as<uint64_t>(); }), HasSubstr("does not fit"));
  EXPECT_THAT(refusal([&] { return rows[2]["n"].as<double>(); }), HasSubstr("does not fit"));
  EXPECT_EQ(rows[0]["n"].as<double>(), 300.0);
}

TEST(US003Results, NumericIsReadAsTextOrNumber) {
  const RowBatch rows = customers();
  EXPECT_EQ(rows[0]["total"].as<std::string_view>(), "12.00");
  EXPECT_EQ(rows[0]["total"].as<int>(), 12);
  EXPECT_EQ(rows[1]["total"].as<double>(), 0.25);
  EXPECT_THAT(refusal([&] { return rows[1]["total"].as<int>(); }), HasSubstr("does not fit"));
}

TEST(US003Results, AnyValueIsPrintable) {
  const RowBatch rows = customers();
  EXPECT_EQ(rows[0]["id"].to_string(), "1");
  EXPECT_EQ(rows[0]["active"].to_string(), "true");
  EXPECT_EQ(rows[0]["score"].to_string(), "1.5");
  EXPECT_EQ(rows[0]["token"].to_string(), "\\x00ff");
  EXPECT_EQ(rows[1]["name"].to_string(), "");
  EXPECT_EQ(rows[0]["name"].as<Value>(), Value("Ada"));
  EXPECT_EQ(rows[1]["score"].as<Value>(), Value());
}

TEST(US003Results, CopiesShareTheRowsMemory) {
  const auto batch = std::make_unique<RowBatch>(customers());
  const RowBatch copy = *batch;
  const auto name = (*batch)[0]["name"].as<std::string_view>();
  EXPECT_EQ(copy[0]["name"].as<std::string_view>().data(), name.data());
}

class ContradictoryBatch : public ::testing::Test {
 protected:
  static void make(size_t rows, const ColumnCells& cells) {
    static_cast<void>(
        RowBatch(std::make_shared<const Schema>(std::vector<Column>{{.name = "c"}}), rows, {&cells, 1}, nullptr));
  }
};

TEST_F(ContradictoryBatch, TooFewEntriesAreRefused) {
  const std::array<int64_t, 1> one = {1};
  ColumnCells cells;
  cells.kind = CellKind::kInt64;
  cells.int64s = one;
  EXPECT_NO_THROW(make(1, cells));
  EXPECT_THROW(make(2, cells), std::invalid_argument);
}

TEST_F(ContradictoryBatch, LengthsBeyondTheDataAreRefused) {
  const std::array<uint32_t, 3> lengths = {UINT32_MAX, 2, 2};
  ColumnCells cells;
  cells.kind = CellKind::kText;
  cells.data = "abc";
  cells.lengths = lengths;
  EXPECT_THROW(make(3, cells), std::invalid_argument);
}

TEST_F(ContradictoryBatch, AShortNullBitmapIsRefused) {
  ColumnCells cells;
  cells.null_bitmap = "\x01";
  EXPECT_NO_THROW(make(8, cells));
  EXPECT_THROW(make(9, cells), std::invalid_argument);
}

TEST_F(ContradictoryBatch, RowsOfTheWrongLengthAreRefused) {
  EXPECT_THROW(static_cast<void>(RowBatch::from_rows({{.name = "a"}}, {{1, 2}})), std::invalid_argument);
  EXPECT_THROW(static_cast<void>(RowBatch::from_rows({{.name = "a"}}, {{1}, {"x"}})), std::invalid_argument);
}

}  // namespace
}  // namespace engine::db

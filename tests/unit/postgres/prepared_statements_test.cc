#include "server/postgres/prepared_statements.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/postgres/command_text.h"

namespace engine::db::postgres {
namespace {

using State = PreparedStatements::State;

std::shared_ptr<const sql::BoundText> Text(const std::string& sql, std::vector<uint32_t> types = {}) {
  auto text = std::make_shared<sql::BoundText>(*CommandText(sql));
  text->parameter_types = std::move(types);
  return text;
}

TEST(PreparedStatements, AStatementIsItsTextAndItsTypes) {
  PreparedStatements prepared(10);
  const std::string name = prepared.Add(Text("SELECT $1", {23}))->name;
  EXPECT_EQ(prepared.Find(*Text("SELECT $1", {23}))->name, name);
  EXPECT_EQ(prepared.Find(*Text("SELECT $1", {20})), nullptr);
  EXPECT_EQ(prepared.Find(*Text("SELECT $2", {23})), nullptr);
  EXPECT_NE(prepared.Add(Text("SELECT $1", {20}))->name, name);
}

TEST(PreparedStatements, NoTwoBackendsHaveTheSameNames) {
  PreparedStatements one(10);
  PreparedStatements other(10);
  const std::string name = one.Add(Text("SELECT 1"))->name;
  EXPECT_TRUE(name.starts_with(kPreparedNames));
  EXPECT_NE(name, other.Add(Text("SELECT 1"))->name);
}

TEST(PreparedStatements, ANameIsNotUsedAgain) {
  PreparedStatements prepared(10);
  const std::string name = prepared.Add(Text("SELECT 1"))->name;
  prepared.Remove(*Text("SELECT 1"));
  EXPECT_EQ(prepared.Find(*Text("SELECT 1")), nullptr);
  const std::string second = prepared.Add(Text("SELECT 1"))->name;
  EXPECT_NE(second, name);
  prepared.Clear();
  EXPECT_EQ(prepared.Find(*Text("SELECT 1")), nullptr);
  EXPECT_NE(prepared.Add(Text("SELECT 1"))->name, second);
}

TEST(PreparedStatements, TheLeastRecentlyUsedMakesRoom) {
  PreparedStatements prepared(2);
  const std::string first = prepared.Add(Text("SELECT 1"))->name;
  const std::string second = prepared.Add(Text("SELECT 2"))->name;
  prepared.Find(*Text("SELECT 1"))->state = State::kPrepared;
  prepared.Find(*Text("SELECT 2"))->state = State::kPrepared;
  ASSERT_NE(prepared.Find(*Text("SELECT 1")), nullptr);  // used
  EXPECT_EQ(prepared.Evict(), std::nullopt);
  prepared.Add(Text("SELECT 3"));
  EXPECT_EQ(prepared.Evict(), second);
  EXPECT_EQ(prepared.Evict(), std::nullopt);
  EXPECT_EQ(prepared.Find(*Text("SELECT 2")), nullptr);
  EXPECT_EQ(prepared.Find(*Text("SELECT 1"))->name, first);
}

// Its Parse is in the pipeline: a DEALLOCATE sent now might come before it has worked.
TEST(PreparedStatements, WhatIsStillBeingPreparedStays) {
  PreparedStatements prepared(1);
  const std::string name = prepared.Add(Text("SELECT 1"))->name;
  prepared.Add(Text("SELECT 2"));
  EXPECT_EQ(prepared.Evict(), std::nullopt);
  prepared.Find(*Text("SELECT 1"))->state = State::kPrepared;
  EXPECT_EQ(prepared.Evict(), std::nullopt);  // it is the one used last
  ASSERT_NE(prepared.Find(*Text("SELECT 2")), nullptr);
  EXPECT_EQ(prepared.Evict(), name);
}

TEST(PreparedStatements, WhatIsThereStaysWhileItMayNotBeUsed) {
  PreparedStatements prepared(10);
  EXPECT_TRUE(prepared.enabled());
  prepared.Add(Text("SELECT 1"));
  prepared.SetEnabled(false);
  EXPECT_FALSE(prepared.enabled());
  prepared.SetEnabled(true);
  EXPECT_TRUE(prepared.enabled());
  EXPECT_NE(prepared.Find(*Text("SELECT 1")), nullptr);
  EXPECT_EQ(prepared.size(), 1U);
}

}  // namespace
}  // namespace engine::db::postgres

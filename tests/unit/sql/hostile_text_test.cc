// Texts that were made to hurt.
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <thread>

#include "sdk/common/limits.h"
#include "server/base/failure.h"
#include "server/sql/statement.h"
#include "tests/unit/sql/analysed.h"

namespace engine::db::sql {
namespace {

std::string Repeated(std::string_view before, std::string_view what, std::string_view after) {
  std::string text(before);
  while (text.size() + what.size() + 2 * after.size() < limits::kMaxStatementBytes) text += what;
  return text.append(after);
}

// libpg_query recurses without a limit into what it calls a tree; a text must not bring the process down.
TEST(HostileText, DeepNestingIsHarmless) {
  for (const auto& [before, what, after] : {
           std::tuple{"SELECT ", "(", "1"},
           std::tuple{"SELECT 1", "+1", ""},
           std::tuple{"SELECT ", "- ", "1"},
           std::tuple{"SELECT ", "NOT ", "true"},
           std::tuple{"SELECT 1", "::int", ""},
           std::tuple{"SELECT 1", " UNION SELECT 1", ""},
           std::tuple{"SELECT 1, 2", " UNION SELECT 1, 2", ""},
           std::tuple{"SELECT ", "(SELECT ", "1"},
           std::tuple{"SELECT ", "CASE WHEN true THEN ", "1"},
           std::tuple{"SELECT ARRAY", "[", "1"},
           std::tuple{"SELECT ", "abs(", "1"},
           std::tuple{"SELECT 1 FROM a", " CROSS JOIN a", ""},
           std::tuple{"SELECT true", " AND true", ""},
           std::tuple{"SELECT true", " OR false", ""},
           std::tuple{"SELECT a", "[1]", ""},
           std::tuple{"SELECT a", " COLLATE x", ""},
           std::tuple{"SELECT a", " IS NULL", ""},
           std::tuple{"SELECT ?", "+?", ""},
           std::tuple{"SELECT a ", "??", " b"},
           std::tuple{"SELECT 0", "+f(a.end, 1)", ""},
           std::tuple{"SELECT 0", "+f(a.case, 1)", ""},
           std::tuple{"SELECT 0", "+(SELECT 1 end, 2)", ""},
           std::tuple{"SELECT 0", "+CASE a.end WHEN f(1, 2) THEN 1 END", ""},
           std::tuple{"SELECT 1", ",1", ""},
           std::tuple{"INSERT INTO t VALUES (1, 'a')", ",(1, 'a')", ""},
           std::tuple{"WITH a AS (", "WITH a AS (", "SELECT 1"},
           std::tuple{"EXPLAIN ", "EXPLAIN ", "SELECT 1"},
           std::tuple{"SELECT ", "/*", "1"},
           std::tuple{"SELECT '", "''", "'"},
           std::tuple{"SELECT ", "+", "1"},
           std::tuple{"SELECT ", "+-", "1"},
           std::tuple{"SELECT ", "/*/*x*/", "1"},
           std::tuple{"SELECT ", "/*++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++*/", "1"},
           std::tuple{"SELECT 1", " ++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++++1", ""},
           std::tuple{"SELECT a", ".b", " FROM t"},
       }) {
    const std::string text = Repeated(before, what, after);
    const auto statement = Analyze(text);
    if (statement.ok()) {
      EXPECT_TRUE((*statement)->statement_class() == StatementClass::kWrite || (*statement)->parsed())
          << text.substr(0, 40);
      EXPECT_TRUE((*statement)->fingerprint().size() <= 16);
    }
  }
}

// The same at the depth that is just allowed, on a thread with a small stack.
TEST(HostileText, WhatIsParsedFitsASmallStack) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, size_t{2} << 20);
  pthread_t thread = {};
  const auto run = [](void*) -> void* {
    for (const auto& [before, what, times] :
         {std::tuple{"SELECT 1", "+1", 2'480}, std::tuple{"SELECT 1", "::int", 2'480},
          std::tuple{"SELECT ?", "+?", 2'480}, std::tuple{"SELECT 1 FROM a", " CROSS JOIN a", 1'650},
          std::tuple{"SELECT 1", " UNION SELECT 1", 1'200}}) {
      std::string text = before;
      for (int i = 0; i < times; ++i) text += what;
      const auto statement = Analyze(text);
      EXPECT_TRUE(statement.ok());
      if (!statement.ok()) continue;
      EXPECT_TRUE((*statement)->parsed()) << what;
      EXPECT_EQ((*statement)->statement_class(), StatementClass::kRead) << what;
      EXPECT_FALSE((*statement)->fingerprint().empty());
    }
    return nullptr;
  };
  ASSERT_EQ(pthread_create(&thread, &attributes, run, nullptr), 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

TEST(HostileText, RandomBytesAreReadOrRefused) {
  constexpr std::string_view kPieces[] = {"?",    "??",   "'",    "\"",  "$$",   "$1",      "--",    "/*",   "*/", "\n",
                                          " ",    "E'",   "\\",   "U&'", "U&\"", "a",       "1",     ";",    "(",  ")",
                                          "-",    "|",    "@",    "0x",  "1_",   "SELECT ", "CASE ", " END", ",",  "ä",
                                          "\x80", "\xff", "\x01", ".",   "::",   "[",       "]"};
  uint32_t random = 12'345;
  for (int i = 0; i < 20'000; ++i) {
    std::string text = i % 2 == 0 ? "SELECT " : "";
    random = random * 1'664'525 + 1'013'904'223;
    for (uint32_t n = (random >> 16) % 12; n > 0; --n) {
      random = random * 1'664'525 + 1'013'904'223;
      text += kPieces[(random >> 16) % std::size(kPieces)];
    }
    const auto statement = Analyze(text);
    if (!statement.ok()) continue;
    // What we send holds what the caller wrote, and as many parameters as we said.
    EXPECT_GE((*statement)->bound_sql().size() + text.size(), text.size());
    if ((*statement)->numbered() || (*statement)->parameter_count() == 0) continue;
    const auto again = Analyze((*statement)->bound_sql());
    if (again.ok()) {
      EXPECT_EQ((*again)->parameter_count(), (*statement)->parameter_count()) << text;
    }
  }
}

}  // namespace
}  // namespace engine::db::sql

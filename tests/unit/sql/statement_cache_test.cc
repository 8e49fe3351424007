#include "server/sql/statement_cache.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "server/base/failure.h"

namespace engine::db::sql {
namespace {

TEST(StatementCache, TheSameTextIsAnalysedOnce) {
  StatementCache cache;
  const auto first = cache.Get("SELECT ?");
  const auto second = cache.Get(std::string("SELECT ") + "?");
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first->get(), second->get());
  EXPECT_NE(first->get(), cache.Get("SELECT  ?")->get());
  EXPECT_EQ(cache.counters().hits, 1U);
  EXPECT_EQ(cache.counters().misses, 2U);
  EXPECT_EQ(cache.counters().entries, 2U);
}

TEST(StatementCache, RefusalsAreToldEachTime) {
  StatementCache cache;
  EXPECT_EQ(ReasonOf(cache.Get("BEGIN").status()), Reason::kTransactionControl);
  EXPECT_EQ(ReasonOf(cache.Get("BEGIN").status()), Reason::kTransactionControl);
  EXPECT_EQ(cache.counters().entries, 0U);
}

TEST(StatementCache, IsBoundedInEntriesAndDropsTheLeastRecentlyUsed) {
  StatementCache cache({.entries = 80, .bytes = size_t{64} << 20});
  const auto kept = cache.Get("SELECT 'used again and again'");
  for (int i = 0; i < 1'000; ++i) {
    ASSERT_TRUE(cache.Get("SELECT " + std::to_string(i)).ok());
    EXPECT_EQ(cache.Get("SELECT 'used again and again'")->get(), kept->get());
  }
  EXPECT_LE(cache.counters().entries, 80U);
  EXPECT_GE(cache.counters().entries, 40U);
}

TEST(StatementCache, IsBoundedInBytes) {
  StatementCache cache({.entries = 1'000'000, .bytes = size_t{1} << 20});
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(cache.Get("SELECT '" + std::string(1'000, 'x') + "', " + std::to_string(i)).ok());
  }
  EXPECT_LE(cache.counters().bytes, size_t{1} << 20);
  const auto giant = cache.Get("SELECT '" + std::string(900'000, 'x') + "'");
  EXPECT_TRUE(giant.ok());  // analysed, but not kept
  EXPECT_NE(giant->get(), cache.Get("SELECT '" + std::string(900'000, 'x') + "'")->get());
  EXPECT_GT(cache.counters().entries, 0U);
}

TEST(StatementCache, StatementsOutliveTheirPlaceInIt) {
  std::shared_ptr<const Statement> held;
  {
    StatementCache cache({.entries = 8, .bytes = size_t{1} << 20});
    held = *cache.Get("SELECT ?");
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(cache.Get("SELECT " + std::to_string(i)).ok());
  }
  EXPECT_EQ(held->bound_sql(), "SELECT $1");
}

// Under TSan this shows that neither the cache nor libpg_query shares anything between threads that it shouldn't.
TEST(StatementCache, ThreadsShareIt) {
  StatementCache cache({.entries = 100, .bytes = size_t{1} << 20});
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  threads.reserve(8);
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&cache, &wrong, t] {
      for (int i = 0; i < 500; ++i) {
        const int n = (i * 7 + t) % 200;
        const auto statement = cache.Get("SELECT a" + std::to_string(n) + " FROM t WHERE b = ? AND c ?\?| ?" +
                                         (n % 5 == 0 ? " FOR UPDATE" : ""));
        if (!statement.ok() || (*statement)->parameter_count() != 2 || (*statement)->fingerprint().empty() ||
            ((*statement)->statement_class() == StatementClass::kRead) == (n % 5 == 0)) {
          ++wrong;
        }
        if (cache.Get("SELECT 'unterminated " + std::to_string(i)).ok()) ++wrong;
        if ((*cache.Get("SELECT unknown syntax here " + std::to_string(n)))->parsed()) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace engine::db::sql

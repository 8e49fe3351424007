#include <gtest/gtest.h>

#include "server/sql/bind.h"
#include "server/sql/statement_cache.h"
using namespace engine::db;
TEST(Smoke, A) {
  sql::StatementCache c;
  auto s = c.Get("SELECT a=?-1 FROM t WHERE j ??| b");
  ASSERT_TRUE(s.ok()) << s.status();
  EXPECT_EQ((*s)->bound_sql(), "SELECT a=$1-1 FROM t WHERE j ?| b");
  EXPECT_EQ((*s)->statement_class(), sql::StatementClass::kRead);
  google::protobuf::RepeatedPtrField<v1::Value> p;
  p.Add()->set_int64_value(5);
  auto b = sql::Bind(*s, p, [](std::string_view) { return 0u; });
  ASSERT_TRUE(b.ok());
  EXPECT_STREQ(b->parameters.values()[0], "5");
}

// What PostgreSQL 16 and 17 added to the grammar is understood where libpg_query knows it (Debian 13), and a write
// elsewhere (Debian 12).
#include <gtest/gtest.h>
#include <pg_query.h>

#include <string_view>

#include "server/sql/statement.h"

namespace engine::db::sql {
namespace {

constexpr bool kIsKnown = PG_VERSION_NUM >= 170000;

void ExpectClass(std::string_view sql, StatementClass where_known) {
  const auto statement = Analyze(sql);
  ASSERT_TRUE(statement.ok()) << sql << ": " << statement.status();
  EXPECT_EQ((*statement)->parsed(), kIsKnown) << sql;
  EXPECT_EQ((*statement)->statement_class(), kIsKnown ? where_known : StatementClass::kWrite) << sql;
}

TEST(NewerSyntax, Reads) {
  for (const std::string_view sql : {
           "SELECT * FROM JSON_TABLE(?, '$[*]' COLUMNS (a int PATH '$.a')) j",
           "SELECT JSON_VALUE(j, '$.a' RETURNING int), JSON_QUERY(j, '$.b'), JSON_EXISTS(j, '$.c') FROM t",
       }) {
    ExpectClass(sql, StatementClass::kRead);
  }
}

TEST(NewerSyntax, Writes) {
  for (const std::string_view sql : {
           "MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN DELETE RETURNING merge_action(), t.a",
           "MERGE INTO t USING u ON t.a = u.a WHEN NOT MATCHED BY SOURCE THEN DELETE",
           "WITH m AS (MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN DELETE RETURNING t.a) SELECT * FROM m",
       }) {
    ExpectClass(sql, StatementClass::kWrite);
  }
}

}  // namespace
}  // namespace engine::db::sql

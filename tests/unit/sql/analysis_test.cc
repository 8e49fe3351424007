// What else a text tells: parameters without a type, a summary, a fingerprint.
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "server/sql/statement.h"
#include "tests/unit/sql/analysed.h"

namespace engine::db::sql {
namespace {

TEST(UntypedParameters, AreThoseThatPostgresqlWouldTakeOnlyAsLiterals) {
  struct Case {
    std::string_view sql;
    std::string_view untyped;  // a letter for each parameter: t for text, - for what PostgreSQL infers
  };
  for (const auto& [sql, untyped] : {
           Case{"SELECT ? IS NULL, ? IS NOT NULL, ?::int IS NULL, (? || 'x') IS NULL", "tt--"},
           Case{"SELECT * FROM t WHERE (? IS NULL OR a = ?) AND b = ?", "t--"},
           Case{"SELECT $1 IS NULL, $2 IS NULL OR a = $2, $3 IS NULL AND $3 IS NOT NULL FROM t", "t-t"},
           Case{"SELECT concat(?, a, ?), pg_catalog.concat_ws(?, ?), other.concat(?), lower(?)", "tttt--"},
           Case{"SELECT format('%s', ?), count(?), count(DISTINCT ?) FILTER (WHERE ? IS NULL)", "tttt"},
           Case{"SELECT jsonb_build_object(?, ?, 'k', jsonb_build_array(?)), json_object_agg(?, 1)", "tttt"},
           Case{"SELECT concat(lower(?), ?::int, coalesce(?, ?), CASE WHEN a THEN ? END, (SELECT ?), ?)", "------t"},
           Case{"SELECT num_nulls(?), num_nonnulls(?), pg_typeof(?), pg_column_size(?)", "tttt"},
           Case{"SELECT ROW(?, ?), (?, lower(?)), ROW(ROW(?))", "ttt-t"},
           Case{"SELECT (?, ?) IS NULL, row_to_json(ROW(?)), concat(ROW(?)), mine(ROW(?))", "tttt-"},
           Case{"SELECT 1 WHERE (a, b) = (?, ?) OR (a, b) IN ((?, ?)) OR ROW(?) = ROW(?)", "------"},
           Case{"SELECT (? COLLATE \"C\") IS NULL, a = ? COLLATE \"C\", ? COLLATE \"C\" FROM t", "t--"},
           Case{"SELECT xmlelement(name a, xmlattributes(? AS b), ?), xmlforest(? AS c), xmlconcat(?)", "ttt-"},
           Case{"SELECT ROW(?)::text, (?, 1)::varchar, ROW(?)::pair, ?::text", "tt--"},
           Case{"SELECT (? IS NULL)::int, concat(?)::date, ROW(concat(?), ?)::pair, ROW(ROW(?))::text", "ttt-t"},
           Case{"INSERT INTO t SELECT ROW(?), ?", "--"},
           Case{"INSERT INTO t VALUES (ROW(?), ?) RETURNING ? IS NULL", "--t"},
           Case{"UPDATE t SET (a, b) = (?, ?), c = ROW(?) WHERE ? IS NULL", "---t"},
           Case{"SELECT rank(?) WITHIN GROUP (ORDER BY a) FROM t", "-"},
           Case{"SELECT ROW(?) UNION ALL SELECT ROW(1)", "-"},
           Case{"CALL p(?, concat(?))", "-t"},
           Case{"EXPLAIN SELECT ? IS NULL", "t"},
           Case{"SELECT ?, ? = a, ARRAY[?], coalesce(?), greatest(?, 1), to_json(?) FROM t LIMIT ?", "-------"},
       }) {
    const auto statement = Analysed(sql);
    ASSERT_NE(statement, nullptr);
    std::string found;
    for (size_t i = 0; i < static_cast<size_t>(statement->parameter_count()); ++i) {
      found += statement->TypeOfUntyped(i) == 0 ? '-' : 't';
    }
    EXPECT_EQ(found, untyped) << sql;
  }
}

TEST(Summary, IsACommandAndNothingOfTheCallers) {
  EXPECT_EQ(Analysed("select 'secret'")->summary(), "SELECT");
  EXPECT_EQ(Analysed("(VALUES (1))")->summary(), "SELECT");
  EXPECT_EQ(Analysed("WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a")->summary(), "INSERT");
  EXPECT_EQ(Analysed("merge into t using u on true when matched then delete")->summary(), "MERGE");
  EXPECT_EQ(Analysed("CREATE TABLE secret (a int)")->summary(), "CREATE");
  EXPECT_EQ(Analysed("EXPLAIN SELECT 1")->summary(), "EXPLAIN");
  EXPECT_EQ(Analysed("secret command")->summary(), "OTHER");
  EXPECT_EQ(Analysed("SELECT FROM FROM")->summary(), "SELECT");
}

TEST(Fingerprint, IsTheSameForTextsThatDifferInLiterals) {
  const std::string one = Analysed("SELECT a FROM t WHERE b = 'secret' AND c = 1")->fingerprint();
  EXPECT_EQ(one.size(), 16U);
  EXPECT_EQ(Analysed("SELECT a FROM t  WHERE b = 'other' AND c = 2")->fingerprint(), one);
  EXPECT_EQ(Analysed("SELECT a FROM t WHERE b = ? AND c = ?")->fingerprint(), one);
  EXPECT_NE(Analysed("SELECT a FROM u WHERE b = 'secret' AND c = 1")->fingerprint(), one);
  EXPECT_EQ(Analysed("SELECT a FROM t WHERE b = 'x' AND c = 1_000")->fingerprint(), one);
}

}  // namespace
}  // namespace engine::db::sql

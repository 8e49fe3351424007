// Which "?" are placeholders, what PostgreSQL gets in their stead, and where its error positions lead.
#include <gtest/gtest.h>
#include <pg_query.h>

#include <ostream>
#include <string>
#include <string_view>

#include "sdk/common/limits.h"
#include "sdk/sql/scanner.h"
#include "server/base/failure.h"
#include "server/sql/statement.h"

namespace engine::db::sql {
namespace {

bool Parses(const std::string& sql) {
  const PgQueryParseResult result = pg_query_parse(sql.c_str());
  const bool ok = result.error == nullptr;
  pg_query_free_parse_result(result);
  return ok;
}

struct Rewriting {
  std::string_view caller;
  std::string_view bound;
  int parameters;
};

void PrintTo(const Rewriting& rewriting, std::ostream* out) { *out << rewriting.caller; }

class Rewritten : public testing::TestWithParam<Rewriting> {};

// The differential check: what we send is what PostgreSQL's own parser understands.
TEST_P(Rewritten, IsWhatPostgreSqlUnderstands) {
  const auto statement = Analyze(GetParam().caller);
  ASSERT_TRUE(statement.ok()) << statement.status();
  EXPECT_EQ((*statement)->bound_sql(), GetParam().bound);
  EXPECT_EQ((*statement)->parameter_count(), GetParam().parameters);
  EXPECT_EQ((*statement)->caller_sql(), GetParam().caller);
  EXPECT_TRUE(Parses((*statement)->bound_sql())) << (*statement)->bound_sql();
  EXPECT_TRUE((*statement)->parsed());
}

// "\?" stands for "?" where two of them would be a trigraph.
INSTANTIATE_TEST_SUITE_P(
    PlainPlaceholders, Rewritten,
    testing::Values(Rewriting{"SELECT 1", "SELECT 1", 0}, Rewriting{"SELECT ?", "SELECT $1", 1},
                    Rewriting{"SELECT a=? FROM t", "SELECT a=$1 FROM t", 1},
                    Rewriting{"SELECT * FROM t WHERE a = ? AND b=?", "SELECT * FROM t WHERE a = $1 AND b=$2", 2},
                    Rewriting{"SELECT (?)", "SELECT ($1)", 1}, Rewriting{"SELECT ?::int", "SELECT $1::int", 1},
                    Rewriting{"SELECT CAST(? AS int)", "SELECT CAST($1 AS int)", 1},
                    Rewriting{"SELECT -?", "SELECT -$1", 1}, Rewriting{"SELECT - ?", "SELECT - $1", 1},
                    Rewriting{"SELECT @?", "SELECT @$1", 1}, Rewriting{"SELECT ~?", "SELECT ~$1", 1},
                    Rewriting{"SELECT |/?", "SELECT |/$1", 1}, Rewriting{"SELECT 'a'||?", "SELECT 'a'||$1", 1},
                    Rewriting{"SELECT ?||'a'", "SELECT $1||'a'", 1}, Rewriting{"SELECT ?||?", "SELECT $1||$2", 2},
                    Rewriting{"SELECT ?-?", "SELECT $1-$2", 2}, Rewriting{"SELECT ?+?*?", "SELECT $1+$2*$3", 3},
                    Rewriting{"SELECT a=?-1 FROM t", "SELECT a=$1-1 FROM t", 1},
                    Rewriting{"SELECT a<>? FROM t", "SELECT a<>$1 FROM t", 1},
                    Rewriting{"SELECT a>=? FROM t", "SELECT a>=$1 FROM t", 1},
                    Rewriting{"SELECT a!=? FROM t", "SELECT a!=$1 FROM t", 1},
                    Rewriting{"SELECT a ~* ? FROM t", "SELECT a ~* $1 FROM t", 1},
                    Rewriting{"SELECT a->>? FROM t", "SELECT a->>$1 FROM t", 1},
                    Rewriting{"SELECT a IN (?, ?,?) FROM t", "SELECT a IN ($1, $2,$3) FROM t", 3},
                    Rewriting{"SELECT a = ANY(?) FROM t", "SELECT a = ANY($1) FROM t", 1},
                    Rewriting{"SELECT a = ANY(?::int[]) FROM t", "SELECT a = ANY($1::int[]) FROM t", 1},
                    Rewriting{"SELECT a FROM t LIMIT ? OFFSET ?", "SELECT a FROM t LIMIT $1 OFFSET $2", 2},
                    Rewriting{"SELECT a FROM t LIMIT?", "SELECT a FROM t LIMIT $1", 1},
                    Rewriting{"SELECT a[?] FROM t", "SELECT a[$1] FROM t", 1},
                    Rewriting{"SELECT a[?:?] FROM t", "SELECT a[$1:$2] FROM t", 2},
                    Rewriting{"SELECT ARRAY[?,?]", "SELECT ARRAY[$1,$2]", 2},
                    Rewriting{"SELECT f(x=>?)", "SELECT f(x=>$1)", 1},
                    Rewriting{"SELECT f(x:=?)", "SELECT f(x:=$1)", 1}, Rewriting{"SELECT (?).a", "SELECT ($1).a", 1},
                    Rewriting{"SELECT a BETWEEN ? AND ? FROM t", "SELECT a BETWEEN $1 AND $2 FROM t", 2},
                    Rewriting{"SELECT interval '1 day' * ?", "SELECT interval '1 day' * $1", 1},
                    Rewriting{"VALUES (?, ?), (?, ?)", "VALUES ($1, $2), ($3, $4)", 4},
                    Rewriting{"INSERT INTO t VALUES (?, DEFAULT, ?) RETURNING id",
                              "INSERT INTO t VALUES ($1, DEFAULT, $2) RETURNING id", 2},
                    Rewriting{"UPDATE t SET a=?,b=?WHERE c=?", "UPDATE t SET a=$1,b=$2 WHERE c=$3", 3},
                    Rewriting{"SELECT ?;", "SELECT $1;", 1}, Rewriting{"SELECT\t?\r\n", "SELECT\t$1\r\n", 1}));

INSTANTIATE_TEST_SUITE_P(
    NumbersAreKeptApart, Rewritten,
    testing::Values(Rewriting{"SELECT a=?AND b FROM t", "SELECT a=$1 AND b FROM t", 1},
                    Rewriting{"SELECT 1 WHERE true AND?", "SELECT 1 WHERE true AND $1", 1},
                    Rewriting{"SELECT ?a", "SELECT $1 a", 1}, Rewriting{"SELECT ?\"a\"", "SELECT $1 \"a\"", 1},
                    Rewriting{"SELECT ?ünïcode", "SELECT $1 ünïcode", 1},
                    Rewriting{"SELECT ünïcode=? FROM t", "SELECT ünïcode=$1 FROM t", 1},
                    Rewriting{"SELECT \"größe ?\"=? FROM \"t?\"", "SELECT \"größe ?\"=$1 FROM \"t?\"", 1},
                    Rewriting{"SELECT ?/**/AS a", "SELECT $1/**/AS a", 1}));

INSTANTIATE_TEST_SUITE_P(
    QuestionMarksElsewhere, Rewritten,
    testing::Values(Rewriting{"SELECT '?', ?", "SELECT '?', $1", 1},
                    Rewriting{"SELECT 'it''s ?', ?", "SELECT 'it''s ?', $1", 1},
                    Rewriting{R"(SELECT '\', ?)", R"(SELECT '\', $1)", 1},
                    Rewriting{R"(SELECT E'\'?', ?)", R"(SELECT E'\'?', $1)", 1},
                    Rewriting{R"(SELECT e'\\', ?)", R"(SELECT e'\\', $1)", 1},
                    Rewriting{"SELECT U&'?', ?", "SELECT U&'?', $1", 1},
                    Rewriting{R"(SELECT U&'d!0061t?' UESCAPE '!', ?)", R"(SELECT U&'d!0061t?' UESCAPE '!', $1)", 1},
                    Rewriting{R"(SELECT U&"a?" , ? FROM t)", R"(SELECT U&"a?" , $1 FROM t)", 1},
                    Rewriting{"SELECT B'01', X'1F', N'?', ?", "SELECT B'01', X'1F', N'?', $1", 1},
                    Rewriting{"SELECT $$?$$, ?", "SELECT $$?$$, $1", 1},
                    Rewriting{"SELECT $a$ $$ ? $b$ $a$, ?", "SELECT $a$ $$ ? $b$ $a$, $1", 1},
                    Rewriting{"SELECT $ä$?$ä$, ?", "SELECT $ä$?$ä$, $1", 1},
                    Rewriting{"SELECT \"a?\", \"b\"\"?\", ? FROM t", "SELECT \"a?\", \"b\"\"?\", $1 FROM t", 1},
                    Rewriting{"SELECT ? -- and ?", "SELECT $1 -- and ?", 1},
                    Rewriting{"SELECT ? -- it's\n, ?", "SELECT $1 -- it's\n, $2", 2},
                    Rewriting{"SELECT ?--?\n+?", "SELECT $1--?\n+$2", 2},
                    Rewriting{"SELECT ? /* ? */ + ?", "SELECT $1 /* ? */ + $2", 2},
                    Rewriting{"SELECT ?/* /* ? */ ? */+?", "SELECT $1/* /* ? */ ? */+$2", 2},
                    Rewriting{"/* ? */ SELECT ? /* ' */", "/* ? */ SELECT $1 /* ' */", 1},
                    Rewriting{"SELECT 'a'\n'?', ?", "SELECT 'a'\n'?', $1", 1}));

INSTANTIATE_TEST_SUITE_P(LiteralQuestionMarks, Rewritten,
                         testing::Values(Rewriting{"SELECT a ?? 'k' FROM t", "SELECT a ? 'k' FROM t", 0},
                                         Rewriting{"SELECT a ?? ? FROM t", "SELECT a ? $1 FROM t", 1},
                                         Rewriting{"SELECT a ??| b FROM t", "SELECT a ?| b FROM t", 0},
                                         Rewriting{"SELECT a ??& ? FROM t", "SELECT a ?& $1 FROM t", 1},
                                         Rewriting{"SELECT a @?? ? FROM t", "SELECT a @? $1 FROM t", 1},
                                         Rewriting{"SELECT a ??|? FROM t", "SELECT a ?|$1 FROM t", 1},
                                         Rewriting{"SELECT a ?\?\? FROM t", "SELECT a ?$1 FROM t", 1},
                                         Rewriting{"SELECT a ?\?-? FROM t", "SELECT a ?-$1 FROM t", 1},
                                         Rewriting{"SELECT a->'b' ?? ? AND ?", "SELECT a->'b' ? $1 AND $2", 2},
                                         Rewriting{"SELECT a ?\?|| b FROM t", "SELECT a ?|| b FROM t", 0},
                                         Rewriting{"SELECT '?\?', \"??\" FROM t -- ??",
                                                   "SELECT '?\?', \"??\" FROM t -- ??", 0},
                                         Rewriting{"SELECT a OPERATOR(pg_catalog.?\?) ? FROM t",
                                                   "SELECT a OPERATOR(pg_catalog.?) $1 FROM t", 1}));

INSTANTIATE_TEST_SUITE_P(
    NumberedParameters, Rewritten,
    testing::Values(Rewriting{"SELECT $1, $2", "SELECT $1, $2", 2}, Rewriting{"SELECT $2, $2", "SELECT $2, $2", 2},
                    Rewriting{"SELECT $7", "SELECT $7", 7},
                    Rewriting{"SELECT a ?? $1 FROM t", "SELECT a ? $1 FROM t", 1},
                    Rewriting{"SELECT '$1', $$ $2 $$, a$3 FROM t", "SELECT '$1', $$ $2 $$, a$3 FROM t", 0},
                    Rewriting{"PREPARE p AS SELECT $1", "PREPARE p AS SELECT $1", 0},
                    Rewriting{"CREATE FUNCTION f(int) RETURNS int LANGUAGE sql RETURN $1",
                              "CREATE FUNCTION f(int) RETURNS int LANGUAGE sql RETURN $1", 0},
                    Rewriting{"CREATE TABLE t AS SELECT $1::int AS a", "CREATE TABLE t AS SELECT $1::int AS a", 1}));

TEST(Placeholders, BothNotationsInOneTextAreRefused) {
  for (const std::string sql : {"SELECT ?, $1", "SELECT a ? $1 FROM t", "SELECT ?|$0", "SELECT ? $1$"}) {
    const auto statement = Analyze(sql);
    ASSERT_FALSE(statement.ok()) << sql;
    const Failure error = FailureOf(statement.status());
    EXPECT_EQ(error.reason, Reason::kMixedPlaceholders);
    EXPECT_EQ(error.field, "sql");
    EXPECT_NE(error.message.find("??"), std::string::npos);
  }
}

// PostgreSQL's own operators end at 63 characters; "?||?||…" is many of them.
TEST(Placeholders, StandInChainsOfAnyLength) {
  std::string caller = "SELECT ?";
  std::string bound = "SELECT $1";
  for (int i = 2; i <= 100; ++i) {
    caller += "||?";
    bound += "||$" + std::to_string(i);
  }
  const auto statement = Analyze(caller);
  ASSERT_TRUE(statement.ok()) << statement.status();
  EXPECT_EQ((*statement)->bound_sql(), bound);
  EXPECT_TRUE((*statement)->parsed());
  EXPECT_EQ((*statement)->statement_class(), StatementClass::kRead);
}

TEST(Placeholders, MoreThanTheProtocolCountsAreRefused) {
  EXPECT_EQ(ReasonOf(Analyze("SELECT $65536").status()), Reason::kTooManyParameters);
  EXPECT_EQ(ReasonOf(Analyze("SELECT $99999999999999999999").status()), Reason::kTooManyParameters);
  EXPECT_TRUE(Analyze("SELECT $65535").ok());
  std::string sql = "SELECT ?";
  for (int i = 1; i < limits::kMaxParameters; ++i) sql += ",?";
  const auto most = Analyze(sql);
  ASSERT_TRUE(most.ok()) << most.status();
  EXPECT_EQ((*most)->parameter_count(), limits::kMaxParameters);
  EXPECT_TRUE((*most)->bound_sql().ends_with(",$65535"));
  EXPECT_EQ(ReasonOf(Analyze(sql + ",?").status()), Reason::kTooManyParameters);
}

// For every character of the text that is sent, the character of the caller's text that it comes from.
std::string Origins(const std::string& caller) {
  const auto statement = Analyze(caller);
  if (!statement.ok()) return statement.status().ToString();
  std::string origins;
  for (uint32_t i = 1; i <= CountCharacters((*statement)->bound_sql()); ++i) {
    const uint32_t position = (*statement)->PositionInCallerText(i);
    origins += position <= caller.size() ? caller[position - 1] : '#';
  }
  return origins;
}

TEST(Positions, LeadBackToTheCallersText) {
  EXPECT_EQ(Origins("SELECT a"), "SELECT a");
  EXPECT_EQ(Origins("SELECT a=?-b, ?"), "SELECT a=?\?-b, ??");
  EXPECT_EQ(Origins("SELECT a ?\?| b"), "SELECT a ?| b");
  EXPECT_EQ(Origins("SELECT ?a"), "SELECT ???a");  // "$1 a"
}

TEST(Positions, CountCharactersAndNotBytes) {
  const auto statement = Analyze("SELECT 'äöü', ?, x");
  ASSERT_TRUE(statement.ok());
  EXPECT_EQ((*statement)->bound_sql(), "SELECT 'äöü', $1, x");
  EXPECT_EQ((*statement)->PositionInCallerText(15), 15U);  // $1
  EXPECT_EQ((*statement)->PositionInCallerText(16), 15U);
  EXPECT_EQ((*statement)->PositionInCallerText(19), 18U);  // x
}

TEST(Positions, NowhereStaysNowhereAndTheEndIsTheEnd) {
  const auto statement = Analyze("SELECT ? +");
  ASSERT_TRUE(statement.ok());
  EXPECT_EQ((*statement)->PositionInCallerText(0), 0U);
  EXPECT_EQ((*statement)->PositionInCallerText(12), 11U);  // "syntax error at end of input"
}

TEST(Scanner, FaultsAreSyntaxErrorsWithAPositionAndWithoutTheText) {
  struct Fault {
    std::string sql;
    std::string message;
    uint32_t position;
  };
  for (const Fault& fault : {Fault{"SELECT 'secret", "unterminated quoted string", 8},
                             Fault{"SELECT 'ä', \"secret", "unterminated quoted identifier", 13},
                             Fault{"SELECT $$secret", "unterminated dollar-quoted string", 8},
                             Fault{"SELECT /* secret", "unterminated /* comment", 8},
                             Fault{"SELECT 1secret", "trailing junk after numeric literal", 8}}) {
    const auto statement = Analyze(fault.sql);
    ASSERT_FALSE(statement.ok()) << fault.sql;
    const Failure error = FailureOf(statement.status());
    EXPECT_EQ(error.kind, ErrorKind::kExecution);
    EXPECT_EQ(error.outcome, Outcome::kNotExecuted);
    EXPECT_EQ(error.sqlstate, "42601");
    EXPECT_EQ(error.message, fault.message);
    EXPECT_EQ(error.position, fault.position);
  }
}

// libpg_query may be older than the server.
TEST(Scanner, KnowsTheNumbersOfNewerServers) {
  for (const std::string sql : {"SELECT 1_000_000, ?", "SELECT 0x1F, ?", "SELECT 0b101, 0o17, 0XFF_FF, ?",
                                "SELECT 1_0.5_5e1_0, ?", "SELECT $$0x1F$$, 0x1F, 'it''s 0x', ?"}) {
    const auto statement = Analyze(sql);
    ASSERT_TRUE(statement.ok()) << sql << ": " << statement.status();
    EXPECT_EQ((*statement)->bound_sql(), std::string(sql).replace(sql.size() - 1, 1, std::string("$1")));
    EXPECT_EQ((*statement)->statement_class(), StatementClass::kRead) << sql;
  }
}

}  // namespace
}  // namespace engine::db::sql

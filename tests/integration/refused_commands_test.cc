// Commands that commit by themselves: when PostgreSQL refused one before it did anything, that is said; when part of
// its work may remain, that is said too.
#include "tests/integration/gateway_calls.h"

namespace engine::db::test {
namespace {

class RefusedCommands : public GatewayCallsTest {
 protected:
  v1::DatabaseError Fail(const std::string& sql) {
    const auto answer = Execute(connection_, sql);
    EXPECT_FALSE(answer.ok()) << sql;
    return Decode(answer.status).error;
  }
  std::string connection_ = Open();
};

TEST_F(RefusedCommands, DidNothing) {
  CreateTable("n int");
  Sql("CREATE VIEW " + name() + "_v AS SELECT 1 AS n");
  for (const std::string& sql :
       {std::string("CREATE INDEX CONCURRENTLY ON missing (n)"),
        "CREATE INDEX CONCURRENTLY ON " + name() + " (missing)", "CREATE INDEX CONCURRENTLY ON " + name() + "_v (n)",
        "CREATE INDEX CONCURRENTLY " + name() + " ON " + name() + " (n)",
        std::string("CREATE INDEX CONCURRENTLY ON missing.t (n)"), std::string("DROP INDEX CONCURRENTLY missing"),
        std::string("REINDEX INDEX CONCURRENTLY missing"), std::string("REINDEX TABLE missing"),
        std::string("REINDEX TABLE CONCURRENTLY missing"), std::string("REINDEX SCHEMA missing"),
        std::string("VACUUM missing"), "VACUUM " + name() + " (missing)", "VACUUM " + name() + ", missing",
        std::string("CLUSTER missing"), std::string("CALL missing()"), std::string("CALL missing(1, 'a')")}) {
    const v1::DatabaseError error = Fail(sql);
    EXPECT_TRUE(error.outcome() == v1::OUTCOME_NOT_EXECUTED ||
                (error.position() > 0 && error.outcome() == v1::OUTCOME_ROLLED_BACK))
        << sql << ": " << error.ShortDebugString();
    EXPECT_FALSE(error.retryable()) << sql;
  }
}

TEST_F(RefusedCommands, MayHaveDonePart) {
  CreateTable("n int");
  Sql("INSERT INTO " + name() + " VALUES (1), (1); CREATE PROCEDURE " + name() +
      "_p() LANGUAGE plpgsql AS $$ BEGIN INSERT INTO " + name() +
      " VALUES (2); COMMIT; PERFORM 1 FROM missing; END $$");
  // An index that is not valid stays.
  const v1::DatabaseError index = Fail("CREATE UNIQUE INDEX CONCURRENTLY ON " + name() + " (n)");
  EXPECT_EQ(index.sqlstate(), "23505");
  EXPECT_EQ(index.outcome(), v1::OUTCOME_UNKNOWN) << index.ShortDebugString();
  const v1::DatabaseError call = Fail("CALL " + name() + "_p()");
  EXPECT_EQ(call.sqlstate(), "42P01");
  EXPECT_EQ(call.outcome(), v1::OUTCOME_UNKNOWN) << call.ShortDebugString();
  EXPECT_EQ(Rows(), 3);
}

TEST_F(RefusedCommands, InOneTransactionLeaveNothing) {
  Sql("CREATE MATERIALIZED VIEW " + name() + "_m AS SELECT 1 AS n");
  const v1::DatabaseError error = Fail("REFRESH MATERIALIZED VIEW CONCURRENTLY " + name() + "_m");
  EXPECT_EQ(error.outcome(), v1::OUTCOME_ROLLED_BACK) << error.ShortDebugString();
  EXPECT_EQ(Fail("DROP TABLE missing").outcome(), v1::OUTCOME_ROLLED_BACK);
}

}  // namespace
}  // namespace engine::db::test

// One text twice in a transaction, and between the two something that gives it another meaning: the second one is read
// as if it were new. (In a transaction a plan that turns out to be stale can't be prepared again: the transaction is
// lost by then.)
#include <string>
#include <vector>

#include "tests/integration/integration_test.h"

namespace engine::db::test {
namespace {

// A table of the same name in two schemas, with another type in each, and functions for those who move between them
// unseen. Every session begins in A().
class StalePlans : public IntegrationTest {
 protected:
  void SetUp() override {
    Sql("CREATE SCHEMA " + A() + "; CREATE SCHEMA " + B() + "; CREATE TABLE " + A() + ".t (v numeric); CREATE TABLE " +
        B() + ".t (v text); INSERT INTO " + A() + ".t VALUES (1); INSERT INTO " + B() +
        ".t VALUES ('one'); CREATE FUNCTION " + A() +
        ".go(path text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('search_path', path, true); RETURN "
        "1; END $$; " +
        "CREATE PROCEDURE " + A() +
        ".move(path text) LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('search_path', path, true); END $$");
    Postgres().Exec("ALTER ROLE app SET search_path = " + A());
  }
  void TearDown() override {
    IntegrationTest::TearDown();
    Postgres().Exec("ALTER ROLE app RESET search_path");
    Postgres().Exec("DROP SCHEMA IF EXISTS " + A() + " CASCADE; DROP SCHEMA IF EXISTS " + B() + " CASCADE");
  }
  [[nodiscard]] std::string A() const { return name() + "_a"; }
  [[nodiscard]] std::string B() const { return name() + "_b"; }
  // In A() first, then, when `change` has been made, in B(): on one backend, several times.
  template <typename Change>
  void ExpectBothAreRead(Change&& change, const std::string& label) {
    const auto connector = Connect(Config(1));
    for (int i = 0; i < 3; ++i) {
      SCOPED_TRACE(label + ", time " + std::to_string(i));
      Transaction transaction = connector->begin_transaction();
      const auto read = [&] { return transaction.execute("SELECT * FROM t").rows()[0][0].as<std::string>(); };
      try {
        EXPECT_EQ(read(), "1");
        EXPECT_EQ(read(), "1");
        change(transaction);
        EXPECT_EQ(read(), "one");
        transaction.execute("INSERT INTO t VALUES (?)", {"two"});
      } catch (const DatabaseError& error) {
        ADD_FAILURE() << error.what();
      }
      transaction.rollback();
    }
  }
  void ExpectBothAreRead(const std::string& change) {
    ExpectBothAreRead([&](Transaction& transaction) { transaction.execute(change); }, change);
  }
};

TEST_F(StalePlans, WhateverMovesTheSearchPath) {
  ExpectBothAreRead("SET LOCAL search_path = " + B());
  ExpectBothAreRead("SET search_path = " + B());
  ExpectBothAreRead("SELECT set_config('search_path', '" + B() + "', true)");
  ExpectBothAreRead("SELECT " + A() + ".go('" + B() + "')");
  ExpectBothAreRead("CALL " + A() + ".move('" + B() + "')");
  ExpectBothAreRead("DO $$ BEGIN PERFORM set_config('search_path', '" + B() + "', true); END $$");
  ExpectBothAreRead("INSERT INTO " + A() + ".t VALUES (" + A() + ".go('" + B() + "'))");
}

TEST_F(StalePlans, WhateverHidesATableOrMakesItAnew) {
  ExpectBothAreRead("CREATE TEMP TABLE t ON COMMIT DROP AS SELECT 'one'::text AS v");
  ExpectBothAreRead("SELECT 'one'::text AS v INTO TEMP t");
  ExpectBothAreRead("ALTER TABLE t ALTER v TYPE text USING 'one'");
  ExpectBothAreRead(
      [](Transaction& transaction) {
        transaction.execute("DROP TABLE t");
        transaction.execute("SELECT 'one'::text AS v INTO t");
      },
      "DROP and SELECT INTO");
}

TEST_F(StalePlans, WhatARollbackToASavepointBringsBack) {
  ExpectBothAreRead(
      [this](Transaction& transaction) {
        transaction.execute("SET LOCAL search_path = " + B());
        transaction.savepoint("s");
        transaction.execute("SET LOCAL search_path = " + A());
        EXPECT_EQ(transaction.execute("SELECT * FROM t").rows()[0][0].as<std::string>(), "1");
        transaction.rollback_to("s");
      },
      "ROLLBACK TO");
}

TEST_F(StalePlans, AnotherRoleWithAPathOfItsOwn) {
  Postgres().Exec("CREATE ROLE " + name() + "_r; GRANT " + name() + "_r TO app");
  Postgres().Exec("ALTER ROLE app RESET search_path");  // '"$user", public'
  Sql("CREATE SCHEMA AUTHORIZATION app; ALTER TABLE " + A() + ".t SET SCHEMA app");
  Postgres().Exec("CREATE SCHEMA AUTHORIZATION " + name() + "_r");
  Postgres().Exec("CREATE TABLE " + name() + "_r.t AS SELECT 'one'::text AS v; ALTER TABLE " + name() +
                  "_r.t OWNER TO " + name() + "_r");
  for (const char* set : {"SET LOCAL ROLE ", "SET ROLE "}) {
    const auto connector = Connect(Config(1));
    Transaction transaction = connector->begin_transaction();
    EXPECT_EQ(transaction.execute("SELECT * FROM t").rows()[0][0].as<std::string>(), "1");
    transaction.execute(set + name() + "_r");
    EXPECT_EQ(transaction.execute("SELECT * FROM t").rows()[0][0].as<std::string>(), "one");
    transaction.rollback();
    EXPECT_EQ(connector->execute("SELECT * FROM t").rows()[0][0].as<std::string>(), "1");
  }
  Postgres().Exec("DROP SCHEMA app, " + name() + "_r CASCADE; DROP ROLE " + name() + "_r");
}

TEST_F(StalePlans, InOneBatch) {
  const auto connector = Connect(Config(1));
  for (int i = 0; i < 2; ++i) {
    const BatchResults results = connector->execute_batch(
        {{"SELECT * FROM t", {}}, {"SET LOCAL search_path = " + B(), {}}, {"SELECT * FROM t", {}}}, {.atomic = true});
    EXPECT_EQ(results[0].result().rows()[0][0].as<std::string>(), "1");
    EXPECT_EQ(results[2].result().rows()[0][0].as<std::string>(), "one");
  }
}

// What a literal means is settled when its statement is prepared.
TEST_F(StalePlans, LiteralsUnderALocalSettingMeanWhatTheyMeanThereAndNothingElsewhere) {
  const auto connector = Connect(Config(1));
  const auto read = [](auto& on) {
    return on.execute("SELECT extract(epoch from '2024-06-01 12:00'::timestamptz)::bigint AS n")
        .rows()[0]["n"]
        .template as<int64_t>();
  };
  connector->execute("SELECT 1");
  const int64_t before = read(*connector);
  for (int i = 0; i < 2; ++i) {
    Transaction transaction = connector->begin_transaction();
    EXPECT_EQ(read(transaction), before);
    transaction.execute("SET LOCAL TIME ZONE 'Asia/Tokyo'");
    const int64_t there = read(transaction);
    EXPECT_EQ((before - there + 24 * 3600) % 3600, 0);
    EXPECT_NE(there, before);
    transaction.commit();
    EXPECT_EQ(read(*connector), before) << "on the same backend";
  }
  Transaction transaction = connector->begin_transaction();
  transaction.execute("SET LOCAL datestyle = 'ISO, DMY'");
  EXPECT_EQ(transaction.execute("SELECT '01/02/2024'::date AS d").rows()[0]["d"].as<std::string>(), "2024-02-01");
  transaction.commit();
  EXPECT_EQ(connector->execute("SELECT '01/02/2024'::date AS d").rows()[0]["d"].as<std::string>(), "2024-01-02");
}

// What nobody can see coming costs one transaction, which says that it may be repeated; then it is known.
TEST_F(StalePlans, ATriggerThatMovesTheSearchPathIsKnownFromTheSecondTimeOn) {
  Sql("CREATE TABLE " + A() + ".log (n int); CREATE FUNCTION " + A() +
      ".hidden() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN " + "PERFORM set_config('search_path', '" + B() +
      "', true); RETURN NEW; END $$; CREATE TRIGGER hidden BEFORE INSERT ON " + A() +
      ".log FOR EACH ROW EXECUTE FUNCTION " + A() + ".hidden()");
  const auto connector = Connect(Config(2));
  int failures = 0;
  for (int i = 0; i < 6; ++i) {
    Transaction transaction = connector->begin_transaction();
    try {
      EXPECT_EQ(transaction.execute("SELECT * FROM t").rows()[0][0].as<std::string>(), "1");
      transaction.execute("INSERT INTO " + A() + ".log VALUES (1)");
      EXPECT_EQ(transaction.execute("SELECT * FROM t").rows()[0][0].as<std::string>(), "one");
      transaction.commit();
    } catch (const DatabaseError& error) {
      ++failures;
      EXPECT_EQ(error.reason(), "STALE_PLAN") << error.what();
      EXPECT_TRUE(error.retryable());
    }
  }
  EXPECT_LE(failures, 1);
  // A batch that is a transaction of its own is run again by the gateway itself.
  for (int i = 0; i < 3; ++i) {
    const BatchResults results = connector->execute_batch(
        {{"SELECT v FROM t", {}}, {"INSERT INTO " + A() + ".log VALUES (1)", {}}, {"SELECT v FROM t", {}}},
        {.atomic = true});
    EXPECT_EQ(results[0].result().rows()[0][0].as<std::string>(), "1");
    EXPECT_EQ(results[2].result().rows()[0][0].as<std::string>(), "one");
  }
}

// Another session's ALTER TABLE: what one backend finds out, all of them know.
TEST_F(StalePlans, ATableThatSomebodyElseChangesIsPreparedAnewOnEveryBackend) {
  const auto connector = Connect(Config(3));
  const std::string table = A() + ".t";
  const std::string read = "SELECT * FROM " + table;
  for (int round = 0; round < 3; ++round) {
    std::vector<Transaction> transactions;
    for (int i = 0; i < 2; ++i) transactions.push_back(connector->begin_transaction());
    for (Transaction& transaction : transactions) transaction.execute(read);
    connector->execute(read);
    for (Transaction& transaction : transactions) transaction.commit();
    Sql("ALTER TABLE " + table + " ADD COLUMN c" + std::to_string(round) + " int");
    EXPECT_EQ(connector->execute(read).columns().size(), round + 2U);
    for (int i = 0; i < 4; ++i) {
      Transaction transaction = connector->begin_transaction();
      EXPECT_EQ(transaction.execute(read).columns().size(), round + 2U);
      transaction.commit();
    }
  }
}

// What cannot change meanings costs nothing: the plans stay.
TEST_F(StalePlans, ReadsAndPlainWritesKeepWhatIsPrepared) {
  const auto connector = Connect(Config(1));
  for (int i = 0; i < 2; ++i) {
    Transaction transaction = connector->begin_transaction();
    transaction.execute("SET LOCAL lock_timeout = '5s'");
    transaction.execute("SET LOCAL app.tenant = 'x'");
    transaction.savepoint("s");
    transaction.execute("INSERT INTO t VALUES (?)", {i});
    transaction.release_savepoint("s");
    transaction.execute("SELECT count(*) FROM t");
    const auto prepared = transaction.execute(
        "SELECT sum(generic_plans + custom_plans)::int AS n FROM pg_prepared_statements WHERE statement LIKE 'INSERT%' "
        "OR statement LIKE "
        "'SELECT count%'");
    EXPECT_EQ(prepared.rows()[0]["n"].as<int>(), 2 * (i + 1));
    transaction.commit();
  }
}

}  // namespace
}  // namespace engine::db::test

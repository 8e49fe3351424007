// A table changes under statements that every backend has prepared: each means what it would mean if it were new.
#include <string>
#include <vector>

#include "tests/integration/integration_test.h"

namespace engine::db::test {
namespace {

class SchemaChanges : public IntegrationTest {
 protected:
  static constexpr int kBackends = 3;

  // Inserts on as many backends at once; then all of them have it prepared, with the types that the column has now.
  void InsertOnEveryBackend(PostgresSyncConnector& connector, const std::string& value) {
    std::vector<Transaction> transactions;
    for (int i = 0; i < kBackends; ++i) transactions.push_back(connector.begin_transaction());
    for (Transaction& transaction : transactions) transaction.execute(Insert(), {value});
    for (Transaction& transaction : transactions) transaction.commit();
    connector.execute(Insert(), {value});
  }
  [[nodiscard]] std::string Insert() const { return "INSERT INTO " + name() + " VALUES (?)"; }
  [[nodiscard]] std::string Select() const { return "SELECT count(*)::int AS n FROM " + name() + " WHERE v = ?"; }
  [[nodiscard]] std::string Values() const {
    return Scalar("SELECT string_agg(DISTINCT v::text, ' ' ORDER BY v::text) FROM " + name());
  }
};

TEST_F(SchemaChanges, ATableThatIsMadeAnewHasItsNewTypesOnEveryBackend) {
  const auto connector = Connect(Config(kBackends + 1));
  CreateTable("v int");
  InsertOnEveryBackend(*connector, "1");
  EXPECT_EQ(connector->execute(Select(), {"1"}).rows()[0]["n"].as<int>(), kBackends + 1);
  connector->execute("DROP TABLE " + name());
  connector->execute("CREATE TABLE " + name() + " (v text)");
  InsertOnEveryBackend(*connector, "one");
  EXPECT_EQ(connector->execute(Select(), {"one"}).rows()[0]["n"].as<int>(), kBackends + 1);
  EXPECT_EQ(Values(), "one");
}

// The dangerous kind: nothing fails, the value is another.
TEST_F(SchemaChanges, AColumnThatLearnsOfTimeZonesKeepsThem) {
  const auto connector = Connect(Config(kBackends + 1));
  CreateTable("v timestamp");
  InsertOnEveryBackend(*connector, "2024-06-01 12:00:00+09");
  connector->execute("DELETE FROM " + name());
  connector->execute("ALTER TABLE " + name() + " ALTER v TYPE timestamptz");
  InsertOnEveryBackend(*connector, "2024-06-01 12:00:00+09");
  EXPECT_EQ(Scalar("SELECT string_agg(DISTINCT (v AT TIME ZONE 'UTC')::text, ' ') FROM " + name()),
            "2024-06-01 03:00:00");
}

TEST_F(SchemaChanges, InATransactionTheNextStatementSeesThem) {
  const auto connector = Connect(Config(2));
  CreateTable("v int");
  connector->begin();
  connector->execute(Insert(), {"1"});
  connector->execute("ALTER TABLE " + name() + " ALTER v TYPE text");
  connector->execute(Insert(), {"two"});
  connector->commit();
  EXPECT_EQ(Values(), "1 two");
}

TEST_F(SchemaChanges, InABatchTheNextStatementSeesThem) {
  const auto connector = Connect(Config(2));
  for (const bool atomic : {true, false}) {
    connector->execute("DROP TABLE IF EXISTS " + name());
    connector->execute_batch({{"CREATE TABLE " + name() + " (v int)", {}},
                              {Insert(), {{"1"}}},
                              {"ALTER TABLE " + name() + " ALTER v TYPE text", {}},
                              {Insert(), {{"two"}}}},
                             {.atomic = atomic});
    EXPECT_EQ(Values(), "1 two") << atomic;
  }
}

TEST_F(SchemaChanges, ATemporaryTableHidesTheOtherForItsOwnSessionOnly) {
  const auto connector = Connect(Config(2));
  CreateTable("v int");
  connector->execute(Insert(), {"1"});
  connector->begin();
  connector->execute(Insert(), {"2"});
  connector->execute("CREATE TEMP TABLE " + name() + " (v text) ON COMMIT DROP");
  connector->execute(Insert(), {"three"});
  connector->commit();
  connector->execute(Insert(), {"4"});
  EXPECT_EQ(Values(), "1 2 4");
}

}  // namespace
}  // namespace engine::db::test

// What a transaction does beside its own server, where that server is a standby or goes down: see elsewhere_test.cc.
#include <future>

#include "tests/fault/contract_fault_test.h"
#include "tests/fault/standby.h"

namespace engine::db::test {
namespace {

// A standby gives no ids, and takes no offence at what may write and does not.
TEST(ElsewhereOnAStandby, ATransactionRunsAsEver) {
  PostgresCluster primary({.settings = {{"wal_level", "replica"}, {"max_wal_senders", "4"}}});
  primary.Exec("CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$");
  const Standby standby(primary);
  GatewayProcess gateway;
  const ConnectionConfig config{.host = standby.host(),
                                .port = standby.port(),
                                .user = "app",
                                .password = primary.password(),
                                .dbname = "app",
                                .timeout_ms = 30000};
  PostgresSyncConnector connector(config, {.address = gateway.address()});
  connector.connect();
  auto transaction = connector.begin_transaction();
  EXPECT_EQ(transaction.execute("SELECT f() AS n").rows()[0]["n"].as<int>(), 1);
  transaction.execute("DO $$ BEGIN PERFORM f(); END $$");
  EXPECT_EQ(transaction.execute("SELECT 1 AS n").rows()[0]["n"].as<int>(), 1);
  transaction.commit();
}

// The foreign server has the row; this one had not written its own COMMIT out, and comes back without it.
TEST(ElsewhereAcrossACrash, WhatIsCommittedThereAndLostHereIsUnknown) {
  PostgresCluster far;
  far.Exec("CREATE TABLE t (n int); GRANT ALL ON t TO app");
  PostgresCluster here({.settings = {{"wal_writer_delay", "10s"}, {"wal_level", "minimal"}, {"max_wal_senders", "0"}},
                        .own_system_identifier = true});
  here.Exec("CREATE EXTENSION postgres_fdw; CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '" +
            far.host() + "', port '" + std::to_string(far.port()) +
            "', dbname 'app'); CREATE USER MAPPING FOR app SERVER far OPTIONS (user 'app', password '" +
            far.password() + "'); CREATE FOREIGN TABLE t (n int) SERVER far; GRANT ALL ON t TO app; CHECKPOINT");
  FaultProxy proxy(here.host(), here.port());
  GatewayProcess gateway;
  const ConnectionConfig config{.host = proxy.host(),
                                .port = proxy.port(),
                                .user = "app",
                                .password = here.password(),
                                .dbname = "app",
                                .max_pool_size = 3,
                                .timeout_ms = 60000};
  PostgresSyncConnector connector(config, {.address = gateway.address()});
  connector.connect();
  connector.begin();
  connector.execute("INSERT INTO t VALUES (1)");
  const auto rule = proxy.Add({.statement = "^COMMIT", .point = FaultPoint::kBeforeReply, .act = FaultAct::kBlackHole});
  auto committing = std::async(std::launch::async, [&] { return Catch([&] { connector.commit(); }); });
  ASSERT_TRUE(proxy.WaitForFired(rule));
  proxy.Refuse(true);
  here.Restart(PostgresCluster::StopMode::kImmediate);
  proxy.Heal();
  const DatabaseError error = committing.get();
  EXPECT_EQ(error.outcome(), Outcome::kUnknown) << error.what();
  EXPECT_EQ(far.Scalar("SELECT count(*) FROM t"), "1");
}

}  // namespace
}  // namespace engine::db::test

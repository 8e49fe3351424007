// PostgreSQL itself: a standby takes over, the disk is full, it may not be written to, it has no room for more.
#include <sys/mount.h>

#include <thread>

#include "tests/fault/clients.h"
#include "tests/fault/fault_test.h"
#include "tests/fault/ledger.h"
#include "tests/fault/standby.h"

namespace engine::db::test {
namespace {

class ServerFaults : public FaultTest {
 protected:
  // The role `app` on a cluster of the test's own, through a proxy of its own.
  [[nodiscard]] ConnectionConfig To(const FaultProxy& link, int max_pool_size) const {
    ConnectionConfig config = Config(max_pool_size, {.max_attempts = 6, .initial_delay_ms = 10, .max_delay_ms = 200});
    config.host = link.host();
    config.port = link.port();
    config.timeout_ms = 3000;
    return config;
  }
};

TEST_F(ServerFaults, AStandbyThatTakesOverHasAllThatWasAcknowledged) {
  PostgresCluster primary({.settings = {{"wal_level", "replica"}, {"max_wal_senders", "4"}}});
  FaultProxy link(primary.host(), primary.port());
  Ledger ledger(primary);
  const Standby standby(primary);
  Standby::MakeCommitsWait(primary);

  ClientOptions options;
  options.config = To(link, 4);
  options.gateway = At(Gateway());
  options.threads = 4;
  Clients clients(ledger, options);
  ASSERT_TRUE(WaitUntil(seconds(60), [&] { return clients.succeeded() > 60; }));
  primary.Kill();
  // For a while there is only a server that may not be written to.
  link.PointTo(standby.host(), standby.port());
  std::this_thread::sleep_for(milliseconds(500));
  standby.Promote();
  const int64_t before = clients.succeeded();
  EXPECT_TRUE(WaitUntil(seconds(60), [&] { return clients.succeeded() > before + 60; })) << "writes go on";
  clients.Stop();

  const Audit audit = ledger.Check(standby.Superuser());
  EXPECT_EQ(audit.lost, 0);
  EXPECT_EQ(audit.duplicated, 0);
  EXPECT_EQ(audit.wrong_verdicts, 0);
  EXPECT_EQ(audit.missing_verdicts, 0);
  EXPECT_EQ(audit.wrong_balances, 0);
  EXPECT_THAT(audit.violations, testing::IsEmpty());
  RecordProperty("unknown", static_cast<int>(audit.unknown));
}

TEST_F(ServerFaults, AServerThatMayNotBeWrittenToRefusesWritesAndNothingElse) {
  PostgresCluster cluster;
  FaultProxy link(cluster.host(), cluster.port());
  const auto connector = Connect(To(link, 2));
  connector->execute("CREATE TABLE t (n int)");
  cluster.Exec("ALTER SYSTEM SET default_transaction_read_only = on");
  cluster.Exec("SELECT pg_reload_conf()");
  ASSERT_TRUE(WaitUntil(kSoon, [&] { return cluster.Scalar("SHOW default_transaction_read_only") == "on"; }));
  const auto error = Catch([&] { connector->execute("INSERT INTO t VALUES (1)"); });
  EXPECT_EQ(error.sqlstate(), "25006");
  EXPECT_TRUE(error.outcome() == Outcome::kNotExecuted || error.outcome() == Outcome::kRolledBack)
      << to_string(error.outcome());
  EXPECT_EQ(connector->execute("SELECT count(*) AS n FROM t").rows()[0]["n"].as<int>(), 0);
  cluster.Exec("ALTER SYSTEM RESET default_transaction_read_only");
  cluster.Exec("SELECT pg_reload_conf()");
  EXPECT_TRUE(WaitUntil(kSoon, [&] {
    try {
      connector->execute("INSERT INTO t VALUES (2)");
      return true;
    } catch (const DatabaseError&) {
      return false;
    }
  }));
  EXPECT_EQ(cluster.Scalar("SELECT sum(n) FROM t"), "2");
}

// A small file system of its own, where that is allowed.
class SmallDisk {
 public:
  explicit SmallDisk(const std::filesystem::path& where) : where_(where) {
    std::filesystem::create_directory(where_);
    mounted_ = mount("tmpfs", where_.c_str(), "tmpfs", 0, "size=12m,mode=0777") == 0;
  }
  ~SmallDisk() {
    if (mounted_) umount2(where_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  [[nodiscard]] bool mounted() const { return mounted_; }

 private:
  const std::filesystem::path where_;
  bool mounted_ = false;
};

TEST_F(ServerFaults, AFullDiskFailsTheWriteAndNothingElse) {
  const TemporaryFolder folder;
  std::filesystem::permissions(folder.path(), std::filesystem::perms::others_exec, std::filesystem::perm_options::add);
  const SmallDisk disk(folder.path() / "disk");
  if (!disk.mounted()) GTEST_SKIP() << "mounting a small file system is not allowed here";
  const auto space = folder.path() / "disk" / "space";
  std::filesystem::create_directory(space);
  if (const auto account = UnprivilegedAccount()) ChangeOwner(space, *account);
  {
    PostgresCluster cluster;
    FaultProxy link(cluster.host(), cluster.port());
    cluster.Exec("CREATE TABLESPACE small LOCATION '" + space.string() + "'");
    cluster.Exec("GRANT CREATE ON TABLESPACE small TO app");
    const auto connector = Connect(To(link, 2));
    connector->execute("CREATE TABLE t (n int, filler text) TABLESPACE small");
    connector->execute("INSERT INTO t VALUES (1, 'x')");
    const auto error = Catch<DatabaseExecutionError>(
        [&] { connector->execute("INSERT INTO t SELECT n, repeat('x', 1000) FROM generate_series(1, 50000) n"); });
    EXPECT_EQ(error.sqlstate(), "53100");
    EXPECT_EQ(error.outcome(), Outcome::kRolledBack);
    EXPECT_EQ(connector->execute("SELECT count(*) AS n FROM t").rows()[0]["n"].as<int>(), 1);
    connector->begin();
    EXPECT_EQ(Catch([&] {
                connector->execute("INSERT INTO t SELECT n, repeat('x', 1000) FROM generate_series(1, 50000) n");
              }).sqlstate(),
              "53100");
    static_cast<void>(Catch<DatabaseTransactionError>([&] { connector->commit(); }));
    ExpectWorks(*connector);
    connector->close();
  }
}

TEST_F(ServerFaults, AnAddressThatMovesIsFollowed) {
  PostgresCluster before;
  PostgresCluster after;
  FaultProxy link(before.host(), before.port());
  const auto connector = Connect(To(link, 2));
  connector->execute("SELECT 1");
  link.PointTo(after.host(), after.port());
  before.Stop();
  const auto where = [&] {
    return connector->execute("SELECT current_setting('port')::int AS port").rows()[0]["port"].as<int>();
  };
  EXPECT_EQ(where(), after.port());
  connector->execute("CREATE TABLE t (n int)");
  connector->begin();
  connector->execute("INSERT INTO t VALUES (1)");
  connector->commit();
  EXPECT_EQ(after.Scalar("SELECT count(*) FROM t"), "1");
}

}  // namespace
}  // namespace engine::db::test

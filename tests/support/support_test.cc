// What the other tests rely on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <pqxx/pqxx>
#include <string>
#include <system_error>

#include "tests/support/network.h"
#include "tests/support/pgbouncer_process.h"
#include "tests/support/postgres_cluster.h"
#include "tests/support/process.h"
#include "tests/support/wait.h"

namespace engine::db::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

std::string AskAsApp(const std::string& connection_string, const std::string& sql) {
  pqxx::connection connection(connection_string);
  pqxx::nontransaction work(connection);
  return work.exec(sql)[0][0].c_str();
}

bool Exists(pid_t pid) { return kill(pid, 0) == 0; }

TEST(ProcessTest, ReportsExitCodeAndOutput) {
  ProcessOptions options;
  options.command = {"sh", "-c", "echo out; echo err >&2; exit 3"};
  const Completed completed = RunProgram(options);
  EXPECT_EQ(completed.exit_code, 3);
  EXPECT_EQ(completed.out, "out\n");
  EXPECT_EQ(completed.err, "err\n");
}

TEST(ProcessTest, SignalShowsInExitCode) {
  ProcessOptions options;
  options.command = {"sleep", "60"};
  Process process(options);
  EXPECT_EQ(process.Wait(milliseconds(0)), std::nullopt);
  process.Signal(SIGTERM);
  EXPECT_EQ(process.Wait(seconds(10)), 128 + SIGTERM);
}

TEST(ProcessTest, MissingProgramThrows) {
  ProcessOptions options;
  options.command = {"/no/such/program"};
  EXPECT_THROW(Process{options}, std::system_error);
}

TEST(ProcessTest, DiesWithItsParent) {
  int to_parent[2];
  ASSERT_EQ(pipe(to_parent), 0);
  const pid_t middle = fork();
  if (middle == 0) {
    ProcessOptions options;
    options.command = {"sleep", "60"};
    const Process process(options);
    const pid_t pid = process.pid();
    if (write(to_parent[1], &pid, sizeof pid) < 0) _exit(1);
    _exit(0);  // without the destructor
  }
  pid_t sleeper = 0;
  ASSERT_EQ(read(to_parent[0], &sleeper, sizeof sleeper), static_cast<ssize_t>(sizeof sleeper));
  close(to_parent[0]);
  close(to_parent[1]);
  waitpid(middle, nullptr, 0);
  // It may stay as a zombie where nobody reaps orphans: no memory is the sign of its end.
  EXPECT_TRUE(WaitUntil(seconds(10), [sleeper] {
    return !Exists(sleeper) || ReadFile("/proc/" + std::to_string(sleeper) + "/cmdline").empty();
  }));
}

TEST(TemporaryFolderTest, RemovesItselfWithContent) {
  std::filesystem::path path;
  {
    const TemporaryFolder folder;
    path = folder.path();
    WriteFile(path / "file", "content");
    EXPECT_EQ(ReadFile(path / "file"), "content");
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(PostgresClusterTest, AppLogsInWithItsPasswordOnlyAndTheOracleWithoutOne) {
  const PostgresCluster cluster;
  EXPECT_EQ(AskAsApp(cluster.AppUser(), "SELECT current_user"), "app");
  EXPECT_EQ(AskAsApp(cluster.Url(), "SELECT current_database()"), "app");
  EXPECT_EQ(AskAsApp(cluster.AppUser() + " host=" + cluster.socket_dir(), "SELECT current_user"), "app");
  EXPECT_THROW(AskAsApp(cluster.AppUser() + " password=wrong", "SELECT 1"), pqxx::broken_connection);
  EXPECT_EQ(cluster.Scalar("SELECT current_user"), "postgres");
  EXPECT_EQ(cluster.Scalar("SELECT NULL"), "");
  EXPECT_EQ(cluster.Scalar("SELECT left(rolpassword, 13) FROM pg_authid WHERE rolname = 'app'"), "SCRAM-SHA-256");
}

TEST(PostgresClusterTest, SettingsOverrideDefaults) {
  const PostgresCluster cluster({.settings = {{"max_connections", "13"}, {"synchronous_commit", "off"}}});
  EXPECT_EQ(cluster.Scalar("SHOW max_connections"), "13");
  EXPECT_EQ(cluster.Scalar("SHOW synchronous_commit"), "off");
  EXPECT_EQ(cluster.Scalar("SHOW fsync"), "off");
}

TEST(PostgresClusterTest, CommittedRowsSurviveRestartAndKill) {
  PostgresCluster cluster;
  const int port = cluster.port();
  cluster.Exec("CREATE TABLE t AS SELECT 1 AS n");
  cluster.Restart();
  cluster.Exec("INSERT INTO t VALUES (2)");
  cluster.Kill();
  EXPECT_EQ(cluster.pid(), 0);
  EXPECT_ANY_THROW(cluster.Exec("SELECT 1"));
  cluster.Start();
  cluster.Exec("INSERT INTO t VALUES (3)");
  cluster.Restart(PostgresCluster::StopMode::kImmediate);
  EXPECT_EQ(cluster.Scalar("SELECT sum(n) FROM t"), "6");
  EXPECT_EQ(cluster.port(), port);
}

TEST(PostgresClusterTest, SeveralAtOnceAndRemovedAfterwards) {
  std::filesystem::path first_data;
  pid_t first_pid = 0;
  {
    const PostgresCluster first;
    const PostgresCluster second({.own_system_identifier = true});
    EXPECT_NE(first.port(), second.port());
    constexpr char kIdentifier[] = "SELECT system_identifier FROM pg_control_system()";
    EXPECT_NE(first.Scalar(kIdentifier), second.Scalar(kIdentifier));
    first_data = first.data_dir();
    first_pid = first.pid();
  }
  EXPECT_FALSE(std::filesystem::exists(first_data));
  EXPECT_FALSE(Exists(first_pid));
}

TEST(PgBouncerProcessTest, PoolsTransactionsOfTheCluster) {
  const PostgresCluster cluster;
  const PgBouncerProcess pgbouncer(cluster, {.pool_size = 2});
  EXPECT_THAT(pgbouncer.version(), testing::MatchesRegex("[0-9]+\\.[0-9]+.*"));
  EXPECT_EQ(AskAsApp(pgbouncer.AppUser(), "SELECT current_user"), "app");
  EXPECT_EQ(AskAsApp(pgbouncer.AppUser(), "SELECT inet_server_port()"), std::to_string(cluster.port()));
}

TEST(NetworkTest, HttpGetSaysWhenNobodyAnswers) {
  EXPECT_THROW(HttpGet("127.0.0.1:" + std::to_string(FreePort()), "/metrics"), std::runtime_error);
}

TEST(WaitTest, AsksOnceMoreAfterTheDeadline) {
  int calls = 0;
  EXPECT_FALSE(WaitUntil(milliseconds(0), [&calls] { return ++calls > 1; }));
  EXPECT_EQ(calls, 1);
  EXPECT_TRUE(WaitUntil(seconds(10), [&calls] { return ++calls > 2; }));
}

}  // namespace
}  // namespace engine::db::test

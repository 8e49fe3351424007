// What the gateway takes for granted changes: the system's clock, and where a host name leads.

#include <filesystem>
#include <fstream>
#include <future>
#include <optional>

#include "tests/fault/fault_test.h"
#include "tests/support/temporary_folder.h"

namespace engine::db::test {
namespace {

namespace fs = std::filesystem;

// A library that stands between a program and the system; nothing where it is not installed.
std::optional<std::string> Preloadable(const std::string& name) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return std::nullopt;  // a sanitizer wants to be the first itself
#endif
  for (const auto& folder : fs::directory_iterator("/usr/lib")) {
    if (fs::exists(folder.path() / name)) return folder.path() / name;
  }
  return std::nullopt;
}

// Replaces the file in one go, and makes it look newer than the one before, which the libraries compare by the second.
void Replace(const fs::path& file, const std::string& content) {
  const auto written = fs::exists(file) ? fs::last_write_time(file) + seconds(10) : fs::file_time_type::clock::now();
  const fs::path fresh = file.string() + ".new";
  std::ofstream(fresh) << content;
  fs::last_write_time(fresh, written);
  fs::rename(fresh, file);
}

class Surroundings : public FaultTest {
 protected:
  const TemporaryFolder folder_;
};

TEST_F(Surroundings, AClockThatJumpsChangesNothing) {
  const auto library = Preloadable("faketime/libfaketime.so.1");
  if (!library) GTEST_SKIP() << "needs libfaketime, and no sanitizer";
  const fs::path offset = folder_.path() / "offset";
  Replace(offset, "+0");
  const auto gateway = StartGateway({{"LD_PRELOAD", *library},
                                     {"FAKETIME_TIMESTAMP_FILE", offset},
                                     {"FAKETIME_NO_CACHE", "1"},
                                     {"FAKETIME_DONT_FAKE_MONOTONIC", "1"}});
  PostgresSyncConnector connector(Config(4), At(*gateway));
  connector.connect();
  CreateTable("n int");

  for (const char* jump : {"+1h", "-1h", "+0"}) {
    SCOPED_TRACE(jump);
    // What is under way goes on: a call within its deadline, and a transaction within its lease.
    Transaction transaction = connector.begin_transaction();
    transaction.execute("INSERT INTO " + name() + " VALUES (1)");
    auto running = std::async(std::launch::async, [&] {
      return connector.execute("SELECT 7 AS n FROM pg_sleep(1)", {}, {.timeout = seconds(20)});
    });
    ASSERT_TRUE(WaitForBackends(1, "state = 'active' AND query LIKE '%pg_sleep%'"));
    Replace(offset, jump);
    EXPECT_EQ(running.get().rows()[0]["n"].as<int>(), 7);
    transaction.commit();
    // And deadlines are still kept, by the gateway itself: the statement ends on the server.
    const auto start = Now();
    static_cast<void>(Catch<DatabaseTimeoutError>(
        [&] { connector.execute("SELECT pg_sleep(60)", {}, {.timeout = milliseconds(500)}); }));
    EXPECT_LT(Since(start), milliseconds(500) + Slack(start));
    EXPECT_TRUE(WaitForBackends(0, "state = 'active'"));
    Transaction idle = connector.begin_transaction({.idle_timeout = milliseconds(300)});
    EXPECT_TRUE(WaitForBackends(0, "state = 'idle in transaction'")) << "leases end";
  }
  EXPECT_EQ(Rows(), 3);
}

TEST_F(Surroundings, AHostNameThatMovesIsFollowed) {
  const auto library = Preloadable("libnss_wrapper.so");
  if (!library) GTEST_SKIP() << "needs libnss_wrapper, and no sanitizer";
  PostgresCluster before;
  PostgresCluster after({.host = "127.0.0.2", .port = before.port()});
  const fs::path hosts = folder_.path() / "hosts";
  Replace(hosts, "127.0.0.1 db.moves.test\n");
  const auto gateway = StartGateway({{"LD_PRELOAD", *library}, {"NSS_WRAPPER_HOSTS", hosts}});
  ConnectionConfig config = Config(2, {.max_attempts = 10, .initial_delay_ms = 50, .max_delay_ms = 200});
  config.host = "db.moves.test";
  config.port = before.port();
  PostgresSyncConnector connector(config, At(*gateway));
  connector.connect();
  const auto where = [&] {
    return connector.execute("SELECT current_setting('listen_addresses') AS host").rows()[0]["host"].as<std::string>();
  };
  EXPECT_EQ(where(), "127.0.0.1");
  Replace(hosts, "127.0.0.2 db.moves.test\n");
  EXPECT_EQ(where(), "127.0.0.1") << "a connection that works is kept";
  before.Stop();
  EXPECT_EQ(where(), "127.0.0.2");
}

}  // namespace
}  // namespace engine::db::test

// Pipelines that fail or are stopped while they run: what remains is told, and exit codes tell the failures apart.
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <system_error>

#include "tests/cli/pipeline_test.h"
#include "tests/support/network.h"
#include "tests/support/wait.h"

namespace engine::db::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST_F(PipelineTest, AFailureRollsItsTransactionBackAndSaysWhatRemains) {
  const Completed done = run(kServer + insert("before", 1) + step("open", "dbConnection") + insert("a", 2) +
                             insert("again", 2) + insert("never", 3) + step("done", "commitSql"));
  EXPECT_EQ(done.exit_code, 1);
  EXPECT_EQ(notes(), "1");
  EXPECT_THAT(done.err, AllOf(HasSubstr("p.yaml:6: step \"again\": query: "), HasSubstr("[23505]"),
                              HasSubstr("Rolled back: a.\nCommitted and not undone: before.\n")));
  EXPECT_THAT(done.out, AllOf(HasSubstr("\"step\":\"a\""), Not(HasSubstr("\"step\":\"again\""))));
}

TEST_F(PipelineTest, ExitCodesTellFailuresApartAndMessagesShowNoSecret) {
  const std::string slow = kServer + sql_step("s", "query: \"SELECT pg_sleep(30)\", parameters: []");
  EXPECT_EQ(run(slow, {"--timeout", "200ms"}).exit_code, 4);
  ProcessOptions options = command({"p.yaml"});
  options.environment["DB_PASSWORD"] = "canary-4711";
  Completed done = RunProgram(options);
  EXPECT_EQ(done.exit_code, 3);
  EXPECT_THAT(done.err, AllOf(HasSubstr("p.yaml:3: step \"s\": server: "), Not(HasSubstr("canary"))));
  options = command({"p.yaml"});
  options.command[3] = "127.0.0.1:" + std::to_string(FreePort());
  EXPECT_EQ(RunProgram(options).exit_code, 3);
  WriteFile(folder_.path() / "input.json", R"({"in": {"x": "canary-4711"}})");
  done = run(kServer + sql_step("s", "query: \"SELECT ?::int\", parameters: [\"$.in.x\"]"), {"--input", "input.json"});
  EXPECT_EQ(done.exit_code, 1);
  EXPECT_THAT(done.err, AllOf(HasSubstr("[22P02]"), Not(HasSubstr("canary"))));
  options = command({"p.yaml", "--check"});
  options.environment.erase("DB_PASSWORD");
  options.command.insert(options.command.begin(), {"env", "-u", "DB_PASSWORD"});
  done = RunProgram(options);
  EXPECT_EQ(done.exit_code, 2);
  EXPECT_THAT(done.err, HasSubstr("p.yaml:1: databaseServer.securitySchemes.dbAuth[0].password: environment variable "
                                  "DB_PASSWORD is not set"));
}

TEST_F(PipelineTest, AnErrorShowsItsPlaceInTheQuery) {
  const Completed done = run(kServer + sql_step("s", "query: \"SELECT nonsense FROM notes\", parameters: []"));
  EXPECT_EQ(done.exit_code, 1);
  EXPECT_THAT(done.err, AllOf(HasSubstr("p.yaml:3: step \"s\": query: "), HasSubstr("[42703]"),
                              HasSubstr("line 1: SELECT nonsense FROM notes\n               ^\n")));
}

// The tags of these are a SELECT's and an EXPLAIN's.
TEST_F(PipelineTest, WhatRemainsIsToldOfEveryStepThatMayHaveWritten) {
  const auto writes = [](const std::string& name, int id) {
    return sql_step(name, "query: \"WITH w AS (INSERT INTO notes VALUES (" + std::to_string(id) +
                              ") RETURNING id) SELECT id FROM w\", parameters: []");
  };
  const std::string reads = sql_step("reads", "query: \"SELECT count(*) FROM notes WHERE id > ?\", parameters: [0]");
  const std::string explains =
      sql_step("explains", "query: \"EXPLAIN ANALYZE INSERT INTO notes VALUES (7)\", parameters: []");
  const Completed done = run(kServer + writes("before", 1) + reads + explains + step("open", "dbConnection") +
                             writes("a", 2) + insert("again", 2) + step("done", "commitSql"));
  EXPECT_EQ(done.exit_code, 1);
  EXPECT_EQ(notes(), "1,7");
  EXPECT_THAT(done.err, HasSubstr("Rolled back: a.\nCommitted and not undone: before, explains.\n"));
}

TEST_F(PipelineTest, MoreThanAStepMayReturnIsAnErrorThatSaysSo) {
  const Completed done =
      run(kServer + insert("before", 1) +
          sql_step("s", "query: \"SELECT repeat('x', 1000000) AS t FROM generate_series(1, 80)\", parameters: []"));
  EXPECT_EQ(done.exit_code, 1);
  EXPECT_THAT(done.err, AllOf(HasSubstr("p.yaml:4: step \"s\": query: the result has more than 1000000 rows or"),
                              Not(HasSubstr("took effect")), Not(HasSubstr("ExecuteStream")),
                              HasSubstr("Committed and not undone: before.")));
}

// Accepts every connection, and never says a word.
class SilentServer {
 public:
  SilentServer() : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    if (bind(socket_, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(socket_, 16) != 0 ||
        getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      throw std::system_error(errno, std::generic_category(), "SilentServer");
    }
    port_ = ntohs(address.sin_port);
  }
  ~SilentServer() { close(socket_); }
  SilentServer(const SilentServer&) = delete;
  SilentServer& operator=(const SilentServer&) = delete;

  [[nodiscard]] std::string port() const { return std::to_string(port_); }
  [[nodiscard]] bool has_guest() const {
    pollfd guest{socket_, POLLIN, 0};
    return poll(&guest, 1, 0) == 1;
  }

 private:
  int socket_;
  int port_ = 0;
};

TEST_F(PipelineTest, AStopAndTheTimeLimitReachConnecting) {
  WriteFile(folder_.path() / "p.yaml", kServer + sql_step("s", "query: SELECT 1, parameters: []"));
  WriteFile(folder_.path() / "b.sql", "SELECT 1;");
  for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{
           {"run", "p.yaml"}, {"query", "SELECT 1"}, {"exec", "SELECT 1"}, {"batch", "b.sql"}}) {
    SCOPED_TRACE(command[0]);
    const auto connecting_to = [&](const SilentServer& silent) {
      ProcessOptions options = this->command({});
      options.command = {ENGINE_DB_CLI, command[0], "--gateway", gateway_->address(), command[1]};
      options.environment["DB_URL"] = "postgresql://127.0.0.1:" + silent.port() + "/none";
      return options;
    };
    const SilentServer server;
    ProcessOptions limited = connecting_to(server);
    limited.command.insert(limited.command.end(), {"--timeout", "500ms"});
    const auto begin = std::chrono::steady_clock::now();
    const Completed done = RunProgram(limited);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
    EXPECT_EQ(done.exit_code, 4) << done.err;
    EXPECT_THAT(done.err, HasSubstr("no database was reached through the gateway at "));
    for (const int signal : {SIGINT, SIGTERM}) {
      const SilentServer another;
      Process process(connecting_to(another));
      ASSERT_TRUE(WaitUntil(std::chrono::seconds(20), [&another] { return another.has_guest(); }));
      process.Signal(signal);
      EXPECT_EQ(process.Wait(std::chrono::seconds(10)), 130);
    }
  }
}

TEST_F(PipelineTest, WithoutAGatewayItSaysSoAtOnce) {
  WriteFile(folder_.path() / "p.yaml", kServer + sql_step("s", "query: SELECT 1, parameters: []"));
  const auto begin = std::chrono::steady_clock::now();
  const Completed done = RunProgram(command_without_database({"p.yaml"}));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
  EXPECT_EQ(done.exit_code, 3);
  EXPECT_THAT(done.err, HasSubstr("can't reach the gateway at unix:/nonexistent/gateway.sock"));
}

TEST_F(PipelineTest, InterruptCancelsAndRollsBack) {
  WriteFile(folder_.path() / "p.yaml", kServer + insert("a", 1) +
                                           sql_step("s", "query: \"SELECT pg_sleep(61)\", parameters: []") +
                                           step("done", "commitSql"));
  Process process(command({"p.yaml"}));
  const auto running = [] {
    return cluster_->Scalar(
               "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(61)' "
               "AND pid <> pg_backend_pid()") == "1";
  };
  ASSERT_TRUE(WaitUntil(std::chrono::seconds(30), running));
  process.Signal(SIGINT);
  EXPECT_EQ(process.Wait(std::chrono::seconds(30)), 130);
  EXPECT_TRUE(WaitUntil(std::chrono::seconds(10), [&running] { return !running(); }));
  EXPECT_EQ(notes(), "");
}

}  // namespace
}  // namespace engine::db::test

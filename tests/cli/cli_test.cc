// engine-db as people and scripts use it: arguments in; output, messages and exit code out.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/gateway_process.h"
#include "tests/support/network.h"
#include "tests/support/postgres_cluster.h"
#include "tests/support/process.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/wait.h"

namespace engine::db::test {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

class CliTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    cluster_ = new PostgresCluster();
    gateway_ = new GatewayProcess();
    cluster_->Exec("CREATE TABLE points (id int PRIMARY KEY, note text); GRANT ALL ON points TO app");
  }
  static void TearDownTestSuite() {
    delete gateway_;
    delete cluster_;
  }
  void SetUp() override { cluster_->Exec("TRUNCATE points"); }

  // "--host HOST …" for the cluster; the password comes by the environment.
  static ProcessOptions Command(std::vector<std::string> arguments) {
    ProcessOptions options;
    options.command = {ENGINE_DB_CLI, arguments.front(), "--gateway", gateway_->address()};
    if (arguments.front() != "status") {
      for (const std::string& word :
           {std::string("--host"), cluster_->host(), std::string("--port"), std::to_string(cluster_->port()),
            std::string("--user"), cluster_->user(), std::string("--dbname"), cluster_->dbname()}) {
        options.command.push_back(word);
      }
      options.environment["ENGINE_DB_PASSWORD"] = cluster_->password();
    }
    options.command.insert(options.command.end(), arguments.begin() + 1, arguments.end());
    return options;
  }

  static Completed Cli(std::vector<std::string> arguments) { return RunProgram(Command(std::move(arguments))); }

  std::string File(const std::string& content) {
    const std::string name = folder_.path() / "input";
    WriteFile(name, content);
    return name;
  }

  TemporaryFolder folder_;
  static PostgresCluster* cluster_;
  static GatewayProcess* gateway_;
};

PostgresCluster* CliTest::cluster_ = nullptr;
GatewayProcess* CliTest::gateway_ = nullptr;

TEST_F(CliTest, QueryShowsATable) {
  const Completed done = Cli({"query", "--format", "table", "-p", "int:42", "-p", "expr:current_date",
                              "SELECT ?::int4 AS number, ?::date IS NOT NULL AS dated, 'x' AS text"});
  EXPECT_EQ(done.err, "");
  EXPECT_EQ(done.exit_code, 0);
  EXPECT_THAT(done.out, testing::StartsWith(" number | dated | text\n--------+-------+------\n     42 | "));
  EXPECT_THAT(done.out, testing::EndsWith("(1 row)\n"));
}

TEST_F(CliTest, QueryWritesCsvIntoPipesByDefaultAndJsonOnRequest) {
  const std::string sql = "SELECT n, nullif(n, 2) AS m FROM generate_series(1, 2) AS n ORDER BY n";
  EXPECT_EQ(Cli({"query", sql}).out, "n,m\n1,1\n2,\n");
  EXPECT_EQ(Cli({"query", "--format", "json", sql}).out, "{\"n\":1,\"m\":1}\n{\"n\":2,\"m\":null}\n");
}

TEST_F(CliTest, QueryStreamsLargeResults) {
  ProcessOptions options = Command({"query", "SELECT n, repeat('x', 20) AS t FROM generate_series(1, 200000) AS n"});
  options.stdout_file = folder_.path() / "rows";
  Process process(options);
  EXPECT_EQ(process.Wait(std::chrono::seconds(60)), 0);
  const std::string rows = ReadFile(options.stdout_file);
  EXPECT_EQ(std::count(rows.begin(), rows.end(), '\n'), 200001);
  EXPECT_THAT(rows, testing::EndsWith("\n200000,xxxxxxxxxxxxxxxxxxxx\n"));
}

TEST_F(CliTest, StatementComesFromAFile) {
  const Completed done = Cli({"query", "--file", File("SELECT 1 AS one;\n")});
  EXPECT_EQ(done.out, "one\n1\n") << done.err;
}

TEST_F(CliTest, ExecSaysWhatItAffected) {
  Completed done = Cli({"exec", "--format", "table", "-p", "int:1", "-p", "null:", "INSERT INTO points VALUES (?, ?)"});
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_EQ(done.out, "1 row affected\n");
  EXPECT_EQ(cluster_->Scalar("SELECT count(*) FROM points WHERE note IS NULL"), "1");
  done = Cli({"exec", "--format", "json", "UPDATE points SET note = 'x' WHERE false"});
  EXPECT_EQ(json::parse(done.out), json({{"command_tag", "UPDATE 0"}, {"rows_affected", 0}}));
  done = Cli({"exec", "--format", "csv", "INSERT INTO points VALUES (2, 'b') RETURNING id, note"});
  EXPECT_EQ(done.out, "id,note\n2,b\n");
}

TEST_F(CliTest, ExactlyOnceWritesOnceAndIsRefusedWhereItCantBe) {
  Completed done = Cli({"exec", "--exactly-once", "--format", "json", "INSERT INTO points VALUES (1, 'a')"});
  EXPECT_EQ(done.out, "{\"command_tag\":\"INSERT 0 1\",\"rows_affected\":1}\n") << done.err;
  done = Cli({"exec", "--exactly-once", "--format", "csv", "INSERT INTO points VALUES (2, 'b') RETURNING id, note"});
  EXPECT_EQ(done.out, "id,note\n2,b\n") << done.err;
  done =
      Cli({"batch", "--exactly-once", File("INSERT INTO points VALUES (3, 'c'); INSERT INTO points VALUES (4, 'd');")});
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_EQ(cluster_->Scalar("SELECT string_agg(id::text, ',' ORDER BY id) FROM points"), "1,2,3,4");
  done = Cli({"batch", "--exactly-once", "--each", File("INSERT INTO points VALUES (5, 'e');")});
  EXPECT_EQ(done.exit_code, 2);
  EXPECT_THAT(done.err, testing::HasSubstr("--each"));
}

TEST_F(CliTest, ErrorShowsMessageAndPlaceAndHasItsExitCode) {
  const Completed done = Cli({"query", "SELECT nonsense\nFROM points"});
  EXPECT_EQ(done.exit_code, 1);
  EXPECT_EQ(done.out, "");
  EXPECT_THAT(done.err, HasSubstr("[42703]"));
  EXPECT_THAT(done.err, HasSubstr("line 1: SELECT nonsense\n               ^\n"));
}

TEST_F(CliTest, ExitCodesTellFailuresApart) {
  EXPECT_EQ(Cli({"query", "SELECT ?"}).exit_code, 2);
  EXPECT_EQ(Cli({"query", "--no-such-option", "SELECT 1"}).exit_code, 2);
  EXPECT_EQ(Cli({"query", "-p", "int:x", "SELECT ?"}).exit_code, 2);
  EXPECT_EQ(Cli({"query", "--timeout", "200ms", "SELECT pg_sleep(30)"}).exit_code, 4);
  ProcessOptions wrong_password = Command({"query", "SELECT 1"});
  wrong_password.environment["ENGINE_DB_PASSWORD"] = "not-the-password";
  const Completed refused = RunProgram(wrong_password);
  EXPECT_EQ(refused.exit_code, 3);
  EXPECT_THAT(refused.err, Not(HasSubstr("not-the-password")));
  ProcessOptions no_gateway = Command({"query", "SELECT 1"});
  no_gateway.command[3] = "127.0.0.1:" + std::to_string(FreePort());
  EXPECT_EQ(RunProgram(no_gateway).exit_code, 3);
}

TEST_F(CliTest, DatabaseComesFromTheEnvironment) {
  ProcessOptions options;
  options.command = {ENGINE_DB_CLI, "query", "SELECT current_user AS u"};
  options.environment = {{"DB_URL", cluster_->Url()}, {"ENGINE_DB_GATEWAY", gateway_->address()}};
  const Completed done = RunProgram(options);
  EXPECT_EQ(done.out, "u\napp\n") << done.err;
}

TEST_F(CliTest, BatchIsAllOrNothing) {
  Completed done = Cli({"batch", "--format", "json",
                        File("INSERT INTO points VALUES (1, 'a;b');\n"
                             "-- a comment;\nINSERT INTO points VALUES (2, 'c');\n")});
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_EQ(json::parse(done.out), json({{"statements", 2}, {"failed", 0}, {"rows_affected", 2}}));
  done = Cli({"batch", File("INSERT INTO points VALUES (3, 'x');\nINSERT INTO points VALUES (1, 'y');\n")});
  EXPECT_EQ(done.exit_code, 1);
  EXPECT_THAT(done.err, HasSubstr("line 2: error: "));
  EXPECT_EQ(cluster_->Scalar("SELECT count(*) FROM points"), "2");
}

TEST_F(CliTest, BatchEachGoesOnAfterAFailure) {
  const Completed done = Cli({"batch", "--each", "--format", "table",
                              File("INSERT INTO points VALUES (1, 'a');\nINSERT INTO points VALUES (1, 'b');\n"
                                   "INSERT INTO points VALUES (2, 'c');\n")});
  EXPECT_EQ(done.exit_code, 1);
  EXPECT_THAT(done.err, HasSubstr("line 2: error: "));
  EXPECT_EQ(done.out, "3 statements, 2 rows affected, 1 failed\n");
  EXPECT_EQ(cluster_->Scalar("SELECT string_agg(note, '' ORDER BY id) FROM points"), "ac");
}

TEST_F(CliTest, BatchOverManyCallsIsStillAllOrNothing) {
  std::string rows = "id,note\n";
  for (int i = 1; i <= 2500; ++i) rows += std::to_string(i) + ",n" + std::to_string(i) + "\n";
  const std::vector<std::string> command = {"batch", "--sql", "INSERT INTO points VALUES (?, ?)", "--csv"};
  std::vector<std::string> good = command;
  good.insert(good.end(), {File(rows), "--header", "--format", "table"});
  Completed done = Cli(good);
  EXPECT_EQ(done.out, "2,500 statements, 2,500 rows affected\n") << done.err;
  cluster_->Exec("TRUNCATE points");
  std::vector<std::string> bad = command;
  bad.insert(bad.end(), {File(rows + "7,again\n"), "--header"});
  done = Cli(bad);
  EXPECT_EQ(done.exit_code, 1);
  EXPECT_THAT(done.err, HasSubstr("line 2502: error: "));
  EXPECT_EQ(cluster_->Scalar("SELECT count(*) FROM points"), "0");
}

TEST_F(CliTest, InterruptCancelsTheStatement) {
  Process process(Command({"query", "SELECT pg_sleep(60)"}));
  const auto running = [] {
    return cluster_->Scalar(
               "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(60)' "
               "AND pid <> pg_backend_pid()") == "1";
  };
  ASSERT_TRUE(WaitUntil(std::chrono::seconds(20), running));
  process.Signal(SIGINT);
  EXPECT_EQ(process.Wait(std::chrono::seconds(10)), 130);
  EXPECT_TRUE(WaitUntil(std::chrono::seconds(10), [&running] { return !running(); }));
}

TEST_F(CliTest, InterruptEndsABatchThatWaitsForItsInput) {
  const std::string pipe = folder_.path() / "pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  const int writer = open(pipe.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_GE(writer, 0);
  ProcessOptions options = Command({"batch"});
  options.stdin_file = pipe;
  Process process(options);
  ASSERT_TRUE(WaitUntil(std::chrono::seconds(20), [&process] {
    // It sleeps in a read of its input once it has its connection.
    const std::string call = ReadFile("/proc/" + std::to_string(process.pid()) + "/syscall");
    return call.starts_with("0 0x0 ");
  }));
  process.Signal(SIGINT);
  EXPECT_EQ(process.Wait(std::chrono::seconds(10)), 130);
  close(writer);
}

TEST_F(CliTest, BatchTakesFunctionsRulesAndAByteOrderMark) {
  const Completed done =
      Cli({"batch", "--format", "json",
           File("\xEF\xBB\xBF"
                "CREATE FUNCTION pg_temp.twice(x int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT "
                "CASE WHEN x > 0 THEN 2 * x END; END;\n"
                "CREATE TEMP TABLE log (id int);\n"
                "CREATE TEMP VIEW seen AS SELECT 1 AS id;\n"
                "CREATE RULE r AS ON INSERT TO seen DO INSTEAD (INSERT INTO log VALUES (1); INSERT INTO "
                "log VALUES (2));\n"
                "INSERT INTO points VALUES (pg_temp.twice(4), 'x');\n")});
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_EQ(json::parse(done.out), json({{"statements", 5}, {"failed", 0}, {"rows_affected", 1}}));
  EXPECT_EQ(cluster_->Scalar("SELECT id FROM points"), "8");
}

TEST_F(CliTest, StatusTellsServingFromNotThere) {
  Completed done = Cli({"status", "--format", "json"});
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_EQ(json::parse(done.out.substr(0, done.out.find('\n')))["state"], "serving");
  ProcessOptions options = Command({"status"});
  options.command[3] = "127.0.0.1:" + std::to_string(FreePort());
  done = RunProgram(options);
  EXPECT_EQ(done.exit_code, 3);
  EXPECT_THAT(done.err, HasSubstr("does not answer"));
}

TEST_F(CliTest, PasswordIsNeverTakenFromAnArgument) {
  ProcessOptions options;
  options.command = {ENGINE_DB_CLI, "query", "--url", "postgresql://app:very-secret@127.0.0.1/app", "SELECT 1"};
  const Completed done = RunProgram(options);
  EXPECT_EQ(done.exit_code, 2);
  EXPECT_THAT(done.err, Not(HasSubstr("very-secret")));
}

TEST_F(CliTest, HelpDocumentsParametersAndExitCodes) {
  const Completed done = Cli({"query", "--help"});
  EXPECT_EQ(done.exit_code, 0);
  EXPECT_THAT(done.out, HasSubstr("Exit codes"));
  EXPECT_THAT(done.out, HasSubstr("expr:current_timestamp"));
}

TEST_F(CliTest, RowsWithoutColumnsAreRows) {
  const auto run = [](const std::vector<std::string>& command, const std::string& format) {
    std::vector<std::string> arguments = command;
    arguments.insert(arguments.end(), {"--format", format, "SELECT FROM generate_series(1, 3)"});
    const Completed completed = Cli(arguments);
    EXPECT_EQ(completed.exit_code, 0) << completed.err;
    return completed.out;
  };
  for (const std::vector<std::string>& command : {std::vector<std::string>{"query"}, {"exec", "--exactly-once"}}) {
    EXPECT_EQ(run(command, "json"), "{}\n{}\n{}\n");
    EXPECT_EQ(run(command, "csv"), "\n\n\n\n");
    EXPECT_EQ(run(command, "table"), "(3 rows)\n");
  }
}

}  // namespace
}  // namespace engine::db::test

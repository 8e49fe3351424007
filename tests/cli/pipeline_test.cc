// engine-db run, as people and scripts use it: pipelines in; responses, messages and exit codes out. The examples of
// sdk/builtins/README.md are among them.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <sstream>
#include <string>
#include <system_error>
#include <vector>

#include "engine_db/builtins/json.h"
#include "tests/support/gateway_process.h"
#include "tests/support/network.h"
#include "tests/support/postgres_cluster.h"
#include "tests/support/process.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/wait.h"

namespace engine::db::test {
namespace {

using builtins::Json;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr char kSource[] = ENGINE_DB_SOURCE_DIR;
constexpr char kServer[] =
    "databaseServer: {protocol: database, driver: postgres, url: \"${ENV:DB_URL}\", securitySchemes: {dbAuth: [{type: "
    "basic, "
    "username: \"${ENV:DB_USERNAME}\", password: \"${ENV:DB_PASSWORD}\"}]}}\nsteps:\n";

std::string sql_step(const std::string& name, const std::string& rest) {
  return "- {name: " + name + ", type: database, operation: executeSql, server: databaseServer, " + rest + "}\n";
}
std::string step(const std::string& name, const std::string& operation) {
  return "- {name: " + name + ", type: database, operation: " + operation + ", server: databaseServer}\n";
}
std::string insert(const std::string& name, int id) {
  return sql_step(name, "query: \"INSERT INTO notes VALUES (?)\", parameters: [" + std::to_string(id) + "]");
}

// The lines that the command wrote, without what differs from run to run.
std::string without_times(const std::string& lines) {
  std::string result;
  std::istringstream in(lines);
  for (std::string line; std::getline(in, line);) {
    Json::Object kept;
    const Json parsed = Json::parse(line);
    for (size_t i = 0; i < parsed.object()->names.size(); ++i) {
      if (parsed.object()->names[i] != "ms") kept.add(parsed.object()->names[i], parsed.object()->values[i]);
    }
    result += Json(kept).dump() + "\n";
  }
  return result;
}

class PipelineTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    cluster_ = new PostgresCluster();
    gateway_ = new GatewayProcess();
    cluster_->Exec("SET ROLE app; CREATE TABLE notes (id int PRIMARY KEY)");
    ProcessOptions psql;
    psql.command = {PostgresProgram("psql"),
                    "-X",
                    "-q",
                    "-d",
                    cluster_->AppUser(),
                    "-v",
                    "ON_ERROR_STOP=1",
                    "-f",
                    std::string(kSource) + "/deploy/development/loyalty.sql"};
    const Completed done = RunProgram(psql);
    ASSERT_EQ(done.exit_code, 0) << done.err;
  }
  static void TearDownTestSuite() {
    delete gateway_;
    delete cluster_;
  }
  void SetUp() override { cluster_->Exec("TRUNCATE notes"); }

  // engine-db run with these arguments, in the test's folder.
  ProcessOptions command(const std::vector<std::string>& arguments) {
    ProcessOptions options;
    options.command = {ENGINE_DB_CLI, "run", "--gateway", gateway_->address()};
    options.command.insert(options.command.end(), arguments.begin(), arguments.end());
    options.working_folder = folder_.path();
    options.environment = {{"DB_URL", "postgresql://" + cluster_->host() + ":" + std::to_string(cluster_->port()) +
                                          "/" + cluster_->dbname()},
                           {"DB_USERNAME", cluster_->user()},
                           {"DB_PASSWORD", cluster_->password()}};
    return options;
  }
  // The same where there is neither a database nor a gateway.
  ProcessOptions command_without_database(const std::vector<std::string>& arguments) {
    ProcessOptions options = command(arguments);
    options.command[3] = "unix:/nonexistent/gateway.sock";
    options.environment["DB_URL"] = "postgresql://nowhere.invalid/none";
    return options;
  }

  Completed run(const std::string& pipeline, std::vector<std::string> arguments = {}) {
    WriteFile(folder_.path() / "p.yaml", pipeline);
    arguments.insert(arguments.begin(), "p.yaml");
    return RunProgram(command(arguments));
  }
  static std::string notes() {
    return cluster_->Scalar("SELECT coalesce(string_agg(id::text, ',' ORDER BY id), '') FROM notes");
  }

  TemporaryFolder folder_;
  static PostgresCluster* cluster_;
  static GatewayProcess* gateway_;
};

PostgresCluster* PipelineTest::cluster_ = nullptr;
GatewayProcess* PipelineTest::gateway_ = nullptr;

TEST_F(PipelineTest, TheRequirementsExampleWorksAsItIsWritten) {
  const std::string folder = std::string(kSource) + "/deploy/development";
  const Completed done = RunProgram(command({folder + "/loyalty.yaml", "--input", folder + "/loyalty-input.json"}));
  EXPECT_EQ(done.exit_code, 0) << done.err;
  // loyalty.sql says how many it is.
  EXPECT_EQ(
      without_times(done.out),
      "{\"step\":\"query-loyalty-score\",\"operation\":\"executeSql\",\"server\":\"databaseServer\",\"rowcount\":1,"
      "\"response\":{\"loyaltyScore\":29}}\n");
  EXPECT_EQ(cluster_->Scalar("SELECT count(*) FROM loyaltyPoints WHERE customer_id = 'C-1001' AND ORDERDATE BETWEEN "
                             "'2024-01-01' AND now()"),
            "29");
}

// A fenced block of a page.
struct Block {
  std::string language;
  std::string content;
};

std::vector<Block> blocks_of(const std::string& page) {
  std::vector<Block> blocks;
  std::istringstream lines(page);
  bool inside = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("```")) {
      inside = !inside;
      if (inside) blocks.push_back({line.substr(3), ""});
    } else if (inside) {
      blocks.back().content += line + "\n";
    }
  }
  return blocks;
}

TEST_F(PipelineTest, EachExampleOfThePageGivesWhatItSays) {
  const std::vector<Block> blocks = blocks_of(ReadFile(std::string(kSource) + "/sdk/builtins/README.md"));
  int examples = 0;
  for (size_t i = 0; i + 2 < blocks.size(); ++i) {
    if (blocks[i].language != "yaml") continue;
    SCOPED_TRACE(blocks[i].content);
    ASSERT_EQ(blocks[i + 1].language, "json");
    ASSERT_EQ(blocks[i + 2].language, "jsonl");
    WriteFile(folder_.path() / "input.json", blocks[i + 1].content);
    WriteFile(folder_.path() / "p.yaml", blocks[i].content);
    ProcessOptions options = command({"p.yaml", "--input", "input.json"});
    options.environment["DB_URL"] = cluster_->Url();  // with the password, for those that take it from there
    const Completed done = RunProgram(options);
    EXPECT_EQ(done.exit_code, 0) << done.err;
    EXPECT_EQ(without_times(done.out), blocks[i + 2].content);
    ++examples;
  }
  EXPECT_EQ(examples, 5);
}

TEST_F(PipelineTest, RowsAreAsRowToJsonWritesThem) {
  const std::string query =
      "SELECT 1::int2 AS a, 9223372036854775807::int8 AS b, 12345678901234567890.10::numeric AS c, 'NaN'::numeric AS "
      "d, "
      "0.1::float4 AS e, 0.1::float8 AS f, 1e300::float8 AS g, '-infinity'::float8 AS h, true AS i, 'x\"y' AS j, "
      "'2024-02-29 12:34:56.789'::timestamp AS k, '2024-02-29 12:34:56+02'::timestamptz AS l, 'infinity'::timestamptz "
      "AS m, "
      "'0044-03-15 12:00 BC'::timestamp AS n, '2024-02-29'::date AS o, '12:00+02'::timetz AS p, '1 day'::interval AS "
      "q, "
      "'{\"k\": [1, 2.50]}'::jsonb AS r, '{1,NULL,3}'::int[] AS s, '{{\"a b\",\"NULL\"},{NULL,\"q\\\"\"}}'::text[] AS "
      "t, "
      "'\\x00ff'::bytea AS u, NULL::int AS v, '{t,f}'::bool[] AS w, '{1.50,NaN}'::numeric[] AS x, "
      "ARRAY['2024-02-29 12:34:56+02'::timestamptz] AS y, '[0:1]={7,8}'::int[] AS z, "
      "'00000000-0000-0000-0000-000000000001'::uuid AS aa, '{}'::int[] AS ac, int4range(1, 5) AS ad";
  std::string yaml_query;
  for (const char letter : query) yaml_query += letter == '\'' ? "''" : std::string(1, letter);
  const Completed done =
      run(kServer + sql_step("s", "query: '" + yaml_query + "', parameters: [], response: {row: \"$.rows[0]\"}"));
  ASSERT_EQ(done.exit_code, 0) << done.err;
  const Json output = Json::parse(done.out);
  const Json& row = *output.object()->find("response")->object()->find("row");
  const Json expected = Json::parse(cluster_->Scalar("SELECT row_to_json(whole) FROM (" + query + ") AS whole"));
  for (size_t i = 0; i < expected.object()->names.size(); ++i) {
    EXPECT_EQ(row.object()->values.at(i).dump(), expected.object()->values[i].dump()) << expected.object()->names[i];
  }
}

TEST_F(PipelineTest, ListsOfTheInputBecomeArrays) {
  WriteFile(folder_.path() / "input.json", R"({"in": {"items": [{"id": 5, "tag": "a,b"}, {"id": 6, "tag": null}]}})");
  const Completed done = run(
      kServer +
          sql_step("add",
                   "query: \"INSERT INTO notes SELECT unnest(?::int[]) RETURNING id\", parameters: "
                   "[\"$.in.items[*].id\"], response: {ids: \"$.rows[*].id\"}") +
          sql_step(
              "find",
              "query: \"SELECT array_agg(id ORDER BY id) AS found, ?::text[] AS tags FROM notes WHERE id = ANY(?)\", "
              "parameters: [\"$.in.items[*].tag\", \"$.add.ids\"], response: {row: \"$.rows[0]\"}"),
      {"--input", "input.json"});
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_THAT(done.out, HasSubstr(R"("response":{"ids":[5,6]})"));
  EXPECT_THAT(done.out, HasSubstr(R"("response":{"row":{"found":[5,6],"tags":["a,b",null]}})"));
}

TEST_F(PipelineTest, TransactionsGoOverSteps) {
  const Completed done =
      run(kServer + insert("before", 1) + step("open", "dbConnecton") + insert("a", 2) + insert("b", 3) +
          step("done", "commitSql") + insert("c", 4) + step("undo", "rollbackSql") + insert("last", 5));
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_EQ(notes(), "1,2,3,5");
}

TEST_F(PipelineTest, AFailureRollsItsTransactionBackAndSaysWhatRemains) {
  const Completed done = run(kServer + insert("before", 1) + step("open", "dbConnection") + insert("a", 2) +
                             insert("again", 2) + insert("never", 3) + step("done", "commitSql"));
  EXPECT_EQ(done.exit_code, 1);
  EXPECT_EQ(notes(), "1");
  EXPECT_THAT(done.err, AllOf(HasSubstr("p.yaml:6: step \"again\": query: "), HasSubstr("[23505]"),
                              HasSubstr("Rolled back: a.\nCommitted and not undone: before.\n")));
  EXPECT_THAT(done.out, AllOf(HasSubstr("\"step\":\"a\""), Not(HasSubstr("\"step\":\"again\""))));
}

TEST_F(PipelineTest, OutputForPeopleShowsResponsesAndTimes) {
  const Completed done =
      run(kServer + ("- {name: receive, type: kafka}\n" + step("open", "dbConnection")) +
              sql_step("add", "query: \"INSERT INTO notes VALUES (1), (2)\", parameters: []") +
              sql_step("show", "query: \"SELECT id FROM notes ORDER BY id\", parameters: []") +
              sql_step("count",
                       "query: \"SELECT count(*) AS Total, 'a' AS t FROM notes\", parameters: [], response: {total: "
                       "\"$.rows[0].Total\", text: \"$.rows[0].t\", all: \"$.rows\"}") +
              step("done", "commitSql"),
          {"--format", "table"});
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_THAT(done.out,
              testing::MatchesRegex("receive: kafka, not run here\n"
                                    "open: dbConnection, [0-9]+\\.[0-9] ms\n"
                                    "add: executeSql, 2 rows affected, [0-9]+\\.[0-9] ms\n"
                                    "show: executeSql, 2 rows, [0-9]+\\.[0-9] ms\n  .\"id\":1.\n  .\"id\":2.\n"
                                    "count: executeSql, 1 row, [0-9]+\\.[0-9] ms\n  total: 2\n  text: a\n  all: .*\n"
                                    "done: commitSql, [0-9]+\\.[0-9] ms\n"));
  EXPECT_EQ(run(std::string(kServer), {"--format", "csv"}).exit_code, 2);
}

TEST_F(PipelineTest, TheInputMayComeFromTheStandardInput) {
  WriteFile(folder_.path() / "p.yaml",
            kServer + sql_step("s", "query: \"SELECT ?::text AS x\", parameters: [\"$.in.x\"]"));
  WriteFile(folder_.path() / "input.json", R"({"in": {"x": "from there"}})");
  ProcessOptions options = command({"p.yaml", "--input", "-"});
  options.stdin_file = folder_.path() / "input.json";
  const Completed done = RunProgram(options);
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_THAT(done.out, HasSubstr("from there"));
}

TEST_F(PipelineTest, ABareListTakesItsServerFromTheCommandLine) {
  WriteFile(folder_.path() / "p.yaml", sql_step("s", "query: SELECT current_user AS u, parameters: []"));
  ProcessOptions options = command({"p.yaml", "--host", cluster_->host(), "--port", std::to_string(cluster_->port()),
                                    "--user", cluster_->user(), "--dbname", cluster_->dbname()});
  EXPECT_THAT(RunProgram(options).out, HasSubstr("\"app\""));
  EXPECT_THAT(RunProgram(command({"p.yaml"})).out, HasSubstr("\"app\""));  // DB_URL
  const Completed done =
      run(kServer + sql_step("s", "query: SELECT 1, parameters: []"), {"--data-source", "somewhere-else"});
  EXPECT_EQ(done.exit_code, 2);
  EXPECT_THAT(done.err, HasSubstr("the pipeline says itself where its servers are"));
}

TEST_F(PipelineTest, CheckNeedsNoDatabaseAndTellsAllFaults) {
  WriteFile(folder_.path() / "p.yaml", kServer + sql_step("s", "query: \"SELECT ?, ?\", parameters: [\"$.in.x\"]") +
                                           sql_step("t", "query: COMMIT, parameters: []") +
                                           sql_step("u", "query: \"SELECT 'x\", parameters: []"));
  Completed done = RunProgram(command_without_database({"p.yaml", "--check"}));
  EXPECT_EQ(done.exit_code, 2);
  EXPECT_EQ(done.out, "");
  EXPECT_THAT(
      done.err,
      AllOf(HasSubstr("p.yaml:3: step \"s\": query: the statement has 2 placeholders (?) but 1 parameter was given"),
            HasSubstr("p.yaml:4: step \"t\": query: COMMIT can't run as a statement"),
            HasSubstr("p.yaml:5: step \"u\": query: ")));
  WriteFile(folder_.path() / "p.yaml", kServer + sql_step("s", "query: \"SELECT ?\", parameters: [\"$.in.x\"]"));
  done = RunProgram(command_without_database({"p.yaml", "--check"}));
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_THAT(done.err, HasSubstr("p.yaml: 1 database step, no fault"));
  WriteFile(folder_.path() / "input.json", R"({"in": {"y": 1}})");
  done = RunProgram(command_without_database({"p.yaml", "--check", "--input", "input.json"}));
  EXPECT_EQ(done.exit_code, 2);
  EXPECT_THAT(done.err, HasSubstr("p.yaml:3: step \"s\": parameters[0]: $.in.x: there is no $.in.x"));
}

TEST_F(PipelineTest, DryRunShowsWhatWouldBeSentAndNoValue) {
  WriteFile(folder_.path() / "p.yaml",
            kServer + step("open", "dbConnection") +
                sql_step("s",
                         "query: \"UPDATE t SET a = ?, b = ?, c = ? WHERE d ??| ?\", parameters: [\"$.in.x\", "
                         "currentdatetime(), \"${ENV:DB_PASSWORD}\", {path: \"$.in.y\", as: json}]") +
                step("done", "commitSql"));
  Completed done = RunProgram(command_without_database({"p.yaml", "--dry-run", "--format", "table"}));
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_EQ(done.out,
            "open: dbConnection on databaseServer, begins a transaction\n"
            "s: executeSql on databaseServer, in the transaction\n"
            "  UPDATE t SET a = $1, b = CURRENT_TIMESTAMP, c = $2 WHERE d ?| $3\n"
            "  $1: $.in.x\n"
            "  ?: an expression, written into the text\n"
            "  $2: a text of line 4\n"
            "  $3: $.in.y as JSON\n"
            "done: commitSql on databaseServer, ends the transaction\n");
  done = RunProgram(command_without_database({"p.yaml", "--dry-run"}));
  EXPECT_THAT(done.out,
              HasSubstr(R"({"step":"s","operation":"executeSql","server":"databaseServer","transaction":"inside",)"
                        R"("sql":"UPDATE t SET a = $1, b = CURRENT_TIMESTAMP, c = $2 WHERE d ?| $3",)"
                        R"("parameters":[{"slot":"$1","from":"$.in.x"},{"slot":null,"from":"an expression)"));
  EXPECT_THAT(done.out, Not(HasSubstr(cluster_->password())));
}

TEST_F(PipelineTest, WhatIsWrongIsToldBeforeAnythingRuns) {
  const std::string pipeline =
      kServer + insert("a", 1) + sql_step("s", "query: \"SELECT ?\", parameters: [\"$.in.x\"]");
  Completed done = run(pipeline);
  EXPECT_EQ(done.exit_code, 2);
  EXPECT_THAT(done.err,
              HasSubstr("p.yaml:4: step \"s\": parameters[0]: $.in.x: no step \"in\" has run before and none is in "
                        "the input"));
  EXPECT_EQ(notes(), "");
  WriteFile(folder_.path() / "input.json", "[]");
  done = run(pipeline, {"--input", "input.json"});
  EXPECT_EQ(done.exit_code, 2);
  EXPECT_THAT(done.err, HasSubstr("input.json: must be an object"));
  WriteFile(folder_.path() / "input.json", "{\"in\":\n canary-4711}");
  done = run(pipeline, {"--input", "input.json"});
  EXPECT_THAT(done.err, AllOf(HasSubstr("input.json: is not JSON (line 2"), Not(HasSubstr("canary"))));
  EXPECT_EQ(run(pipeline, {"--input", "nowhere.json"}).exit_code, 2);
  EXPECT_EQ(RunProgram(command({"nowhere.yaml"})).exit_code, 2);
  EXPECT_EQ(RunProgram(command({})).exit_code, 2);
  EXPECT_EQ(run(pipeline, {"--check", "--dry-run"}).exit_code, 2);
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

TEST_F(PipelineTest, AStepMayHaveMoreRowsThanOneCallReturns) {
  const std::string count = ", response: {n: \"$.rowcount\", last: \"$.rows[-1].id\"}";
  const Completed done = run(
      kServer + sql_step("reads", "query: \"SELECT id FROM generate_series(1, 30000) AS id\", parameters: []" + count) +
      step("open", "dbConnection") +
      sql_step("writes",
               "query: \"INSERT INTO notes SELECT generate_series(1, 30000) RETURNING id\", parameters: []" + count) +
      step("done", "commitSql") + sql_step("deletes", "query: DELETE FROM notes RETURNING id, parameters: []" + count));
  EXPECT_EQ(done.exit_code, 0) << done.err;
  EXPECT_THAT(done.out, AllOf(HasSubstr(R"("step":"reads","operation":"executeSql","server":"databaseServer",)"
                                        R"("rowcount":30000,"response":{"n":30000,"last":30000})"),
                              HasSubstr(R"("rowcount":30000,"response":{"n":30000,"last":30000},"ms")")));
  EXPECT_EQ(notes(), "");
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

TEST_F(PipelineTest, CheckParsesTheQueries) {
  WriteFile(folder_.path() / "p.yaml", kServer + sql_step("s", "query: SELEC 1, parameters: []") +
                                           sql_step("t", "query: \"SELECT ?? FROM\", parameters: []"));
  const Completed done = RunProgram(command_without_database({"p.yaml", "--check"}));
  EXPECT_EQ(done.exit_code, 2);
  EXPECT_THAT(done.err, AllOf(HasSubstr("p.yaml:3: step \"s\": query: syntax error at or near \"SELEC\" (by the parser "
                                        "of PostgreSQL "),
                              HasSubstr("p.yaml:4: step \"t\": query: syntax error at ")));
}

TEST_F(PipelineTest, ACommentThatSwallowsTheLinesBelowIsWarnedOf) {
  const std::string step =
      "- name: s\n  type: database\n  operation: executeSql\n  server: databaseServer\n  parameters: []\n  query: ";
  const auto warning = [&](const std::string& query) {
    WriteFile(folder_.path() / "p.yaml", kServer + step + query);
    const Completed done = RunProgram(command_without_database({"p.yaml", "--check"}));
    EXPECT_EQ(done.exit_code, 0) << done.err;
    return done.err;
  };
  EXPECT_THAT(warning(">\n    UPDATE notes SET id = 1 -- only one\n    WHERE id = 2\n"),
              HasSubstr("warning: p.yaml:8: step \"s\": query: a comment with -- goes on over the lines below it"));
  for (const char* right :
       {"|\n    UPDATE notes SET id = 1 -- only one\n    WHERE id = 2\n", ">\n    SELECT '--'\n    , 2\n",
        ">\n    SELECT 1 /* one -- and */\n    , 2\n", ">\n    SELECT 1\n    , 2 -- the end\n"}) {
    EXPECT_THAT(warning(right), Not(HasSubstr("warning"))) << right;
  }
}

TEST_F(PipelineTest, AKeyThatTheInputHasTwiceIsAnError) {
  WriteFile(folder_.path() / "input.json", R"({"in": {"x": 1, "x": 2}})");
  const Completed done =
      run(kServer + sql_step("s", "query: \"SELECT ?\", parameters: [\"$.in.x\"]"), {"--input", "input.json"});
  EXPECT_EQ(done.exit_code, 2);
  EXPECT_THAT(done.err, HasSubstr("input.json: has the key \"x\" twice in one object"));
}

TEST_F(PipelineTest, AFileCannotTakeTheProgramDown) {
  for (const char* yaml : {"pipeline: &a {pipeline: *a}\n",
                           "steps: &a\n- {name: s, type: database, operation: executeSql, "
                           "server: d, query: SELECT 1, parameters: [*a]}\n"}) {
    const Completed done = run(yaml, {"--check"});
    EXPECT_EQ(done.exit_code, 2) << yaml;
    EXPECT_THAT(done.err, HasSubstr("has an alias within what it stands for"));
  }
}

// Numbers of JSON have no type: the place of each decides, and where none does they are texts, as quoted literals are.
TEST_F(PipelineTest, WholeNumbersHaveTheTypeOfTheirPlace) {
  WriteFile(folder_.path() / "input.json", R"({"in": {"id": 1001, "big": 12345678901234567890, "one": 1}})");
  const auto row = [&](const std::string& query, const std::string& parameters) {
    const Completed done = run(kServer + sql_step("s", "query: \"" + query + "\", parameters: [" + parameters +
                                                           "], response: {x: \"$.rows[0]\"}"),
                               {"--input", "input.json"});
    const size_t begin = done.out.find("\"response\":");
    return done.exit_code == 0 && begin != std::string::npos
               ? done.out.substr(begin + 11, done.out.find(",\"ms\"") - begin - 11)
               : done.err;
  };
  const std::string id = "\"$.in.id\"";
  EXPECT_EQ(row("SELECT t FROM (VALUES ('1001'::text)) AS v (t) WHERE t = ?", id), R"({"x":{"t":"1001"}})");
  EXPECT_EQ(row("SELECT t FROM (VALUES ('1001'::varchar)) AS v (t) WHERE t = ?", "1001"), R"({"x":{"t":"1001"}})");
  EXPECT_EQ(row("SELECT n FROM (VALUES (1001)) AS v (n) WHERE n = ?", id), R"({"x":{"n":1001}})");
  EXPECT_EQ(row("SELECT n FROM generate_series(1, ?) AS n ORDER BY n DESC LIMIT ?", id + ", \"$.in.one\""),
            R"({"x":{"n":1001}})");
  EXPECT_EQ(row("SELECT substr('abc', ?) AS s, 2.50 * ? AS n, ?::bigint AS i", "2, 2, " + id),
            R"({"x":{"s":"bc","n":5.00,"i":1001}})");
  EXPECT_EQ(row("SELECT ? AS nothing, ?::int AS cast", id + ", " + id), R"({"x":{"nothing":"1001","cast":1001}})");
  EXPECT_EQ(row("SELECT jsonb_build_object('n', ?::bigint) AS j", id), R"({"x":{"j":{"n":1001}}})");
  EXPECT_THAT(row("SELECT ? + ? AS n", id + ", 1"), HasSubstr("[42725]"));
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

// engine-db run, as people and scripts use it: pipelines in, responses out. The examples of sdk/builtins/README.md are
// among them.
#include "tests/cli/pipeline_test.h"

#include <sstream>

namespace engine::db::test {
namespace {

using builtins::Json;
using testing::AllOf;
using testing::HasSubstr;

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

}  // namespace
}  // namespace engine::db::test

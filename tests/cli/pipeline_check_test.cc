// What is found before a pipeline runs: --check, --dry-run, and faults of the file and of its input.
#include "tests/cli/pipeline_test.h"

namespace engine::db::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

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

}  // namespace
}  // namespace engine::db::test

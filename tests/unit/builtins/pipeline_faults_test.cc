// What a pipeline file must not do unnoticed: lose a setting, a line, a part of a query; or take the machine's memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <variant>

#include "engine_db/builtins/operation.h"
#include "engine_db/builtins/pipeline.h"
#include "tests/support/requirements_yaml.h"

namespace engine::db::builtins {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

Pipeline load(const std::string& yaml) {
  return load_pipeline(yaml, {.file = "p.yaml", .environment = [](const std::string&) { return "x"; }});
}

// What is wrong, a line each; empty for nothing.
std::string faults_of(const std::string& yaml) {
  try {
    (void)load(yaml);
    return "";
  } catch (const PipelineError& error) {
    return error.what();
  }
}

// A server with this URL and these lines, the first of which is line 5.
std::string server(const std::string& url, const std::string& lines) {
  return "db:\n  protocol: database\n  driver: postgres\n  url: \"" + url + "\"\n" + lines + "steps: []\n";
}
ConnectionConfig config(const std::string& url, const std::string& lines) {
  return std::get<ConnectionConfig>(*load(server(url, lines)).servers.at(0).target);
}

// A step with this query, as YAML has it behind "query:".
std::string with_query(const std::string& query) {
  return "db: {protocol: database, driver: postgres, dataSource: x}\nsteps:\n- name: s\n  type: database\n"
         "  operation: executeSql\n  server: db\n  parameters: []\n  query: " +
         query + "\n";
}
// One with this parameter.
std::string with_parameter(const std::string& parameter) {
  return with_query("SELECT ?").replace(with_query("SELECT ?").find("[]"), 2, "[" + parameter + "]");
}

TEST(ServerSettings, HoldBesideARetryThatADefaultGivesWayTo) {
  const ConnectionConfig found = config(
      "postgresql://u@h/d?max_pool_size=20",
      "  tlsMode: require\n  timeoutMs: 1000\n  retry: {initialDelayMs: 5000}\n  securitySchemes: {a: [{type: basic, "
      "username: app, password: secret}]}\n");
  EXPECT_EQ(found.tls_mode, TlsMode::kRequire);
  EXPECT_EQ(found.timeout_ms, 1000);
  EXPECT_EQ(found.max_pool_size, 20);
  EXPECT_EQ(found.retry.initial_delay_ms, 5000);
  EXPECT_EQ(found.retry.longest_delay_ms(), 5000);
  EXPECT_EQ(found.user, "app");
  EXPECT_EQ(found.password, "secret");
}

TEST(ServerSettings, ThatContradictTheUrlAreAFault) {
  EXPECT_EQ(faults_of(server("postgresql://u:hush@h/d?min_pool_size=5", "  tlsMode: require\n  maxPoolSize: 3\n")),
            "p.yaml:4: db.url: min_pool_size is 0 to max_pool_size (3)");
  EXPECT_EQ(faults_of(server("postgresql://u:hush@h/d?retry.max_delay_ms=3000",
                             "  tlsMode: require\n  retry:\n    initialDelayMs: 5000\n")),
            "p.yaml:4: db.url: retry.max_delay_ms is initial_delay_ms (5000) to 600000");
  EXPECT_EQ(faults_of(server("postgresql://u@h/d", "  retry:\n    initialDelayMs: 5000\n    maxDelayMs: 100\n")),
            "p.yaml:7: db.retry.maxDelayMs: is initial_delay_ms (5000) to 600000, not 100");
  EXPECT_EQ(faults_of(server("postgresql://u@h/d", "  minPoolSize: 20\n")),
            "p.yaml:5: db.minPoolSize: is 0 to max_pool_size (10), not 20");
  EXPECT_THAT(faults_of(server("postgresql://u@h/d", "  tlsMode: \"\"\n")),
              HasSubstr("p.yaml:5: db.tlsMode: is disable"));
}

TEST(FaultLines, AreThoseOfTheKeys) {
  EXPECT_EQ(faults_of("\n\nSteps:\n- {name: s, type: kafka}\n"),
            "p.yaml:3: Steps: is unknown; did you mean \"steps\"?");
  EXPECT_THAT(faults_of("pipelines:\n- a\n"), HasSubstr("p.yaml:1: pipelines: can't be run together"));
  EXPECT_THAT(faults_of("steps: []\npipeline:\n- {name: s, type: kafka}\n"),
              HasSubstr("p.yaml:2: pipeline: is a second list"));
  EXPECT_THAT(faults_of("db:\n  driver: postgres\nsteps: []\n"),
              AllOf(HasSubstr("p.yaml:1: db.protocol: is required"), HasSubstr("p.yaml:1: db.url: is required")));
  EXPECT_THAT(faults_of(with_query("\n    - SELECT 1")),
              HasSubstr("p.yaml:8: step \"s\": query: must be a single value"));
  EXPECT_THAT(faults_of(with_query("SELECT 1\n  response:\n    - x")),
              HasSubstr("p.yaml:9: step \"s\": response: must be a map"));
  EXPECT_THAT(faults_of(server("postgresql://u@h/d", "  securitySchemes:\n    - x\n")),
              HasSubstr("p.yaml:5: db.securitySchemes: must hold one scheme"));
}

TEST(FaultLines, CountEveryLineBreakOfYaml) {
  std::string yaml = with_query("SELECT 1");
  yaml += "  respons: {}\n";
  for (const std::string line_break : {"\n", "\r", "\r\n"}) {
    std::string text;
    for (const char letter : yaml) text += letter == '\n' ? line_break : std::string(1, letter);
    EXPECT_THAT(faults_of(text), HasSubstr("p.yaml:9: step \"s\": respons: is unknown; did you mean \"response\"?"));
  }
  EXPECT_EQ(load(with_query("\"SELECT 1,\r  2\"")).steps[0].database->query, "SELECT 1, 2");
  EXPECT_EQ(load("\xEF\xBB\xBF" + with_query("SELECT 1")).steps[0].database->query, "SELECT 1");
}

TEST(YamlBounds, AliasesStandForWhatTheyName) {
  const Pipeline pipeline = load(
      "db: &db {protocol: database, driver: postgres, dataSource: x}\nother: *db\ncounting: &query SELECT 1\nsteps:\n"
      "- {name: s, type: database, operation: executeSql, server: other, query: *query, parameters: []}\n");
  EXPECT_EQ(pipeline.servers.size(), 2U);
  EXPECT_EQ(pipeline.steps[0].database->query, "SELECT 1");
}

TEST(YamlBounds, OneWithinItselfIsAFault) {
  EXPECT_THAT(faults_of("pipeline: &a {pipeline: *a}\n"),
              HasSubstr("p.yaml:1: has an alias within what it stands for"));
  EXPECT_THAT(faults_of(with_parameter("&a [*a]")), HasSubstr("has an alias within what it stands for"));
}

TEST(YamlBounds, ACommaAtTheBeginningIsAFaultAndNoEndlessLoop) {
  EXPECT_THAT(faults_of(", steps: []\n"), HasSubstr("p.yaml:1: is not YAML: there is a comma where a value is due"));
  EXPECT_THAT(faults_of("steps: []\n---\n,\n"), HasSubstr("p.yaml:3: is not YAML"));
  EXPECT_EQ(faults_of("---\n---\nsteps: []\n---\n"), "");
}

TEST(YamlBounds, WhatAliasesMultiplyIsBounded) {
  std::string yaml = "a: &a [x, x, x, x, x, x, x, x, x, x]\n";
  for (char name = 'b'; name < 'k'; ++name) {
    const std::string before = "*" + std::string(1, static_cast<char>(name - 1));
    std::string list;
    for (int i = 0; i < 10; ++i) list += (i == 0 ? "" : ", ") + before;
    yaml += std::string(1, name) + ": &" + name + " [" + list + "]\n";
  }
  EXPECT_THAT(faults_of(yaml + with_parameter("{value: *j}")), HasSubstr("repeats more than 4194304 bytes by aliases"));
}

TEST(YamlBounds, NestingIsBounded) {
  const auto nested = [](size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_EQ(faults_of("kafka: " + nested(99) + "\nsteps: []\n"), "");
  EXPECT_THAT(faults_of("kafka: " + nested(100) + "\nsteps: []\n"), HasSubstr("p.yaml:1: is nested more than 100"));
  EXPECT_THAT(faults_of("a: &a " + nested(60) + "\nb: [" + nested(38) + ", *a]\nsteps: []\n"), "");
  EXPECT_THAT(faults_of("a: &a " + nested(60) +
                        "\nb: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[*a]]]]]]]]]]]]]]]]]]]]"
                        "]]]]]]]]]]]]]]]]]]]]\nsteps: []\n"),
              HasSubstr("p.yaml:2: is nested more than 100"));
  EXPECT_THAT(faults_of("a: " + std::string(1'000'000, '[')), HasSubstr("is nested more than 100"));
  std::string map;
  for (int i = 0; i < 200; ++i) map += std::string(static_cast<size_t>(i), ' ') + "pipeline:\n";
  EXPECT_THAT(faults_of(map), HasSubstr("is nested more than 100"));
}

TEST(MergeKeys, AreNamedAsWhatTheyAre) {
  const std::string base = "base: &base {protocol: database, driver: postgres}\n";
  EXPECT_THAT(faults_of(base + "db:\n  <<: *base\n  url: postgresql://u@h/d\nsteps: []\n"),
              HasSubstr("p.yaml:3: db.<<: is a merge key, which is not supported: write its keys out"));
  EXPECT_THAT(faults_of(base + "<<: *base\nsteps: []\n"), HasSubstr("p.yaml:2: <<: is a merge key"));
  EXPECT_THAT(faults_of("common: &common {type: database}\nsteps:\n- <<: *common\n  name: s\n"),
              HasSubstr("p.yaml:3: step \"s\": <<: is a merge key"));
  EXPECT_THAT(faults_of("common: &common {a: 1}\n" + with_parameter("{value: {<<: *common}}")),
              HasSubstr("is a merge key"));
  EXPECT_EQ(faults_of("kafka: {<<: {a: 1}}\nsteps: [{name: s, type: kafka, <<: {a: 1}}]\n"), "");  // not ours
}

TEST(AStepWithoutType, IsReadAllTheSame) {
  EXPECT_THAT(faults_of("steps:\n- name: s\n  operation: executeSql\n  query: SELECT 1\n  respons: {}\n"),
              AllOf(HasSubstr("p.yaml:2: step \"s\": type: is required: database, or another plugin's"),
                    HasSubstr("p.yaml:5: step \"s\": respons: is unknown"),
                    HasSubstr("step \"s\": server: is required"), HasSubstr("step \"s\": parameters: is required")));
  EXPECT_EQ(faults_of("steps:\n- name: s\n  topic: x\n"),
            "p.yaml:2: step \"s\": type: is required: database, or another plugin's");
}

TEST(Mistakes, ForPathsAndExpressionsAreNotTakenForTexts) {
  for (const char* text : {" $.in.x", "$.in.x ", "@.in.x", "@[0]", " $['in'].x"}) {
    EXPECT_THAT(faults_of(with_parameter('"' + std::string(text) + '"')), HasSubstr("parameters[0]: ")) << text;
  }
  for (const char* text :
       {"currentdatetime(1)", "currentdatetime( )", " currentdatetime()", "currentdatetime ()", "currentdatetime",
        "CURRENT_TIMESTAMP(3)", " CURRENT_DATE", "DEFAULT ", "now(1)", "today()"}) {
    EXPECT_THAT(faults_of(with_parameter('"' + std::string(text) + '"')),
                AllOf(HasSubstr("parameters[0]: is not an expression"), HasSubstr("{value: \"…\"}")))
        << text;
    EXPECT_EQ(faults_of(with_parameter("{value: \"" + std::string(text) + "\"}")), "") << text;
  }
  EXPECT_THAT(faults_of(with_parameter("[\"@.in.x\"]")), HasSubstr("something other than a constant in a list"));
  for (const char* text : {"@somebody", "a@b.example", "f(x)", "now", "default", "localtime zone", "today"}) {
    EXPECT_EQ(faults_of(with_parameter('"' + std::string(text) + '"')), "") << text;
  }
  EXPECT_THAT(faults_of(with_parameter("{value: {a: 1, a: 2}}")), HasSubstr("has a key twice"));
}

std::vector<size_t> folded(const std::string& query) {
  return load(with_query(query)).steps[0].database->dashes_before_folded_lines;
}

TEST(FoldedQueries, TellWhereADashSwallowsTheLinesBelow) {
  EXPECT_THAT(folded(">\n    UPDATE t SET a = 1 -- all\n    WHERE id = 5"), ElementsAre(19));
  EXPECT_THAT(folded(">-\n    SELECT 1 -- one\n    , 2 -- two"), ElementsAre(9));
  EXPECT_THAT(folded("SELECT 1 -- one\n    , 2"), ElementsAre(9));
  EXPECT_THAT(folded("\"SELECT 1 -- one\n    , 2\""), ElementsAre(9));
  EXPECT_THAT(folded("'SELECT ''x'' -- one\n    , 2'"), ElementsAre(11));
  EXPECT_THAT(folded("|\n    SELECT 1 -- one\n    , 2"), IsEmpty());
  EXPECT_THAT(folded(">\n    SELECT 1 -- one\n\n    , 2"), IsEmpty());  // an empty line stays a line break
  EXPECT_THAT(folded(">\n    SELECT 1\n    , 2 -- the end"), IsEmpty());
  EXPECT_THAT(folded("\"SELECT 1 -- \\\"one\\\"\""), IsEmpty());
  EXPECT_THAT(folded("SELECT 1 -- one"), IsEmpty());
}

}  // namespace
}  // namespace engine::db::builtins

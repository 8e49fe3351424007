#include "engine_db/builtins/pipeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <variant>
#include <vector>

#include "engine_db/builtins/operation.h"
#include "tests/support/requirements_yaml.h"
#include "tests/unit/builtins/pipeline_text.h"

namespace engine::db::builtins {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// The requirements' own text, indented as YAML needs it.
constexpr char kStep[] = R"yaml(- name: query-loyalty-score
  type: database
  operation: executeSql
  server: databaseServer
  description: "Calculate loyalty score based on order history"
  query: "SELECT COUNT(*) AS loyaltyScore FROM loyaltyPoints WHERE customer_id = ? AND ORDERDATE BETWEEN ? AND ? GROUP BY customer_id"
  parameters: ["$.receive-customer-kafka.customerId", "$.calculate-min-start-date.minStartDate", "currentdatetime()"] # MANDATORY; currentdatetime() function to get current date as per driver
  response:
    loyaltyScore: "$.rows[0].loyaltyScore"
)yaml";
constexpr char kOperations[] = R"(operations:
  dbConnecton:
    type: database
    description: Operations for database interactions
    server: databaseServer
  executeSql:
    type: database
    description: Execute SQL queries
    server: databaseServer
  commitSql:
    type: database
    description: Commit transactions
    server: databaseServer
  rollbackSql:
    type: database
    description: Rollback transactions
    server: databaseServer
)";

std::string indented(const std::string& text) {
  std::string result = "  ";
  for (const char letter : text) {
    result += letter;
    if (letter == '\n') result += "  ";
  }
  return result.substr(0, result.size() - 2);
}

const StepParameter& parameter(const Pipeline& pipeline, size_t index) {
  return pipeline.steps.back().database->parameters.at(index);
}
Json constant(const std::string& yaml) {
  return std::get<Json>(parameter(load(with_parameters("[" + yaml + "]")), 0).source);
}

void expect_requirements_example(const Pipeline& pipeline) {
  ASSERT_EQ(pipeline.servers.size(), 1U);
  const auto& config = std::get<ConnectionConfig>(*pipeline.servers[0].target);
  EXPECT_EQ(pipeline.servers[0].name, "databaseServer");
  EXPECT_EQ(config.host, "db.example");
  EXPECT_EQ(config.port, 6543);
  EXPECT_EQ(config.user, "app");
  EXPECT_EQ(config.password, "very-secret");
  EXPECT_EQ(config.dbname, "loyalty");
  ASSERT_EQ(pipeline.steps.size(), 1U);
  const DatabaseStep& step = *pipeline.steps[0].database;
  EXPECT_EQ(step.operation->name(), "executeSql");
  EXPECT_EQ(step.server, "databaseServer");
  EXPECT_THAT(step.query, testing::StartsWith("SELECT COUNT(*) AS loyaltyScore FROM loyaltyPoints"));
  ASSERT_EQ(step.parameters.size(), 3U);
  EXPECT_EQ(std::get<JsonPath>(step.parameters[0].source).text(), "$.receive-customer-kafka.customerId");
  EXPECT_EQ(std::get<Expression>(step.parameters[2].source), Expression::kCurrentTimestamp);
  ASSERT_EQ(step.response.size(), 1U);
  EXPECT_EQ(step.response[0].name, "loyaltyScore");
  EXPECT_FALSE(step.in_transaction);
}

TEST(PipelineLayoutTest, TheRequirementsExampleIsTakenInEveryLayout) {
  const std::string server = test::kDatabaseServer;
  const std::string step = kStep;
  for (const std::string& yaml : {
           server + "steps:\n" + indented(step),
           server + "steps:\n" + step,
           "steps:\n" + step + server,
           server + "pipeline:\n" + indented(step),
           server + "operations:\n" + indented(step),
           server + "---\n" + step,
           "servers:\n" + indented(server) + "steps:\n" + step,
           server + kOperations + "steps:\n" + step,
           server + "pipeline:\n  name: loyalty\n  steps:\n" + indented(step),
           "pipeline:\n" + indented(server) + "  steps:\n" + indented(step),
           "version: 1\nname: loyalty\nkafkaServer:\n  protocol: kafka\n  brokers: [a, b]\n" + server + "steps:\n" +
               step,
           "%YAML 1.2\n---\n" + server + "steps:\n" + step + "...\n",
       }) {
    SCOPED_TRACE(yaml);
    expect_requirements_example(load(yaml));
  }
}

TEST(PipelineLayoutTest, ABareListNeedsItsServerFromElsewhere) {
  EXPECT_EQ(faults_of(kStep),
            "p.yaml:1: step \"query-loyalty-score\": server: \"databaseServer\" is not defined: the file has no server "
            "block");
  const Pipeline pipeline =
      load_pipeline(kStep, {.file = "p.yaml", .environment = environment, .servers_from_elsewhere = true});
  ASSERT_EQ(pipeline.servers.size(), 1U);
  EXPECT_EQ(pipeline.servers[0].name, "databaseServer");
  EXPECT_FALSE(pipeline.servers[0].target.has_value());
}

TEST(PipelineLayoutTest, OtherLayoutsAreErrorsThatSayWhatIsDue) {
  EXPECT_THAT(faults_of(""), HasSubstr("p.yaml: has no steps"));
  EXPECT_THAT(faults_of("just text"), HasSubstr("must be a list of steps, or a map with steps in it"));
  EXPECT_THAT(faults_of(test::kDatabaseServer), HasSubstr("has no steps"));
  EXPECT_THAT(faults_of("steps: {}"), HasSubstr("p.yaml:1: steps: must be a list of steps"));
  EXPECT_THAT(faults_of("steps:\n"), HasSubstr("p.yaml:1: steps: has no value (is what belongs to it not indented?)"));
  EXPECT_THAT(faults_of("stpes: []\n"), HasSubstr("p.yaml:1: stpes: is unknown; did you mean \"steps\"?"));
  EXPECT_THAT(faults_of("steps: []\npipeline: []\n"), HasSubstr("p.yaml:2: pipeline: is a second list of steps"));
  EXPECT_THAT(faults_of("pipelines: []\n"), HasSubstr("a file holds one pipeline"));
  EXPECT_THAT(faults_of("steps: [\n"), HasSubstr("is not YAML"));
  EXPECT_THAT(faults_of("steps: [5]"), HasSubstr("p.yaml:1: steps[0]: must be a map"));
  EXPECT_THAT(faults_of(std::string(test::kDatabaseServer) + test::kDatabaseServer + "steps: []\n"),
              HasSubstr("p.yaml:12: databaseServer: is given twice"));
  EXPECT_THAT(faults_of(std::string(2 << 20, ' ')), HasSubstr("more than 1048576 bytes"));
}

// The requirements' text with the indentation lost on the way.
TEST(PipelineLayoutTest, LostIndentationIsSaid) {
  const auto lost = [](const std::string& yaml) {
    std::string result;
    std::istringstream lines(yaml);
    for (std::string line; std::getline(lines, line);) result += line.substr(line.find_first_not_of(' ')) + "\n";
    return result;
  };
  EXPECT_THAT(faults_of(lost(test::kDatabaseServer)),
              HasSubstr("p.yaml:2: protocol: belongs into a step or a server's block (is it not indented?)"));
  EXPECT_THAT(faults_of(lost(kStep)),
              HasSubstr("p.yaml:3: operation: belongs into a step or a server's block (is it not indented?)"));
  EXPECT_THAT(faults_of(std::string(test::kDatabaseServer) + kStep),
              AllOf(HasSubstr("p.yaml:12: is not YAML"), HasSubstr("needs \"steps:\" or \"---\" before it")));
}

TEST(PipelineLayoutTest, OperationsSayWhatTheirStepsNeedNotRepeat) {
  const std::string steps =
      "steps:\n- name: a\n  operation: executeSql\n  query: SELECT 1\n  parameters: []\n- name: b\n  operation: "
      "commitSql\n";
  const Pipeline pipeline = load(std::string(test::kDatabaseServer) + kOperations + steps);
  EXPECT_EQ(pipeline.steps[0].database->server, "databaseServer");
  EXPECT_EQ(pipeline.steps[1].type, "database");
  EXPECT_THAT(
      faults_of("operations:\n  executeSQL: {type: database}\n" + std::string(test::kDatabaseServer) + "steps: []"),
      HasSubstr("p.yaml:2: operations.executeSQL: is not an operation of a database; did you mean \"executeSql\"?"));
  EXPECT_THAT(faults_of("operations:\n  executeSql: {type: database, sever: x}\n" + std::string(test::kDatabaseServer) +
                        "steps: []"),
              HasSubstr("p.yaml:2: operations.executeSql.sever: is unknown; did you mean \"server\"?"));
}

TEST(PipelineLayoutTest, StepsOfOtherPluginsAreNotLookedInto) {
  const Pipeline pipeline = load(with_steps(
      "- name: receive-customer-kafka\n  type: kafka\n  topic: [x]\n  operation: consume\n" + std::string(kStep)));
  EXPECT_FALSE(pipeline.steps[0].database.has_value());
  EXPECT_EQ(pipeline.steps[0].type, "kafka");
  EXPECT_TRUE(pipeline.steps[1].database.has_value());
}

TEST(PipelineStepTest, TheMisspeltNameOfDbConnectionIsKnown) {
  for (const char* name : {"dbConnection", "dbConnecton"}) {
    const Pipeline pipeline =
        load(with_steps(std::string("- {name: a, type: database, operation: ") + name + ", server: databaseServer}\n"));
    EXPECT_EQ(pipeline.steps[0].database->operation->name(), "dbConnection");
  }
}

TEST(PipelineStepTest, WhatIsMissingOrUnknownIsSaidAllAtOnce) {
  const std::string faults = faults_of(with_steps(R"(- name: first
  type: database
  operation: executeSQL
  server: databseServer
  qeury: SELECT 1
  parameters: {}
  response: [x]
- name: second
  type: database
  operation: executeSql
  server: databaseServer
- type: database
  operation: commitSql
  server: databaseServer
- name: second
  operation: rollbackSql
- name: other
  type: databse
)"));
  EXPECT_THAT(
      faults,
      AllOf(
          HasSubstr(
              "p.yaml:15: step \"first\": operation: \"executeSQL\" is unknown; did you mean \"executeSql\"? (known: "
              "dbConnection, executeSql, commitSql, rollbackSql)"),
          HasSubstr(
              "p.yaml:13: step \"first\": server: \"databseServer\" is not defined; did you mean \"databaseServer\"?"),
          HasSubstr("p.yaml:17: step \"first\": qeury: is unknown; did you mean \"query\"?"),
          HasSubstr("p.yaml:18: step \"first\": parameters: must be a list"),
          HasSubstr("p.yaml:19: step \"first\": response: must be a map"),
          HasSubstr("p.yaml:20: step \"second\": query: is required"),
          HasSubstr("p.yaml:20: step \"second\": parameters: is required: a list with an entry for each ? of the "
                    "query, or []"),
          HasSubstr("p.yaml:24: steps[2].name: is required"),
          HasSubstr("p.yaml:27: step \"second\": name: is another step's name already (line 20)"),
          HasSubstr("p.yaml:27: step \"second\": type: is required"),
          HasSubstr("p.yaml:30: step \"other\": type: must be \"database\", not \"databse\"")));
}

TEST(PipelineStepTest, WhatDoesNotBelongIsSaid) {
  const std::string start = "- name: c\n  type: database\n  operation: commitSql\n  server: databaseServer\n";
  EXPECT_THAT(faults_of(with_steps(start + "  query: COMMIT\n")), HasSubstr("step \"c\": query: is not for commitSql"));
  EXPECT_THAT(faults_of(with_steps(start + "  response: {a: $.rows}\n")), HasSubstr("response: is not for commitSql"));
  EXPECT_THAT(faults_of(with_step("  name: t\n  query: SELECT 1\n  parameters: []\n")),
              HasSubstr("name: is given twice"));
  EXPECT_THAT(faults_of(with_step("  query: \"\"\n  parameters: []\n")),
              HasSubstr("p.yaml:17: step \"s\": query: is empty"));
  EXPECT_THAT(faults_of(with_step("  query: [a]\n  parameters: []\n")), HasSubstr("query: must be a single value"));
  EXPECT_THAT(faults_of(with_step("  query: SELECT * FROM ${ENV:REGION}\n  parameters: []\n")),
              HasSubstr("query: has a ${…}; nothing is ever written into a query"));
  EXPECT_THAT(faults_of(with_step("  query: SELECT 1\n  parameters:\n")), HasSubstr("parameters: has no value"));
  EXPECT_THAT(
      faults_of("kafka: {protocol: kafka}\nsteps:\n- {name: s, type: database, operation: commitSql, server: kafka}\n"),
      HasSubstr("\"kafka\" is a server of another protocol (kafka)"));
}

TEST(PipelineStepTest, QueriesAreCheckedByWhoeverCan) {
  LoadOptions options;
  options.check_query = [](const DatabaseStep& step) {
    return step.query + " with " + std::to_string(step.parameters.size());
  };
  EXPECT_EQ(faults_of(with_step("  query: SELECT ?\n  parameters: [1, 2]\n"), options),
            "p.yaml:17: step \"s\": query: SELECT ? with 2");
}

TEST(PipelineParameterTest, YamlSaysWhatIsANumberAndWhatIsAText) {
  EXPECT_EQ(constant("5"), Json(5));
  EXPECT_EQ(constant("\"5\""), Json("5"));
  EXPECT_EQ(constant("-0x10"), Json("-0x10"));
  EXPECT_EQ(constant("0x1F"), Json(31));
  EXPECT_EQ(constant("1.50").dump(), "1.50");
  EXPECT_EQ(constant("12345678901234567890").dump(), "12345678901234567890");
  EXPECT_EQ(constant("007"), Json("007"));
  EXPECT_EQ(constant("true"), Json(true));
  EXPECT_EQ(constant("\"true\""), Json("true"));
  EXPECT_EQ(constant("yes"), Json("yes"));
  EXPECT_EQ(constant("null"), Json());
  EXPECT_EQ(constant("~"), Json());
  EXPECT_EQ(constant("\"null\""), Json("null"));
  EXPECT_EQ(constant("\"\""), Json(""));
  EXPECT_EQ(constant("2024-01-01"), Json("2024-01-01"));
  EXPECT_EQ(constant("C-1001"), Json("C-1001"));
  EXPECT_EQ(constant(".inf"), Json("Infinity"));
  EXPECT_EQ(constant("-.inf"), Json("-Infinity"));
  EXPECT_EQ(constant("!!str 5"), Json("5"));
  EXPECT_EQ(constant("[1, null, \"x\"]").dump(), R"([1,null,"x"])");
  EXPECT_EQ(constant("\"${ENV:DB_USERNAME}\""), Json("app"));
  EXPECT_EQ(constant("\"${ENV:REGION}\""), Json("currentdatetime()"));  // what comes in is not looked at again
}

TEST(PipelineParameterTest, ExpressionsComeFromAClosedList) {
  const auto expression = [](const std::string& yaml) {
    return std::get<Expression>(parameter(load(with_parameters("[" + yaml + "]")), 0).source);
  };
  EXPECT_EQ(expression("currentdatetime()"), Expression::kCurrentTimestamp);
  EXPECT_EQ(expression("\"currentDateTime()\""), Expression::kCurrentTimestamp);
  EXPECT_EQ(expression("\"currentdate()\""), Expression::kCurrentDate);
  EXPECT_EQ(expression("CURRENT_TIMESTAMP"), Expression::kCurrentTimestamp);
  EXPECT_EQ(expression("current_date"), Expression::kCurrentDate);
  EXPECT_EQ(expression("DEFAULT"), Expression::kDefault);
  EXPECT_EQ(expression("{expression: LOCALTIME}"), Expression::kLocalTime);
  EXPECT_EQ(constant("default"), Json("default"));
  EXPECT_THAT(
      faults_of(with_parameters("[\"now()\"]")),
      AllOf(
          HasSubstr("p.yaml:18: step \"s\": parameters[0]: is not an expression; did you mean \"currentdatetime()\"?"),
          HasSubstr("{value: \"…\"}")));
}

TEST(PipelineParameterTest, LiteralTextsAreWrittenAsValues) {
  EXPECT_EQ(constant("{value: \"currentdatetime()\"}"), Json("currentdatetime()"));
  EXPECT_EQ(constant("{value: \"$.a.b\"}"), Json("$.a.b"));
  EXPECT_EQ(constant("{value: \"${ENV:X}\"}"), Json("${ENV:X}"));
  EXPECT_EQ(constant("{value: {a: [1, 2]}}").dump(), R"({"a":[1,2]})");
  EXPECT_EQ(constant("{value: null}"), Json());
  const Pipeline pipeline = load(with_parameters("[{path: \"$.a.items\", as: json}]"));
  EXPECT_TRUE(parameter(pipeline, 0).as_json);
}

TEST(PipelineParameterTest, WrongOnesNameTheEntry) {
  const auto fault = [](const std::string& yaml) { return faults_of(with_parameters("[1, " + yaml + "]")); };
  EXPECT_THAT(fault("\"$..x\""), HasSubstr("p.yaml:18: step \"s\": parameters[1]: has \"..\", which is not supported"));
  EXPECT_THAT(fault("\"$100\""),
              AllOf(HasSubstr("parameters[1]: begins with \"$\" but is not a path"), HasSubstr("{value: ")));
  EXPECT_THAT(fault("$"), HasSubstr("begins with the name of a step"));
  EXPECT_THAT(fault("\"$[0]\""), HasSubstr("begins with the name of a step"));
  EXPECT_THAT(fault("[\"$.a.b\"]"), HasSubstr("other than a constant in a list"));
  EXPECT_THAT(fault("[1, [2]]"), HasSubstr("mixes lists with something else"));
  EXPECT_THAT(fault("{a: 1}"), HasSubstr("parameters[1].a: is unknown"));
  EXPECT_THAT(fault("{}"), HasSubstr("must have one of path, value and expression"));
  EXPECT_THAT(fault("{path: $.a, value: 1}"), HasSubstr("must have one of path, value and expression"));
  EXPECT_THAT(fault("{path: \"$.a[\"}"), HasSubstr("parameters[1].path: "));
  EXPECT_THAT(fault("{value: 1, as: xml}"), HasSubstr("parameters[1].as: must be \"json\""));
  EXPECT_THAT(fault("!secret x"), HasSubstr("has a tag that is unknown: !secret"));
  EXPECT_THAT(fault("\"${ENV:NOT_SET}\""), HasSubstr("environment variable NOT_SET is not set"));
}

TEST(PipelineParameterTest, PathsIntoStepsOfTheFileAreChecked) {
  const auto fault = [](const std::string& path) {
    return faults_of(
        with_steps("- {name: a, type: database, operation: executeSql, server: databaseServer, query: SELECT 1, "
                   "parameters: [], response: {score: \"$.rows[0].score\"}}\n"
                   "- {name: open, type: database, operation: dbConnection, server: databaseServer}\n"
                   "- {name: b, type: database, operation: executeSql, server: databaseServer, query: SELECT 1, "
                   "parameters: [\"" +
                   path +
                   "\"]}\n"
                   "- {name: later, type: kafka}\n"));
  };
  EXPECT_EQ(fault("$.a.score"), "");
  EXPECT_EQ(fault("$.elsewhere.score"), "");
  EXPECT_EQ(fault("$.a.scor"),
            "p.yaml:15: step \"b\": parameters[0]: $.a.scor is not in the response of step \"a\"; did you mean "
            "\"score\"? (it "
            "has score)");
  EXPECT_THAT(fault("$.b.x"), HasSubstr("is the output of this very step"));
  EXPECT_THAT(fault("$.later.x"), HasSubstr("is the output of a step that runs later (line 16)"));
  EXPECT_THAT(fault("$.open.x"), HasSubstr("is the output of dbConnection, which has none"));
}

TEST(PipelineResponseTest, PathsThatNoResultCanHaveAreErrors) {
  const auto fault = [](const std::string& path) {
    return faults_of(with_step("  query: SELECT 1\n  parameters: []\n  response:\n    x: \"" + path + "\"\n"));
  };
  for (const char* right : {"$", "$.rows", "$.rows[0]", "$.rows[-1].a", "$.rows[*].a", "$.rows[0].data.city",
                            "$.rowcount", "$.columns[*].name", "$['rows'][0]['a']"}) {
    EXPECT_EQ(fault(right), "") << right;
  }
  EXPECT_THAT(fault("$.row[0].a"),
              HasSubstr("p.yaml:20: step \"s\": response.x: begins with $.rows, $.rowcount or $.columns; "
                        "did you mean \"rows\"?"));
  EXPECT_THAT(fault("$.rows.a"), HasSubstr("$.rows is a list: $.rows[0] is its first element"));
  EXPECT_THAT(fault("$.rowcount.x"), HasSubstr("a number, with nothing below it"));
  EXPECT_THAT(fault("$.rows[0][1]"), HasSubstr("a row has no indexes"));
  EXPECT_THAT(fault("rows"), HasSubstr("begins with \"$\""));
}

TEST(PipelineTransactionTest, BeginsWhereALaterStepEndsIt) {
  const auto plan = [](const std::vector<std::string>& operations) {
    std::string steps;
    for (size_t i = 0; i < operations.size(); ++i) {
      const bool sql = operations[i] == "executeSql";
      steps += "- {name: s" + std::to_string(i) +
               ", type: database, server: databaseServer, operation: " + operations[i] +
               (sql ? ", query: SELECT 1, parameters: []}\n" : "}\n");
    }
    std::string shown;
    for (const Step& step : load(with_steps(steps)).steps) {
      shown += step.database->begins_transaction ? '[' : step.database->in_transaction ? '-' : '.';
    }
    return shown;
  };
  EXPECT_EQ(plan({"executeSql", "executeSql"}), "..");
  EXPECT_EQ(plan({"dbConnection", "executeSql"}), "..");
  EXPECT_EQ(plan({"dbConnection", "executeSql", "executeSql", "commitSql"}), "[---");
  EXPECT_EQ(plan({"executeSql", "executeSql", "rollbackSql", "executeSql"}), "[--.");
  EXPECT_EQ(plan({"executeSql", "dbConnection", "executeSql", "commitSql"}), ".[--");
  EXPECT_EQ(plan({"executeSql", "commitSql", "executeSql", "rollbackSql"}), "[-[-");
}

TEST(PipelineTransactionTest, EachServerHasItsOwn) {
  const std::string other = "other: {protocol: database, driver: postgres, dataSource: other}\n";
  const Pipeline pipeline = load(
      other +
      with_steps("- {name: a, type: database, server: other, operation: executeSql, query: SELECT 1, parameters: []}\n"
                 "- {name: b, type: database, server: databaseServer, operation: dbConnection}\n"
                 "- {name: c, type: database, server: other, operation: executeSql, query: SELECT 1, parameters: []}\n"
                 "- {name: d, type: database, server: databaseServer, operation: commitSql}\n"));
  EXPECT_FALSE(pipeline.steps[0].database->in_transaction);
  EXPECT_TRUE(pipeline.steps[1].database->begins_transaction);
  EXPECT_FALSE(pipeline.steps[2].database->in_transaction);
}

TEST(PipelineTransactionTest, ThereMustBeOneToEnd) {
  const auto fault = [](const std::string& steps) { return faults_of(with_steps(steps)); };
  const std::string commit = "- {name: c, type: database, server: databaseServer, operation: commitSql}\n";
  EXPECT_THAT(fault(commit),
              HasSubstr("p.yaml:13: step \"c\": operation: commitSql has no transaction to end: no step of "
                        "\"databaseServer\" runs before it"));
  EXPECT_THAT(
      fault("- {name: o, type: database, server: databaseServer, operation: dbConnection}\n" + commit +
            "- {name: r, type: database, server: databaseServer, operation: rollbackSql}\n"),
      HasSubstr(
          "step \"r\": operation: rollbackSql has no transaction to end: no step of \"databaseServer\" runs since "
          "step \"c\" ended the transaction"));
}

TEST(PipelineErrorTest, IsADatabaseErrorWithAllFaults) {
  try {
    (void)load(with_step(""));
    FAIL();
  } catch (const DatabaseError& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInvalidRequest);
    EXPECT_EQ(error.reason(), "INVALID_PIPELINE");
    EXPECT_EQ(error.outcome(), Outcome::kNotExecuted);
  }
  EXPECT_THROW((void)load_pipeline_file("/nonexistent/pipeline.yaml"), PipelineError);
}

}  // namespace
}  // namespace engine::db::builtins

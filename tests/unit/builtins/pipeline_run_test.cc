// The operations over a connector that only pretends.
#include "engine_db/builtins/pipeline_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <stop_token>
#include <string>

#include "tests/support/mock_connector.h"

namespace engine::db::builtins {
namespace {

using test::MockConnector;

using testing::_;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::InSequence;
using testing::IsEmpty;
using testing::NiceMock;
using testing::Return;
using testing::Throw;

constexpr char kServers[] =
    "a: {protocol: database, driver: postgres, dataSource: a}\nb: {protocol: database, driver: postgres, dataSource: "
    "b}\n";

std::string step(const std::string& name, const std::string& rest) {
  return "- {name: " + name + ", type: database, server: a, " + rest + "}\n";
}
std::string sql(const std::string& name, const std::string& rest = "parameters: []") {
  return step(name, "operation: executeSql, query: \"SQL of " + name + "\", " + rest);
}

Result rows(std::vector<Column> columns, const std::vector<Parameters>& values, const std::string& tag = "SELECT") {
  const auto count = static_cast<int64_t>(values.size());
  return {RowBatch::from_rows(std::move(columns), values),
          {.rowcount = count, .command_tag = tag + " " + std::to_string(count)}};
}
Result affected(const std::string& tag) { return {RowBatch(), {.rowcount = 1, .command_tag = tag}}; }
Result score(int64_t number) { return rows({{.name = "loyaltyscore", .type_name = "bigint"}}, {{number}}); }

DatabaseExecutionError failure(Outcome outcome = Outcome::kRolledBack, std::string field = "") {
  ErrorInfo info;
  info.outcome = outcome;
  info.message = "PostgreSQL says no";
  info.sqlstate = "42P01";
  info.field = std::move(field);
  return DatabaseExecutionError(info);
}

class PipelineRunTest : public testing::Test {
 protected:
  void load(const std::string& steps) {
    run_.reset();
    LoadOptions options{.file = "p.yaml"};
    if (told_reads_) options.only_reads = [](const DatabaseStep& step) { return step.query == "SQL of read"; };
    pipeline_ = load_pipeline(kServers + ("steps:\n" + steps), options);
    run_ = std::make_unique<PipelineRun>(pipeline_, [this](const DatabaseServer& server) {
      EXPECT_EQ(server.name, "a");
      auto mock = std::make_unique<testing::StrictMock<MockConnector>>();
      EXPECT_CALL(*mock, connect).Times(testing::AtLeast(1));
      EXPECT_CALL(*mock, close);
      expect_(*mock);
      return mock;
    });
    run_->set_output("in", Json::parse(R"({"id": "C-1", "n": 1.50, "ids": [{"x": 1}, {"x": 2}], "doc": {"k": [1]}})"));
  }
  // Says what the connector is to see.
  void expect(std::function<void(MockConnector&)> expectations) { expect_ = std::move(expectations); }

  StepOutput run(size_t index = 0) { return run_->run(pipeline_.steps.at(index)); }
  void run_all() {
    for (const Step& step : pipeline_.steps) run_->run(step);
  }
  // The error of running all.
  ErrorInfo failed_run() {
    try {
      run_all();
    } catch (const DatabaseError& error) {
      return error.info();
    }
    ADD_FAILURE() << "no error";
    return {};
  }

  std::function<void(MockConnector&)> expect_ = [](MockConnector&) {};
  bool told_reads_ = true;  // which steps only read
  Pipeline pipeline_;
  std::unique_ptr<PipelineRun> run_;
};

TEST_F(PipelineRunTest, ParametersComeFromOutputsConstantsAndExpressions) {
  expect([](MockConnector& mock) {
    EXPECT_CALL(
        mock,
        execute(std::string_view("SQL of s"),
                Parameters{"C-1", "1.50", "{1,2}", R"({"k":[1]})", "5", "5", nullptr, currentdatetime(), "[1]"}, _))
        .WillOnce(Return(score(3)));
  });
  load(sql(
      "s",
      R"yaml(parameters: ["$.in.id", "$.in.n", "$.in.ids[*].x", "$.in.doc", 5, "5", null, "currentdatetime()", )yaml"
      R"({path: "$.in.doc.k", as: json}], response: {loyaltyScore: "$.rows[0].loyaltyScore"})"));
  EXPECT_EQ(run().response.dump(), R"({"loyaltyScore":3})");
}

TEST_F(PipelineRunTest, ResponsesArePassedOnToLaterSteps) {
  expect([](MockConnector& mock) {
    const InSequence in_this_order;
    EXPECT_CALL(mock, execute(std::string_view("SQL of read"), _, _)).WillOnce(Return(score(3)));
    EXPECT_CALL(mock, execute(std::string_view("SQL of second"), Parameters{"3"}, _))
        .WillOnce(Return(affected("INSERT 0 1")));
  });
  load(sql("read", R"(parameters: [], response: {score: "$.rows[0].loyaltyScore"})") +
       sql("second", R"(parameters: ["$.read.score"])"));
  run_all();
  EXPECT_THAT(run_->committed(), ElementsAre("second"));
}

TEST_F(PipelineRunTest, WithoutResponseTheWholeResultIsTheOutput) {
  expect([](MockConnector& mock) { EXPECT_CALL(mock, execute).WillOnce(Return(score(3))); });
  load(sql("s"));
  EXPECT_EQ(run().response.dump(),
            R"({"rows":[{"loyaltyscore":3}],"rowcount":1,"columns":[{"name":"loyaltyscore","type":"bigint"}]})");
}

TEST_F(PipelineRunTest, ARowThatIsNotThereIsNullButAColumnIsAnError) {
  const auto none = [](MockConnector& mock) {
    EXPECT_CALL(mock, execute).WillOnce(Return(rows({{.name = "loyaltyscore", .type_name = "bigint"}}, {})));
  };
  expect(none);
  load(sql(
      "s",
      R"(parameters: [], response: {score: "$.rows[0].loyaltyScore", all: "$.rows[*].loyaltyScore", n: $.rowcount})"));
  EXPECT_EQ(run().response.dump(), R"({"score":null,"all":[],"n":0})");
  expect(none);
  load(sql("s", R"(parameters: [], response: {score: "$.rows[0].loyaltyScor"})"));
  EXPECT_EQ(failed_run().message,
            "p.yaml:4: step \"s\": response.score: the result has no column \"loyaltyScor\"; did you mean "
            "\"loyaltyscore\"? (it "
            "has loyaltyscore)");
}

TEST_F(PipelineRunTest, WhatAColumnsJsonDoesNotHoldIsNull) {
  expect([](MockConnector& mock) {
    EXPECT_CALL(mock, execute)
        .WillOnce(Return(rows({{.name = "data", .type_name = "jsonb"}}, {{R"({"city": "B"})"}, {"{}"}, {nullptr}})));
  });
  load(sql("s", R"(parameters: [], response: {cities: "$.rows[*].data.city"})"));
  EXPECT_EQ(run().response.dump(), R"({"cities":["B",null,null]})");
}

TEST_F(PipelineRunTest, APathThatLeadsNowhereNamesEverythingAndSendsNothing) {
  load(sql("s", R"(parameters: ["$.in.id", "$.in.idd"])"));
  const ErrorInfo error = failed_run();
  EXPECT_EQ(error.message, "p.yaml:4: step \"s\": parameters[1]: $.in.idd: there is no $.in.idd; did you mean \"id\"?");
  EXPECT_EQ(error.kind, ErrorKind::kInvalidRequest);
  EXPECT_EQ(error.outcome, Outcome::kNotExecuted);
  load(sql("s", R"(parameters: ["$.inn.id"])"));
  EXPECT_THAT(failed_run().message,
              HasSubstr("no step \"inn\" has run before and none is in the input; did you mean \"in\"?"));
}

TEST_F(PipelineRunTest, ErrorsOfTheDatabaseKeepTheirKindAndSayWhere) {
  expect([](MockConnector& mock) { EXPECT_CALL(mock, execute).WillOnce(Throw(failure())); });
  load(sql("s"));
  ErrorInfo error = failed_run();
  EXPECT_EQ(error.message, "p.yaml:4: step \"s\": query: PostgreSQL says no");
  EXPECT_EQ(error.kind, ErrorKind::kExecution);
  EXPECT_EQ(error.sqlstate, "42P01");
  expect([](MockConnector& mock) {
    EXPECT_CALL(mock, execute).WillOnce(Throw(failure(Outcome::kNotExecuted, "parameters[1].type_name")));
  });
  load(sql("s", "parameters: [1, 2]"));
  EXPECT_EQ(failed_run().message, "p.yaml:4: step \"s\": parameters[1]: PostgreSQL says no");
}

TEST_F(PipelineRunTest, StepsUpToCommitSqlAreOneTransaction) {
  expect([](MockConnector& mock) {
    const InSequence in_this_order;
    EXPECT_CALL(mock, begin(_));
    EXPECT_CALL(mock, execute).Times(2).WillRepeatedly(Return(affected("UPDATE 1")));
    EXPECT_CALL(mock, commit);
    EXPECT_CALL(mock, execute).WillOnce(Return(affected("UPDATE 1")));
  });
  load(step("open", "operation: dbConnection") + sql("x") + sql("y") + step("done", "operation: commitSql") + sql("z"));
  run_all();
  EXPECT_THAT(run_->committed(), ElementsAre("x", "y", "z"));
  EXPECT_THAT(run_->rolled_back(), IsEmpty());
}

TEST_F(PipelineRunTest, RollbackSqlUndoes) {
  expect([](MockConnector& mock) {
    const InSequence in_this_order;
    EXPECT_CALL(mock, begin(_));
    EXPECT_CALL(mock, execute).WillOnce(Return(affected("UPDATE 1")));
    EXPECT_CALL(mock, rollback);
  });
  load(sql("x") + step("undo", "operation: rollbackSql"));
  run_all();
  EXPECT_THAT(run_->rolled_back(), ElementsAre("x"));
}

TEST_F(PipelineRunTest, AFailureRollsBackAndSaysWhatRemains) {
  expect([](MockConnector& mock) {
    const InSequence in_this_order;
    EXPECT_CALL(mock, execute).WillOnce(Return(affected("INSERT 0 1")));
    EXPECT_CALL(mock, begin(_));
    EXPECT_CALL(mock, execute).WillOnce(Return(affected("UPDATE 1")));
    EXPECT_CALL(mock, execute).WillOnce(Return(score(1)));
    EXPECT_CALL(mock, execute).WillOnce(Throw(failure()));
    EXPECT_CALL(mock, rollback);
  });
  load(sql("before") + step("open", "operation: dbConnection") + sql("x") + sql("read") + sql("fails") +
       step("done", "operation: commitSql"));
  (void)failed_run();
  EXPECT_THAT(run_->committed(), ElementsAre("before"));
  EXPECT_THAT(run_->rolled_back(), ElementsAre("x"));
}

// Its tag is a read's, and tells nothing: WITH x AS (INSERT …) SELECT, SELECT f(), EXPLAIN ANALYZE INSERT.
TEST_F(PipelineRunTest, WhatIsNotKnownToBeAReadCountsAsWritten) {
  const auto selects = [](MockConnector& mock) {
    EXPECT_CALL(mock, begin(_));
    EXPECT_CALL(mock, execute).WillOnce(Return(score(1))).WillOnce(Return(score(1))).WillOnce(Return(score(1)));
    EXPECT_CALL(mock, commit);
  };
  const std::string steps = sql("x") + sql("read") + step("done", "operation: commitSql") + sql("y");
  expect(selects);
  load(steps);
  run_all();
  EXPECT_THAT(run_->committed(), ElementsAre("x", "y"));
  told_reads_ = false;
  expect(selects);
  load(steps);
  run_all();
  EXPECT_THAT(run_->committed(), ElementsAre("x", "read", "y"));
}

DatabaseExecutionError too_large(Outcome outcome) {
  ErrorInfo info;
  info.reason = "RESULT_TOO_LARGE";
  info.outcome = outcome;
  return DatabaseExecutionError(info);
}

TEST_F(PipelineRunTest, AReadWhoseResultIsTooLargeForOneCallIsReadInParts) {
  expect([](MockConnector& mock) {
    EXPECT_CALL(mock, execute).WillOnce(Throw(too_large(Outcome::kUnspecified))).WillOnce(Return(score(3)));
  });
  load(sql("read"));
  EXPECT_EQ(run().rowcount, 1);
  expect([](MockConnector& mock) { EXPECT_CALL(mock, execute).WillOnce(Throw(too_large(Outcome::kCommitted))); });
  load(sql("read"));
  EXPECT_EQ(failed_run().outcome, Outcome::kCommitted);  // its text told too little: never twice
}

TEST_F(PipelineRunTest, AResultBeyondTheBoundIsAnErrorAndAWriteIsKnownToBeCommitted) {
  const auto large = [](const std::string& tag) {
    return [tag](MockConnector& mock) {
      EXPECT_CALL(mock, execute)
          .WillOnce(Return(rows({{.name = "t", .type_name = "text"}}, {{std::string(kMaxResultBytes + 1, 'x')}}, tag)));
    };
  };
  expect(large("SELECT"));
  load(sql("read"));
  ErrorInfo error = failed_run();
  EXPECT_THAT(error.message, HasSubstr("p.yaml:4: step \"read\": query: the result has more than 1000000 rows or "
                                       "67108864 bytes"));
  EXPECT_EQ(error.outcome, Outcome::kUnspecified);
  expect(large("INSERT 0"));
  load(sql("write"));
  EXPECT_EQ(failed_run().outcome, Outcome::kCommitted);
  EXPECT_THAT(run_->committed(), ElementsAre("write"));
}

TEST_F(PipelineRunTest, TheTimeLimitAndTheStopReachTheBegin) {
  std::stop_source stop;
  expect([&stop](MockConnector& mock) {
    EXPECT_CALL(mock, begin(_)).WillOnce([&stop](const TransactionOptions& options) {
      EXPECT_EQ(options.timeout, std::chrono::milliseconds(70));
      EXPECT_EQ(options.stop, stop.get_token());
      throw failure(Outcome::kNotExecuted);
    });
  });
  load(sql("x") + step("done", "operation: commitSql"));
  EXPECT_THROW(
      run_->run(pipeline_.steps[0], {.timeout = std::chrono::milliseconds(70), .retry = {}, .stop = stop.get_token()}),
      DatabaseExecutionError);
}

TEST_F(PipelineRunTest, ARunThatIsLeftUnfinishedRollsBack) {
  expect([](MockConnector& mock) {
    const InSequence in_this_order;
    EXPECT_CALL(mock, begin(_));
    EXPECT_CALL(mock, execute).WillOnce(Return(affected("UPDATE 1")));
    EXPECT_CALL(mock, rollback);
  });
  load(sql("x") + step("done", "operation: commitSql"));
  run(0);
}

TEST_F(PipelineRunTest, AnUnknownCommitIsAskedForOnceMoreAndNeverRolledBack) {
  const auto lost = [](int times) {
    return [times](MockConnector& mock) {
      EXPECT_CALL(mock, begin(_));
      EXPECT_CALL(mock, execute).WillOnce(Return(affected("UPDATE 1")));
      auto& commit = EXPECT_CALL(mock, commit).Times(2);
      for (int i = 0; i < times; ++i) commit.WillOnce(Throw(failure(Outcome::kUnknown)));
      if (times == 1) commit.WillOnce(Return());
    };
  };
  expect(lost(1));
  load(sql("x") + step("done", "operation: commitSql"));
  run_all();
  EXPECT_THAT(run_->committed(), ElementsAre("x"));
  expect(lost(2));
  load(sql("x") + step("done", "operation: commitSql"));
  EXPECT_EQ(failed_run().outcome, Outcome::kUnknown);
  EXPECT_THAT(run_->committed(), IsEmpty());
  EXPECT_THAT(run_->rolled_back(), IsEmpty());
}

TEST_F(PipelineRunTest, AWriteWhoseResponseCannotBeTakenIsKnownToBeCommitted) {
  expect([](MockConnector& mock) {
    EXPECT_CALL(mock, execute).WillOnce(Return(rows({{.name = "id", .type_name = "bigint"}}, {{1}}, "INSERT 0")));
  });
  load(sql("s", R"(parameters: [], response: {x: "$.rows[0].xyz"})"));
  EXPECT_EQ(failed_run().outcome, Outcome::kCommitted);
  EXPECT_THAT(run_->committed(), ElementsAre("s"));
}

TEST_F(PipelineRunTest, CommitWithoutBeginIsATransactionError) {
  // What a connector does of which the operation is asked directly, past the plan of a pipeline.
  NiceMock<MockConnector> mock;
  ErrorInfo info;
  info.kind = ErrorKind::kTransaction;
  info.message = "there is no transaction";
  ON_CALL(mock, commit).WillByDefault(Throw(DatabaseTransactionError(info)));
  const Json outputs = Json::Object();
  const Place place{"p.yaml", 3, "c", ""};
  EXPECT_THROW(find_operation("commitSql")->run({}, {mock, outputs, place}), DatabaseTransactionError);
}

}  // namespace
}  // namespace engine::db::builtins

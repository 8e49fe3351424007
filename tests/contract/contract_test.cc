// A client that was not written here, and that knows of the gateway only what its reflection service says: `buf curl`.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "engine/db/v1/error.pb.h"
#include "tests/support/gateway_process.h"
#include "tests/support/postgres_cluster.h"
#include "tests/support/process.h"

namespace engine::db::test {
namespace {

using nlohmann::json;

// The check takes the assertions in nlohmann's move constructor for exceptions.
struct Answer {  // NOLINT(bugprone-exception-escape)
  int exit_code = 0;
  // Messages received, in buf's JSON (lowerCamelCase names, 64-bit integers as texts).
  std::vector<json> messages;
  // {"code": …, "message": …, "details": [{"type": …, "debug": {…}}]}; null when the call worked.
  json error;
};

class ContractTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (!BufIsInstalled()) return;
    cluster_ = new PostgresCluster();
    gateway_ = new GatewayProcess();
  }

  static void TearDownTestSuite() {
    delete gateway_;
    delete cluster_;
  }

  void SetUp() override {
    if (!BufIsInstalled()) GTEST_SKIP() << "buf is not installed: npm install";
  }

  static bool BufIsInstalled() { return std::filesystem::exists(ENGINE_DB_BUF); }

  // Calls "Service/Method" of package engine.db.v1.
  static Answer Call(const std::string& method, const json& request) {
    ProcessOptions options;
    options.command = {ENGINE_DB_BUF,
                       "curl",
                       "--protocol",
                       "grpc",
                       "--http2-prior-knowledge",
                       "--data",
                       request.dump(),
                       "http://" + gateway_->address() + "/engine.db.v1." + method};
    const Completed completed = RunProgram(options, std::chrono::seconds(60));
    Answer answer;
    answer.exit_code = completed.exit_code;
    std::istringstream out(completed.out);
    while (out >> std::ws && out.peek() != std::istringstream::traits_type::eof()) {
      json message;
      out >> message;
      answer.messages.push_back(std::move(message));
    }
    if (completed.exit_code != 0) answer.error = json::parse(completed.err, nullptr, false);
    return answer;
  }

  // The same for a call that must work and answers with one message.
  static json CallOk(const std::string& method, const json& request) {
    const Answer answer = Call(method, request);
    EXPECT_EQ(answer.exit_code, 0) << answer.error.dump(2);
    return answer.messages.size() == 1 ? answer.messages.front() : json::object();
  }

  static json Target() {
    return {{"host", cluster_->host()},         {"port", cluster_->port()},     {"user", cluster_->user()},
            {"password", cluster_->password()}, {"dbname", cluster_->dbname()}, {"maxPoolSize", 3}};
  }

  static std::string Connect() {
    return CallOk("DatabaseConnector/Connect", {{"config", Target()}}).value("connectionId", "");
  }

  // The DatabaseError among an error's details, which buf shows as base64 of its bytes.
  static v1::DatabaseError Detail(const Answer& answer) {
    v1::DatabaseError error;
    for (const json& detail : answer.error.value("details", json::array())) {
      if (detail.value("type", "") != "engine.db.v1.DatabaseError") continue;
      std::string bytes;
      EXPECT_TRUE(absl::Base64Unescape(detail.value("value", ""), &bytes) && error.ParseFromString(bytes));
      return error;
    }
    ADD_FAILURE() << "no DatabaseError in " << answer.error.dump(2);
    return error;
  }

  static PostgresCluster* cluster_;
  static GatewayProcess* gateway_;
};

PostgresCluster* ContractTest::cluster_ = nullptr;
GatewayProcess* ContractTest::gateway_ = nullptr;

TEST_F(ContractTest, ConnectTellsVersionAndSettingsWithoutThePassword) {
  const json response = CallOk("DatabaseConnector/Connect", {{"config", Target()}});
  EXPECT_NE(response.value("connectionId", ""), "");
  EXPECT_GE(response.value("serverVersionNum", 0), 130000);
  EXPECT_EQ(response["settings"].value("maxPoolSize", 0), 3);
  EXPECT_EQ(response["settings"].value("timeoutMs", 0), 30000);
  EXPECT_THAT(response.dump(), testing::Not(testing::HasSubstr(cluster_->password())));
}

TEST_F(ContractTest, ExecuteReturnsTypedCells) {
  const json response = CallOk("DatabaseConnector/Execute",
                               {{"connectionId", Connect()},
                                {"sql",
                                 "SELECT ?::int4 AS number, ?::text AS text, NULL AS nothing, 1.50::numeric AS amount, "
                                 "true AS truth, '\\x01ff'::bytea AS bytes"},
                                {"parameters", {{{"int64Value", 42}}, {{"textValue", "ünï"}}}}});
  ASSERT_EQ(response.value("columns", json::array()).size(), 6U) << response.dump(2);
  EXPECT_EQ(response["columns"][0]["name"], "number");
  EXPECT_EQ(response["columns"][0]["typeName"], "integer");
  EXPECT_EQ(response["columns"][3]["typeName"], "numeric");
  const json& cells = response["rows"][0]["values"];
  EXPECT_EQ(cells[0], json({{"int64Value", "42"}}));
  EXPECT_EQ(cells[1], json({{"textValue", "ünï"}}));
  EXPECT_EQ(cells[2], json({{"nullValue", nullptr}}));
  EXPECT_EQ(cells[3], json({{"textValue", "1.50"}}));
  EXPECT_EQ(cells[4], json({{"boolValue", true}}));
  EXPECT_EQ(cells[5], json({{"bytesValue", "Af8="}}));
  EXPECT_EQ(response.value("rowsAffected", ""), "1");
  EXPECT_THAT(response.value("boundSql", ""), testing::HasSubstr("$1::int4"));
}

TEST_F(ContractTest, TransactionIsBegunAndCommittedWithItsStatements) {
  const std::string connection = Connect();
  const json first =
      CallOk("DatabaseConnector/Execute",
             {{"connectionId", connection}, {"sql", "CREATE TABLE contract_tx (n int)"}, {"begin", json::object()}});
  const std::string transaction = first["transaction"].value("transactionId", "");
  ASSERT_NE(transaction, "") << first.dump(2);
  EXPECT_EQ(cluster_->Scalar("SELECT to_regclass('contract_tx')"), "");
  const json last = CallOk("DatabaseConnector/Execute", {{"connectionId", connection},
                                                         {"transactionId", transaction},
                                                         {"sql", "INSERT INTO contract_tx VALUES (?), (?)"},
                                                         {"parameters", {{{"int64Value", 1}}, {{"int64Value", 2}}}},
                                                         {"commit", true}});
  EXPECT_EQ(last["transaction"]["state"], "TRANSACTION_STATE_COMMITTED");
  EXPECT_EQ(last.value("rowsAffected", ""), "2");
  EXPECT_EQ(cluster_->Scalar("SELECT sum(n) FROM contract_tx"), "3");
}

TEST_F(ContractTest, RolledBackTransactionLeavesNothing) {
  const std::string connection = Connect();
  cluster_->Exec("CREATE TABLE contract_rollback (n int); GRANT ALL ON contract_rollback TO app");
  const json begun = CallOk("DatabaseConnector/Begin", {{"connectionId", connection}});
  const std::string transaction = begun.value("transactionId", "");
  CallOk("DatabaseConnector/Execute", {{"connectionId", connection},
                                       {"transactionId", transaction},
                                       {"sql", "INSERT INTO contract_rollback VALUES (1)"}});
  CallOk("DatabaseConnector/Rollback", {{"connectionId", connection}, {"transactionId", transaction}});
  EXPECT_EQ(cluster_->Scalar("SELECT count(*) FROM contract_rollback"), "0");
}

TEST_F(ContractTest, SyntaxErrorSaysWhere) {
  const Answer answer =
      Call("DatabaseConnector/Execute", {{"connectionId", Connect()}, {"sql", "SELECT 1 FRM nowhere"}});
  EXPECT_EQ(answer.error.value("code", ""), "invalid_argument") << answer.error.dump(2);
  const v1::DatabaseError detail = Detail(answer);
  EXPECT_EQ(detail.kind(), v1::ERROR_KIND_EXECUTION);
  EXPECT_EQ(detail.sqlstate(), "42601");
  EXPECT_EQ(detail.position(), 14U);
}

TEST_F(ContractTest, ConstraintErrorNamesTheConstraintAndShowsNoRow) {
  cluster_->Exec(
      "CREATE TABLE contract_unique (email text CONSTRAINT one_email UNIQUE); "
      "GRANT ALL ON contract_unique TO app; INSERT INTO contract_unique VALUES ('a@b.example')");
  const Answer answer = Call("DatabaseConnector/Execute", {{"connectionId", Connect()},
                                                           {"sql", "INSERT INTO contract_unique VALUES (?)"},
                                                           {"parameters", {{{"textValue", "a@b.example"}}}}});
  EXPECT_EQ(answer.error.value("code", ""), "already_exists") << answer.error.dump(2);
  EXPECT_EQ(Detail(answer).constraint_name(), "one_email");
  EXPECT_THAT(answer.error.dump(), testing::Not(testing::HasSubstr("a@b.example")));
}

TEST_F(ContractTest, WrongParameterCountNamesBothCounts) {
  const Answer answer = Call(
      "DatabaseConnector/Execute",
      {{"connectionId", Connect()}, {"sql", "SELECT ?, ?"}, {"parameters", json::array({{{"textValue", "one"}}})}});
  EXPECT_EQ(answer.error.value("code", ""), "invalid_argument") << answer.error.dump(2);
  const v1::DatabaseError detail = Detail(answer);
  EXPECT_EQ(detail.kind(), v1::ERROR_KIND_INVALID_REQUEST);
  EXPECT_THAT(detail.message(), testing::AllOf(testing::HasSubstr("1"), testing::HasSubstr("2")));
}

TEST_F(ContractTest, WrongSettingIsNamedByItsPath) {
  json target = Target();
  target["port"] = 70000;
  const Answer answer = Call("DatabaseConnector/Connect", {{"config", target}});
  EXPECT_EQ(answer.error.value("code", ""), "invalid_argument") << answer.error.dump(2);
  EXPECT_EQ(Detail(answer).field(), "config.port");
}

TEST_F(ContractTest, WrongPasswordIsAConnectionErrorWithoutIt) {
  json target = Target();
  target["password"] = "not-the-password";
  const Answer answer = Call("DatabaseConnector/Connect", {{"config", target}});
  EXPECT_EQ(answer.error.value("code", ""), "failed_precondition") << answer.error.dump(2);
  const v1::DatabaseError detail = Detail(answer);
  EXPECT_EQ(detail.kind(), v1::ERROR_KIND_CONNECTION);
  EXPECT_EQ(detail.sqlstate(), "28P01");
  EXPECT_THAT(answer.error.dump() + gateway_->Log(), testing::Not(testing::HasSubstr("not-the-password")));
}

TEST_F(ContractTest, StreamBeginsWithColumnsAndEndsWithASummary) {
  const Answer answer =
      Call("DatabaseConnector/ExecuteStream", {{"connectionId", Connect()},
                                               {"sql", "SELECT n FROM generate_series(1, ?::int8) AS n"},
                                               {"parameters", json::array({{{"int64Value", 2500}}})},
                                               {"batchRows", 1000}});
  ASSERT_EQ(answer.exit_code, 0) << answer.error.dump(2);
  ASSERT_GE(answer.messages.size(), 3U);
  EXPECT_EQ(answer.messages.front()["columns"][0]["name"], "n");
  size_t rows = 0;
  for (const json& message : answer.messages) {
    const size_t batch = message.value("rows", json::array()).size();
    EXPECT_LE(batch, 1000U);
    rows += batch;
  }
  EXPECT_EQ(rows, 2500U);
  EXPECT_EQ(answer.messages.back()["summary"].value("rowCount", ""), "2500");
}

TEST_F(ContractTest, BatchRunsOneStatementWithManyParameterLists) {
  cluster_->Exec("CREATE TABLE contract_batch (n int); GRANT ALL ON contract_batch TO app");
  json lists = json::array();
  for (int n = 1; n <= 10; ++n) lists.push_back({{"parameters", json::array({{{"int64Value", n}}})}});
  const json response = CallOk(
      "DatabaseConnector/ExecuteBatch",
      {{"connectionId", Connect()},
       {"statements", json::array({{{"sql", "INSERT INTO contract_batch VALUES (?)"}, {"parameterLists", lists}}})},
       {"atomic", true}});
  EXPECT_EQ(response.value("results", json::array()).size(), 10U);
  EXPECT_EQ(cluster_->Scalar("SELECT sum(n) FROM contract_batch"), "55");
}

TEST_F(ContractTest, SessionAnswersByCorrelationId) {
  const json response = CallOk("DatabaseConnector/Session",
                               {{"calls", json::array({{{"correlationId", 7}, {"connect", {{"config", Target()}}}}})}});
  const json reply = response.value("replies", json::array({json::object()}))[0];
  EXPECT_EQ(reply.value("correlationId", ""), "7");
  EXPECT_NE(reply.value("connect", json::object()).value("connectionId", ""), "") << response.dump(2);
}

TEST_F(ContractTest, CloseMayBeRepeatedAndEndsTheHandle) {
  const std::string connection = Connect();
  CallOk("DatabaseConnector/Close", {{"connectionId", connection}});
  CallOk("DatabaseConnector/Close", {{"connectionId", connection}});
  const Answer answer = Call("DatabaseConnector/Execute", {{"connectionId", connection}, {"sql", "SELECT 1"}});
  EXPECT_NE(answer.exit_code, 0);
  EXPECT_EQ(Detail(answer).field(), "connection_id");
}

TEST_F(ContractTest, AdminShowsThePools) {
  Connect();
  const json status = CallOk("GatewayAdmin/GetStatus", json::object());
  EXPECT_NE(status.value("version", ""), "");
  const json pools = CallOk("GatewayAdmin/ListPools", json::object());
  EXPECT_FALSE(pools.value("pools", json::array()).empty());
}

}  // namespace
}  // namespace engine::db::test

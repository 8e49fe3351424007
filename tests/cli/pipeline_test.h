// `engine-db run` over a gateway and a PostgreSQL of the test's own, and pipelines for it.
#ifndef ENGINE_DB_TESTS_CLI_PIPELINE_TEST_H_
#define ENGINE_DB_TESTS_CLI_PIPELINE_TEST_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

#include "engine_db/builtins/json.h"
#include "tests/support/gateway_process.h"
#include "tests/support/postgres_cluster.h"
#include "tests/support/process.h"
#include "tests/support/temporary_folder.h"

namespace engine::db::test {

inline constexpr char kSource[] = ENGINE_DB_SOURCE_DIR;
inline constexpr char kServer[] =
    "databaseServer: {protocol: database, driver: postgres, url: \"${ENV:DB_URL}\", securitySchemes: {dbAuth: [{type: "
    "basic, "
    "username: \"${ENV:DB_USERNAME}\", password: \"${ENV:DB_PASSWORD}\"}]}}\nsteps:\n";

inline std::string sql_step(const std::string& name, const std::string& rest) {
  return "- {name: " + name + ", type: database, operation: executeSql, server: databaseServer, " + rest + "}\n";
}
inline std::string step(const std::string& name, const std::string& operation) {
  return "- {name: " + name + ", type: database, operation: " + operation + ", server: databaseServer}\n";
}
inline std::string insert(const std::string& name, int id) {
  return sql_step(name, "query: \"INSERT INTO notes VALUES (?)\", parameters: [" + std::to_string(id) + "]");
}

// The lines that the command wrote, without what differs from run to run.
inline std::string without_times(const std::string& lines) {
  std::string result;
  std::istringstream in(lines);
  for (std::string line; std::getline(in, line);) {
    builtins::Json::Object kept;
    const builtins::Json parsed = builtins::Json::parse(line);
    for (size_t i = 0; i < parsed.object()->names.size(); ++i) {
      if (parsed.object()->names[i] != "ms") kept.add(parsed.object()->names[i], parsed.object()->values[i]);
    }
    result += builtins::Json(kept).dump() + "\n";
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
  inline static PostgresCluster* cluster_ = nullptr;
  inline static GatewayProcess* gateway_ = nullptr;
};

}  // namespace engine::db::test

#endif  // ENGINE_DB_TESTS_CLI_PIPELINE_TEST_H_

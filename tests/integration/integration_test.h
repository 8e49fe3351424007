// What every integration test stands on: one PostgreSQL and one gateway a program, and a pool a test.
#ifndef ENGINE_DB_TESTS_INTEGRATION_INTEGRATION_TEST_H_
#define ENGINE_DB_TESTS_INTEGRATION_INTEGRATION_TEST_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <memory>
#include <string>

#include "engine_db/postgres_connector.h"
#include "tests/support/gateway_process.h"
#include "tests/support/machine_delay.h"
#include "tests/support/postgres_cluster.h"
#include "tests/support/wait.h"

namespace engine::db::test {

using std::chrono::milliseconds;
using std::chrono::seconds;

// For what should happen soon, however loaded the machine is.
inline constexpr seconds kSoon{15};

// Each test's backends bear a name of their own (application_name), so that it has its own pool and can count its
// backends. After each test the gateway must still run, and nothing of the test's may be left on the server.
class IntegrationTest : public testing::Test {
 protected:
  IntegrationTest();
  void TearDown() override;

  // Started at their first use, stopped with the program.
  static PostgresCluster& Postgres();
  static GatewayProcess& Gateway();
  // For tests that need their gateway started with other settings, on the shared PostgreSQL.
  static std::unique_ptr<GatewayProcess> StartGateway(const std::map<std::string, std::string>& environment);

  // The role `app`, by TCP; the pool is this test's own.
  [[nodiscard]] ConnectionConfig Config(int max_pool_size = 4) const;
  [[nodiscard]] ConnectionConfig Config(int max_pool_size, const RetryConfig& retry) const;
  [[nodiscard]] static engine::db::GatewayOptions At(const GatewayProcess& gateway);
  // Connected, to the shared gateway.
  [[nodiscard]] std::unique_ptr<PostgresSyncConnector> Connect(const ConnectionConfig& config) const;
  [[nodiscard]] std::unique_ptr<PostgresSyncConnector> Connect() const { return Connect(Config()); }
  [[nodiscard]] std::unique_ptr<PostgresAsyncConnector> ConnectAsync(const ConnectionConfig& config) const;
  [[nodiscard]] std::unique_ptr<PostgresAsyncConnector> ConnectAsync() const { return ConnectAsync(Config()); }

  // Past the gateway, as the role `app`: the oracle.
  static pqxx::result Sql(const std::string& sql) { return Postgres().Exec("SET ROLE app; " + sql); }
  static std::string Scalar(const std::string& sql) { return Postgres().Scalar(sql); }
  static int Number(const std::string& sql) { return std::stoi(Scalar(sql)); }

  // A name for this test alone: of its backends, and for tables.
  [[nodiscard]] const std::string& name() const { return name_; }
  // CREATE TABLE name() (columns), owned by `app`.
  void CreateTable(const std::string& columns) const;
  [[nodiscard]] int Rows() const { return Number("SELECT count(*) FROM " + name_); }

  // This test's backends on the server, of those for which `condition` holds.
  [[nodiscard]] int Backends(const std::string& condition = "true") const;
  // Those that run something: not the idle ones.
  [[nodiscard]] int Active() const { return Backends("state = 'active'"); }
  [[nodiscard]] bool WaitForBackends(int count, const std::string& condition = "true",
                                     milliseconds timeout = kSoon) const;
  // pg_terminate_backend for those, and waits until they are gone.
  void TerminateBackends(const std::string& condition = "true") const;

 private:
  std::string name_;
};

// Runs `work`, which must throw an Error (or one derived from it), and returns that.
template <typename Error = DatabaseError, typename Work>
Error Catch(Work&& work) {
  try {
    work();
    ADD_FAILURE() << "no error was thrown";
  } catch (const Error& error) {
    return error;
  } catch (const std::exception& error) {
    ADD_FAILURE() << "an error of another class was thrown: " << error.what();
  }
  return Error(ErrorInfo{});
}

inline milliseconds Since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - start);
}
inline std::chrono::steady_clock::time_point Now() { return std::chrono::steady_clock::now(); }

}  // namespace engine::db::test

#endif  // ENGINE_DB_TESTS_INTEGRATION_INTEGRATION_TEST_H_

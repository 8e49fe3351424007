// PgBouncer between the gateway and PostgreSQL.
#include <atomic>
#include <thread>

#include "tests/integration/gateway_calls.h"
#include "tests/support/pgbouncer_process.h"

namespace engine::db::test {
namespace {

using testing::HasSubstr;

class Poolers : public GatewayCallsTest {
 protected:
  static constexpr char kIgnored[] = "extra_float_digits,options";

  [[nodiscard]] v1::ConnectRequest Behind(const PgBouncerProcess& bouncer, int max_pool_size = 4) const {
    v1::ConnectRequest request = ConnectTo(max_pool_size);
    request.mutable_config()->set_port(bouncer.port());
    return request;
  }
  void ExpectRefused(const PgBouncerProcess& bouncer, const std::string& what) {
    SCOPED_TRACE(what);
    const auto answer = Call(&Stub::Connect, Behind(bouncer));
    const Failure failure = ExpectFailure(answer.status, grpc::StatusCode::FAILED_PRECONDITION,
                                          v1::ERROR_KIND_CONNECTION, "TRANSACTION_POOLER");
    EXPECT_THAT(failure.error.hint(), HasSubstr("pool_mode = session"));
    EXPECT_FALSE(failure.error.retryable());
    EXPECT_EQ(failure.error.outcome(), v1::OUTCOME_NOT_EXECUTED);
  }
};

TEST_F(Poolers, ThoseThatShareASessionsConnectionAreRefused) {
  for (const char* mode : {"transaction", "statement"}) {
    for (const int size : {1, 2, 3, 8}) {
      for (const bool round_robin : {false, true}) {
        PgBouncerProcess bouncer(
            Postgres(),
            {.pool_size = size, .pool_mode = mode, .ignored_parameters = kIgnored, .round_robin = round_robin});
        // As many server connections as there may be.
        std::vector<std::unique_ptr<pqxx::connection>> clients;
        std::vector<std::thread> busy;
        for (int i = 0; i < size; ++i) {
          busy.emplace_back([&] {
            pqxx::connection client(bouncer.AppUser());
            pqxx::nontransaction(client).exec("SELECT pg_sleep(0.3)");
          });
        }
        for (std::thread& thread : busy) thread.join();
        ExpectRefused(bouncer, std::string(mode) + " of " + std::to_string(size) + (round_robin ? " in turn" : ""));
      }
    }
  }
}

TEST_F(Poolers, ThoseInUseAreFoundOutToo) {
  PgBouncerProcess bouncer(Postgres(), {.pool_size = 6, .ignored_parameters = kIgnored});
  std::atomic<bool> over = false;
  std::vector<std::thread> others;
  for (int i = 0; i < 4; ++i) {
    others.emplace_back([&] {
      pqxx::connection client(bouncer.AppUser());
      while (!over) pqxx::nontransaction(client).exec("SELECT 1");
    });
  }
  for (int i = 0; i < 10; ++i) ExpectRefused(bouncer, "in use");
  over = true;
  for (std::thread& thread : others) thread.join();
}

// Its one server connection is somebody else's next.
TEST_F(Poolers, ARefusedConnectLeavesNothingBehind) {
  PgBouncerProcess bouncer(Postgres(), {.pool_size = 1, .ignored_parameters = kIgnored});
  ExpectRefused(bouncer, "one server connection");
  pqxx::connection client(bouncer.AppUser());
  pqxx::nontransaction other(client);
  EXPECT_EQ(other.exec("SHOW default_transaction_read_only")[0][0].as<std::string>(), "off");
  EXPECT_EQ(other.exec("SHOW statement_timeout")[0][0].as<std::string>(), "0");
  EXPECT_EQ(other.exec("SHOW client_encoding")[0][0].as<std::string>(), "UTF8");
  EXPECT_EQ(other.exec("SELECT count(*) FROM pg_prepared_statements")[0][0].as<int>(), 0);
}

TEST_F(Poolers, OneThatRefusesTheGatewaysStartupParametersIsNamed) {
  PgBouncerProcess bouncer(Postgres(), {.pool_mode = "session"});
  const auto answer = Call(&Stub::Connect, Behind(bouncer));
  EXPECT_FALSE(answer.ok());
  EXPECT_THAT(Decode(answer.status).error.hint(), HasSubstr("this is a pooler: connect to PostgreSQL itself"));
}

TEST_F(Poolers, ASessionOfItsOwnIsAsGoodAsPostgresqlItself) {
  CreateTable("n int");
  PgBouncerProcess bouncer(Postgres(), {.pool_size = 8, .pool_mode = "session", .ignored_parameters = kIgnored});
  const std::string connection = Open(Behind(bouncer));
  for (int i = 0; i < 200; ++i) {
    const auto read = Execute(connection, "SELECT count(*) + ? FROM " + name(), {Int(i)});
    ASSERT_TRUE(read.ok()) << Decode(read.status).message;
    if (i % 4 != 0) continue;
    const auto begun = Begin(connection);
    ASSERT_TRUE(begun.ok());
    ASSERT_TRUE(
        ExecuteIn(connection, begun.response.transaction_id(), "INSERT INTO " + name() + " VALUES (?)", {Int(i)}).ok());
    ASSERT_TRUE(Commit(connection, begun.response.transaction_id()).ok());
    // Somebody else's session, through the same pooler.
    pqxx::connection client(bouncer.AppUser());
    pqxx::nontransaction(client).exec("INSERT INTO " + name() + " VALUES (-1)");
  }
  EXPECT_EQ(Rows(), 100);
  // A cancel request goes through.
  const auto slow = Execute(connection, "SELECT pg_sleep(60)", {}, milliseconds(300));
  EXPECT_EQ(slow.status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_TRUE(WaitUntil(kSoon, [] {
    return Number(
               "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND "
               "query LIKE 'SELECT pg_sleep(60)%'") == 0;
  }));
}

TEST_F(Poolers, ASessionPoolerWithASingleConnectionWorks) {
  PgBouncerProcess bouncer(Postgres(), {.pool_size = 1, .pool_mode = "session", .ignored_parameters = kIgnored});
  const std::string connection = Open(Behind(bouncer, 1));
  EXPECT_EQ(Cell(Execute(connection, "SELECT 41 + 1")).int64_value(), 42);
}

TEST_F(Poolers, OneThatDropsSettingsWhichTheRoleHasOtherwiseIsRefused) {
  Postgres().Exec("ALTER ROLE app SET intervalstyle = 'iso_8601'");
  {
    PgBouncerProcess bouncer(Postgres(), {.pool_mode = "session", .ignored_parameters = kIgnored});
    const auto answer = Call(&Stub::Connect, Behind(bouncer));
    static_cast<void>(ExpectFailure(answer.status, grpc::StatusCode::FAILED_PRECONDITION, v1::ERROR_KIND_CONNECTION,
                                    "POOLER_DROPS_SETTINGS"));
  }
  Postgres().Exec("ALTER ROLE app RESET intervalstyle");
}

}  // namespace
}  // namespace engine::db::test

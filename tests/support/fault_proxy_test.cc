// The proxy in front of a real PostgreSQL, with libpq and libpqxx as clients.
#include "tests/support/fault_proxy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <libpq-fe.h>

#include <array>
#include <future>
#include <memory>
#include <pqxx/pqxx>
#include <string>

#include "tests/support/postgres_cluster.h"
#include "tests/support/wait.h"

namespace engine::db::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

struct ConnectionDeleter {
  void operator()(PGconn* connection) const { PQfinish(connection); }
};
using Connection = std::unique_ptr<PGconn, ConnectionDeleter>;

struct ResultDeleter {
  void operator()(PGresult* result) const { PQclear(result); }
};
using Result = std::unique_ptr<PGresult, ResultDeleter>;

class FaultProxyTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { postgres_ = new PostgresCluster; }
  static void TearDownTestSuite() {
    delete postgres_;
    postgres_ = nullptr;
  }
  void SetUp() override { postgres_->Exec("SET ROLE app; DROP TABLE IF EXISTS t; CREATE TABLE t (n int PRIMARY KEY)"); }
  // Nobody may be left on the server once the proxy has gone.
  void TearDown() override {
    proxy_.reset();
    EXPECT_TRUE(WaitUntil(seconds(15), [] {
      return postgres_->Scalar("SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'") == "0";
    }));
  }

  [[nodiscard]] std::string Target(const std::string& application_name = "") const {
    return "host=" + proxy().host() + " port=" + std::to_string(proxy().port()) +
           " user=app dbname=app password=" + postgres_->password() +
           (application_name.empty() ? "" : " application_name=" + application_name);
  }
  [[nodiscard]] Connection Connect(const std::string& application_name = "") const {
    return Connection(PQconnectdb(Target(application_name).c_str()));
  }
  [[nodiscard]] Connection Connected(const std::string& application_name = "") const {
    Connection connection = Connect(application_name);
    EXPECT_EQ(PQstatus(connection.get()), CONNECTION_OK) << PQerrorMessage(connection.get());
    return connection;
  }
  // By the extended protocol.
  static Result Run(const Connection& connection, const std::string& sql) {
    return Result(PQexecParams(connection.get(), sql.c_str(), 0, nullptr, nullptr, nullptr, nullptr, 0));
  }
  static bool Works(const Connection& connection) {
    const Result result = Run(connection, "SELECT 42");
    return PQresultStatus(result.get()) == PGRES_TUPLES_OK && PQgetvalue(result.get(), 0, 0) == std::string("42");
  }
  static std::string SqlState(const Result& result) {
    const char* code = PQresultErrorField(result.get(), PG_DIAG_SQLSTATE);
    return code == nullptr ? "" : code;
  }
  static int Rows() { return std::stoi(postgres_->Scalar("SELECT count(*) FROM t")); }
  static bool RowsBecome(int count) {
    return WaitUntil(seconds(15), [&] { return Rows() == count; });
  }

  [[nodiscard]] FaultProxy& proxy() const { return *proxy_; }

  static PostgresCluster* postgres_;
  std::unique_ptr<FaultProxy> proxy_ = std::make_unique<FaultProxy>(postgres_->host(), postgres_->port());
};
PostgresCluster* FaultProxyTest::postgres_ = nullptr;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"  // libpqxx 7.10 would have another name, which 6.4 hasn't
TEST_F(FaultProxyTest, PassesEverythingOn) {
  pqxx::connection connection(Target());
  connection.prepare("add", "INSERT INTO t VALUES ($1)");
  {
    pqxx::work work(connection);
    for (int i = 0; i < 100; ++i) work.exec_prepared("add", i);
    const pqxx::result large = work.exec("SELECT repeat('x', 1000) FROM generate_series(1, 20000)");
    EXPECT_EQ(large.size(), 20000U);
    EXPECT_EQ(work.exec_params("SELECT length($1)", std::string(3'000'000, 'y'))[0][0].as<int>(), 3'000'000);
    EXPECT_THROW(pqxx::subtransaction(work).exec("SELECT 1/0"), pqxx::sql_error);
    work.commit();
  }
  EXPECT_EQ(Rows(), 100);
  EXPECT_EQ(proxy().open_links(), 1);
  EXPECT_TRUE(proxy().Journal().empty());
}
#pragma GCC diagnostic pop

TEST_F(FaultProxyTest, PassesCancelRequestsOn) {
  const Connection connection = Connected();
  auto canceller = std::async(std::launch::async, [&] {
    EXPECT_TRUE(WaitUntil(seconds(15), [] {
      return postgres_->Scalar(
                 "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(61)%' AND state = "
                 "'active' AND usename = 'app'") == "1";
    }));
    PGcancel* cancel = PQgetCancel(connection.get());
    std::array<char, 256> error{};
    EXPECT_EQ(PQcancel(cancel, error.data(), error.size()), 1) << error.data();
    PQfreeCancel(cancel);
  });
  EXPECT_EQ(SqlState(Run(connection, "SELECT pg_sleep(61)")), "57014");
  canceller.get();
}

TEST_F(FaultProxyTest, CutsBeforeTheRequest) {
  const Connection connection = Connected();
  const auto rule = proxy().Add({.statement = "^insert into t"});
  EXPECT_TRUE(Works(connection));
  EXPECT_EQ(SqlState(Run(connection, "INSERT INTO t VALUES (1)")), "");
  EXPECT_EQ(PQstatus(connection.get()), CONNECTION_BAD);
  EXPECT_EQ(proxy().Fired(rule), 1);
  EXPECT_TRUE(Works(Connected()));
  EXPECT_EQ(Rows(), 0);
  EXPECT_THAT(proxy().Journal(),
              testing::ElementsAre("link 1: cut before the request of a statement: INSERT INTO t VALUES (1)"));
}

TEST_F(FaultProxyTest, CutsWithinTheRequest) {
  const Connection connection = Connected();
  const auto rule = proxy().Add({.statement = "INSERT", .point = FaultPoint::kInRequest, .bytes = 3});
  Run(connection, "INSERT INTO t VALUES (1)");
  EXPECT_EQ(PQstatus(connection.get()), CONNECTION_BAD);
  EXPECT_EQ(proxy().Fired(rule), 1);
  EXPECT_EQ(Rows(), 0);
}

TEST_F(FaultProxyTest, CutsAfterTheRequestWhichRuns) {
  const Connection connection = Connected();
  const auto rule = proxy().Add({.statement = "INSERT", .point = FaultPoint::kAfterRequest});
  Run(connection, "INSERT INTO t SELECT 1 FROM pg_sleep(0.3)");
  EXPECT_EQ(PQstatus(connection.get()), CONNECTION_BAD);
  EXPECT_EQ(proxy().Fired(rule), 1);
  EXPECT_TRUE(RowsBecome(1));
}

TEST_F(FaultProxyTest, CutsBeforeTheReplyWhenAllIsDone) {
  const Connection connection = Connected();
  const auto rule = proxy().Add({.statement = "INSERT", .point = FaultPoint::kBeforeReply});
  Run(connection, "INSERT INTO t VALUES (1)");
  EXPECT_EQ(PQstatus(connection.get()), CONNECTION_BAD);
  EXPECT_EQ(proxy().Fired(rule), 1);
  EXPECT_EQ(Rows(), 1) << "at once: it had been run to its end";
}

TEST_F(FaultProxyTest, LosesTheReplyOfACommit) {
  // libpqxx sends COMMIT as a Query, and can't tell what became of it.
  pqxx::connection connection(Target());
  const auto rule = proxy().Add({.statement = "^COMMIT", .point = FaultPoint::kBeforeReply});
  pqxx::work work(connection);
  work.exec("INSERT INTO t VALUES (1)");
  EXPECT_ANY_THROW(work.commit());
  EXPECT_EQ(proxy().Fired(rule), 1);
  EXPECT_EQ(Rows(), 1);
}

TEST_F(FaultProxyTest, LosesTheRequestOfACommit) {
  const Connection connection = Connected();
  const auto rule = proxy().Add({.statement = "^COMMIT"});
  Run(connection, "BEGIN");
  Run(connection, "INSERT INTO t VALUES (1)");
  Run(connection, "COMMIT");
  EXPECT_EQ(PQstatus(connection.get()), CONNECTION_BAD);
  EXPECT_EQ(proxy().Fired(rule), 1);
  EXPECT_EQ(Rows(), 0);
}

TEST_F(FaultProxyTest, CutsWithinTheReply) {
  const Connection connection = Connected();
  proxy().Add({.statement = "generate_series", .point = FaultPoint::kInReply, .bytes = 1000});
  ASSERT_EQ(PQsendQuery(connection.get(), "SELECT 12345 FROM generate_series(1, 1000)"), 1);
  ASSERT_EQ(PQsetSingleRowMode(connection.get()), 1);
  int rows = 0;
  while (const Result result{PQgetResult(connection.get())}) {
    if (PQresultStatus(result.get()) != PGRES_SINGLE_TUPLE) break;
    ++rows;
  }
  EXPECT_EQ(PQstatus(connection.get()), CONNECTION_BAD);
  EXPECT_GT(rows, 10);
  EXPECT_LT(rows, 100);
}

TEST_F(FaultProxyTest, CutsAfterTheReply) {
  const Connection connection = Connected();
  proxy().Add({.statement = "INSERT", .point = FaultPoint::kAfterReply});
  EXPECT_EQ(PQresultStatus(Run(connection, "INSERT INTO t VALUES (1)").get()), PGRES_COMMAND_OK);
  EXPECT_FALSE(Works(connection));
  EXPECT_EQ(Rows(), 1);
}

TEST_F(FaultProxyTest, ClosesInsteadOfCutting) {
  const Connection connection = Connected();
  proxy().Add({.statement = "INSERT", .act = FaultAct::kClose});
  Run(connection, "INSERT INTO t VALUES (1)");
  EXPECT_THAT(PQerrorMessage(connection.get()), HasSubstr("server closed the connection unexpectedly"));
  EXPECT_EQ(Rows(), 0);
}

TEST_F(FaultProxyTest, AnErrorInPlaceOfTheReplyFailsTheTransaction) {
  const Connection connection = Connected();
  proxy().Add({.statement = "INSERT",
               .times = 2,
               .act = FaultAct::kError,
               .error = {.sqlstate = "40001",
                         .message = "invented",
                         .detail = "d",
                         .hint = "h",
                         .position = "3",
                         .table_name = "t",
                         .constraint_name = "c"}});
  Run(connection, "BEGIN");
  const Result failed = Run(connection, "INSERT INTO t VALUES (1)");
  EXPECT_EQ(SqlState(failed), "40001");
  EXPECT_EQ(PQresultErrorField(failed.get(), PG_DIAG_MESSAGE_PRIMARY), std::string("invented"));
  EXPECT_EQ(PQresultErrorField(failed.get(), PG_DIAG_MESSAGE_HINT), std::string("h"));
  EXPECT_EQ(PQresultErrorField(failed.get(), PG_DIAG_STATEMENT_POSITION), std::string("3"));
  EXPECT_EQ(PQresultErrorField(failed.get(), PG_DIAG_CONSTRAINT_NAME), std::string("c"));
  EXPECT_EQ(PQtransactionStatus(connection.get()), PQTRANS_INERROR);
  EXPECT_EQ(SqlState(Run(connection, "SELECT 1")), "25P02");
  Run(connection, "ROLLBACK");
  EXPECT_TRUE(Works(connection));
  // The simple protocol too.
  EXPECT_EQ(SqlState(Result(PQexec(connection.get(), "INSERT INTO t VALUES (1)"))), "40001");
  EXPECT_TRUE(Works(connection));
  EXPECT_EQ(Rows(), 0);
  EXPECT_EQ(PQresultStatus(Run(connection, "INSERT INTO t VALUES (1)").get()), PGRES_COMMAND_OK) << "twice only";
}

TEST_F(FaultProxyTest, AnErrorInAPipelineSkipsToTheSync) {
  const Connection connection = Connected();
  proxy().Add({.statement = "VALUES \\(2\\)", .act = FaultAct::kError, .error = {.sqlstate = "40P01"}});
  PGconn* const c = connection.get();
  ASSERT_EQ(PQenterPipelineMode(c), 1);
  const auto send = [&](int n) {
    const std::string sql = "INSERT INTO t VALUES (" + std::to_string(n) + ")";
    ASSERT_EQ(PQsendQueryParams(c, sql.c_str(), 0, nullptr, nullptr, nullptr, nullptr, 0), 1);
  };
  // One group that fails in its middle, and one behind it.
  send(1);
  send(2);
  send(3);
  ASSERT_EQ(PQpipelineSync(c), 1);
  send(4);
  ASSERT_EQ(PQpipelineSync(c), 1);
  std::string seen;
  for (int syncs = 0; syncs < 2;) {
    const Result result(PQgetResult(c));
    if (result == nullptr) continue;
    const ExecStatusType status = PQresultStatus(result.get());
    seen += std::string(PQresStatus(status)) + SqlState(result) + " ";
    if (status == PGRES_PIPELINE_SYNC) ++syncs;
    ASSERT_EQ(PQstatus(c), CONNECTION_OK) << seen;
  }
  EXPECT_EQ(seen,
            "PGRES_COMMAND_OK PGRES_FATAL_ERROR40P01 PGRES_PIPELINE_ABORTED PGRES_PIPELINE_SYNC PGRES_COMMAND_OK "
            "PGRES_PIPELINE_SYNC ");
  EXPECT_EQ(postgres_->Scalar("SELECT string_agg(n::text, ',') FROM t"), "4");
}

TEST_F(FaultProxyTest, AFatalErrorEndsTheSession) {
  const Connection connection = Connected();
  proxy().Add({.statement = "INSERT",
               .point = FaultPoint::kBeforeReply,
               .act = FaultAct::kError,
               .error = {.severity = "FATAL", .sqlstate = "57P01"}});
  ASSERT_EQ(PQsendQueryParams(connection.get(), "INSERT INTO t VALUES (1)", 0, nullptr, nullptr, nullptr, nullptr, 0),
            1);
  EXPECT_EQ(SqlState(Result(PQgetResult(connection.get()))), "57P01");
  EXPECT_FALSE(Works(connection));
  EXPECT_EQ(Rows(), 1) << "the server had run it";
}

TEST_F(FaultProxyTest, AnErrorInPlaceOfASuccess) {
  const Connection connection = Connected();
  proxy().Add({.statement = "INSERT",
               .point = FaultPoint::kBeforeReply,
               .act = FaultAct::kError,
               .error = {.sqlstate = "40003"}});
  EXPECT_EQ(SqlState(Run(connection, "INSERT INTO t VALUES (1)")), "40003");
  EXPECT_TRUE(Works(connection));
  EXPECT_EQ(Rows(), 1);
}

TEST_F(FaultProxyTest, RefusesLoginsWithAnError) {
  for (const auto trigger : {FaultTrigger::kStartup, FaultTrigger::kPassword}) {
    for (const std::string code : {"28P01", "3D000", "53300", "57P03"}) {
      proxy().Add({.trigger = trigger,
                   .act = FaultAct::kError,
                   .error = {.severity = "FATAL", .sqlstate = code, .message = "not now " + code}});
      const Connection connection = Connect();
      EXPECT_EQ(PQstatus(connection.get()), CONNECTION_BAD);
      EXPECT_THAT(PQerrorMessage(connection.get()), HasSubstr("not now " + code));
    }
  }
  EXPECT_TRUE(Works(Connected()));
}

TEST_F(FaultProxyTest, RefusesConnections) {
  const Connection connection = Connected();
  proxy().Refuse(true);
  EXPECT_THAT(PQerrorMessage(Connect().get()), HasSubstr("Connection refused"));
  EXPECT_TRUE(Works(connection)) << "what is open stays";
  proxy().Refuse(false);
  EXPECT_TRUE(Works(Connected()));
}

TEST_F(FaultProxyTest, PointsToAnotherServer) {
  PostgresCluster other;
  const Connection before = Connected();
  proxy().PointTo(other.host(), other.port());
  const Connection after = Connected();
  const std::string ask = "SELECT current_setting('port')";
  EXPECT_EQ(PQgetvalue(Run(before, ask).get(), 0, 0), std::to_string(postgres_->port()));
  EXPECT_EQ(PQgetvalue(Run(after, ask).get(), 0, 0), std::to_string(other.port()));
}

TEST_F(FaultProxyTest, BlackHolesSwallowEverything) {
  for (const auto trigger : {FaultTrigger::kConnect, FaultTrigger::kStartup, FaultTrigger::kPassword}) {
    proxy().Add({.trigger = trigger, .act = FaultAct::kBlackHole});
    const Connection connection(PQconnectdb((Target() + " connect_timeout=2").c_str()));
    EXPECT_EQ(PQstatus(connection.get()), CONNECTION_BAD);
    EXPECT_THAT(PQerrorMessage(connection.get()), HasSubstr("timeout expired"));
  }
  const Connection connection = Connected("victim");
  const Connection bystander = Connected("bystander");
  const auto rule = proxy().Add({.statement = "42", .application_name = "victim", .act = FaultAct::kBlackHole});
  EXPECT_TRUE(Works(bystander));
  auto works = std::async(std::launch::async, [&] { return Works(connection); });
  ASSERT_TRUE(proxy().WaitForFired(rule));
  EXPECT_EQ(works.wait_for(milliseconds(300)), std::future_status::timeout);
  proxy().Heal();
  EXPECT_FALSE(works.get());
  EXPECT_TRUE(Works(bystander));
}

TEST_F(FaultProxyTest, AServerMayNotLearnThatItsClientIsGone) {
  Connection connection = Connected("victim");
  Run(connection, "BEGIN");
  Run(connection, "INSERT INTO t VALUES (1)");
  proxy().BlackHoleAll(/*server_learns=*/false);
  connection.reset();
  const auto open = [] {
    return postgres_->Scalar("SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'");
  };
  EXPECT_FALSE(WaitUntil(milliseconds(500), [&] { return open() == "0"; }));
  proxy().Heal();
  EXPECT_TRUE(WaitUntil(seconds(15), [&] { return open() == "0"; }));
  EXPECT_TRUE(Works(Connected()));
}

TEST_F(FaultProxyTest, CutAllCutsAll) {
  const Connection one = Connected();
  const Connection two = Connected();
  proxy().CutAll();
  EXPECT_FALSE(Works(one));
  EXPECT_FALSE(Works(two));
  EXPECT_TRUE(Works(Connected()));
}

TEST_F(FaultProxyTest, DelaysRequestsAndReplies) {
  const Connection connection = Connected();
  for (const auto point : {FaultPoint::kBeforeRequest, FaultPoint::kBeforeReply}) {
    proxy().Add({.statement = "42", .point = point, .act = FaultAct::kDelay, .delay = milliseconds(300)});
    const auto start = std::chrono::steady_clock::now();
    EXPECT_TRUE(Works(connection));
    EXPECT_GE(std::chrono::steady_clock::now() - start, milliseconds(300));
  }
}

TEST_F(FaultProxyTest, SlowsTheLinkDown) {
  const Connection connection = Connected();
  proxy().Add({.statement = "42", .act = FaultAct::kSlow, .bytes_per_second = 1024});
  EXPECT_TRUE(Works(connection));
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(PQntuples(Run(connection, "SELECT repeat('x', 2048)").get()), 1);
  EXPECT_GE(std::chrono::steady_clock::now() - start, milliseconds(1900));
}

TEST_F(FaultProxyTest, SlicesTheLink) {
  const Connection connection = Connected();
  proxy().Add({.statement = "42", .act = FaultAct::kSlow, .slice_bytes = 1});
  EXPECT_TRUE(Works(connection));
  const Result result = Run(connection, "SELECT repeat('x', 5000) FROM generate_series(1, 3)");
  ASSERT_EQ(PQntuples(result.get()), 3);
  EXPECT_EQ(PQgetlength(result.get(), 2, 0), 5000);
}

TEST_F(FaultProxyTest, SkipsMatchesFirst) {
  const Connection connection = Connected();
  const auto rule = proxy().Add({.statement = "42", .skip = 2});
  EXPECT_TRUE(Works(connection));
  EXPECT_TRUE(Works(connection));
  EXPECT_FALSE(Works(connection));
  EXPECT_EQ(proxy().Fired(rule), 1);
  EXPECT_TRUE(Works(Connected()));
}

TEST_F(FaultProxyTest, WhatTheReaderDoesNotTakeStaysWithTheServer) {
  const Connection connection = Connected();
  ASSERT_EQ(PQsendQuery(connection.get(), "SELECT repeat('x', 1000) FROM generate_series(1, 1000000)"), 1);
  EXPECT_TRUE(WaitUntil(seconds(15), [] {
    return postgres_->Scalar("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'ClientWrite'") == "1";
  }));
}

TEST_F(FaultProxyTest, RulesThatMakeNoSenseAreRefused) {
  EXPECT_THROW(proxy().Add({.statement = "("}), std::invalid_argument);
  EXPECT_THROW(proxy().Add({.trigger = FaultTrigger::kConnect, .statement = "x"}), std::invalid_argument);
  EXPECT_THROW(proxy().Add({.trigger = FaultTrigger::kPassword, .point = FaultPoint::kInReply}), std::invalid_argument);
  EXPECT_THROW(proxy().Add({.point = FaultPoint::kInReply, .act = FaultAct::kError}), std::invalid_argument);
  EXPECT_THROW(proxy().Add({.trigger = FaultTrigger::kStartup, .act = FaultAct::kError}), std::invalid_argument);
}

}  // namespace
}  // namespace engine::db::test

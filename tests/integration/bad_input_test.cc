// Bad input: a clear error of the right kind that names the field, at once, and the gateway goes on serving.
#include "tests/integration/gateway_calls.h"
#include "tests/support/network.h"

namespace engine::db::test {
namespace {

using grpc::StatusCode;
using testing::HasSubstr;
using testing::Not;

class BadInput : public GatewayCallsTest {
 protected:
  void TearDown() override {
    // Whatever came before: others are still served.
    const std::string connection = Open();
    EXPECT_EQ(Cell(Execute(connection, "SELECT 1")).int64_value(), 1);
    GatewayCallsTest::TearDown();
  }
  // A Connect that must fail, soon.
  Failure Refused(const v1::ConnectRequest& request) {
    const auto start = Now();
    const auto answer = Call(&Stub::Connect, request);
    EXPECT_LT(Since(start), seconds(5));
    EXPECT_FALSE(answer.ok());
    const Failure failure = Decode(answer.status);
    EXPECT_TRUE(failure.has_error) << failure.message;
    EXPECT_THAT(answer.status.error_message() + answer.status.error_details(), Not(HasSubstr(Postgres().password())));
    return failure;
  }
  void ExpectInvalid(const v1::ConnectRequest& request, const std::string& field) {
    const Failure failure = Refused(request);
    EXPECT_EQ(failure.code, StatusCode::INVALID_ARGUMENT) << field;
    EXPECT_EQ(failure.error.kind(), v1::ERROR_KIND_INVALID_REQUEST) << field;
    EXPECT_EQ(failure.error.field(), field) << failure.message;
    const size_t dot = field.rfind('.');
    EXPECT_THAT(failure.message, HasSubstr(field.substr(dot == std::string::npos ? 0 : dot + 1)));
  }
};

TEST_F(BadInput, WrongHost) {
  v1::ConnectRequest request = ConnectTo();
  request.mutable_config()->set_host("no-such-host.invalid");
  request.mutable_config()->mutable_retry()->set_max_attempts(1);
  const Failure failure = Refused(request);
  EXPECT_EQ(failure.code, StatusCode::UNAVAILABLE);
  EXPECT_EQ(failure.error.kind(), v1::ERROR_KIND_CONNECTION);
  EXPECT_EQ(failure.error.phase(), v1::PHASE_CONNECTING);
  EXPECT_THAT(failure.message, HasSubstr("no-such-host.invalid"));
}

TEST_F(BadInput, ClosedPort) {
  v1::ConnectRequest request = ConnectTo();
  const int port = FreePort();
  request.mutable_config()->set_port(port);
  const Failure failure = Refused(request);
  EXPECT_EQ(failure.code, StatusCode::UNAVAILABLE);
  EXPECT_EQ(failure.error.kind(), v1::ERROR_KIND_CONNECTION);
  EXPECT_EQ(failure.error.outcome(), v1::OUTCOME_NOT_EXECUTED);
  EXPECT_THAT(failure.message, HasSubstr(std::to_string(port)));
}

TEST_F(BadInput, WrongPassword) {
  v1::ConnectRequest request = ConnectTo();
  request.mutable_config()->set_password("canary-wrong");
  const Failure failure = Refused(request);
  EXPECT_EQ(failure.code, StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(failure.error.kind(), v1::ERROR_KIND_CONNECTION);
  EXPECT_EQ(failure.error.sqlstate(), "28P01");
  EXPECT_FALSE(failure.error.retryable());
  EXPECT_THAT(failure.message, Not(HasSubstr("canary")));
}

TEST_F(BadInput, WrongUserAndDatabase) {
  v1::ConnectRequest request = ConnectTo();
  request.mutable_config()->set_user("nobody_here");
  EXPECT_EQ(Refused(request).error.kind(), v1::ERROR_KIND_CONNECTION);
  request = ConnectTo();
  request.mutable_config()->set_dbname("no_such_database");
  const Failure failure = Refused(request);
  EXPECT_EQ(failure.code, StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(failure.error.sqlstate(), "3D000");
  EXPECT_THAT(failure.message, HasSubstr("no_such_database"));
}

TEST_F(BadInput, SomethingThatIsNoPostgreSql) {
  v1::ConnectRequest request = ConnectTo();
  request.mutable_config()->set_host("127.0.0.1");
  const std::string metrics = Gateway().metrics_address();
  request.mutable_config()->set_port(std::stoi(metrics.substr(metrics.rfind(':') + 1)));
  request.mutable_config()->mutable_retry()->set_max_attempts(1);
  request.mutable_config()->set_timeout_ms(2000);
  EXPECT_EQ(Refused(request).error.kind(), v1::ERROR_KIND_CONNECTION);
}

TEST_F(BadInput, ConfigurationFields) {
  struct Case {
    const char* field;
    std::function<void(v1::ConnectionConfig&)> spoil;
  };
  const std::vector<Case> cases = {
      {"config.port", [](auto& c) { c.set_port(-1); }},
      {"config.port", [](auto& c) { c.set_port(0); }},
      {"config.port", [](auto& c) { c.set_port(70000); }},
      {"config.host", [](auto& c) { c.set_host(""); }},
      {"config.host", [](auto& c) { c.set_host(std::string(256, 'h')); }},
      {"config.host", [](auto& c) { c.set_host(std::string("a\0b", 3)); }},
      {"config.user", [](auto& c) { c.set_user(""); }},
      {"config.dbname", [](auto& c) { c.set_dbname(""); }},
      {"config.password", [](auto& c) { c.set_password(std::string("a\0b", 3)); }},
      {"config.min_pool_size", [](auto& c) { c.set_min_pool_size(-1); }},
      {"config.max_pool_size", [](auto& c) { c.set_max_pool_size(0); }},
      {"config.max_pool_size", [](auto& c) { c.set_max_pool_size(1001); }},
      {"config.timeout_ms", [](auto& c) { c.set_timeout_ms(0); }},
      {"config.retry.max_attempts", [](auto& c) { c.mutable_retry()->set_max_attempts(0); }},
      {"config.retry.multiplier", [](auto& c) { c.mutable_retry()->set_multiplier(0.5); }},
      {"config.tls_mode", [](auto& c) { c.set_tls_mode(static_cast<v1::TlsMode>(99)); }},
      {"config.application_name", [](auto& c) { c.set_application_name(std::string(64, 'a')); }},
  };
  for (const Case& one : cases) {
    v1::ConnectRequest request = ConnectTo();
    one.spoil(*request.mutable_config());
    ExpectInvalid(request, one.field);
  }
}

TEST_F(BadInput, MinPoolSizeAboveMax) {
  v1::ConnectRequest request = ConnectTo();
  request.mutable_config()->set_min_pool_size(5);
  request.mutable_config()->set_max_pool_size(4);
  ExpectInvalid(request, "config.min_pool_size");
}

TEST_F(BadInput, NoTargetAndUnknownDataSource) {
  EXPECT_EQ(Refused({}).error.kind(), v1::ERROR_KIND_INVALID_REQUEST);
  v1::ConnectRequest request;
  request.set_data_source("nowhere");
  EXPECT_EQ(Refused(request).error.field(), "data_source");
}

TEST_F(BadInput, EmptySql) {
  const std::string connection = Open();
  for (const char* sql : {"", "   ", "-- nothing", "/* nothing */ ;"}) {
    const Failure failure = ExpectFailure(Execute(connection, sql).status, StatusCode::INVALID_ARGUMENT,
                                          v1::ERROR_KIND_INVALID_REQUEST, "EMPTY_STATEMENT");
    EXPECT_EQ(failure.error.field(), "sql") << sql;
    EXPECT_EQ(failure.error.outcome(), v1::OUTCOME_NOT_EXECUTED);
  }
}

TEST_F(BadInput, StatementsThatAreRefused) {
  const std::string connection = Open();
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"SELECT 1; SELECT 2", "MULTIPLE_STATEMENTS"},
      {"COPY pg_class TO STDOUT", "COPY_NOT_SUPPORTED"},
      {"SELECT ?, $1", "MIXED_PLACEHOLDERS"},
      {"COMMIT", "TRANSACTION_CONTROL"},
      {"SAVEPOINT a", "TRANSACTION_CONTROL"},
      {"PREPARE TRANSACTION 'x'", "TRANSACTION_CONTROL"},
      {std::string("SELECT '\0'", 10), "NUL_BYTE"},
      {"SELECT '" + std::string((1 << 20) + 1, 'x') + "'", "STATEMENT_TOO_LARGE"},
  };
  for (const auto& [sql, reason] : cases) {
    const Failure failure = Decode(Execute(connection, sql).status);
    EXPECT_EQ(failure.code, StatusCode::INVALID_ARGUMENT) << sql.substr(0, 40);
    EXPECT_EQ(failure.error.reason(), reason) << sql.substr(0, 40) << ": " << failure.message;
    EXPECT_EQ(failure.error.field(), "sql") << sql.substr(0, 40);
  }
  EXPECT_TRUE(Execute(connection, "SELECT 1;").ok()) << "a semicolon at the end is fine";
}

TEST_F(BadInput, TooManyAndTooFewParameters) {
  const std::string connection = Open();
  for (const auto& parameters : {std::vector<v1::Value>{}, {Int(1)}, {Int(1), Int(2), Int(3)}}) {
    const Failure failure =
        ExpectFailure(Execute(connection, "SELECT ?::int, ?::int", parameters).status, StatusCode::INVALID_ARGUMENT,
                      v1::ERROR_KIND_INVALID_REQUEST, "PARAMETER_COUNT");
    EXPECT_EQ(failure.error.field(), "parameters");
    EXPECT_THAT(failure.message, HasSubstr("2"));
  }
}

TEST_F(BadInput, ParametersThatAreNone) {
  const std::string connection = Open();
  const Failure unset = Decode(Execute(connection, "SELECT ?::int", {v1::Value()}).status);
  EXPECT_EQ(unset.error.kind(), v1::ERROR_KIND_INVALID_REQUEST);
  EXPECT_THAT(unset.error.field(), HasSubstr("parameters[0]"));
  const Failure nul =
      Decode(Execute(connection, "SELECT ?::int, ?::text", {Int(1), Text(std::string("a\0b", 3))}).status);
  EXPECT_EQ(nul.error.reason(), "NUL_BYTE");
  EXPECT_THAT(nul.error.field(), HasSubstr("parameters[1]"));
  const Failure expression = Decode(Execute(connection, "SELECT ?", {Expr(static_cast<v1::Expression>(77))}).status);
  EXPECT_EQ(expression.error.kind(), v1::ERROR_KIND_INVALID_REQUEST);
  EXPECT_TRUE(Execute(connection, "SELECT ?::bytea", {Blob(std::string("a\0b", 3))}).ok()) << "bytes may hold NUL";
}

TEST_F(BadInput, UnknownConnection) {
  for (const char* id : {"nonsense", "c-1-2"}) {
    const Failure failure = ExpectFailure(Execute(id, "SELECT 1").status, StatusCode::FAILED_PRECONDITION,
                                          v1::ERROR_KIND_CONNECTION, "UNKNOWN_CONNECTION");
    EXPECT_EQ(failure.error.field(), "connection_id");
  }
  EXPECT_EQ(Decode(Execute("", "SELECT 1").status).error.field(), "connection_id");
  const std::string connection = Open();
  EXPECT_TRUE(Close(connection).ok());
  static_cast<void>(ExpectFailure(Execute(connection, "SELECT 1").status, StatusCode::FAILED_PRECONDITION,
                                  v1::ERROR_KIND_CONNECTION, "UNKNOWN_CONNECTION"));
}

TEST_F(BadInput, AMessageOverTheLimit) {
  const std::string connection = Open();
  const auto answer = Execute(connection, "SELECT length(?::text)", {Text(std::string(5 << 20, 'x'))});
  EXPECT_EQ(answer.status.error_code(), StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_FALSE(answer.status.error_message().empty());
}

TEST_F(BadInput, AMessageOverTheLimitThroughTheClient) {
  const auto connector = Connect();
  const auto error =
      Catch<DatabaseRequestError>([&] { connector->execute("SELECT length(?::text)", {std::string(5 << 20, 'x')}); });
  EXPECT_THAT(error.what(), HasSubstr("at most 4194"));  // 4 MiB less the envelope
  EXPECT_EQ(connector->execute("SELECT 1 AS n").rows()[0]["n"].as<int>(), 1) << "the session goes on";
}

TEST_F(BadInput, InvalidUtf8) {
  const std::string connection = Open();
  // proto3 refuses it before anything of ours sees it, on either side.
  EXPECT_FALSE(Execute(connection, "SELECT '\xff'").ok());
  const auto connector = Connect();
  static_cast<void>(Catch<DatabaseRequestError>([&] { connector->execute("SELECT ?::text", {"\xff"}); }));
  static_cast<void>(Catch<DatabaseRequestError>([&] { connector->execute("SELECT '\xff'"); }));
  EXPECT_EQ(connector->execute("SELECT 1 AS n").rows()[0]["n"].as<int>(), 1);
}

TEST_F(BadInput, DeeplyNestedSql) {
  const std::string connection = Open();
  for (const int depth : {1000, 100000}) {
    const auto answer = Execute(connection, "SELECT " + std::string(depth, '(') + "1" + std::string(depth, ')'));
    if (!answer.ok()) {
      EXPECT_TRUE(Decode(answer.status).has_error) << depth;
    }
  }
  std::string sum = "SELECT 1";
  for (int i = 0; i < 100000; ++i) sum += "+1";
  const auto answer = Execute(connection, sum);
  if (!answer.ok()) {
    EXPECT_TRUE(Decode(answer.status).has_error);
  }
}

}  // namespace
}  // namespace engine::db::test

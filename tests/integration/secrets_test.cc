// What a failed call must not give away: passwords and values of parameters, planted in calls that fail in every way
// that comes to mind.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <functional>
#include <future>
#include <thread>

#include "tests/integration/gateway_calls.h"
#include "tests/support/postgres_messages.h"
#include "tests/support/temporary_folder.h"

namespace engine::db::test {
namespace {

using testing::HasSubstr;
using testing::Not;

const std::string kCanary = "Sesame7Vault";
const std::string kPasswordCanary = "Sesame7Password";

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

class Secrets : public GatewayCallsTest {
 protected:
  // Everything that the failed call says, details and all.
  static std::string Said(const grpc::Status& status) {
    EXPECT_FALSE(status.ok());
    const Failure failure = Decode(status);
    return status.error_message() + status.error_details() + failure.error.ShortDebugString() +
           failure.error_info.ShortDebugString();
  }
  static void ExpectNothingOf(const std::string& canary, const std::string& text) {
    EXPECT_THAT(Lower(text), Not(HasSubstr(Lower(canary))));
  }
  static void ExpectNoneInLogAndMetrics() {
    for (const std::string& canary : {kCanary, kPasswordCanary}) {
      ExpectNothingOf(canary, Gateway().Log());
      ExpectNothingOf(canary, Gateway().Metrics());
    }
  }
};

TEST_F(Secrets, NoParameterShowsInAnErrorALogOrAMetric) {
  Sql("CREATE TYPE " + name() + "_mood AS ENUM ('sad'); CREATE DOMAIN " + name() +
      "_small AS text CHECK (length(value) < 3)");
  Sql("CREATE TABLE " + name() + " (v text PRIMARY KEY, short varchar(5), CONSTRAINT tall CHECK (v <> 'x" + kCanary +
      "'))");
  Sql("CREATE TABLE " + name() + "_child (v text REFERENCES " + name() +
      ", n int NOT NULL, r int4range, "
      "EXCLUDE USING gist (r WITH &&))");
  Sql("INSERT INTO " + name() + " VALUES ('" + kCanary + "')");
  Sql("CREATE FUNCTION " + name() +
      "_raise(v text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION "
      "'no customer % of that name', v USING HINT = 'ask for another than ' || upper(v), DETAIL = v; END $$");
  Sql("CREATE FUNCTION " + name() +
      "_dynamic(v text) RETURNS int LANGUAGE plpgsql AS $$ DECLARE n int; BEGIN "
      "EXECUTE 'SELECT ' || v || ' FROM pg_class' INTO n; RETURN n; END $$");

  const std::string c = kCanary;
  const std::string n = name();
  const std::vector<std::pair<std::string, std::string>> calls = {
      {"SELECT ?::int", c},
      {"SELECT ?::bigint", "99999999999999999999" + c},
      {"SELECT ?::numeric", c},
      {"SELECT ?::float8", c},
      {"SELECT ?::uuid", c},
      {"SELECT ?::date", c},
      {"SELECT ?::timestamptz", "2026-13-45 " + c},
      {"SELECT ?::interval", c},
      {"SELECT ?::json", "{\"a\": " + c + "}"},
      {"SELECT ?::jsonb", "[1, " + c + "]"},
      {"SELECT ?::xml", "<a>" + c},
      {"SELECT ?::inet", c},
      {"SELECT ?::macaddr", c},
      {"SELECT ?::bit(3)", c},
      {"SELECT ?::bytea", "\\x" + c},
      {"SELECT ?::regclass", c},
      {"SELECT ?::regclass", "\"" + c + "\""},
      {"SELECT ?::regproc", c},
      {"SELECT ?::regtype", c},
      {"SELECT ?::regrole", c},
      {"SELECT ?::regnamespace", c},
      {"SELECT ?::regprocedure", c + "(int)"},
      {"SELECT ?::int[]", "{1," + c + "}"},
      {"SELECT ?::text[]", "{" + c},
      {"SELECT ?::int4range", "[1," + c + ")"},
      {"SELECT ?::point", c},
      {"SELECT ?::bool", c},
      {"SELECT ?::oid", c},
      {"SELECT ?::pg_lsn", c},
      {"SELECT ?::money", c},
      {"SELECT ?::tsquery", c + " &"},
      {"SELECT to_tsquery(?)", c + " & |"},
      {"SELECT to_tsvector(?::regconfig, 'a')", c},
      {"SELECT to_date(?, 'YYYY-MM-DD')", c},
      {"SELECT to_timestamp(?, 'HH24')", c},
      {"SELECT to_number(?, '999')", c},
      {"SELECT set_config(?, 'x', false)", c},
      {"SELECT set_config('work_mem', ?, false)", c},
      {"SELECT set_config('search_path', ?, false), 1/0", c},
      {"SELECT set_config('role', ?, false)", c},
      {"SELECT current_setting(?)", c},
      {"SELECT pg_read_file(?)", "/" + c},
      {"SELECT pg_ls_dir(?)", c},
      {"SELECT nextval(?)", c},
      {"SELECT ?::" + n + "_mood", c},
      {"SELECT ?::" + n + "_small", c},
      {"INSERT INTO " + n + " VALUES (?)", c},
      {"INSERT INTO " + n + " VALUES (?)", "x" + c},
      {"INSERT INTO " + n + " (v, short) VALUES ('a', ?)", c},
      {"INSERT INTO " + n + "_child VALUES (?, 1)", "y" + c},
      {"INSERT INTO " + n + "_child (v) VALUES (?)", c},
      {"SELECT " + n + "_raise(?)", c},
      {"SELECT " + n + "_raise(upper(?))", c},
      {"SELECT " + n + "_dynamic(?)", c},
      {"SELECT " + n + "_dynamic(?)", c + "_column"},
      {"SELECT query_to_xml(?, true, false, '')", "SELECT " + c},
      {"SELECT 'a' ~ ?", "(" + c},
      {"SELECT regexp_replace('a', ?, '')", "[" + c},
      {"SELECT date_trunc(?, now())", c},
      {"SELECT date_part(?, now())", c},
      {"SELECT format(?)", "%" + c},
      {"SELECT has_table_privilege(?, 'select')", c},
      {"SELECT has_table_privilege('pg_class', ?)", c},
      {"SELECT encode('a', ?)", c},
      {"SELECT decode(?, 'hex')", c},
      {"SELECT convert('a', 'UTF8', ?)", c},
      {"SELECT xpath(?, '<a/>')", "//" + c + "["},
      {"SELECT jsonb_path_query('{}', ?::jsonpath)", "$." + c + "("},
      {"SELECT pg_get_serial_sequence(?, 'a')", c},
      {"SELECT pg_advisory_unlock(?::int)", c},
      {"SELECT make_interval(secs => ?::float8)", c},
      {"SELECT 1/0, ?::text", c},
      {"SELECT ?::text, nowhere", c},
      {"SELECT ?::nowhere", c},
      {"SELEC ?", c},
      {"SELECT ?, ?", c},
      {"SELECT 1", c},
      {"BEGIN; SELECT ?", c},
      {"COPY t FROM ?", c},
      {"SELECT ?", "\n" + c + std::string(1, '\0')},
  };
  ASSERT_GE(calls.size(), 60U);
  const std::string connection = Open();
  for (const auto& [sql, value] : calls) {
    SCOPED_TRACE(sql);
    ExpectNothingOf(c, Said(Execute(connection, sql, {Text(value)}).status));
  }
  // As streams and in batches the same errors come by other ways.
  v1::ExecuteBatchRequest batch;
  batch.set_connection_id(connection);
  v1::ExecuteStreamRequest stream;
  stream.set_connection_id(connection);
  for (const auto& [sql, value] : calls) {
    SCOPED_TRACE(sql);
    batch.clear_statements();
    v1::BatchStatement& statement = *batch.add_statements();
    statement.set_sql(sql);
    *statement.add_parameters() = Text(value);
    const auto answer = Call(&Stub::ExecuteBatch, batch);
    ExpectNothingOf(c, answer.status.error_message() + answer.status.error_details());
    for (const v1::BatchResult& result : answer.response.results())
      ExpectNothingOf(c, result.error().ShortDebugString());
    stream.set_sql(sql);
    stream.clear_parameters();
    *stream.add_parameters() = Text(value);
    ExpectNothingOf(c, Said(Stream(stream).status));
  }
  ExpectNoneInLogAndMetrics();
}

TEST_F(Secrets, NoPasswordShowsWhateverIsWrongWithTheTarget) {
  const auto fails = [&](const std::function<void(v1::ConnectionConfig&)>& change) {
    v1::ConnectRequest request = ConnectTo();
    request.mutable_config()->set_timeout_ms(2000);
    request.mutable_config()->set_password(kPasswordCanary);
    change(*request.mutable_config());
    const auto answer = Call(&Stub::Connect, request);
    ExpectNothingOf(kPasswordCanary, Said(answer.status));
  };
  fails([](v1::ConnectionConfig&) {});
  fails([](v1::ConnectionConfig& c) { c.set_port(1); });
  fails([](v1::ConnectionConfig& c) { c.set_port(-1); });
  fails([](v1::ConnectionConfig& c) { c.set_host("no-such-host.invalid"); });
  fails([](v1::ConnectionConfig& c) { c.set_host("/nowhere"); });
  fails([](v1::ConnectionConfig& c) { c.set_host("postgresql://app:" + kPasswordCanary + "@h"); });
  fails([](v1::ConnectionConfig& c) { c.set_user("nobody"); });
  fails([](v1::ConnectionConfig& c) { c.set_dbname("nowhere"); });
  fails([](v1::ConnectionConfig& c) { c.set_dbname("postgresql://app:" + kPasswordCanary + "@h/d"); });
  fails([](v1::ConnectionConfig& c) { c.set_password(kPasswordCanary + std::string(1, '\0')); });
  fails([](v1::ConnectionConfig& c) { c.set_password(kPasswordCanary + std::string(100'000, 'x')); });
  fails([](v1::ConnectionConfig& c) { c.set_user(""); });
  // What libpq, or a reader, may take for more than a name would become a pool's name.
  const std::vector<std::pair<std::string, std::string>> names = {
      {"dbname", "dbname=app password=" + kPasswordCanary},
      {"dbname", "app:" + kPasswordCanary + "@h/d"},
      {"user", "app:" + kPasswordCanary},
      {"user", "app%3A" + kPasswordCanary},
      {"user", "user=app password=" + kPasswordCanary},
      {"user", "app:" + kPasswordCanary + "@h"},
      {"host", "app:" + kPasswordCanary},
      {"host", "/tmp password=" + kPasswordCanary},
      {"host", "host=h password=" + kPasswordCanary},
      {"application_name", "x password=" + kPasswordCanary},
      {"application_name", "postgresql://app:" + kPasswordCanary + "@h"}};
  for (const auto& [field, value] : names) {
    SCOPED_TRACE(value);
    v1::ConnectRequest request = ConnectTo();
    v1::ConnectionConfig& config = *request.mutable_config();
    config.GetReflection()->SetString(&config, config.GetDescriptor()->FindFieldByName(field), value);
    const grpc::Status status = Call(&Stub::Connect, request).status;
    ExpectNothingOf(kPasswordCanary, Said(status));
    EXPECT_EQ(Decode(status).error.field(), "config." + field);
    EXPECT_EQ(Decode(status).error.kind(), v1::ERROR_KIND_INVALID_REQUEST);
  }
  ExpectNoneInLogAndMetrics();
}

// Asks for the password in clear text, and repeats it in its error, in one form for each login.
class RepeatingServer {
 public:
  explicit RepeatingServer(std::vector<std::function<std::string(const std::string&)>> forms)
      : forms_(std::move(forms)), listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listener_, 16), 0);
    EXPECT_EQ(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] {
      for (int link = -1; (link = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;) {
        Serve(link);
        close(link);
      }
    });
  }
  ~RepeatingServer() {
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
  }

  [[nodiscard]] int port() const { return port_; }
  [[nodiscard]] size_t repeated() const { return repeated_; }

 private:
  static std::string Read(int link, size_t size) {
    std::string bytes(size, '\0');
    return recv(link, bytes.data(), size, MSG_WAITALL) == static_cast<ssize_t>(size) ? bytes : "";
  }
  static std::string ReadRest(int link, const std::string& length) {
    return length.size() == 4 ? Read(link, ReadUint32(length) - 4) : "";
  }
  static void Write(int link, const std::string& bytes) {
    EXPECT_EQ(send(link, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }

  void Serve(int link) {
    std::string startup = ReadRest(link, Read(link, 4));
    if (startup.size() == 4) {  // it asks for TLS
      Write(link, "N");
      startup = ReadRest(link, Read(link, 4));
    }
    if (startup.empty()) return;
    Write(link, MakeMessage('R', std::string("\0\0\0\3", 4)));
    if (Read(link, 1) != "p") return;
    std::string password = ReadRest(link, Read(link, 4));
    if (password.empty()) return;
    password.pop_back();
    ServerError error;
    error.severity = "FATAL";
    error.sqlstate = "28P01";
    error.message = forms_[repeated_++ % forms_.size()](password);
    error.detail = error.hint = password;
    Write(link, MakeErrorResponse(error));
  }

  const std::vector<std::function<std::string(const std::string&)>> forms_;
  const int listener_;
  int port_ = 0;
  std::atomic<size_t> repeated_ = 0;
  std::thread thread_;
};

TEST_F(Secrets, AServerThatRepeatsThePasswordIsNotRepeated) {
  const auto digits = [](const std::string& password) {
    std::string text;
    for (const unsigned char c : password) text += {"0123456789abcdef"[c >> 4], "0123456789abcdef"[c & 15]};
    return text;
  };
  const std::vector<std::function<std::string(const std::string&)>> forms = {
      [](const std::string& password) { return "password " + password + " is wrong"; },
      [](const std::string& password) { return "login \"" + password + "\" failed: " + password; },
      [](const std::string& password) { return "failed: " + Lower(password); },
      [](const std::string& password) { return "of the password only " + password.substr(0, 12) + "... is known"; },
      [](const std::string& password) { return password; },
      [](const std::string& password) {
        return std::string(690, 'x') + password + " failed: FATAL:  28P01: " + password;
      },
      [](const std::string& password) { return "first line\n" + password + "\nLOCATION: " + password; },
      [&](const std::string& password) { return "\\x" + digits(password); }};
  RepeatingServer server(forms);
  const TemporaryFolder folder;
  WriteFile(folder.path() / "gateway.yaml", "dataSources:\n  repeating:\n    url: postgresql://app:" + kPasswordCanary +
                                                "@127.0.0.1:" + std::to_string(server.port()) +
                                                "/app\n    retry: {maxAttempts: 1}\nerrorDetail: log\n");
  GatewayOptions options;
  options.arguments = {"--config", (folder.path() / "gateway.yaml").string()};
  GatewayProcess gateway(options);
  const auto source = StubFor(gateway);
  for (size_t i = 0; i < forms.size(); ++i) {
    v1::ConnectRequest request;
    request.set_data_source("repeating");
    grpc::ClientContext context;
    v1::ConnectResponse response;
    const grpc::Status status = source->Connect(&context, request, &response);
    const std::string said = Said(status);
    ExpectNothingOf(kPasswordCanary, said);
    ExpectNothingOf("sesame7pass", said);
    ExpectNothingOf("536573616d6537", said);
    EXPECT_EQ(Decode(status).error.kind(), v1::ERROR_KIND_CONNECTION) << said;
  }
  EXPECT_GE(server.repeated(), forms.size());
  ExpectNothingOf(kPasswordCanary, gateway.Log());
  ExpectNothingOf(kPasswordCanary, gateway.Metrics());
}

// What is held back goes to the operator who asked for it, but for what is about passwords.
TEST_F(Secrets, TheLogHoldsWholeErrorsOnRequest) {
  CreateTable("v text PRIMARY KEY");
  Sql("INSERT INTO " + name() + " VALUES ('" + kCanary + "')");
  Sql("CREATE FUNCTION " + name() +
      "_raise(v text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no %', v USING HINT = v; END $$");
  const TemporaryFolder folder;
  const std::string url = "    url: postgresql://app:" + Postgres().password() +
                          "@127.0.0.1:" + std::to_string(Postgres().port()) + "/app\n";
  WriteFile(folder.path() / "gateway.yaml", "errorDetail: log\ndataSources:\n  told:\n" + url + "  silent:\n" + url +
                                                "    errorDetail: none\n    raisedMessages: hide\n");
  GatewayOptions options;
  options.arguments = {"--config", (folder.path() / "gateway.yaml").string()};
  GatewayProcess gateway(options);
  const auto source = StubFor(gateway);
  const auto fails = [&](const std::string& data_source, const std::string& sql) {
    v1::ConnectRequest connect;
    connect.set_data_source(data_source);
    grpc::ClientContext connecting;
    v1::ConnectResponse connected;
    EXPECT_TRUE(source->Connect(&connecting, connect, &connected).ok());
    v1::ExecuteRequest request;
    request.set_connection_id(connected.connection_id());
    request.set_sql(sql);
    grpc::ClientContext context;
    v1::ExecuteResponse response;
    return source->Execute(&context, request, &response);
  };
  const std::string duplicate = "INSERT INTO " + name() + " SELECT v FROM " + name();
  const std::string raise = "SELECT " + name() + "_raise(v) FROM " + name();

  EXPECT_THAT(Said(fails("silent", duplicate)), HasSubstr(name() + "_pkey"));
  const Failure hidden = Decode(fails("silent", raise));
  EXPECT_THAT(hidden.message, HasSubstr("raise_exception"));
  ExpectNothingOf(kCanary, hidden.error.ShortDebugString());
  ExpectNothingOf(kCanary, gateway.Log());

  ExpectNothingOf(kCanary, Said(fails("told", duplicate)));
  EXPECT_THAT(gateway.Log(), HasSubstr("(v)=(" + kCanary + ")")) << "the DETAIL";
  EXPECT_THAT(gateway.Log(), HasSubstr("\"pool\":\"told\""));
  EXPECT_EQ(Decode(fails("told", raise)).message, "no " + kCanary) << "what a row holds and its author shows";
  EXPECT_THAT(gateway.Log(), HasSubstr("\"routine\":\"exec_stmt_raise\",\"message\":\"no " + kCanary));

  for (const std::string& sql :
       {"ALTER ROLE nobody_at_all PASSWORD '" + kPasswordCanary + "'",
        "DO $$ BEGIN EXECUTE 'ALTER ROLE " + kPasswordCanary + " PASSWORD ''x'' '; END $$",
        "SELECT crypt('" + kPasswordCanary + "', 'x')", "SELECT 'password=" + kPasswordCanary + "'::int"}) {
    EXPECT_FALSE(fails("told", sql).ok());
  }
  EXPECT_THAT(gateway.Log(), HasSubstr("withheld"));
  ExpectNothingOf(kPasswordCanary, gateway.Log());
  ExpectNothingOf(Postgres().password(), gateway.Log());
}

// A deferred trigger raises when the transaction commits.
TEST_F(Secrets, NoParameterShowsInTheErrorOfItsCommit) {
  CreateTable("v text");
  Sql("CREATE FUNCTION " + name() +
      "_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not %', NEW.v USING COLUMN = NEW.v; END "
      "$$");
  Sql("CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON " + name() +
      " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION " + name() + "_refuse()");
  const std::string connection = Open();
  const std::string insert = "INSERT INTO " + name() + " VALUES (?)";
  const Failure failure = Decode(Execute(connection, insert, {Text(kCanary)}).status);
  EXPECT_EQ(failure.message, "not ...");
  ExpectNothingOf(kCanary, failure.error.ShortDebugString());
  v1::ExecuteBatchRequest batch;
  batch.set_connection_id(connection);
  batch.set_atomic(true);
  *batch.add_statements()->add_parameters() = Text(kCanary);
  batch.mutable_statements(0)->set_sql(insert);
  batch.add_statements()->set_sql("SELECT 1");
  const std::string said = Said(Call(&Stub::ExecuteBatch, batch).status);
  EXPECT_THAT(said, HasSubstr("not ..."));
  ExpectNothingOf(kCanary, said);
}

// Errors are for people: these say what they said before.
TEST_F(Secrets, WhatTellsNothingStays) {
  CreateTable("n int CONSTRAINT positive CHECK (n > 0), v varchar(3)");
  Sql("CREATE FUNCTION " + name() +
      "_raise(v text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'the order is closed, code %', v; END "
      "$$");
  const std::string connection = Open();
  const auto says = [&](const std::string& sql, const std::vector<v1::Value>& parameters = {}) {
    return Decode(Execute(connection, sql, parameters).status).message;
  };
  EXPECT_EQ(says("SELECT a FROM " + name() + " WHERE v = ?", {Text("a")}), "column \"a\" does not exist");
  EXPECT_EQ(says("SELECT customer FROM " + name() + " WHERE v = ?", {Text("customer")}),
            "column \"customer\" does not exist");
  EXPECT_EQ(says("SELECT " + name() + "_raise(?)", {Text("42")}), "the order is closed, code 42");
  EXPECT_EQ(says("SELECT " + name() + "_raise(?)", {Text("A-4711")}), "the order is closed, code ...");
  EXPECT_EQ(Decode(Execute(connection, "SELECT " + name() + "_raise('x')").status).error.hint(), "");
  EXPECT_EQ(says("CREATE FUNCTION " + name() + "_sql() RETURNS int LANGUAGE sql AS 'SELECT nowhere_at_all(1)'"),
            "function nowhere_at_all(integer) does not exist");
  EXPECT_EQ(says("INSERT INTO " + name() + " VALUES (?)", {Int(-1)}),
            "new row for relation \"" + name() + "\" violates check constraint \"positive\"");
  EXPECT_EQ(says("INSERT INTO " + name() + " (v) VALUES (?)", {Text("four")}),
            "value too long for type character varying(3)");
  EXPECT_EQ(says("SELECT 1/?::int", {Int(0)}), "division by zero");
  EXPECT_EQ(says("SELECT ?::int", {Text("four")}), "invalid input syntax for type integer: \"...\"");
  EXPECT_EQ(says("DROP TABLE nowhere_at_all"), "table \"nowhere_at_all\" does not exist");
  EXPECT_EQ(says("DROP FUNCTION nowhere_at_all(int)"), "function nowhere_at_all(integer) does not exist");
  EXPECT_EQ(says("SELECT nowhere_at_all(1)"), "function nowhere_at_all(integer) does not exist");
  EXPECT_EQ(says("SELECT 1 + true"), "operator does not exist: integer + boolean");
  EXPECT_EQ(says("CREATE TABLE " + name() + " (a int)"), "relation \"" + name() + "\" already exists");
  EXPECT_EQ(says("SELECT nextval('nowhere_at_all')"), "relation \"nowhere_at_all\" does not exist");
  EXPECT_EQ(says("SELECT pg_read_file('/etc/shadow')"), "permission denied for function pg_read_file");
  const Failure hidden = Decode(Execute(connection, "SELECT ?::text::regoper", {Text("sesame")}).status);
  EXPECT_THAT(hidden.message, HasSubstr("undefined_function"));
  EXPECT_THAT(hidden.error.hint(), HasSubstr("errorDetail"));
}

TEST_F(Secrets, WhatRunsIsListedWithoutItsValues) {
  const std::string connection = Open();
  const auto running = std::async(std::launch::async, [&] {
    static_cast<void>(Execute(connection, "SELECT pg_sleep(5), ?::text", {Text(kCanary)}));
  });
  ASSERT_TRUE(WaitForBackends(1, "state = 'active'"));
  grpc::ClientContext context;
  v1::ListStatementsResponse listed;
  ASSERT_TRUE(admin().ListStatements(&context, v1::ListStatementsRequest(), &listed).ok());
  EXPECT_GE(listed.statements_size(), 1);
  ExpectNothingOf(kCanary, listed.ShortDebugString());
}

}  // namespace
}  // namespace engine::db::test

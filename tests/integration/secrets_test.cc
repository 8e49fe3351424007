// What a failed call must not give away: passwords and values of parameters, planted in calls that fail in every way
// that comes to mind.
#include <algorithm>
#include <cctype>
#include <functional>
#include <future>

#include "tests/integration/gateway_calls.h"

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
  ExpectNoneInLogAndMetrics();
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

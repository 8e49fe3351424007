// What errors show, made by a generator: a canary as a parameter's value, in a row that the caller did not send, and in
// a statement that a function made of such a row, each in some two hundred expressions that fail, by every method.
#include <algorithm>
#include <cctype>

#include "tests/integration/error_text_expressions.h"
#include "tests/integration/gateway_calls.h"

namespace engine::db::test {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr char kCanary[] = "sesame7vault";

std::string Replaced(std::string text, const std::string& what, const std::string& by) {
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size())) {
    text.replace(at, what.size(), by);
  }
  return text;
}

int Count(const std::string& text, const std::string& what) {
  int count = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + what.size())) ++count;
  return count;
}

class ErrorTexts : public GatewayCallsTest {
 protected:
  void SetUp() override {
    static bool extended = false;
    if (!std::exchange(extended, true)) {
      for (const char* extension : {"hstore", "ltree", "cube", "seg", "isn", "intarray", "pgcrypto", "tablefunc",
                                    "dblink", "xml2", "uuid-ossp", "fuzzystrmatch", "unaccent", "btree_gist"}) {
        Postgres().Exec(std::string("CREATE EXTENSION \"") + extension + "\"");
      }
      Postgres().Exec("GRANT pg_read_server_files TO app; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA pg_catalog TO app");
    }
    Sql(Named(R"(
CREATE TYPE N_mood AS ENUM ('sad');
CREATE TYPE N_row AS (n int, a int[], r int4range);
CREATE DOMAIN N_small AS text CHECK (length(value) < 3);
CREATE DOMAIN N_strict AS int CHECK (value > 0);
CREATE TABLE N_notes (note text);
INSERT INTO N_notes VALUES ('sesame7vault');
CREATE TABLE N (v text PRIMARY KEY, short varchar(5), CONSTRAINT tall CHECK (v <> 'xsesame7vault'));
INSERT INTO N VALUES ('sesame7vault');
CREATE TABLE N_child (v text REFERENCES N, n int NOT NULL);
CREATE TABLE N_part (v text) PARTITION BY LIST (v);
CREATE VIEW N_view AS SELECT v, short FROM N WHERE short = 'ok' WITH CHECK OPTION;
CREATE TABLE N_policy (v text);
ALTER TABLE N_policy ENABLE ROW LEVEL SECURITY;
ALTER TABLE N_policy FORCE ROW LEVEL SECURITY;
CREATE POLICY p ON N_policy WITH CHECK (v = 'ok');
CREATE TABLE N_domain (v N_small);
CREATE TABLE N_exclusive (r int4range, v text, EXCLUDE USING gist (r WITH &&));
INSERT INTO N_exclusive VALUES ('[2,3]');
CREATE TABLE N_identity (id int GENERATED ALWAYS AS IDENTITY);
CREATE TABLE N_converted (v text);
CREATE FUNCTION N_convert() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.v := NEW.v::int; RETURN NEW; END $$;
CREATE TRIGGER t BEFORE INSERT ON N_converted FOR EACH ROW EXECUTE FUNCTION N_convert();
CREATE FUNCTION N_execute(v text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN EXECUTE v; RETURN v; END $$;
CREATE FUNCTION N_sql(v text) RETURNS int LANGUAGE sql AS $$ SELECT v::int $$;
CREATE FUNCTION N_strict_into(v text) RETURNS int LANGUAGE plpgsql AS
  $$ DECLARE n int; BEGIN SELECT 1 INTO STRICT n FROM pg_class WHERE relname = v; RETURN n; END $$;
CREATE FUNCTION N_division(v text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1 / (length(v) - length(v)); END $$;
CREATE FUNCTION N_raise(v text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION
  'no customer % of that name', v USING HINT = 'ask for another than ' || v, DETAIL = v; END $$;
CREATE FUNCTION N_names(v text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'names'
  USING COLUMN = v, CONSTRAINT = v, TABLE = v, SCHEMA = v, DATATYPE = v; END $$;
CREATE FUNCTION N_coded(v text, code text) RETURNS int LANGUAGE plpgsql AS
  $$ BEGIN RAISE EXCEPTION 'not %', v USING ERRCODE = code; END $$;
CREATE FUNCTION N_assert(v text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN ASSERT false, 'not ' || v; RETURN 1; END $$;
CREATE FUNCTION N_again(v text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN v::int;
  EXCEPTION WHEN OTHERS THEN RAISE EXCEPTION 'wrong: %', SQLERRM; END $$;
)"));
    connection_ = Open();
  }

  [[nodiscard]] std::string Named(const std::string& sql) const {
    std::string named = Replaced(sql, "LINK",
                                 "host=" + Postgres().host() + " port=" + std::to_string(Postgres().port()) +
                                     " user=app dbname=app password=" + Postgres().password());
    for (size_t at = named.find('N'); at != std::string::npos; at = named.find('N', at + 1)) {
      const bool begins =
          at == 0 || (std::isalnum(static_cast<unsigned char>(named[at - 1])) == 0 && named[at - 1] != '_');
      const bool ends = at + 1 == named.size() || named[at + 1] == '_' ||
                        std::isalnum(static_cast<unsigned char>(named[at + 1])) == 0;
      if (begins && ends) {
        named.replace(at, 1, name());
        at += name().size();
      }
    }
    return named;
  }

  static std::string Lower(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
    return text;
  }
  // The canary, a piece of it, and its bytes as hexadecimal digits.
  static void ExpectNothing(const std::string& said) {
    const std::string text = Lower(said);
    for (const char* canary : {"sesame", "me7vault", "736573616d", "5345534d"})
      EXPECT_THAT(text, Not(HasSubstr(canary)));
  }
  void ExpectNothing(const grpc::Status& status) {
    if (status.ok()) return;
    const Failure failure = Decode(status);
    ExpectNothing(status.error_message() + status.error_details() + failure.error.ShortDebugString() +
                  failure.error_info.ShortDebugString());
    EXPECT_LT(status.error_details().size(), 2048U);
  }

  // By every method. True if it failed when it was executed.
  bool Try(const std::string& sql, const std::vector<v1::Value>& parameters) {
    SCOPED_TRACE(sql);
    const auto executed = Execute(connection_, sql, parameters);
    ExpectNothing(executed.status);
    v1::ExecuteStreamRequest stream;
    stream.set_connection_id(connection_);
    stream.set_sql(sql);
    SetParameters(stream, parameters);
    ExpectNothing(Stream(stream).status);
    v1::ExecuteBatchRequest batch;
    batch.set_connection_id(connection_);
    for (int i = 0; i < 2; ++i) {
      v1::BatchStatement& statement = *batch.add_statements();
      statement.set_sql(sql);
      SetParameters(statement, parameters);
    }
    const auto independent = Call(&Stub::ExecuteBatch, batch);
    ExpectNothing(independent.status);
    for (const v1::BatchResult& result : independent.response.results())
      ExpectNothing(result.error().ShortDebugString());
    batch.set_atomic(true);
    ExpectNothing(Call(&Stub::ExecuteBatch, batch).status);
    const std::string transaction = Begin(connection_).response.transaction_id();
    ExpectNothing(ExecuteIn(connection_, transaction, sql, parameters).status);
    EXPECT_TRUE(Rollback(connection_, transaction).ok());
    v1::DescribeRequest describe;
    describe.set_connection_id(connection_);
    describe.set_sql(sql);
    ExpectNothing(Call(&Stub::Describe, describe).status);
    return !executed.ok();
  }

  bool TryParameter(const std::string& sql, const std::string& value) {
    return Try(Named(Replaced(sql, "{}", "?::text")), std::vector<v1::Value>(Count(sql, "{}"), Text(value)));
  }

  void ExpectNoneInLogAndMetrics() {
    ExpectNothing(Gateway().Log());
    ExpectNothing(Gateway().Metrics());
  }

  std::string connection_;
};

TEST_F(ErrorTexts, AParametersValueShowsInNoError) {
  int failed = 0;
  for (const std::string& expression : kExpressions) failed += TryParameter("SELECT " + expression, kCanary) ? 1 : 0;
  const std::string canary = kCanary;
  std::string repeated;
  for (int i = 0; i < 100; ++i) repeated += canary + std::to_string(i);
  for (const std::string& value : {canary, "{\"a\": \"" + canary + "\", \"b\": [\"" + canary + "x\"]}",
                                   canary + "\"" + canary, canary + "\n" + canary, std::string(2000, '.') + canary,
                                   repeated, canary + std::string(700, '-'), "it's \\ <" + canary + "> & co"}) {
    for (const std::string& expression : kRaising) failed += TryParameter("SELECT " + expression, value) ? 1 : 0;
  }
  for (const std::string& statement : kStatements) failed += TryParameter(statement, kCanary) ? 1 : 0;
  EXPECT_GE(failed, 150);
  ExpectNoneInLogAndMetrics();
}

TEST_F(ErrorTexts, ARowsValueShowsInNoError) {
  int failed = 0;
  for (const std::string& expression : kExpressions) {
    failed += Try(Named("SELECT " + Replaced(expression, "{}", "note") + " FROM N_notes"), {}) ? 1 : 0;
  }
  for (const std::string& statement : kStatements) {
    failed += Try(Named(Replaced(statement, "{}", "note") + " FROM N_notes"), {}) ? 1 : 0;
  }
  EXPECT_GE(failed, 150);
  ExpectNoneInLogAndMetrics();
}

TEST_F(ErrorTexts, WhatFunctionsMakeOfRowsShowsInNoError) {
  int failed = 0;
  for (const std::string& expression : kExpressions) {
    const std::string text = Replaced(Replaced(expression, "%", "%%"), "{}", "%1$L");
    failed += Try(Named("SELECT N_execute(format($q$SELECT " + text + "$q$, note)) FROM N_notes"), {}) ? 1 : 0;
  }
  EXPECT_GE(failed, 150);
  ExpectNoneInLogAndMetrics();
}

// Numbers come without quotation marks.
TEST_F(ErrorTexts, ARowsNumberShowsInNoError) {
  Sql(Named(
      "CREATE TABLE N_numbers (n bigint); INSERT INTO N_numbers VALUES (918273645); CREATE SEQUENCE N_seq MAXVALUE 9"));
  const std::vector<std::string> expressions = {
      "make_date(n::int, 13, 1)",
      "make_date(2026, n::int, 1)",
      "make_time(n::int, 1, 1)",
      "make_time(1, 1, n)",
      "make_timestamp(n::int, 13, 1, 1, 1, 1)",
      "make_interval(years => n::int, days => n::int) * 1e300",
      "chr(n::int)",
      "lo_get(n::oid)",
      "lo_open(n::oid, 131072)",
      "lo_unlink(n::oid)",
      "setseed(n)",
      "setval('N_seq', n)",
      "get_bit('a'::bytea, n)",
      "set_bit('a'::bytea, n, 1)",
      "get_byte('a'::bytea, n::int)",
      "get_bit(B'1', n::int)",
      "n::int2",
      "(n::text || '99999999999')::bigint",
      "n * 99999999999",
      "n::numeric(3)",
      "to_timestamp(n * 1e9)",
      "pg_xact_status(n::text::xid8)",

      "width_bucket(1, 2, 2, n::int)",
      "width_bucket(1, 2, 3, -n::int)",
      "power(-n, 0.5)",
      "sqrt(-n)",
      "ln(-n)",
      "n / 0",
      "set_config('work_mem', n::text || '000GB', true)",
      "set_config('port', n::text, true)",
      "set_config('statement_timeout', '-' || n, true)",
      "set_config('extra_float_digits', n::text, true)",
      "trim_array(array[1], n::int)",
      "pg_relation_filepath(n::oid::regclass)::int",
      "(array[1])[1:n] || array[[n]]",
      "N_execute('SELECT ' || n || '::int2')",
      "N_execute('SELECT make_date(' || n || ', 13, 1)')",
      "N_execute('SELECT 1 LIMIT -' || n)",
      "N_execute('ALTER SEQUENCE N_seq MAXVALUE -' || n)",
      "N_execute('CREATE TEMP SEQUENCE s MAXVALUE ' || n || ' MINVALUE ' || n || '1')",
      "N_execute('DECLARE c CURSOR FOR SELECT 1; FETCH ' || n || '9999 FROM c')",
      "N_execute('SELECT ''a''::varchar(' || n || ')')",
      "N_execute('SELECT ''1''::bit(' || n || ')')",
      "N_execute('SELECT 1::numeric(' || n || ')')",
      "N_execute('SELECT now()::timestamp(' || n || '999)')",
      "jsonb_path_query(to_jsonb(n), '$.datetime()')",
      "jsonb_path_query('[1]', ('strict $[' || n || ']')::jsonpath)",
      "subpath('a.b'::ltree, n::int, -5)",
      "ntile(-n::int) OVER ()",
      "nth_value(1, -n::int) OVER ()",
      "levenshtein('a', 'b', n::int, 1, 1) / 0",
      "pg_current_wal_lsn() - n::numeric * 1e30",
      "hashtextextended('a', n) / 0"};
  int failed = 0;
  for (const std::string& expression : expressions) {
    const std::string sql = Named("SELECT " + expression + " FROM N_numbers");
    SCOPED_TRACE(sql);
    const auto answer = Execute(connection_, sql);
    if (answer.ok()) continue;
    ++failed;
    EXPECT_THAT(Decode(answer.status).error.ShortDebugString(), Not(HasSubstr("918273645")));
  }
  EXPECT_GE(failed, 40);
}

}  // namespace
}  // namespace engine::db::test

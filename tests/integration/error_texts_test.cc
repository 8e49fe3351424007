// What errors show, made by a generator: a canary as a parameter's value, in a row that the caller did not send, and in
// a statement that a function made of such a row, each in some two hundred expressions that fail, by every method.
#include <algorithm>
#include <cctype>

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

// Expressions that fail; {} is the value. N is the test's name.
const std::vector<std::string> kExpressions = {
    // casts
    "({})::int",
    "({})::smallint",
    "({})::bigint",
    "({})::numeric",
    "({} || 'e5')::float8",
    "({})::real",
    "({})::boolean",
    "({})::uuid",
    "({})::date",
    "({})::time",
    "({})::timetz",
    "({})::timestamp",
    "('2026-13-45 ' || {})::timestamptz",
    "({})::interval",
    "('{\"a\": ' || {} || '}')::json",
    "('[1, ' || {} || ']')::jsonb",
    "('\"\\u12' || {})::json",
    "('$.' || {} || '(')::jsonpath",
    "('<a>' || {})::xml",
    "({})::inet",
    "({})::cidr",
    "({})::macaddr",
    "({})::macaddr8",
    "({})::bit(3)",
    "({})::varbit",
    "('\\x' || {})::bytea",
    "('\\9' || {})::bytea",
    "({})::money",
    "({})::point",
    "({})::lseg",
    "({})::box",
    "({})::path",
    "({})::polygon",
    "({})::circle",
    "({})::line",
    "({} || ' & |')::tsquery",
    "('''' || {})::tsvector",
    "({})::pg_lsn",
    "({})::pg_snapshot",
    "({})::tid",
    "({})::oid",
    "({})::oidvector",
    "({})::int2vector",
    "({})::aclitem",
    "(E'\\\\' || {} )::ltree",
    "({} || '..')::ltree",
    "({} || '.*{')::lquery",
    "({} || ' & |')::ltxtquery",
    "({} || '=>')::hstore",
    "('(' || {})::cube",
    "('1 ..x' || {})::seg",
    "({})::isbn",
    "({})::query_int",
    "({})::int4range",
    "('[' || {} || ',5)')::int4range",
    "('[2,' || {} || ')')::datemultirange",
    "('{1,' || {} || '}')::int[]",
    "('{' || {})::text[]",
    "('(' || {})::N_row",
    "('(1,' || {} || ')')::N_row",
    "({})::N_mood",
    "({})::N_small",
    "({})::N_strict",
    // names in values
    "({})::regclass",
    "({} || '.b')::regclass",
    "({} || '.b.c')::regclass",
    "({} || '.b.c.d')::regclass",
    "('\"' || {})::regclass",
    "({})::regproc",
    "({} || '.b.c.d')::regproc",
    "({} || '(int)')::regprocedure",
    "({} || '(')::regprocedure",
    "('int4' || {} || '(' || {} || ')')::regprocedure",
    "({})::regoper",
    "({} || '.+')::regoper",
    "('a.' || {} || '.+')::regoper",
    "({} || '(int,int)')::regoperator",
    "({} || '.a.b.+(int,int)')::regoperator",
    "('+(' || {} || ',int)')::regoperator",
    "({})::regtype",
    "({} || '.b.c.d')::regtype",
    "({} || ' ' || {})::regtype",
    "({} || '(')::regtype",
    "({} || '%TYPE')::regtype",
    "(trim({}) || '.b.c.d%TYPE')::regtype",
    "('int4(' || {} || ')')::regtype",
    "({})::regconfig",
    "({} || '.b.c.d')::regconfig",
    "({})::regdictionary",
    "({})::regcollation",
    "({} || '.b.c')::regcollation",
    "({})::regnamespace",
    "({})::regrole",
    "nextval({})",
    "nextval({} || '.b.c')",
    "setval({}, 1)",
    "currval({})",
    "pg_get_serial_sequence({}, 'a')",
    "pg_get_serial_sequence('N', {})",
    "pg_get_viewdef({})",
    "has_table_privilege({}, 'select')",
    "has_table_privilege('pg_class', {})",
    "has_table_privilege({}, 'pg_class', 'select')",
    "has_database_privilege({}, 'connect')",
    "has_schema_privilege({}, 'usage')",
    "has_function_privilege({} || '(int)', 'execute')",
    "has_type_privilege({}, 'usage')",
    "has_language_privilege({}, 'usage')",
    "has_tablespace_privilege({}, 'create')",
    "has_server_privilege({}, 'usage')",
    "has_foreign_data_wrapper_privilege({}, 'usage')",
    "has_column_privilege('pg_class', {}, 'select')",
    "has_sequence_privilege({}, 'usage')",
    "has_parameter_privilege('work_mem', {})",
    "pg_has_role({}, 'usage')",
    "pg_get_object_address('table', array[{}], array[]::text[])",
    "pg_get_object_address('operator', array[{}], array['int4','int4'])",
    "pg_get_object_address('function', array[{}], array['int4'])",
    "pg_get_object_address('aggregate', array[{}], array['int4'])",
    "pg_get_object_address('type', array[{}], array[]::text[])",
    "pg_get_object_address({}, array['a'], array[]::text[])",
    "pg_get_object_address('role', array[{}], array[]::text[])",
    "pg_get_object_address('schema', array[{}], array[]::text[])",
    "pg_get_object_address('operator of access method', array['btree','integer_ops','1'], array[{},'int4'])",
    "pg_get_object_address('operator of access method', array['btree',{},'1'], array['int4','int4'])",
    "pg_get_object_address('default acl', array[{}], array['r'])",
    "pg_get_object_address('cast', array[{}], array['int4'])",
    "pg_get_object_address('domain constraint', array[{}], array['x'])",
    "pg_get_object_address('table column', array[{}, 'a'], array[]::text[])",
    "to_regclass('\"' || {})",
    "parse_ident({} || '.!')",
    "pg_relation_size({})",
    "(SELECT count(*) FROM pg_extension_update_paths({}))",
    "pg_size_bytes({})",
    // settings, files, encodings, formats
    "set_config({}, 'x', true)",
    "set_config('work_mem', {}, true)",
    "set_config('TimeZone', {}, true)",
    "set_config('DateStyle', {}, true)",
    "set_config('role', {}, true)",
    "set_config('session_authorization', {}, true)",
    "set_config('client_min_messages', {}, true)",
    "set_config('default_tablespace', {}, true)",
    "set_config('default_table_access_method', {}, true)",
    "set_config('default_text_search_config', {}, true)",
    "set_config('lc_monetary', {}, true)",
    "set_config('search_path', {} || ',,', true)",
    "set_config('extra_float_digits', '12' || {}, true)",
    "set_config('transaction_isolation', {}, true)",
    "set_config('seed', {}, true)",
    "current_setting({})",
    "pg_read_file({})",
    "pg_read_file('/' || {})",
    "pg_read_binary_file({})",
    "pg_ls_dir({})",
    "pg_stat_file({})",
    "lo_import({})",
    "encode('a', {})",
    "decode({}, 'hex')",
    "decode({} || '!', 'base64')",
    "decode({} || '\\9', 'escape')",
    "convert('a', 'UTF8', {})",
    "convert('a', {}, 'UTF8')",
    "convert_from(convert_to({}, 'UTF8') || '\\xff'::bytea, 'UTF8')",
    "convert_from('a', {})",
    "convert_to({} || U&'\\03A9', 'LATIN1')",
    "length('a', {})",
    "to_ascii('a', ({})::name)",
    "to_ascii({}, 'UTF8')",
    "pg_catalog.\"normalize\"('a', {})",
    "to_date({}, 'YYYY-MM-DD')",
    "to_timestamp({}, 'HH24')",
    "to_timestamp({}, 'Month')",
    "to_date('x', 'YYYY ' || {})",
    "to_number({} || '-', '9V9.9')",
    "date_trunc({}, now())",
    "date_part({}, now())",
    "date_part({}, interval '1 day')",
    "date_part({}, '10:00'::time)",
    "date_trunc('day', now(), {})",
    "timezone({}, now())",
    "make_timestamptz(2026, 1, 1, 1, 1, 1, {})",
    "format('%' || {})",
    "format('%1$' || {})",
    "repeat({}, 1000000000)",
    "string_to_table(repeat({}, 200000000), {})",
    "'a' ~ ('(' || {})",
    "'a' SIMILAR TO ('(' || {})",
    "regexp_replace('a', '[' || {}, '')",
    "regexp_match('a', 'a', {})",
    "regexp_replace('a', 'a', 'b', {})",
    "'a' LIKE ('a' || {} ) ESCAPE {}",
    "regexp_like('a', 'a', {})",
    "chr(length({}) * 1000000)",
    // json, xml, arrays, records
    "json_populate_record(null::N_row, json_build_object('n', {}))",
    "jsonb_populate_record(null::N_row, jsonb_build_object('n', {}))",
    "jsonb_populate_record(null::N_row, jsonb_build_object('a', {}))",
    "jsonb_populate_record(null::N_row, jsonb_build_object('r', {}))",
    "jsonb_set('[1]', array[{}], '1')",
    "jsonb_insert('[1]', array[{}], '1')",
    "'[1]'::jsonb #- array[{}]",
    "jsonb_object(array[{}])",
    "jsonb_path_query('{ }', ('strict $.' || {})::jsonpath)",
    "jsonb_path_query(to_jsonb({}), '$.double()')",
    "jsonb_path_query(to_jsonb({}), '$.datetime()')",
    "jsonb_path_query_tz(to_jsonb({}), 'strict $[0]')",
    "jsonb_path_query('{ }', ('$ ? (@ like_regex \"(' || {} || '\")')::jsonpath)",
    "(to_jsonb({}))::int",
    "jsonb_each(to_jsonb({}))",
    "json_array_length(to_json({}))",
    "(jsonb_build_object('a', {}))[{}]::int",
    "xpath('//' || {} || '[', '<a/>')",
    "xpath('//a', '<a>' || {})",
    "xmlparse(document {})",
    "xmlcomment({} || '--')",
    "xpath('//x:a', '<a/>', array[array[{}, '']])",
    "xpath('/a', '<a/>', array[{}])",
    "array_fill(1, array[length({})], array[1,2])",
    "array_position(array[[{}]], {})",
    "array_cat(array[[{}]], array[[[{}]]])",
    "(array[{}])[1]::int",
    "hstore(array[{}])",
    "subpath(({})::ltree, 5)",
    "text2ltree({} || '..')",
    // text search, cryptography, other extensions
    "to_tsquery({} || ' & |')",
    "to_tsvector(({})::regconfig, 'a')",
    "ts_lexize(({})::regdictionary, 'a')",
    "ts_parse({}, 'a')",
    "ts_headline('a', 'a'::tsquery, {} || '=1')",
    "ts_headline('a', 'a'::tsquery, 'MaxWords=' || {})",
    "setweight('a'::tsvector, ({})::\"char\")",
    "ts_filter('a'::tsvector, array[({})::\"char\"])",
    "ts_rewrite('a'::tsquery, 'SELECT ' || {})",
    "ts_delete('a'::tsvector, null::text[]) || ({})::tsvector::text::int::text",
    "crypt('a', {})",
    "gen_salt({})",
    "digest('a', {})",
    "hmac('a', 'b', {})",
    "encrypt('a', 'b', {})",
    "decrypt(convert_to({}, 'UTF8'), 'b', 'aes')",
    "pgp_sym_decrypt(convert_to({}, 'UTF8'), 'k')",
    "dearmor({})",
    "armor('a', array[{} || U&'\\03A9'], array['b'])",
    "uuid_generate_v5(({})::uuid, 'a')",
    "metaphone({}, -1)",
    "levenshtein(repeat({}, 100), 'a')",
    "unaccent(({})::regdictionary, 'a')",
    // statements made of values
    "query_to_xml('SELECT ' || {}, true, false, '')",
    "query_to_xml({}, true, false, '')",
    "query_to_xml('SELECT 1 FROM ' || {}, true, false, '')",
    "query_to_xmlschema('SELECT ' || {}, true, false, '')",
    "cursor_to_xml(({})::refcursor, 1, true, false, '')",
    "table_to_xml({}, true, false, '')",
    "schema_to_xml({}, true, false, '')",
    "(SELECT count(*) FROM ts_stat('SELECT ' || {}))",
    "(SELECT count(*) FROM ts_stat({}))",
    "(SELECT count(*) FROM ts_stat('SELECT ''a''::tsvector', {}))",
    "(SELECT count(*) FROM crosstab('SELECT ' || {}) AS c(a text, b text))",
    "(SELECT count(*) FROM crosstab('SELECT 1, ' || quote_literal({}) || ', 3') AS c(a text, b int))",
    "(SELECT count(*) FROM connectby({}, 'a', 'b', 'c', 0) AS c(a text, b text, l int))",
    "(SELECT count(*) FROM xpath_table({}, 'a', 'pg_class', 'b', 'c') AS c(a int))",
    "(SELECT count(*) FROM dblink({}, 'select 1') AS c(a int))",
    "dblink_exec({}, 'x')",
    "dblink_disconnect({})",
    "dblink_connect('host=127.0.0.1 port=1 dbname=' || {})",
    "dblink_connect({} || '=1')",
    "(SELECT count(*) FROM dblink('LINK', 'SELECT ' || {}) AS c(a int))",
    "(SELECT count(*) FROM dblink('LINK', 'SELECT ' || quote_literal({}) || '::int') AS c(a int))",
    "(SELECT count(*) FROM dblink('LINK', 'SELECT ' || quote_literal({}) || '::regoper') AS c(a text))",
    "N_execute('SELECT ' || {})",
    "N_execute('SELECT ' || quote_literal({}) || '::int')",
    "N_execute({})",
    "N_execute('SELECT 1 FROM ' || {})",
    "N_execute('DROP TABLE ' || {})",
    "N_execute('DROP FUNCTION ' || {} || '(int)')",
    "N_execute('DROP OPERATOR ' || {} || '.+ (int, int)')",
    "N_execute('ALTER TABLE N ADD CONSTRAINT c CHECK (' || {} || ')')",
    "N_execute('SELECT $$' || {} || '$$::regoper')",
    "N_execute('CREATE TABLE ' || {} || '.x.y.z (a int)')",
    "N_execute('SET ' || {} || ' = 1')",
    "N_execute('SET work_mem = ' || quote_literal({}))",
    "N_execute('CREATE ROLE ' || {})",
    "N_execute('GRANT ' || {} || ' TO app')",
    "N_execute('COMMENT ON TABLE ' || {} || ' IS $$x$$')",
    "N_execute('CREATE TABLE N_x (a int) WITH (fillfactor = ' || {} || ')')",
    "N_execute('CREATE TABLE N_x (a int) WITH (' || {} || ' = 1)')",
    "N_execute('CREATE FUNCTION N_x(' || {} || ') RETURNS int LANGUAGE sql AS $$SELECT 1$$')",
    "N_execute('CREATE FUNCTION N_x() RETURNS int LANGUAGE sql AS $$SELECT ' || {} || '$$')",
    "N_execute('CREATE FUNCTION N_x() RETURNS int LANGUAGE ' || {} || ' AS $$SELECT 1$$')",
    "N_execute('CREATE AGGREGATE N_x(int) (sfunc = ' || {} || ', stype = int)')",
    "N_execute('LOCK TABLE ' || {})",
    "N_execute('SAVEPOINT ' || {})",
    "N_execute('CLOSE ' || {})",
    "N_execute('FETCH ' || {})",
    "N_execute('DEALLOCATE ' || {})",
    "N_execute('EXECUTE ' || {})",
    "N_execute('CREATE EXTENSION ' || {})",
    "N_execute('CREATE INDEX ON N USING ' || {} || ' (v)')",
    "N_execute('CREATE INDEX ON N (v ' || {} || ')')",
    "N_execute('ALTER TYPE N_mood RENAME VALUE ''x'' TO ' || quote_literal({}))",
    "N_execute('TRUNCATE ' || {})",
    "N_execute('ALTER SEQUENCE ' || {} || ' RESTART')",
    "N_execute('NOTIFY ' || {} || ', ' || {})",
    "N_sql(({}))",
    "N_strict_into({})",
    "N_division({})",
};

// Of functions whose authors write what they are given; here only parameters are hidden.
const std::vector<std::string> kRaising = {
    "N_raise({})",
    "N_raise(upper({}))",
    "N_raise('x' || {} || 'y')",
    "N_raise(left({}, 9))",
    "N_raise(quote_ident({} || '\"'))",
    "N_raise(encode(convert_to({}, 'UTF8'), 'hex'))",
    "N_raise(convert_to({}, 'UTF8')::text)",
    "N_raise(to_json({} || '\"')::text)",
    "N_raise(array[{} || '\"', 'b']::text)",
    "N_raise(row({} || ' x', 1)::text)",
    "N_raise(({}::text)::jsonb ->> 'a')",
    "N_names({})",
    "N_names({} || repeat('x', 100))",
    "N_names(repeat('x', 58) || {})",
    "N_coded({}, '23505')",
    "N_coded({}, '42883')",
    "N_coded({}, '22P02')",
    "N_coded({}, 'XX000')",
    "N_coded({}, 'U1234')",
    "N_assert({})",
    "N_raise(repeat('long ', 130) || {})",
    "N_raise({} || repeat(' long', 1000))",
    "N_again({})",
};

// Statements; in a row's case {} is note, and "FROM N_notes" follows.
const std::vector<std::string> kStatements = {
    "INSERT INTO N (v) SELECT {}",
    "INSERT INTO N (v, short) SELECT 'a', {}",
    "INSERT INTO N (v) SELECT 'x' || {}",
    "INSERT INTO N_child (v, n) SELECT 'y' || {}, 1",
    "INSERT INTO N_child (v) SELECT {}",
    "INSERT INTO N_part SELECT {}",
    "INSERT INTO N_view SELECT 'v', {}",
    "INSERT INTO N_policy SELECT {}",
    "INSERT INTO N_domain SELECT {}",
    "INSERT INTO N_converted SELECT {}",
    "INSERT INTO N_exclusive SELECT int4range(1, 5), {}",
    "UPDATE N SET v = 'x' || {}",
    "INSERT INTO N_identity (id) SELECT length({})",
    "CREATE TABLE N_made AS SELECT ({})::int AS n",
};

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

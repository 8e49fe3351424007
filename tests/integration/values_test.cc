// Values in and out: both formats hold the same cells, and nothing loses precision.
#include <cmath>
#include <limits>

#include "tests/integration/gateway_calls.h"

namespace engine::db::test {
namespace {

// The cells of a column batch as values, as RESULT_FORMAT_ROWS would send them.
std::vector<v1::Value> CellsOf(const v1::ColumnData& column, uint32_t rows) {
  std::vector<v1::Value> cells;
  size_t offset = 0;
  for (uint32_t row = 0; row < rows; ++row) {
    const bool null = !column.null_bitmap().empty() && ((column.null_bitmap()[row / 8] >> (row % 8)) & 1) != 0;
    const std::string data =
        column.lengths_size() > 0 ? column.data().substr(offset, column.lengths(static_cast<int>(row))) : "";
    if (column.lengths_size() > 0) offset += column.lengths(static_cast<int>(row));
    const int i = static_cast<int>(row);
    if (null) {
      cells.push_back(Null());
    } else if (column.int64_values_size() > 0) {
      cells.push_back(Int(column.int64_values(i)));
    } else if (column.double_values_size() > 0) {
      cells.push_back(Double(column.double_values(i)));
    } else if (column.bool_values_size() > 0) {
      cells.push_back(Bool(column.bool_values(i)));
    } else if (column.data_kind() == v1::DATA_KIND_BYTES) {
      cells.push_back(Blob(data));
    } else {
      cells.push_back(Text(data));
    }
  }
  return cells;
}

class Values : public GatewayCallsTest {
 protected:
  void SetUp() override { connection_ = Open(); }
  std::string connection_;
};

TEST_F(Values, RowsAndColumnsAreEqualCellByCell) {
  v1::ExecuteRequest request;
  request.set_connection_id(connection_);
  request.set_sql(R"(
    SELECT * FROM (VALUES
      (1::int2, 2147483647::int4, 9223372036854775807::int8, 4294967295::oid, 1.5::float4, 'NaN'::float8, true,
       'text', ''::text, '\x00ff10'::bytea, 12345678901234567890.123456789012345678901234567890::numeric,
       '2024-02-29'::date, '13:14:15.123456'::time, '2024-02-29 13:14:15.123456'::timestamp,
       '2024-02-29 13:14:15.123456+00'::timestamptz, '1 year 2 mons 3 days 04:05:06.789'::interval,
       'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid, '{"b": [1, null], "a": 1.0}'::jsonb, '{"b" :1}'::json,
       '{1,NULL,3}'::int[], '{"a,b",NULL,"NULL","\""}'::text[], '[1,5)'::int4range, ROW(1,'x',NULL), 'x'::"char",
       'name'::name, '192.168.1.0/24'::cidr, '101'::bit(3), '(1,2)'::point, '<a>b</a>'::xml),
      (-32768, -2147483648, -9223372036854775808, 0, '-Infinity', 'Infinity', false,
       'ünïcödé €', ' x ', ''::bytea, 'NaN', 'infinity', '24:00:00', '-infinity', 'infinity', '-1 days',
       '00000000-0000-0000-0000-000000000000', 'null', 'null', '{}', '{}', 'empty', ROW(NULL), 'y', '', '::/0', '000',
       '(0,0)', ''),
      (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)
    ) AS t (i2, i4, i8, o, f4, f8, b, t, e, ba, n, d, ti, ts, tz, iv, u, jb, j, ia, ta, r, rec, c, na, ci, bi, p, x))");
  const auto rows = Call(&Stub::Execute, request);
  ASSERT_TRUE(rows.ok()) << rows.status.error_message();
  request.set_result_format(v1::RESULT_FORMAT_COLUMNS);
  const auto columns = Call(&Stub::Execute, request);
  ASSERT_TRUE(columns.ok()) << columns.status.error_message();
  const v1::ColumnBatch& batch = columns.response.column_batch();
  ASSERT_EQ(rows.response.rows_size(), 3);
  ASSERT_EQ(batch.row_count(), 3U);
  ASSERT_EQ(rows.response.columns_size(), 29);
  ASSERT_EQ(batch.columns_size(), 29);
  for (int c = 0; c < 29; ++c) {
    EXPECT_EQ(rows.response.columns(c).ShortDebugString(), columns.response.columns(c).ShortDebugString());
    const std::vector<v1::Value> cells = CellsOf(batch.columns(c), 3);
    for (int r = 0; r < 3; ++r) {
      EXPECT_EQ(rows.response.rows(r).values(c).ShortDebugString(), cells[r].ShortDebugString())
          << "row " << r << ", column " << rows.response.columns(c).name();
    }
  }
  // The oracle: what PostgreSQL itself writes.
  const pqxx::result oracle = Postgres().Exec("SET ROLE app; " + request.sql());
  for (int c = 10; c < 29; ++c) {
    for (int r = 0; r < 3; ++r) {
      const v1::Value& value = rows.response.rows(r).values(c);
      ASSERT_EQ(value.has_null_value(), oracle[r][c].is_null()) << r << ", " << c;
      if (!value.has_null_value()) {
        EXPECT_EQ(value.text_value(), oracle[r][c].c_str()) << r << ", " << c;
      }
    }
  }
  const v1::Row& first = rows.response.rows(0);
  EXPECT_EQ(first.values(2).int64_value(), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(first.values(3).int64_value(), 4294967295);
  EXPECT_EQ(first.values(4).double_value(), 1.5);
  EXPECT_TRUE(std::isnan(first.values(5).double_value()));
  EXPECT_TRUE(first.values(6).bool_value());
  EXPECT_TRUE(first.values(8).has_text_value());
  EXPECT_EQ(first.values(9).bytes_value(), std::string("\x00\xff\x10", 3));
  EXPECT_EQ(rows.response.rows(1).values(4).double_value(), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(rows.response.rows(1).values(9).bytes_value(), "");
  EXPECT_TRUE(rows.response.rows(1).values(9).has_bytes_value());
}

TEST_F(Values, ParametersOfEveryKindArrive) {
  const double inf = std::numeric_limits<double>::infinity();
  const auto answer = Execute(
      connection_,
      "SELECT ?::bool, ?::bigint, ?::float8, ?::float8, ?::text, ?::bytea, ?::text, ?::numeric, ?::int[], ?::jsonb, ?",
      {Bool(true), Int(std::numeric_limits<int64_t>::min()), Double(0.1), Double(-inf), Text(""),
       Blob(std::string("\0\xff'\\", 4)), Null(), Text("1e-400"), Text("{3,4}"), Text("{\"a\": 1}"),
       Expr(v1::EXPRESSION_CURRENT_DATE)});
  ASSERT_TRUE(answer.ok()) << answer.status.error_message();
  const v1::Row& row = answer.response.rows(0);
  EXPECT_TRUE(row.values(0).bool_value());
  EXPECT_EQ(row.values(1).int64_value(), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(row.values(2).double_value(), 0.1);
  EXPECT_EQ(row.values(3).double_value(), -inf);
  EXPECT_TRUE(row.values(4).has_text_value());
  EXPECT_EQ(row.values(5).bytes_value(), std::string("\0\xff'\\", 4));
  EXPECT_TRUE(row.values(6).has_null_value());
  EXPECT_EQ(row.values(7).text_value(), Scalar("SELECT 1e-400::numeric"));
  EXPECT_EQ(row.values(8).text_value(), "{3,4}");
  EXPECT_EQ(row.values(9).text_value(), "{\"a\": 1}");
  EXPECT_EQ(row.values(10).text_value(), Scalar("SELECT current_date"));
}

TEST_F(Values, EveryDoubleRoundTrips) {
  for (const double value : {0.1 + 0.2, 1e-323, 1.7976931348623157e308, -0.0, 123456789.123456789, 5e-324}) {
    const auto answer = Execute(connection_, "SELECT ?::float8", {Double(value)});
    EXPECT_EQ(Cell(answer).double_value(), value);
    EXPECT_EQ(std::signbit(Cell(answer).double_value()), std::signbit(value));
  }
  EXPECT_TRUE(std::isnan(Cell(Execute(connection_, "SELECT ?::float8", {Double(std::nan(""))})).double_value()));
}

TEST_F(Values, AParametersTypeCanBeNamed) {
  const auto answer = Execute(connection_, "SELECT pg_typeof(?), pg_typeof(?), pg_typeof(?)",
                              {Text("{}", "jsonb"), Text("{1}", "integer[]"), Text("2024-01-01", "timestamptz")});
  ASSERT_TRUE(answer.ok()) << answer.status.error_message();
  EXPECT_EQ(answer.response.rows(0).values(0).text_value(), "jsonb");
  EXPECT_EQ(answer.response.rows(0).values(1).text_value(), "integer[]");
  EXPECT_EQ(answer.response.rows(0).values(2).text_value(), "timestamp with time zone");
  const Failure unknown = Decode(Execute(connection_, "SELECT 1, ?", {Text("x", "no_such_type")}).status);
  EXPECT_EQ(unknown.error.sqlstate(), "42704");
  EXPECT_EQ(unknown.error.position(), 11U);
  const Failure nonsense = Decode(Execute(connection_, "SELECT ?", {Text("x", "int, 1")}).status);
  EXPECT_EQ(nonsense.error.kind(), v1::ERROR_KIND_INVALID_REQUEST);
  EXPECT_EQ(nonsense.error.field(), "parameters[0].type_name");
}

TEST_F(Values, TheSameTextWithOtherTypesIsAnotherStatement) {
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Cell(Execute(connection_, "SELECT pg_typeof(?)", {Text("1", "int4")})).text_value(), "integer");
    EXPECT_EQ(Cell(Execute(connection_, "SELECT pg_typeof(?)", {Text("1", "text")})).text_value(), "text");
  }
}

TEST_F(Values, HugeValuesArriveWhole) {
  const std::string text(3 << 20, 'x');
  EXPECT_EQ(Cell(Execute(connection_, "SELECT ?::text || ''", {Text(text)})).text_value(), text);
  std::string bytes(1 << 20, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 7);
  EXPECT_EQ(Cell(Execute(connection_, "SELECT ?::bytea", {Blob(bytes)})).bytes_value(), bytes);
  EXPECT_EQ(Cell(Execute(connection_, "SELECT repeat('9', 100000)::numeric")).text_value(), std::string(100000, '9'));
}

TEST_F(Values, ManyParametersAndColumnsWork) {
  std::string sql = "SELECT ";
  std::vector<v1::Value> parameters;
  parameters.reserve(1600);
  for (int i = 0; i < 1600; ++i) {
    sql += i == 0 ? "?::int" : ", ?::int";
    parameters.push_back(Int(i));
  }
  const auto answer = Execute(connection_, sql, parameters);
  ASSERT_TRUE(answer.ok()) << answer.status.error_message();
  EXPECT_EQ(answer.response.rows(0).values(1599).int64_value(), 1599);
  std::string list = "SELECT count(*) FROM unnest(ARRAY[";
  parameters.clear();
  for (int i = 0; i < 65535; ++i) {
    list += i == 0 ? "?::int" : ",?";
    parameters.push_back(Int(i));
  }
  EXPECT_EQ(Cell(Execute(connection_, list + "]) u", parameters)).int64_value(), 65535);
}

TEST_F(Values, ResultsWithoutColumnsOrRows) {
  const auto no_columns = Execute(connection_, "SELECT FROM generate_series(1, 3)");
  ASSERT_TRUE(no_columns.ok()) << no_columns.status.error_message();
  EXPECT_EQ(no_columns.response.columns_size(), 0);
  EXPECT_EQ(no_columns.response.rows_affected(), 3);
  EXPECT_EQ(no_columns.response.command_tag(), "SELECT 3");
  EXPECT_EQ(no_columns.response.rows_size(), 3);
  const auto no_rows = Execute(connection_, "SELECT 1 AS a WHERE false");
  EXPECT_EQ(no_rows.response.columns_size(), 1);
  EXPECT_EQ(no_rows.response.rows_size(), 0);
}

TEST_F(Values, DuplicateColumnNamesAreLegal) {
  const auto answer = Execute(connection_, "SELECT 1 AS a, 2 AS a");
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ(answer.response.rows(0).values(1).int64_value(), 2);
  const auto connector = Connect();
  const Result result = connector->execute("SELECT 1 AS a, 2 AS a");
  EXPECT_EQ(result.rows()[0][1].as<int>(), 2);
  static_cast<void>(Catch<DatabaseRequestError>([&] { static_cast<void>(result.rows()[0]["a"]); }));
  const auto unknown = Catch<DatabaseRequestError>([&] { static_cast<void>(result.rows()[0]["nope"]); });
  EXPECT_THAT(unknown.what(), testing::HasSubstr("nope"));
}

TEST_F(Values, TypesOfTheUsersOwnHaveNames) {
  Sql("CREATE TYPE " + name() + "_mood AS ENUM ('sad', 'ok'); CREATE DOMAIN " + name() +
      "_pos AS int CHECK (VALUE > 0)");
  for (int i = 0; i < 2; ++i) {
    const auto answer =
        Execute(connection_, "SELECT ?::" + name() + "_mood AS m, 5::" + name() + "_pos AS p", {Text("ok")});
    ASSERT_TRUE(answer.ok()) << answer.status.error_message();
    EXPECT_EQ(answer.response.rows(0).values(0).text_value(), "ok");
    EXPECT_FALSE(answer.response.columns(0).type_name().empty());
    EXPECT_EQ(answer.response.rows(0).values(1).int64_value(), 5);
  }
}

TEST_F(Values, AnUnaryResultUpToTheLimitFitsADefaultClient) {
  // gRPC's clients take 4 MiB a message unless told otherwise.
  for (const char* sql : {"SELECT repeat('x', 390) FROM generate_series(1, 9999)",
                          "SELECT n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n FROM generate_series(1, 10000) n",
                          "SELECT repeat('x', 412) FROM generate_series(1, 9999)",
                          "SELECT n, -n::bigint, n, -n::bigint, n, -n::bigint, n, -n::bigint, n, -n::bigint, n, "
                          "-n::bigint, n, -n::bigint, n, -n::bigint, n, -n::bigint, n, -n::bigint, n, -n::bigint, n, "
                          "-n::bigint, n, -n::bigint, n, -n::bigint, n, -n::bigint, n, -n::bigint FROM "
                          "generate_series(1, 10000) n",
                          "SELECT repeat('x', 4000000)", "SELECT repeat('x', 4194000)"}) {
    const auto answer = Execute(connection_, sql);
    if (!answer.ok()) {
      const Failure failure = Decode(answer.status);
      EXPECT_EQ(failure.error.reason(), "RESULT_TOO_LARGE") << sql << ": " << failure.message;
    }
  }
}

TEST_F(Values, AnUnaryResultPastTheLimitsNamesExecuteStream) {
  for (const char* sql : {"SELECT n FROM generate_series(1, 10001) n", "SELECT repeat('x', 5000000)",
                          "SELECT repeat('x', 1000) FROM generate_series(1, 9000)"}) {
    const auto answer = Execute(connection_, sql);
    const Failure failure = Decode(answer.status);
    EXPECT_TRUE(failure.has_error) << sql;
    EXPECT_EQ(failure.code, grpc::StatusCode::RESOURCE_EXHAUSTED) << sql;
    EXPECT_THAT(failure.message, testing::HasSubstr("ExecuteStream")) << sql;
    EXPECT_EQ(failure.error.outcome(), v1::OUTCOME_UNSPECIFIED) << sql;  // a read has no effect
  }
  EXPECT_EQ(Execute(connection_, "SELECT n FROM generate_series(1, 10000) n").response.rows_size(), 10000);
}

}  // namespace
}  // namespace engine::db::test

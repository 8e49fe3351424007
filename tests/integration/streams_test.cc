// Streamed results: whole, in order, in bounded memory.
#include <thread>

#include "tests/integration/gateway_calls.h"

namespace engine::db::test {
namespace {

using grpc::StatusCode;

class Streams : public GatewayCallsTest {
 protected:
  void SetUp() override { connection_ = Open(2); }
  [[nodiscard]] v1::ExecuteStreamRequest Request(const std::string& sql,
                                                 v1::ResultFormat format = v1::RESULT_FORMAT_ROWS) const {
    v1::ExecuteStreamRequest request;
    request.set_connection_id(connection_);
    request.set_sql(sql);
    request.set_result_format(format);
    return request;
  }
  std::string connection_;
};

TEST_F(Streams, ColumnsComeFirstAndTheSummaryLast) {
  for (const v1::ResultFormat format : {v1::RESULT_FORMAT_ROWS, v1::RESULT_FORMAT_COLUMNS}) {
    v1::ExecuteStreamRequest request = Request("SELECT n, 'row ' || n AS t FROM generate_series(?::int, 25) n", format);
    *request.add_parameters() = Int(1);
    request.set_batch_rows(10);
    const StreamAnswer answer = Stream(request);
    ASSERT_TRUE(answer.status.ok()) << answer.status.error_message();
    ASSERT_GE(answer.messages.size(), 3U);
    EXPECT_EQ(answer.messages.front().columns_size(), 2);
    EXPECT_EQ(answer.messages.front().columns(1).name(), "t");
    EXPECT_EQ(answer.messages.front().bound_sql(), "SELECT n, 'row ' || n AS t FROM generate_series($1::int, 25) n");
    int64_t rows = 0;
    for (size_t i = 0; i < answer.messages.size(); ++i) {
      const v1::ExecuteStreamResponse& message = answer.messages[i];
      const int64_t here = format == v1::RESULT_FORMAT_ROWS ? message.rows_size() : message.column_batch().row_count();
      EXPECT_LE(here, 10);
      EXPECT_EQ(message.has_summary(), i + 1 == answer.messages.size());
      if (i > 0) {
        EXPECT_EQ(message.columns_size(), 0);
      }
      for (int64_t r = 0; r < here; ++r) {
        const int64_t n = format == v1::RESULT_FORMAT_ROWS
                              ? message.rows(static_cast<int>(r)).values(0).int64_value()
                              : message.column_batch().columns(0).int64_values(static_cast<int>(r));
        EXPECT_EQ(n, rows + r + 1);
      }
      rows += here;
    }
    const v1::StreamSummary& summary = answer.messages.back().summary();
    EXPECT_EQ(rows, 25);
    EXPECT_EQ(summary.row_count(), 25U);
    EXPECT_EQ(summary.rows_affected(), 25);
    EXPECT_EQ(summary.command_tag(), "SELECT 25");
    EXPECT_EQ(summary.attempts(), 1U);
  }
}

TEST_F(Streams, AnEmptyResultHasColumnsAndASummary) {
  const StreamAnswer answer = Stream(Request("SELECT 1 AS a WHERE false"));
  ASSERT_TRUE(answer.status.ok());
  ASSERT_FALSE(answer.messages.empty());
  EXPECT_EQ(answer.messages.front().columns_size(), 1);
  EXPECT_TRUE(answer.messages.back().has_summary());
  EXPECT_EQ(answer.messages.back().summary().row_count(), 0U);
}

TEST_F(Streams, AStatementWithoutRowsHasJustASummary) {
  CreateTable("n int");
  const StreamAnswer answer = Stream(Request("INSERT INTO " + name() + " SELECT generate_series(1, 7)"));
  ASSERT_TRUE(answer.status.ok()) << answer.status.error_message();
  EXPECT_EQ(answer.messages.back().summary().rows_affected(), 7);
  EXPECT_EQ(answer.messages.back().summary().command_tag(), "INSERT 0 7");
  EXPECT_FALSE(answer.messages.front().bound_sql().empty());
  EXPECT_EQ(Rows(), 7);
}

TEST_F(Streams, ThreeHundredThousandRowsAreCorrect) {
  const auto connector = Connect();
  RowStream stream = connector->execute_stream(
      "SELECT n, n::bigint * n AS square, 'row ' || n AS t, CASE WHEN n % 3 = 0 THEN NULL ELSE n / 2.0::float8 END AS "
      "h "
      "FROM generate_series(1, 300000) n");
  int64_t expected = 0;
  int64_t wrong = 0;
  for (Row row : stream) {
    ++expected;
    const bool right = row[0].as<int64_t>() == expected && row[1].as<int64_t>() == expected * expected &&
                       row[2].as<std::string_view>() == "row " + std::to_string(expected) &&
                       row[3].as<std::optional<double>>() ==
                           (expected % 3 == 0 ? std::nullopt : std::optional<double>(expected / 2.0));
    if (!right) ++wrong;
  }
  EXPECT_EQ(expected, 300000);
  EXPECT_EQ(wrong, 0);
  ASSERT_NE(stream.summary(), nullptr);
  EXPECT_EQ(stream.summary()->rowcount, 300000);
}

TEST_F(Streams, RowsFormatOfManyRowsIsCorrectToo) {
  v1::ExecuteStreamRequest request = Request("SELECT n, 'row ' || n FROM generate_series(1, 300000) n");
  grpc::ClientContext context;
  const auto reader = stub().ExecuteStream(&context, request);
  v1::ExecuteStreamResponse message;
  int64_t rows = 0;
  int64_t wrong = 0;
  bool summary = false;
  while (reader->Read(&message)) {
    for (const v1::Row& row : message.rows()) {
      ++rows;
      if (row.values(0).int64_value() != rows || row.values(1).text_value() != "row " + std::to_string(rows)) ++wrong;
    }
    summary = message.has_summary();
  }
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(rows, 300000);
  EXPECT_EQ(wrong, 0);
  EXPECT_TRUE(summary);
}

constexpr const char* kMillionRows =
    "SELECT n, n * 2 AS m, md5(n::text) AS a, md5((n+1)::text) AS b, n / 3.0::float8 AS f, now() AS t "
    "FROM generate_series(1, 1000000) n";
constexpr long kMaxGrowthKib = 64 << 10;

TEST_F(Streams, ASlowReaderKeepsTheGatewaysMemoryBounded) {
  Stream(Request("SELECT 1"));
  const long before = Gateway().Memory().resident_kib;
  v1::ExecuteStreamRequest request = Request(kMillionRows, v1::RESULT_FORMAT_COLUMNS);
  grpc::ClientContext context;
  const auto reader = stub().ExecuteStream(&context, request);
  v1::ExecuteStreamResponse message;
  ASSERT_TRUE(reader->Read(&message));
  // Nothing is read for a while: the backend must come to a stop, waiting for its client.
  ASSERT_TRUE(WaitForBackends(1, "state = 'active' AND wait_event = 'ClientWrite'"));
  EXPECT_FALSE(WaitUntil(seconds(1), [&] { return Gateway().Memory().resident_kib > before + kMaxGrowthKib; }));
  uint64_t rows = message.column_batch().row_count();
  while (reader->Read(&message)) rows += message.column_batch().row_count();
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(rows, 1000000U);
  EXPECT_LT(Gateway().Memory().peak_resident_kib, before + kMaxGrowthKib);
}

TEST_F(Streams, ASlowReaderOnASessionKeepsTheGatewaysMemoryBounded) {
  const auto connector = Connect();
  connector->execute("SELECT 1");
  const long before = Gateway().Memory().resident_kib;
  RowStream stream = connector->execute_stream(kMillionRows);
  auto batch = stream.next_batch();
  ASSERT_TRUE(batch.has_value());
  ASSERT_TRUE(WaitForBackends(1, "state = 'active' AND wait_event = 'ClientWrite'"));
  EXPECT_FALSE(WaitUntil(seconds(1), [&] { return Gateway().Memory().resident_kib > before + kMaxGrowthKib; }));
  // Others on the same session are not held up.
  EXPECT_EQ(connector->execute("SELECT 1 AS n").rows()[0]["n"].as<int>(), 1);
  size_t rows = 0;
  for (; batch.has_value(); batch = stream.next_batch()) rows += batch->size();
  EXPECT_EQ(rows, 1000000U);
  EXPECT_LT(Gateway().Memory().resident_kib, before + kMaxGrowthKib);
}

TEST_F(Streams, AReaderThatGoesAwayStopsTheStatement) {
  {
    grpc::ClientContext context;
    const auto reader = stub().ExecuteStream(&context, Request(kMillionRows));
    v1::ExecuteStreamResponse message;
    ASSERT_TRUE(reader->Read(&message));
    context.TryCancel();
    while (reader->Read(&message)) {
    }
    EXPECT_EQ(reader->Finish().error_code(), StatusCode::CANCELLED);
  }
  EXPECT_TRUE(WaitForBackends(0, "state = 'active'"));
  EXPECT_EQ(Cell(Execute(connection_, "SELECT 5")).int64_value(), 5);
}

TEST_F(Streams, AStalledReadersDeadlineEndsTheStream) {
  v1::ExecuteStreamRequest request = Request(kMillionRows);
  request.set_timeout_ms(800);
  grpc::ClientContext context;
  const auto reader = stub().ExecuteStream(&context, request);
  v1::ExecuteStreamResponse message;
  ASSERT_TRUE(reader->Read(&message));
  EXPECT_TRUE(WaitForBackends(0, "state = 'active'"));
  while (reader->Read(&message)) EXPECT_FALSE(message.has_summary());
  const grpc::Status status = reader->Finish();
  static_cast<void>(ExpectFailure(status, StatusCode::DEADLINE_EXCEEDED, v1::ERROR_KIND_TIMEOUT, "DEADLINE_EXCEEDED"));
}

TEST_F(Streams, AnErrorAfterRowsTellsHowManyCame) {
  // The division fails at row 50,000, long after the first rows are on their way.
  const StreamAnswer answer = Stream(Request("SELECT 1 / (50000 - n) AS x FROM generate_series(1, 100000) n"));
  uint64_t rows = 0;
  for (const auto& message : answer.messages) {
    rows += message.rows_size();
    EXPECT_FALSE(message.has_summary());
  }
  const Failure failure = Decode(answer.status);
  EXPECT_EQ(failure.error.sqlstate(), "22012");
  EXPECT_GT(rows, 0U);
  EXPECT_EQ(failure.error.rows_delivered(), rows);
  EXPECT_EQ(failure.error.phase(), v1::PHASE_STREAMING);
}

TEST_F(Streams, RunsInATransactionAndMayCommitIt) {
  CreateTable("n int");
  v1::ExecuteStreamRequest request = Request("INSERT INTO " + name() + " SELECT generate_series(1, 5) RETURNING n");
  request.mutable_begin();
  const StreamAnswer first = Stream(request);
  ASSERT_TRUE(first.status.ok()) << first.status.error_message();
  const std::string transaction = first.messages.back().summary().transaction().transaction_id();
  EXPECT_EQ(Rows(), 0);
  request.set_transaction_id(transaction);
  request.set_commit(true);
  const StreamAnswer second = Stream(request);
  ASSERT_TRUE(second.status.ok()) << second.status.error_message();
  EXPECT_EQ(second.messages.back().summary().transaction().state(), v1::TRANSACTION_STATE_COMMITTED);
  EXPECT_EQ(Rows(), 10);
}

TEST_F(Streams, BatchesEndAtAboutTheirByteLimit) {
  const StreamAnswer answer = Stream(Request("SELECT repeat('x', 10000) FROM generate_series(1, 500)"));
  ASSERT_TRUE(answer.status.ok());
  for (const auto& message : answer.messages) EXPECT_LT(message.ByteSizeLong(), 256U << 10);
  EXPECT_EQ(answer.messages.back().summary().row_count(), 500U);
  // A single row that is larger comes alone.
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  const auto large = v1::DatabaseConnector::NewStub(
      grpc::CreateCustomChannel(Gateway().address(), grpc::InsecureChannelCredentials(), arguments));
  grpc::ClientContext context;
  const auto reader = large->ExecuteStream(&context, Request("SELECT repeat('x', 20000000) AS x"));
  v1::ExecuteStreamResponse message;
  size_t bytes = 0;
  while (reader->Read(&message)) {
    for (const auto& row : message.rows()) bytes += row.values(0).text_value().size();
  }
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(bytes, 20000000U);
}

TEST_F(Streams, ALargeRowComesThroughTheClientToo) {
  const auto connector = Connect();
  RowStream stream = connector->execute_stream("SELECT repeat('x', 20000000) AS x FROM generate_series(1, 3)");
  int rows = 0;
  for (Row row : stream) {
    EXPECT_EQ(row["x"].as<std::string_view>().size(), 20000000U);
    ++rows;
  }
  EXPECT_EQ(rows, 3);
}

TEST_F(Streams, BatchRowsOutOfRangeIsRefused) {
  v1::ExecuteStreamRequest request = Request("SELECT 1");
  request.set_batch_rows(100001);
  EXPECT_EQ(Decode(Stream(request).status).error.field(), "batch_rows");
}

TEST_F(Streams, ManyStreamsSideBySide) {
  const auto connector = Connect(Config(4));
  std::vector<std::thread> threads;
  threads.reserve(8);
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      RowStream stream = connector->execute_stream("SELECT ?::int AS t, n FROM generate_series(1, 20000) n", {t});
      int64_t sum = 0;
      for (Row row : stream) {
        EXPECT_EQ(row[0].as<int>(), t);
        sum += row[1].as<int64_t>();
      }
      EXPECT_EQ(sum, int64_t{20000} * 20001 / 2);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace engine::db::test

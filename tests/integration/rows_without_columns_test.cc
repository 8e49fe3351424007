// "SELECT FROM t": rows that have no columns are rows all the same.
#include <string>

#include "tests/integration/gateway_calls.h"

namespace engine::db::test {
namespace {

constexpr char kThree[] = "SELECT FROM generate_series(1, 3)";

class RowsWithoutColumns : public GatewayCallsTest {};

TEST_F(RowsWithoutColumns, AreCountedInBothFormats) {
  v1::ExecuteRequest request;
  request.set_connection_id(Open());
  request.set_sql(kThree);
  const auto rows = Call(&Stub::Execute, request);
  ASSERT_TRUE(rows.ok()) << rows.status.error_message();
  EXPECT_EQ(rows.response.rows_size(), 3);
  EXPECT_EQ(rows.response.rows(0).values_size(), 0);
  EXPECT_EQ(rows.response.columns_size(), 0);
  request.set_result_format(v1::RESULT_FORMAT_COLUMNS);
  const auto columns = Call(&Stub::Execute, request);
  ASSERT_TRUE(columns.ok()) << columns.status.error_message();
  EXPECT_EQ(columns.response.column_batch().row_count(), 3U);
  EXPECT_EQ(columns.response.column_batch().columns_size(), 0);
  EXPECT_EQ(columns.response.rows_affected(), 3);

  request.set_sql("SELECT WHERE false");
  EXPECT_EQ(Call(&Stub::Execute, request).response.column_batch().row_count(), 0U);
}

TEST_F(RowsWithoutColumns, AreLimitedAsOthersAre) {
  const std::string connection = Open();
  for (const v1::ResultFormat format : {v1::RESULT_FORMAT_ROWS, v1::RESULT_FORMAT_COLUMNS}) {
    v1::ExecuteRequest request;
    request.set_connection_id(connection);
    request.set_result_format(format);
    request.set_sql("SELECT FROM generate_series(1, 10000)");
    EXPECT_TRUE(Call(&Stub::Execute, request).ok());
    for (const char* sql : {"SELECT FROM generate_series(1, 10001)", "SELECT FROM generate_series(1, 1000000)"}) {
      request.set_sql(sql);
      const auto answer = Call(&Stub::Execute, request);
      EXPECT_EQ(Decode(answer.status).error.reason(), "RESULT_TOO_LARGE");
    }
  }
}

TEST_F(RowsWithoutColumns, AreStreamedInBatches) {
  v1::ExecuteStreamRequest request;
  request.set_connection_id(Open());
  request.set_sql("SELECT FROM generate_series(1, 1000)");
  request.set_batch_rows(100);
  for (const v1::ResultFormat format : {v1::RESULT_FORMAT_ROWS, v1::RESULT_FORMAT_COLUMNS}) {
    request.set_result_format(format);
    const StreamAnswer answer = Stream(request);
    ASSERT_TRUE(answer.status.ok()) << answer.status.error_message();
    uint32_t rows = 0;
    for (const v1::ExecuteStreamResponse& message : answer.messages) {
      const uint32_t here = static_cast<uint32_t>(message.rows_size()) + message.column_batch().row_count();
      EXPECT_LE(here, 100U);
      rows += here;
    }
    EXPECT_EQ(rows, 1000U);
    EXPECT_EQ(answer.messages.back().summary().row_count(), 1000U);
  }
}

TEST_F(RowsWithoutColumns, ArriveInTheClient) {
  const auto connector = Connect();
  const Result result = connector->execute(kThree);
  EXPECT_EQ(result.rowcount(), 3);
  EXPECT_EQ(result.rows().size(), 3U);
  EXPECT_TRUE(result.columns().empty());
  size_t seen = 0;
  for (const Row row : result.rows()) seen += row.size() == 0 ? 1 : 0;
  EXPECT_EQ(seen, 3U);

  RowStream stream = connector->execute_stream("SELECT FROM generate_series(1, 5000)");
  EXPECT_TRUE(stream.columns().empty());
  seen = 0;
  for (const Row row : stream) seen += row.size() == 0 ? 1 : 0;
  EXPECT_EQ(seen, 5000U);
  ASSERT_NE(stream.summary(), nullptr);
  EXPECT_EQ(stream.summary()->rowcount, 5000);

  const BatchResults batch = connector->execute_batch({{kThree, {}}, {"SELECT 1", {}}, {kThree, {}}});
  ASSERT_EQ(batch.size(), 3U);
  EXPECT_EQ(batch[0].result().rows().size(), 3U);
  EXPECT_EQ(batch[2].result().rows().size(), 3U);
  EXPECT_TRUE(connector->execute("SELECT WHERE false").rows().empty());
  EXPECT_TRUE(connector->execute("SET work_mem = '5MB'").rows().empty());
}

TEST_F(RowsWithoutColumns, ArriveOutOfTransactionsThatMayBeRunAgain) {
  const auto connector = Connect();
  Transaction transaction = connector->begin_transaction({.replay = true});
  EXPECT_EQ(transaction.execute(kThree).rows().size(), 3U);
  transaction.commit();
}

}  // namespace
}  // namespace engine::db::test

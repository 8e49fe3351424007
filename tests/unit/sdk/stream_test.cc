// Streamed results: order, back-pressure, cancelling, breaking off.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine_db/postgres_connector.h"
#include "tests/unit/sdk/fake_gateway.h"

namespace engine::db {
namespace {

// Batch `number` of a stream, with one column "n" that counts rows from 0 on.
v1::SessionReply batch(uint64_t id, int number, int rows_each) {
  v1::SessionReply reply;
  reply.set_correlation_id(id);
  v1::ExecuteStreamResponse& part = *reply.mutable_execute_stream();
  if (number == 0) {
    v1::Column& column = *part.add_columns();
    column.set_name("n");
    column.set_type_name("bigint");
    part.set_bound_sql("SELECT n");
  }
  part.mutable_column_batch()->set_row_count(static_cast<uint32_t>(rows_each));
  v1::ColumnData& data = *part.mutable_column_batch()->add_columns();
  for (int i = 0; i < rows_each; ++i) data.add_int64_values(int64_t{number} * rows_each + i);
  return reply;
}

v1::SessionReply summary(uint64_t id, uint64_t rows) {
  v1::SessionReply reply;
  reply.set_correlation_id(id);
  v1::StreamSummary& end = *reply.mutable_execute_stream()->mutable_summary();
  end.set_row_count(rows);
  end.set_rows_affected(static_cast<int64_t>(rows));
  end.set_command_tag("SELECT " + std::to_string(rows));
  return reply;
}

// Sends `batches` batches and the summary, at once.
FakeGateway::Handler send_all(int batches, int rows_each) {
  return [=](FakeGateway::Stream& stream, const v1::SessionCall& call) {
    if (!call.has_execute_stream()) return;
    for (int i = 0; i < batches; ++i) stream.reply(batch(call.correlation_id(), i, rows_each));
    stream.reply(summary(call.correlation_id(), static_cast<uint64_t>(batches) * static_cast<uint64_t>(rows_each)));
  };
}

TEST(RowStreaming, RowsComeInOrderThroughRangeFor) {
  FakeGateway gateway(send_all(5, 100));
  PostgresSyncConnector connector(any_target(), gateway.options());
  connector.connect();
  RowStream stream = connector.execute_stream("SELECT n");
  int64_t expected = 0;
  for (const Row row : stream) EXPECT_EQ(row["n"].as<int64_t>(), expected++);
  EXPECT_EQ(expected, 500);
  ASSERT_NE(stream.summary(), nullptr);
  EXPECT_EQ(stream.summary()->rowcount, 500);
  EXPECT_EQ(stream.summary()->bound_sql, "SELECT n");
}

TEST(RowStreaming, RowsComeInBatches) {
  FakeGateway gateway(send_all(3, 10));
  PostgresSyncConnector connector(any_target(), gateway.options());
  connector.connect();
  RowStream stream = connector.execute_stream("SELECT n");
  EXPECT_EQ(stream.columns()[0].name, "n");
  EXPECT_EQ(stream.summary(), nullptr);
  size_t rows = 0;
  while (const std::optional<RowBatch> some = stream.next_batch()) rows += some->size();
  EXPECT_EQ(rows, 30U);
}

TEST(RowStreaming, ACoroutineReadsBatches) {
  FakeGateway gateway(send_all(3, 10));
  PostgresAsyncConnector connector(any_target(), gateway.options());
  sync_wait(connector.async_connect());
  const auto count = [](PostgresAsyncConnector& on) -> Async<size_t> {
    AsyncRowStream stream = on.async_execute_stream("SELECT n");
    size_t rows = 0;
    while (const std::optional<RowBatch> some = co_await stream.next_batch()) rows += some->size();
    co_return rows;
  };
  EXPECT_EQ(sync_wait(count(connector)), 30U);
}

TEST(RowStreaming, AnEmptyResultEndsAtOnce) {
  FakeGateway gateway(send_all(0, 1));
  PostgresSyncConnector connector(any_target(), gateway.options());
  connector.connect();
  RowStream stream = connector.execute_stream("SELECT n");
  EXPECT_EQ(stream.next_batch(), std::nullopt);
  EXPECT_NE(stream.summary(), nullptr);
}

TEST(RowStreaming, CreditIsGivenBackAsBatchesAreRead) {
  // The fake keeps to the credit; a client that gave none back would wait for ever.
  constexpr int kBatches = 200;
  constexpr int kRows = 4000;  // 32 KB a batch, 6 MB in all.
  int64_t credit = 1 << 20;
  int next = 0;
  FakeGateway gateway([&](FakeGateway::Stream& stream, const v1::SessionCall& call) {
    if (call.has_credit()) credit += static_cast<int64_t>(call.credit().bytes());
    while (next < kBatches && credit > 0) {
      const v1::SessionReply reply = batch(call.correlation_id(), next++, kRows);
      credit -= static_cast<int64_t>(reply.execute_stream().ByteSizeLong());
      stream.reply(reply);
      if (next == kBatches) stream.reply(summary(call.correlation_id(), uint64_t{kBatches} * kRows));
    }
  });
  PostgresSyncConnector connector(any_target(), gateway.options());
  connector.connect();
  RowStream stream = connector.execute_stream("SELECT n");
  int64_t rows = 0;
  for (const Row row : stream) EXPECT_EQ(row[0].as<int64_t>(), rows++);
  EXPECT_EQ(rows, int64_t{kBatches} * kRows);
  EXPECT_LE(credit, 1 << 20);
}

TEST(RowStreaming, AReaderThatStopsReadingGivesNoCredit) {
  FakeGateway gateway([](FakeGateway::Stream& stream, const v1::SessionCall& call) {
    if (call.has_describe()) stream.reply(FakeGateway::answer(call));
    if (!call.has_execute_stream()) return;
    for (int i = 0; i < 4; ++i) stream.reply(batch(call.correlation_id(), i, 1000));
  });
  PostgresSyncConnector connector(any_target(), gateway.options());
  connector.connect();
  RowStream stream = connector.execute_stream("SELECT n");
  ASSERT_TRUE(stream.next_batch());
  connector.describe("SELECT 1");  // Whatever was sent before this has arrived.
  for (const auto& call : gateway.calls()) EXPECT_FALSE(call.has_credit());
}

TEST(RowStreaming, DestroyingItEarlyCancels) {
  FakeGateway gateway([](FakeGateway::Stream& stream, const v1::SessionCall& call) {
    if (call.has_execute_stream()) stream.reply(batch(call.correlation_id(), 0, 10));
  });
  PostgresSyncConnector connector(any_target(), gateway.options());
  connector.connect();
  {
    RowStream stream = connector.execute_stream("SELECT n");
    ASSERT_TRUE(stream.next_batch());
  }
  EXPECT_TRUE(gateway.wait_for(v1::SessionCall::kCancel));
}

TEST(RowStreaming, BreakingOffIsAnErrorThatSaysHowManyRowsCame) {
  FakeGateway gateway([](FakeGateway::Stream& stream, const v1::SessionCall& call) {
    if (!call.has_execute_stream()) return;
    stream.reply(batch(call.correlation_id(), 0, 10));
    stream.reply(FakeGateway::error(call, v1::ERROR_KIND_CONNECTION, "the database went away"));
  });
  PostgresSyncConnector connector(any_target(), gateway.options());
  connector.connect();
  RowStream stream = connector.execute_stream("SELECT n");
  EXPECT_EQ(stream.next_batch()->size(), 10U);
  for (int i = 0; i < 2; ++i) {  // However often it is asked.
    try {
      static_cast<void>(stream.next_batch());
      ADD_FAILURE();
    } catch (const DatabaseConnectionError& error) {
      EXPECT_EQ(error.rows_delivered(), 10U);
      EXPECT_FALSE(error.retryable());
    }
  }
  EXPECT_EQ(stream.summary(), nullptr);
}

TEST(RowStreaming, ALostLinkIsAnErrorAndNoShortResult) {
  FakeGateway gateway([](FakeGateway::Stream& stream, const v1::SessionCall& call) {
    if (!call.has_execute_stream()) return;
    stream.reply(batch(call.correlation_id(), 0, 10));
    stream.break_off();
  });
  PostgresSyncConnector connector(any_target(), gateway.options());
  connector.connect();
  RowStream stream = connector.execute_stream("SELECT n");
  EXPECT_THROW(while (stream.next_batch()){}, DatabaseConnectionError);
}

TEST(RowStreaming, ASummaryThatCountsOtherRowsIsAnError) {
  FakeGateway gateway([](FakeGateway::Stream& stream, const v1::SessionCall& call) {
    if (!call.has_execute_stream()) return;
    stream.reply(batch(call.correlation_id(), 0, 10));
    stream.reply(summary(call.correlation_id(), 20));
  });
  PostgresSyncConnector connector(any_target(), gateway.options());
  connector.connect();
  RowStream stream = connector.execute_stream("SELECT n");
  EXPECT_TRUE(stream.next_batch());
  EXPECT_THROW(static_cast<void>(stream.next_batch()), DatabaseConnectionError);
}

TEST(RowStreaming, AStreamThatStallsEndsByItsDeadline) {
  FakeGateway gateway([](FakeGateway::Stream& stream, const v1::SessionCall& call) {
    if (call.has_execute_stream()) stream.reply(batch(call.correlation_id(), 0, 10));
  });
  PostgresSyncConnector connector(any_target(), gateway.options());
  connector.connect();
  RowStream stream = connector.execute_stream("SELECT n", {}, {.timeout = std::chrono::milliseconds(100)});
  EXPECT_TRUE(stream.next_batch());
  EXPECT_THROW(static_cast<void>(stream.next_batch()), DatabaseTimeoutError);
}

TEST(RowStreaming, ErrorsOfOpeningComeWithTheFirstRows) {
  FakeGateway gateway;
  PostgresSyncConnector connector(any_target(), gateway.options());
  RowStream unconnected = connector.execute_stream("SELECT n");
  EXPECT_THROW(static_cast<void>(unconnected.next_batch()), DatabaseConnectionError);
}

}  // namespace
}  // namespace engine::db

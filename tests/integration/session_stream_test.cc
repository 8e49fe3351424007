// The Session stream itself: correlation, cancelling, credit, and what ends with it.
#include <deque>
#include <map>

#include "tests/integration/gateway_calls.h"

namespace engine::db::test {
namespace {

class SessionStream : public GatewayCallsTest {
 protected:
  void SetUp() override {
    context_.set_deadline(std::chrono::system_clock::now() + seconds(60));
    stream_ = stub().Session(&context_);
    v1::SessionRequest request;
    v1::SessionCall& call = *request.add_calls();
    call.set_correlation_id(1);
    *call.mutable_connect() = ConnectTo();
    stream_->Write(request);
    connection_ = Next().connect().connection_id();
    ASSERT_FALSE(connection_.empty());
  }
  void TearDown() override {
    if (stream_ != nullptr) {
      stream_->WritesDone();
      v1::SessionResponse rest;
      while (stream_->Read(&rest)) {
      }
      EXPECT_TRUE(stream_->Finish().ok());
    }
    GatewayCallsTest::TearDown();
  }
  // The next reply.
  v1::SessionReply Next() {
    while (replies_.empty()) {
      v1::SessionResponse response;
      if (!stream_->Read(&response)) {
        ADD_FAILURE() << "the stream has ended";
        return {};
      }
      for (auto& reply : *response.mutable_replies()) replies_.push_back(std::move(reply));
    }
    v1::SessionReply reply = std::move(replies_.front());
    replies_.pop_front();
    return reply;
  }
  v1::SessionCall& Add(v1::SessionRequest& request, uint64_t id, const std::string& sql) const {
    v1::SessionCall& call = *request.add_calls();
    call.set_correlation_id(id);
    call.mutable_execute()->set_connection_id(connection_);
    call.mutable_execute()->set_sql(sql);
    return call;
  }

  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::SessionRequest, v1::SessionResponse>> stream_;
  std::deque<v1::SessionReply> replies_;
  std::string connection_;
};

TEST_F(SessionStream, AnswersCorrelateWithTheirCalls) {
  v1::SessionRequest request;
  for (uint64_t id = 100; id < 1100; ++id) Add(request, id, "SELECT " + std::to_string(id % 7) + " AS n");
  ASSERT_TRUE(stream_->Write(request));
  std::map<uint64_t, int64_t> seen;
  for (int i = 0; i < 1000; ++i) {
    const v1::SessionReply reply = Next();
    ASSERT_TRUE(reply.has_execute()) << reply.ShortDebugString();
    seen[reply.correlation_id()] = reply.execute().rows(0).values(0).int64_value();
  }
  ASSERT_EQ(seen.size(), 1000U);
  for (const auto& [id, n] : seen) EXPECT_EQ(n, static_cast<int64_t>(id % 7));
}

TEST_F(SessionStream, AFastCallOvertakesASlowOne) {
  v1::SessionRequest request;
  Add(request, 10, "SELECT pg_sleep(1)");
  Add(request, 11, "SELECT 1");
  ASSERT_TRUE(stream_->Write(request));
  EXPECT_EQ(Next().correlation_id(), 11U);
  EXPECT_EQ(Next().correlation_id(), 10U);
}

TEST_F(SessionStream, ErrorsBelongToTheirCallOnly) {
  v1::SessionRequest request;
  Add(request, 10, "SELECT 1/0");
  Add(request, 11, "SELECT 1");
  request.add_calls()->set_correlation_id(12);  // says nothing
  ASSERT_TRUE(stream_->Write(request));
  std::map<uint64_t, v1::SessionReply> seen;
  for (int i = 0; i < 3; ++i) {
    const v1::SessionReply reply = Next();
    seen[reply.correlation_id()] = reply;
  }
  EXPECT_EQ(seen[10].error().sqlstate(), "22012");
  EXPECT_TRUE(seen[11].has_execute());
  EXPECT_EQ(seen[12].error().kind(), v1::ERROR_KIND_INVALID_REQUEST);
}

TEST_F(SessionStream, ACorrelationIdInUseIsRefused) {
  v1::SessionRequest request;
  Add(request, 10, "SELECT pg_sleep(0.5)");
  Add(request, 10, "SELECT 1");
  ASSERT_TRUE(stream_->Write(request));
  const v1::SessionReply refused = Next();
  EXPECT_EQ(refused.error().field(), "correlation_id");
  EXPECT_TRUE(Next().has_execute());
}

TEST_F(SessionStream, CancelEndsACall) {
  v1::SessionRequest request;
  Add(request, 10, "SELECT pg_sleep(60)");
  ASSERT_TRUE(stream_->Write(request));
  ASSERT_TRUE(WaitForBackends(1, "state = 'active'"));
  v1::SessionRequest cancel;
  v1::SessionCall& call = *cancel.add_calls();
  call.set_correlation_id(10);
  call.mutable_cancel();
  ASSERT_TRUE(stream_->Write(cancel));
  const v1::SessionReply reply = Next();
  EXPECT_EQ(reply.error().kind(), v1::ERROR_KIND_TIMEOUT);
  EXPECT_EQ(reply.error().reason(), "CANCELLED");
  EXPECT_TRUE(WaitForBackends(0, "state = 'active'", seconds(5)));
  ASSERT_TRUE(stream_->Write(cancel)) << "cancelling what has ended is no error";
}

TEST_F(SessionStream, AStreamedResultStopsAtItsCreditAndGoesOnWithMore) {
  v1::SessionRequest request;
  v1::SessionCall& call = *request.add_calls();
  call.set_correlation_id(10);
  call.mutable_execute_stream()->set_connection_id(connection_);
  call.mutable_execute_stream()->set_sql("SELECT repeat('x', 1000) FROM generate_series(1, 20000)");
  ASSERT_TRUE(stream_->Write(request));
  ASSERT_TRUE(WaitForBackends(1, "state = 'active' AND wait_event = 'ClientWrite'"));
  // Others go on meanwhile.
  v1::SessionRequest other;
  Add(other, 11, "SELECT 1");
  ASSERT_TRUE(stream_->Write(other));
  uint64_t rows = 0;
  uint64_t bytes = 0;
  v1::SessionReply reply = Next();
  for (; reply.correlation_id() == 10; reply = Next()) {
    rows += reply.execute_stream().rows_size();
    bytes += reply.execute_stream().ByteSizeLong();
  }
  EXPECT_EQ(reply.correlation_id(), 11U);
  EXPECT_LT(bytes, 2U << 20) << "1 MiB of credit, and the message that went past it";
  uint64_t unpaid = bytes;
  for (bool more = true; more;) {
    v1::SessionRequest credit;
    v1::SessionCall& allow = *credit.add_calls();
    allow.set_correlation_id(10);
    allow.mutable_credit()->set_bytes(unpaid);
    ASSERT_TRUE(stream_->Write(credit));
    unpaid = 0;
    do {
      reply = Next();
      ASSERT_TRUE(reply.has_execute_stream()) << reply.ShortDebugString();
      rows += reply.execute_stream().rows_size();
      unpaid += reply.execute_stream().ByteSizeLong();
      more = !reply.execute_stream().has_summary();
    } while (more && unpaid < (512U << 10));
  }
  EXPECT_EQ(rows, 20000U);
}

// The server has sent everything, which waits in the socket's buffers: its part is done, and its statement a success.
TEST_F(SessionStream, AStoppedStreamDoesNotEndAsIfItHadAllItsRows) {
  for (const bool cancelled : {true, false}) {
    v1::SessionRequest request;
    v1::SessionCall& call = *request.add_calls();
    call.set_correlation_id(10);
    call.mutable_execute_stream()->set_connection_id(connection_);
    call.mutable_execute_stream()->set_sql("SELECT repeat('x', 60) FROM generate_series(1, 30000)");
    if (!cancelled) call.mutable_execute_stream()->set_timeout_ms(700);
    ASSERT_TRUE(stream_->Write(request));
    uint64_t rows = 0;
    v1::SessionReply reply = Next();
    for (; rows < 1000; reply = Next()) rows += reply.execute_stream().rows_size();
    ASSERT_TRUE(WaitForBackends(0, "state = 'active'")) << "the server has sent everything";
    if (cancelled) {
      v1::SessionRequest cancel;
      v1::SessionCall& stop = *cancel.add_calls();
      stop.set_correlation_id(10);
      stop.mutable_cancel();
      ASSERT_TRUE(stream_->Write(cancel));
    }
    for (; reply.has_execute_stream(); reply = Next()) {
      ASSERT_FALSE(reply.execute_stream().has_summary()) << "it has not had all rows";
      rows += reply.execute_stream().rows_size();
    }
    ASSERT_LT(rows, 30000U);
    EXPECT_EQ(reply.error().reason(), cancelled ? "CANCELLED" : "DEADLINE_EXCEEDED") << reply.ShortDebugString();
    EXPECT_EQ(reply.error().rows_delivered(), rows);
    EXPECT_EQ(reply.error().phase(), v1::PHASE_STREAMING);
  }
}

TEST_F(SessionStream, WhatItOpenedEndsWithIt) {
  CreateTable("n int");
  v1::SessionRequest request;
  v1::SessionCall& call = Add(request, 10, "INSERT INTO " + name() + " VALUES (1)");
  call.mutable_execute()->mutable_begin();
  ASSERT_TRUE(stream_->Write(request));
  EXPECT_TRUE(Next().has_execute());
  request.clear_calls();
  Add(request, 11, "SELECT pg_sleep(60)");
  ASSERT_TRUE(stream_->Write(request));
  ASSERT_TRUE(WaitForBackends(1, "state = 'active'"));
  context_.TryCancel();
  v1::SessionResponse rest;
  while (stream_->Read(&rest)) {
  }
  EXPECT_FALSE(stream_->Finish().ok());
  stream_.reset();
  EXPECT_TRUE(WaitForBackends(0));
  EXPECT_EQ(Rows(), 0);
}

TEST_F(SessionStream, TheStatementsOfOneTransactionAnswerInOrder) {
  v1::SessionRequest request;
  v1::SessionCall& begin = *request.add_calls();
  begin.set_correlation_id(10);
  begin.mutable_begin()->set_connection_id(connection_);
  ASSERT_TRUE(stream_->Write(request));
  const std::string transaction = Next().begin().transaction_id();
  request.clear_calls();
  for (uint64_t id = 20; id < 60; ++id) {
    Add(request, id, id % 10 == 0 ? "SELECT pg_sleep(0.02)" : "SELECT 1")
        .mutable_execute()
        ->set_transaction_id(transaction);
  }
  ASSERT_TRUE(stream_->Write(request));
  for (uint64_t id = 20; id < 60; ++id) EXPECT_EQ(Next().correlation_id(), id);
}

TEST_F(SessionStream, TooManyCallsInAMessageAreRefused) {
  v1::SessionRequest request;
  for (uint64_t id = 1; id <= 1025; ++id) Add(request, id, "SELECT 1");
  ASSERT_TRUE(stream_->Write(request));
  for (int i = 0; i < 1025; ++i) {
    ASSERT_EQ(Next().error().reason(), "TOO_MANY_CALLS");
  }
}

}  // namespace
}  // namespace engine::db::test

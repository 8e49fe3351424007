// The rules of the Session stream that need no database.
#include <grpcpp/client_context.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "engine/db/v1/connector.grpc.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/rpc/served_gateway.h"

namespace engine::db::rpc {
namespace {

using ::testing::HasSubstr;

// A client that waits for each answer.
class Client {
 public:
  explicit Client(test::ServedGateway& served)
      : stub_(v1::DatabaseConnector::NewStub(served.channel())), stream_(stub_->Session(&context_)) {}

  void Send(const v1::SessionRequest& request) { EXPECT_TRUE(stream_->Write(request)); }
  void Send(const v1::SessionCall& call) {
    v1::SessionRequest request;
    *request.add_calls() = call;
    Send(request);
  }

  // The next reply, of whichever call; an empty one when there is none any more.
  v1::SessionReply Next() {
    while (next_ >= message_.replies_size()) {
      next_ = 0;
      message_.Clear();
      if (!stream_->Read(&message_)) return {};
    }
    return message_.replies(next_++);
  }

  // A call and its one reply.
  v1::SessionReply Ask(const v1::SessionCall& call) {
    Send(call);
    return Next();
  }

  // Says its last word, and hears what is left.
  grpc::Status End(std::vector<v1::SessionReply>* left = nullptr) {
    stream_->WritesDone();
    for (v1::SessionReply reply = Next(); reply.reply_case() != v1::SessionReply::REPLY_NOT_SET; reply = Next()) {
      if (left != nullptr) left->push_back(reply);
    }
    return stream_->Finish();
  }

 private:
  grpc::ClientContext context_;
  const std::unique_ptr<v1::DatabaseConnector::Stub> stub_;
  const std::unique_ptr<grpc::ClientReaderWriter<v1::SessionRequest, v1::SessionResponse>> stream_;
  v1::SessionResponse message_;
  int next_ = 0;
};

v1::SessionCall CallNumber(uint64_t correlation_id) {
  v1::SessionCall call;
  call.set_correlation_id(correlation_id);
  return call;
}

std::string Connect(Client& client) {
  v1::SessionCall call = CallNumber(1'000);
  call.mutable_connect()->set_data_source("db");
  return client.Ask(call).connect().connection_id();
}

// So many rows of a KiB.
test::ScriptedGateway::Script LongTable(size_t rows) {
  return [rows](test::ScriptedServer& server) {
    const test::Answer::Row row = {std::string(1'024, 'x')};
    server.Always("SELECT", test::Answer::Rows({{"text"}}, std::vector<test::Answer::Row>(rows, row)));
    server.Always("SELECT pg_sleep", test::Answer::Never());
  };
}

TEST(Session, AnswersUnderTheCallsCorrelationId) {
  test::ServedGateway served;
  Client client(served);
  v1::SessionCall call = CallNumber(7);
  call.mutable_connect()->set_data_source("db");
  const v1::SessionReply reply = client.Ask(call);
  EXPECT_EQ(reply.correlation_id(), 7);
  EXPECT_TRUE(reply.has_connect());
  EXPECT_TRUE(client.End().ok());
}

TEST(Session, AnErrorIsAnAnswerAndTheSessionGoesOn) {
  test::ServedGateway served;
  Client client(served);
  v1::SessionCall call = CallNumber(7);
  call.mutable_begin()->set_connection_id("c-0-1");
  const v1::SessionReply reply = client.Ask(call);
  EXPECT_EQ(reply.correlation_id(), 7);
  EXPECT_EQ(reply.error().reason(), "UNKNOWN_CONNECTION");
  EXPECT_EQ(reply.error().field(), "connection_id");
  EXPECT_FALSE(Connect(client).empty());
}

TEST(Session, ACallOfAnUnknownTypeIsRefused) {
  test::ServedGateway served;
  Client client(served);
  const v1::SessionReply reply = client.Ask(CallNumber(7));
  EXPECT_EQ(reply.correlation_id(), 7);
  EXPECT_EQ(reply.error().reason(), "MISSING_CALL");
  EXPECT_EQ(reply.error().message(), "unknown or missing call type");
}

TEST(Session, AMessageHoldsSoManyCallsAtMost) {
  test::ServedGateway served;
  Client client(served);
  v1::SessionRequest request;
  for (uint64_t i = 0; i < 1'025; ++i) {
    *request.add_calls() = CallNumber(i);
    request.mutable_calls()->rbegin()->mutable_close();
  }
  client.Send(request);
  for (uint64_t i = 0; i < 1'025; ++i) EXPECT_EQ(client.Next().error().reason(), "TOO_MANY_CALLS");
}

TEST(Session, ACorrelationIdIsFreeAgainWhenItsCallHasEnded) {
  test::ServedGateway served({}, LongTable(1));
  Client client(served);
  const std::string connection = Connect(client);
  v1::SessionCall sleep = CallNumber(7);
  sleep.mutable_execute()->set_connection_id(connection);
  sleep.mutable_execute()->set_sql("SELECT pg_sleep(1000)");
  client.Send(sleep);
  EXPECT_EQ(client.Ask(sleep).error().reason(), "DUPLICATE_CORRELATION_ID");
  v1::SessionCall cancel = CallNumber(7);
  cancel.mutable_cancel();
  EXPECT_EQ(client.Ask(cancel).error().reason(), "CANCELLED");
  sleep.mutable_execute()->set_sql("SELECT text FROM t");
  EXPECT_EQ(client.Ask(sleep).execute().rows_size(), 1);
}

TEST(Session, CancelAndCreditForNoCallAreNoErrors) {
  test::ServedGateway served;
  Client client(served);
  v1::SessionCall cancel = CallNumber(7);
  cancel.mutable_cancel();
  client.Send(cancel);
  v1::SessionCall credit = CallNumber(8);
  credit.mutable_credit()->set_bytes(1);
  client.Send(credit);
  EXPECT_FALSE(Connect(client).empty()) << "the first answer that comes";
}

TEST(Session, AStreamStopsWithoutCreditAndGoesOnWithIt) {
  constexpr int kRows = 4'096;  // 4 MiB, of which 1 MiB is free
  test::ServedGateway served({}, LongTable(kRows));
  Client client(served);
  v1::SessionCall call = CallNumber(7);
  call.mutable_execute_stream()->set_connection_id(Connect(client));
  call.mutable_execute_stream()->set_sql("SELECT text FROM t");
  call.mutable_execute_stream()->set_batch_rows(256);
  client.Send(call);

  int rows = 0;
  while (rows < 1'024) rows += client.Next().execute_stream().rows_size();
  EXPECT_LE(rows, 1'024 + 256) << "one message may overdraw";
  v1::SessionCall other = CallNumber(8);
  other.mutable_close()->set_connection_id("none");
  EXPECT_EQ(client.Ask(other).correlation_id(), 8) << "nothing more of the stream";

  v1::SessionCall credit = CallNumber(7);
  credit.mutable_credit()->set_bytes(8 << 20);
  client.Send(credit);
  v1::SessionReply reply;
  for (reply = client.Next(); !reply.execute_stream().has_summary(); reply = client.Next()) {
    ASSERT_TRUE(reply.has_execute_stream()) << reply.DebugString();
    rows += reply.execute_stream().rows_size();
  }
  EXPECT_EQ(rows, kRows);
  EXPECT_EQ(reply.execute_stream().summary().row_count(), kRows);
}

TEST(Session, EndsOnlyWhenEveryCallHasItsAnswer) {
  test::ServedGateway served({}, LongTable(1));
  Client client(served);
  v1::SessionCall call = CallNumber(7);
  call.mutable_execute()->set_connection_id(Connect(client));
  call.mutable_execute()->set_sql("SELECT text FROM t");
  client.Send(call);
  std::vector<v1::SessionReply> left;
  EXPECT_TRUE(client.End(&left).ok());
  ASSERT_EQ(left.size(), 1);
  EXPECT_EQ(left[0].execute().rows_size(), 1);
}

TEST(Session, OneTooManyIsRefused) {
  test::ServedGateway served({.sessions = 1});
  Client first(served);
  EXPECT_FALSE(Connect(first).empty());
  Client second(served);
  const grpc::Status status = second.End();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("limit 1"));
}

TEST(Session, WhatASessionOpenedEndsWithIt) {
  test::ServedGateway served;
  {
    Client client(served);
    EXPECT_FALSE(Connect(client).empty());
    EXPECT_TRUE(client.End().ok());
  }
  v1::GetStatusResponse status;
  for (int i = 0; i < 1'000; ++i) {  // the session's end follows that of its stream
    served.gateway().Call({}, v1::GetStatusRequest(), status, [](const absl::Status&) {});
    if (status.sessions() + status.connections() == 0) break;
    absl::SleepFor(absl::Milliseconds(5));
  }
  EXPECT_EQ(status.sessions(), 0);
  EXPECT_EQ(status.connections(), 0);
}

}  // namespace
}  // namespace engine::db::rpc

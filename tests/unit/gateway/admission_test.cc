#include "server/gateway/admission.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "prometheus/text_serializer.h"
#include "server/base/failure.h"
#include "server/call/handle.h"
#include "tests/support/manual_clock.h"

namespace engine::db::gateway {
namespace {

using ::testing::HasSubstr;

class AdmissionTest : public testing::Test {
 protected:
  AdmissionTest() {
    settings_.limits.sessions = 2;
    settings_.limits.transactions = 3;
    config::TargetSettings target;
    target.timeout = absl::Seconds(30);
    target.retry.max_attempts = 4;
    id_ = connections_.Confirm(*connections_.Open(target), target, /*session=*/0);
  }

  // What the door says; nothing when the call is let in.
  std::optional<Failure> Refusal(Needs needs, const CommonFields& fields) {
    std::vector<absl::Status> answers;
    const std::optional<Admitted> call =
        admission_.Admit(nullptr, needs, {}, fields, [&](const absl::Status& status) { answers.push_back(status); });
    EXPECT_EQ(answers.size(), call.has_value() ? 0 : 1);
    if (call.has_value()) return std::nullopt;
    return FailureOf(answers[0]);
  }

  std::optional<Failure> Refusal(const v1::ExecuteRequest& request) {
    return Refusal(Needs::kStatement, CommonFieldsOf(request));
  }

  [[nodiscard]] v1::ExecuteRequest Request() const {
    v1::ExecuteRequest request;
    request.set_connection_id(id_);
    return request;
  }

  config::GatewaySettings settings_;
  const std::vector<std::string_view> methods_ = {"Execute"};
  observe::Metrics metrics_{"0", methods_};
  test::ManualClock clock_;
  call::HandleMaker handles_;
  Connections connections_{handles_, 10, 10, 1};
  std::atomic<size_t> transactions_{0};
  Admission admission_{settings_, metrics_, clock_, connections_, transactions_};
  std::string id_;
};

TEST_F(AdmissionTest, AConnectionMustBeOpen) {
  for (const Needs needs : {Needs::kConnection, Needs::kTransaction, Needs::kStatement, Needs::kNewTransaction}) {
    const std::string none;
    EXPECT_EQ(Refusal(needs, {.connection_id = &none})->reason, Reason::kMissingConnection);
    const std::string unknown = "c-0-1";
    const std::optional<Failure> refusal = Refusal(needs, {.connection_id = &unknown});
    EXPECT_EQ(refusal->reason, Reason::kUnknownConnection);
    EXPECT_EQ(refusal->code, absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ(refusal->outcome, Outcome::kNotExecuted);
    EXPECT_EQ(refusal->field, "connection_id");
  }
  EXPECT_FALSE(Refusal(Request()).has_value());
}

TEST_F(AdmissionTest, WhileDrainingOnlyWhatIsUnderWayGoesOn) {
  admission_.StartDraining();
  const std::string transaction = "t-1";
  const CommonFields in_transaction{.connection_id = &id_, .transaction_id = &transaction};
  const CommonFields outside{.connection_id = &id_};
  EXPECT_EQ(Refusal(Needs::kRoom, {})->reason, Reason::kDraining);
  EXPECT_EQ(Refusal(Needs::kStatement, outside)->reason, Reason::kDraining);
  EXPECT_EQ(Refusal(Needs::kNewTransaction, outside)->reason, Reason::kDraining);
  EXPECT_EQ(FailureOf(admission_.BeginSession().status()).reason, Reason::kDraining);
  EXPECT_FALSE(Refusal(Needs::kNothing, {}).has_value());
  EXPECT_FALSE(Refusal(Needs::kConnection, outside).has_value());
  EXPECT_FALSE(Refusal(Needs::kTransaction, in_transaction).has_value());
  EXPECT_FALSE(Refusal(Needs::kStatement, in_transaction).has_value());
}

TEST_F(AdmissionTest, MalformedRequestsAreToldWhichField) {
  const auto refused = [&](auto change, const std::string& field, Reason reason, const std::string& message) {
    v1::ExecuteRequest request = Request();
    change(request);
    const std::optional<Failure> refusal = Refusal(request);
    ASSERT_TRUE(refusal.has_value()) << field;
    EXPECT_EQ(refusal->field, field);
    EXPECT_EQ(refusal->reason, reason) << field;
    EXPECT_EQ(refusal->code, absl::StatusCode::kInvalidArgument) << field;
    EXPECT_THAT(refusal->message, HasSubstr(message));
  };
  refused([](auto& r) { r.set_transaction_id(""); }, "transaction_id", Reason::kEmptyTransaction, "is empty");
  refused([](auto& r) { r.set_commit(true); }, "commit", Reason::kCommitWithoutTransaction, "transaction_id or begin");
  refused([](auto& r) { r.set_result_format(static_cast<v1::ResultFormat>(9)); }, "result_format", Reason::kOutOfRange,
          "unknown result_format");
  refused([](auto& r) { r.mutable_begin()->set_isolation_level(static_cast<v1::IsolationLevel>(9)); },
          "begin.isolation_level", Reason::kOutOfRange, "unknown isolation_level");
  refused([](auto& r) { r.mutable_begin()->set_idle_timeout_ms(3'600'001); }, "begin.idle_timeout_ms",
          Reason::kOutOfRange, "3600000");
  refused([](auto& r) { r.mutable_begin()->set_max_duration_ms(86'400'001); }, "begin.max_duration_ms",
          Reason::kOutOfRange, "86400000");
  refused([](auto& r) { r.mutable_retry()->set_max_attempts(1'000); }, "retry.max_attempts", Reason::kInvalidConfig,
          "");
}

TEST_F(AdmissionTest, BeginsOptionsAreNamedAsItsRequestHasThem) {
  v1::BeginRequest request;
  request.set_connection_id(id_);
  request.mutable_options()->set_isolation_level(static_cast<v1::IsolationLevel>(9));
  EXPECT_EQ(Refusal(Needs::kNewTransaction, CommonFieldsOf(request))->field, "options.isolation_level");
}

TEST_F(AdmissionTest, WhatEndsOrMarksATransactionNamesOne) {
  v1::CommitRequest request;
  request.set_connection_id(id_);
  const std::optional<Failure> refusal = Refusal(Needs::kTransaction, CommonFieldsOf(request));
  EXPECT_EQ(refusal->reason, Reason::kNoTransaction);
  EXPECT_EQ(refusal->kind, ErrorKind::kTransaction);
}

TEST_F(AdmissionTest, OpenTransactionsAreLimited) {
  transactions_ = 3;
  v1::BeginRequest begin;
  begin.set_connection_id(id_);
  const std::optional<Failure> refusal = Refusal(Needs::kNewTransaction, CommonFieldsOf(begin));
  EXPECT_EQ(refusal->reason, Reason::kTooManyTransactions);
  EXPECT_TRUE(refusal->retryable);
  EXPECT_THAT(refusal->message, HasSubstr("limit 3"));

  v1::ExecuteRequest execute = Request();
  EXPECT_FALSE(Refusal(execute).has_value()) << "leaves none open";
  execute.mutable_begin();
  EXPECT_EQ(Refusal(execute)->reason, Reason::kTooManyTransactions);
  execute.set_commit(true);
  EXPECT_FALSE(Refusal(execute).has_value()) << "ends it itself";
}

TEST_F(AdmissionTest, SessionsAreLimited) {
  const absl::StatusOr<call::SessionId> first = admission_.BeginSession();
  const absl::StatusOr<call::SessionId> second = admission_.BeginSession();
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_NE(*first, *second);
  const Failure refusal = FailureOf(admission_.BeginSession().status());
  EXPECT_EQ(refusal.reason, Reason::kTooManySessions);
  EXPECT_THAT(refusal.message, HasSubstr("limit 2"));
  admission_.EndSession();
  EXPECT_TRUE(admission_.BeginSession().ok());
}

TEST_F(AdmissionTest, TheDeadlineIsTheEarliestThatIsGiven) {
  const absl::Time now = clock_.Now();
  const auto deadline = [&](absl::Time callers, uint32_t timeout_ms) {
    v1::ExecuteRequest request = Request();
    request.set_timeout_ms(timeout_ms);
    return admission_
        .Admit(nullptr, Needs::kStatement, {.deadline = callers}, CommonFieldsOf(request), [](const absl::Status&) {})
        ->deadline;
  };
  EXPECT_EQ(deadline(absl::InfiniteFuture(), 0), now + absl::Seconds(30)) << "the connection's";
  EXPECT_EQ(deadline(now + absl::Seconds(60), 0), now + absl::Seconds(60)) << "the caller's, though later";
  EXPECT_EQ(deadline(absl::InfiniteFuture(), 45'000), now + absl::Seconds(45));
  EXPECT_EQ(deadline(now + absl::Seconds(5), 45'000), now + absl::Seconds(5));
}

TEST_F(AdmissionTest, TheCallsRetrySettingsGoBeforeTheConnections) {
  v1::ExecuteRequest request = Request();
  const auto attempts = [&] {
    return admission_.Admit(nullptr, Needs::kStatement, {}, CommonFieldsOf(request), [](const absl::Status&) {})
        ->connection.retry.max_attempts;
  };
  EXPECT_EQ(attempts(), 4);
  request.mutable_retry()->set_max_attempts(1);
  EXPECT_EQ(attempts(), 1);
}

TEST_F(AdmissionTest, EveryCallIsCountedOnceWithItsAnswer) {
  const auto series = [&] { return prometheus::TextSerializer().Serialize(metrics_.registry()->Collect()); };
  const std::string unknown = "c-0-1";
  EXPECT_FALSE(admission_
                   .Admit(&metrics_.ForMethod(0), Needs::kConnection, {}, {.connection_id = &unknown},
                          [](const absl::Status&) {})
                   .has_value());
  EXPECT_THAT(series(), HasSubstr("engine_db_calls_total{method=\"Execute\",result=\"connection\"} 1\n"));

  std::optional<Admitted> call = admission_.Admit(&metrics_.ForMethod(0), Needs::kConnection, {},
                                                  {.connection_id = &id_}, [](const absl::Status&) {});
  ASSERT_TRUE(call.has_value());
  clock_.Turn(absl::Seconds(2));
  EXPECT_THAT(series(), HasSubstr("engine_db_calls_total{method=\"Execute\",result=\"ok\"} 0\n"));
  call->answer(absl::OkStatus());
  EXPECT_THAT(series(), HasSubstr("engine_db_calls_total{method=\"Execute\",result=\"ok\"} 1\n"));
  EXPECT_THAT(series(), HasSubstr("engine_db_call_duration_seconds_sum{method=\"Execute\"} 2\n"));
}

}  // namespace
}  // namespace engine::db::gateway

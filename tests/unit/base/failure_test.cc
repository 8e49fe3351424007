// What rides in a Status: it survives copies, changes and other threads, and nothing of it is printed.
#include "server/base/failure.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "tests/support/full_failure.h"

namespace engine::db {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kOtherUrl[] = "test/other";

TEST(Failure, RidesInAStatusOfItsCodeAndMessage) {
  const absl::Status status = ToStatus(test::FullFailure());
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
  EXPECT_EQ(status.message(), "it came to other results");
  const Failure failure = FailureOf(status);
  EXPECT_EQ(failure.reason, Reason::kReplayDiffered);
  EXPECT_EQ(failure.cause, Cause::kConflict);
  EXPECT_EQ(failure.table_name, "c");
  EXPECT_EQ(failure.rows_delivered, 5'000'000'000);
  EXPECT_FALSE(failure.backend_usable);
}

TEST(Failure, CopiesOfAStatusShareIt) {
  absl::Status first = ToStatus(test::FullFailure());
  const Failure* failure = FindFailure(first);
  absl::Status second = first;
  const absl::Status third = std::move(first);
  first = absl::OkStatus();
  EXPECT_EQ(FindFailure(second), failure);
  EXPECT_EQ(FindFailure(third), failure);
  second.SetPayload(kOtherUrl, absl::Cord("x"));  // copies the list of payloads
  EXPECT_EQ(FindFailure(second), failure);
  EXPECT_EQ(FindFailure(third)->message, "it came to other results");
}

TEST(Failure, IsReadAndGivenUpByAnyThread) {
  absl::Status status = ToStatus(test::FullFailure());
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([copy = status] {
      for (int round = 0; round < 1000; ++round) {
        const absl::Status own = copy;
        ASSERT_EQ(FailureOf(own).message, "it came to other results");
        ASSERT_EQ(ReasonOf(WithFailure(own, [](Failure& f) { f.reason = Reason::kLinkLost; })), Reason::kLinkLost);
      }
    });
  }
  status = absl::OkStatus();
  for (std::thread& thread : threads) thread.join();
}

TEST(Failure, ChangesInANewStatusOnly) {
  absl::Status status = ToStatus(test::FullFailure());
  status.SetPayload(kOtherUrl, absl::Cord("x"));
  const absl::Status changed = WithFailure(status, [](Failure& failure) {
    failure.code = absl::StatusCode::kUnknown;
    failure.message = "something else";
    failure.outcome = Outcome::kUnknown;
  });
  EXPECT_EQ(changed.code(), absl::StatusCode::kUnknown);
  EXPECT_EQ(changed.message(), "something else");
  EXPECT_EQ(FindFailure(changed)->outcome, Outcome::kUnknown);
  EXPECT_EQ(FindFailure(changed)->hint, "begin again");
  EXPECT_EQ(changed.GetPayload(kOtherUrl), absl::Cord("x"));
  EXPECT_EQ(status.message(), "it came to other results");
  EXPECT_EQ(FindFailure(status)->outcome, Outcome::kRolledBack);
}

TEST(Failure, IsMadeOfAStatusThatHasNone) {
  const Failure failure = FailureOf(absl::InternalError("disk on fire"));
  EXPECT_EQ(failure.code, absl::StatusCode::kInternal);
  EXPECT_EQ(failure.kind, ErrorKind::kExecution);
  EXPECT_EQ(failure.reason, Reason::kUnspecified);
  EXPECT_EQ(failure.message, "disk on fire");
  EXPECT_EQ(FindFailure(absl::InternalError("disk on fire")), nullptr);
}

TEST(Failure, IsNoneInAnOkStatus) {
  EXPECT_EQ(FailureOf(absl::OkStatus()).kind, ErrorKind::kUnspecified);
  EXPECT_EQ(FailureOf(absl::OkStatus()).code, absl::StatusCode::kOk);
  EXPECT_TRUE(ToStatus({.code = absl::StatusCode::kOk}).ok());
  EXPECT_EQ(FindFailure(ToStatus({.code = absl::StatusCode::kOk})), nullptr);
}

TEST(Failure, PrintsAsCodeAndMessage) {
  const std::string printed = ToStatus(test::FullFailure()).ToString();
  EXPECT_EQ(printed, "ABORTED: it came to other results [engine.db/failure='.']");
}

TEST(Failure, InvalidRequestNamesTheField) {
  const absl::Status status = InvalidRequest("config.port", Reason::kOutOfRange, "port must be 1 to 65535");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  const Failure failure = FailureOf(status);
  EXPECT_EQ(failure.kind, ErrorKind::kInvalidRequest);
  EXPECT_EQ(failure.phase, Phase::kValidating);
  EXPECT_EQ(failure.outcome, Outcome::kNotExecuted);
  EXPECT_EQ(failure.reason, Reason::kOutOfRange);
  EXPECT_EQ(failure.field, "config.port");
  EXPECT_EQ(failure.message, "port must be 1 to 65535");
}

TEST(Failure, KeepsTheRestWhenItIsChanged) {
  const absl::Status changed =
      WithFailure(ToStatus(test::FullFailure()), [](Failure& failure) { failure.hint.clear(); });
  EXPECT_EQ(FindFailure(changed)->hint, "");
  EXPECT_EQ(FindFailure(changed)->cause, Cause::kConflict);
  EXPECT_FALSE(FindFailure(changed)->backend_usable);
}

}  // namespace
}  // namespace engine::db

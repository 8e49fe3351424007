// What became of COMMITs that were never answered: when the server is asked, for how long, and what it is told.
#include "server/call/commit_resolver.h"

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "tests/unit/call/call_rig.h"

namespace engine::db::test {
namespace {

using absl::Milliseconds;
using absl::Seconds;
using ::testing::SizeIs;

class CommitResolverTest : public CallRig {
 protected:
  static postgres::TransactionMark Mark(uint64_t xid) {
    postgres::TransactionMark mark;
    mark.xid = xid;
    mark.timeline = "00000001";
    mark.statistics_since = 1'000;
    mark.system_identifier = 7;
    mark.synchronous = true;
    return mark;
  }
  // Where the answer will stand.
  std::optional<CommitFate>& Resolve(uint64_t xid, absl::Duration timeout = Seconds(60)) {
    std::optional<CommitFate>& fate = fates_.emplace_back();
    target().resolver().Resolve({.mark = Mark(xid), .end_backend = true}, clock_.Now() + timeout,
                                [&fate](CommitFate told) {
                                  EXPECT_FALSE(fate.has_value());
                                  fate = told;
                                });
    return fate;
  }

  std::deque<std::optional<CommitFate>> fates_;
};

TEST_F(CommitResolverTest, TellsWhatTheServerSays) {
  for (const CommitFate said : {CommitFate::kCommitted, CommitFate::kAborted, CommitFate::kUnknown}) {
    NextFate(said);
    const std::optional<CommitFate>& fate = Resolve(1);
    EXPECT_FALSE(fate.has_value());  // not from within
    Settle();
    EXPECT_EQ(fate, said);
  }
  EXPECT_EQ(target().resolver().size(), 0U);
}

TEST_F(CommitResolverTest, LooksAgainAfterGrowingPauses) {
  FatesOtherwise(CommitFate::kInProgress);
  Resolve(1);
  Settle();
  size_t looks = 1;
  EXPECT_THAT(questions(), SizeIs(looks));
  for (const int pause_ms : {10, 20, 40, 80, 160, 320, 500, 500}) {
    Pass(Milliseconds(pause_ms - 1));
    EXPECT_THAT(questions(), SizeIs(looks)) << pause_ms;
    Pass(Milliseconds(1));
    EXPECT_THAT(questions(), SizeIs(++looks)) << pause_ms;
  }
}

TEST_F(CommitResolverTest, AServerThatCannotBeAskedIsAskedAgain) {
  NextFate(absl::UnavailableError("away"));
  NextFate(CommitFate::kCommitted);
  const std::optional<CommitFate>& fate = Resolve(1);
  Settle();
  EXPECT_FALSE(fate.has_value());
  Pass(Milliseconds(10));
  EXPECT_EQ(fate, CommitFate::kCommitted);
}

TEST_F(CommitResolverTest, GivesUpAtTheDeadlineToTheMillisecond) {
  FatesOtherwise(CommitFate::kInProgress);
  const std::optional<CommitFate>& early = Resolve(1, Milliseconds(1'234));
  const std::optional<CommitFate>& late = Resolve(2, Milliseconds(2'000));
  Pass(Milliseconds(1'233));
  EXPECT_FALSE(early.has_value());
  Pass(Milliseconds(1));
  EXPECT_EQ(early, CommitFate::kInProgress);
  EXPECT_FALSE(late.has_value());
  Pass(Milliseconds(766));
  EXPECT_EQ(late, CommitFate::kInProgress);
  EXPECT_EQ(target().resolver().size(), 0U);
}

TEST_F(CommitResolverTest, OneLookAsksForAll) {
  NextFate(CommitFate::kInProgress);
  NextFate(CommitFate::kCommitted);
  NextFate(CommitFate::kAborted);
  const std::optional<CommitFate>& first = Resolve(1);
  Settle();
  const std::optional<CommitFate>& second = Resolve(2);
  Settle();
  EXPECT_EQ(first, CommitFate::kCommitted);
  EXPECT_EQ(second, CommitFate::kAborted);
}

TEST_F(CommitResolverTest, GivingUpAnswersEverybodyNowAndLater) {
  FatesOtherwise(CommitFate::kInProgress);
  const std::optional<CommitFate>& before = Resolve(1);
  Settle();
  target().resolver().GiveUp();
  Settle();
  EXPECT_EQ(before, CommitFate::kInProgress);
  const std::optional<CommitFate>& after = Resolve(2);
  Settle();
  EXPECT_EQ(after, CommitFate::kInProgress);
}

TEST_F(CommitResolverTest, AnIdBelowOneThatWasCommittedIsDurable) {
  target().resolver().NoteCommitted(Mark(10));
  for (const uint64_t xid : {9U, 10U, 11U}) Resolve(xid);
  Pass(Milliseconds(10));
  const std::vector<postgres::CommitQuestion> asked = questions();
  ASSERT_GE(asked.size(), 3U);
  for (const postgres::CommitQuestion& question : asked) {
    EXPECT_EQ(question.xid_is_durable, question.mark.xid <= 10) << question.mark.xid;
  }
}

TEST_F(CommitResolverTest, WhatDidNotWaitForTheDiskProvesNothing) {
  postgres::TransactionMark lazy = Mark(10);
  lazy.synchronous = false;
  target().resolver().NoteCommitted(lazy);
  postgres::TransactionMark other_run = Mark(10);
  other_run.statistics_since = 2'000;
  target().resolver().NoteCommitted(other_run);
  Resolve(9);
  Settle();
  ASSERT_THAT(questions(), SizeIs(1));
  EXPECT_FALSE(questions()[0].xid_is_durable);
}

}  // namespace
}  // namespace engine::db::test

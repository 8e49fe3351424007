// What is told of an attempt's end and what follows it, as pure functions: a table, and what must hold of everything.
#include "server/call/what_follows.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/failure.h"
#include "server/call/verdict.h"
#include "server/postgres/elsewhere.h"
#include "server/postgres/sqlstate.h"
#include "tests/unit/call/call_rig.h"

namespace engine::db::test {
namespace {

using call::AttemptEnd;
using call::Decision;
using call::Mended;
using call::Next;
using call::Tried;
using call::WhatFollows;
using Scope = AttemptEnd::Scope;

// --- errors as an attempt meets them

absl::Status Lost() { return postgres::LinkLost(absl::OkStatus()); }
absl::Status LostUnsent() {
  return WithFailure(Lost(), [](Failure& f) { f.outcome = Outcome::kNotExecuted; });
}
absl::Status AtCommit(const absl::Status& error) {
  return WithFailure(error, [](Failure& f) { f.phase = Phase::kCommitting; });
}
absl::Status After(uint64_t rows, const absl::Status& error) {
  return WithFailure(error, [rows](Failure& f) {
    f.rows_delivered = rows;
    f.phase = Phase::kStreaming;
  });
}
absl::Status At(uint32_t position, const absl::Status& error) {
  return WithFailure(error, [position](Failure& f) { f.position = position; });
}
absl::Status StalePlan() {
  return WithFailure(SqlError("0A000"), [](Failure& f) {
    f.code = absl::StatusCode::kAborted;
    f.reason = Reason::kStalePlan;
    f.cause = Cause::kStalePlan;
    f.outcome = Outcome::kNotExecuted;
    f.retryable = true;
  });
}
absl::Status TooLarge(Outcome outcome) {
  return ToStatus({.code = absl::StatusCode::kResourceExhausted,
                   .reason = Reason::kResultTooLarge,
                   .kind = ErrorKind::kExecution,
                   .phase = Phase::kExecuting,
                   .outcome = outcome});
}

// --- ends of attempts

AttemptEnd Read(absl::Status error) {
  AttemptEnd end;
  end.error = std::move(error);
  end.may_write = false;
  end.guarded = true;
  return end;
}
AttemptEnd Write(absl::Status error) {
  AttemptEnd end;
  end.error = std::move(error);
  return end;
}
AttemptEnd Own(absl::Status error) {
  AttemptEnd end = Write(std::move(error));
  end.scope = Scope::kOwnTransaction;
  end.ends = true;
  return end;
}
AttemptEnd OwnAtCommit(absl::Status error) {
  AttemptEnd end = Own(std::move(error));
  end.commits = true;
  return end;
}
AttemptEnd Open(absl::Status error) {
  AttemptEnd end = Write(std::move(error));
  end.scope = Scope::kTransaction;
  return end;
}
AttemptEnd OpenAtCommit(absl::Status error) {
  AttemptEnd end = Open(std::move(error));
  end.ends = end.commits = true;
  return end;
}
AttemptEnd With(AttemptEnd end, void (*change)(AttemptEnd&)) {
  change(end);
  return end;
}

Tried Fresh() {
  Tried tried;
  tried.attempts = 1;
  tried.may_try_again = true;
  return tried;
}
Tried Spent() {
  Tried tried;
  tried.attempts = 3;
  return tried;
}
Tried Once(bool Tried::*what) {
  Tried tried = Fresh();
  tried.*what = true;
  return tried;
}

std::string Words(const Decision& decision) {
  switch (decision.next) {
    case Next::kAnswer:
      return absl::StrCat("answer ", Describe(decision.status));
    case Next::kResolve:
      return "resolve";
    case Next::kRunAsWrite:
      return "as write";
    case Next::kReplay:
      return "replay";
    case Next::kRunAgain:
      break;
  }
  return absl::StrCat("again", decision.mended != Mended::kNothing ? " at once" : "",
                      decision.costs_budget ? " on the budget" : "");
}

struct Row {
  const char* what;
  AttemptEnd end;
  Tried tried;
  const char* follows;
};

void Check(const std::vector<Row>& rows) {
  for (const Row& row : rows) EXPECT_EQ(Words(WhatFollows(row.end, row.tried)), row.follows) << row.what;
}

void AtOnce(AttemptEnd& end) { end.elsewhere = Elsewhere::kAtOnce; }
void Deadline(AttemptEnd& end) { end.stop_reason = StopReason::kDeadline; }
void Replayable(AttemptEnd& end) { end.can_be_replayed = true; }
void ShownByKey(AttemptEnd& end) { end.is_shown_by_key = true; }
void CommitsItself(AttemptEnd& end) { end.may_commit_itself = true; }
void ReadOnlyServer(AttemptEnd& end) { end.server_is_read_only = true; }
void Parts(AttemptEnd& end) { end.has_independent_parts = true; }

TEST(WhatFollowsTest, AfterSuccess) {
  Check({
      {"a read", Read(absl::OkStatus()), Fresh(), "answer OK"},
      {"a write", Write(absl::OkStatus()), Fresh(), "answer OK"},
      {"though it was stopped", With(Write(absl::OkStatus()), Deadline), Fresh(), "answer OK"},
      {"a stream that was stopped",
       With(Read(absl::OkStatus()),
            [](AttemptEnd& end) {
              end.rows_dropped = true;
              end.stop_reason = StopReason::kDeadline;
            }),
       Fresh(), "answer DEADLINE_EXCEEDED DEADLINE_EXCEEDED ROLLED_BACK"},
      {"a stream of a write that was stopped",
       With(Write(absl::OkStatus()),
            [](AttemptEnd& end) {
              end.rows_dropped = true;
              end.stop_reason = StopReason::kCancelled;
            }),
       Fresh(), "answer CANCELLED CANCELLED COMMITTED"},
      {"a stream in a transaction that goes on",
       With(Open(absl::OkStatus()),
            [](AttemptEnd& end) {
              end.rows_dropped = true;
              end.stop_reason = StopReason::kCancelled;
            }),
       Fresh(), "answer CANCELLED CANCELLED -"},
  });
}

TEST(WhatFollowsTest, AfterALostLink) {
  Check({
      {"a read", Read(Lost()), Fresh(), "again on the budget"},
      {"a read, the last time", Read(Lost()), Spent(), "answer UNAVAILABLE LINK_LOST ROLLED_BACK retryable"},
      {"a read of which rows were handed on", Read(After(3, Lost())), Fresh(),
       "answer UNAVAILABLE LINK_LOST ROLLED_BACK"},
      {"a write", Write(Lost()), Fresh(), "answer UNKNOWN LINK_LOST UNKNOWN"},
      {"a write that was not sent", Write(LostUnsent()), Fresh(), "again on the budget"},
      {"a write whose server had said 57P01", Write(postgres::LinkLost(SqlError("57P01"))), Fresh(),
       "answer UNKNOWN LINK_LOST UNKNOWN"},
      {"a batch", With(Write(Lost()), Parts), Fresh(), "answer UNKNOWN LINK_LOST UNKNOWN"},
      {"a batch that was not sent", With(Write(LostUnsent()), Parts), Fresh(),
       "answer UNAVAILABLE LINK_LOST NOT_EXECUTED retryable"},
      {"an own transaction before COMMIT", Own(Lost()), Fresh(), "again on the budget"},
      {"an own transaction at COMMIT", OwnAtCommit(Lost()), Fresh(), "answer UNKNOWN COMMIT_IN_DOUBT UNKNOWN"},
      {"the same, which can be asked about",
       With(OwnAtCommit(Lost()), [](AttemptEnd& end) { end.commit_can_be_asked = true; }), Fresh(), "resolve"},
      {"the same, answered already", With(OwnAtCommit(Lost()), [](AttemptEnd& end) { end.commit_can_be_asked = true; }),
       Once(&Tried::answered), "resolve"},
      {"the same, shown by its key", With(OwnAtCommit(Lost()), ShownByKey), Fresh(), "again"},
      {"the same, with effects elsewhere",
       With(OwnAtCommit(Lost()),
            [](AttemptEnd& end) {
              end.is_shown_by_key = true;
              end.elsewhere = Elsewhere::kAtCommit;
            }),
       Fresh(), "answer UNKNOWN COMMIT_IN_DOUBT UNKNOWN"},
      {"a read's COMMIT", With(OwnAtCommit(Lost()), [](AttemptEnd& end) { end.may_write = false; }), Fresh(),
       "again on the budget"},
      {"an open transaction", Open(Lost()), Fresh(), "answer ABORTED TRANSACTION_LOST ROLLED_BACK"},
      {"an open transaction that can be replayed", With(Open(Lost()), Replayable), Fresh(), "replay"},
      {"the same, the last time", With(Open(Lost()), Replayable), Spent(),
       "answer ABORTED TRANSACTION_LOST ROLLED_BACK"},
      {"an open transaction at COMMIT", OpenAtCommit(Lost()), Fresh(), "answer UNKNOWN COMMIT_IN_DOUBT UNKNOWN"},
      {"an open transaction at COMMIT, which was not sent", OpenAtCommit(LostUnsent()), Fresh(),
       "answer ABORTED TRANSACTION_LOST ROLLED_BACK"},
      {"a Rollback", With(Open(Lost()), [](AttemptEnd& end) { end.ends = end.rolls_back = true; }), Fresh(),
       "answer OK"},
      {"what acts elsewhere at once", With(Own(Lost()), AtOnce), Fresh(), "answer UNKNOWN EFFECTS_ELSEWHERE UNKNOWN"},
      {"the same in an open transaction", With(Open(Lost()), AtOnce), Fresh(),
       "answer UNKNOWN EFFECTS_ELSEWHERE UNKNOWN"},
      {"the same, not sent", With(Own(LostUnsent()), AtOnce), Fresh(), "again on the budget"},
      {"a write that was stopped", With(Write(Lost()), Deadline), Fresh(),
       "answer DEADLINE_EXCEEDED DEADLINE_EXCEEDED UNKNOWN"},
      {"a read that was stopped", With(Read(Lost()), Deadline), Fresh(),
       "answer DEADLINE_EXCEEDED DEADLINE_EXCEEDED ROLLED_BACK"},
  });
}

TEST(WhatFollowsTest, AfterAConflict) {
  for (const char* sqlstate : {"40001", "40P01"}) {
    const std::string told = absl::StrCat("answer ABORTED ", sqlstate, " ROLLED_BACK retryable");
    const std::string final = absl::StrCat("answer ABORTED ", sqlstate, " ROLLED_BACK");
    const std::string unknown = absl::StrCat("answer ABORTED ", sqlstate, " UNKNOWN");
    Check({
        {"a read", Read(SqlError(sqlstate)), Fresh(), "again"},
        {"a write", Write(SqlError(sqlstate)), Fresh(), "again"},
        {"a write, the last time", Write(SqlError(sqlstate)), Spent(), told.c_str()},
        {"an own transaction", Own(SqlError(sqlstate)), Fresh(), "again"},
        {"an own transaction at COMMIT", OwnAtCommit(AtCommit(SqlError(sqlstate))), Fresh(), "again"},
        {"an open transaction", Open(SqlError(sqlstate)), Fresh(), told.c_str()},
        {"an open transaction at COMMIT", OpenAtCommit(AtCommit(SqlError(sqlstate))), Fresh(), told.c_str()},
        {"one that can be replayed", With(Open(SqlError(sqlstate)), Replayable), Fresh(), "replay"},
        {"a batch", With(Write(SqlError(sqlstate)), Parts), Fresh(), told.c_str()},
        {"after rows", Read(After(1, SqlError(sqlstate))), Fresh(), final.c_str()},
        {"what acts elsewhere at once",
         With(Write(SqlError(sqlstate)), [](AttemptEnd& end) { end.acts_at_once = true; }), Fresh(), final.c_str()},
        {"a COMMIT that others may have obeyed",
         With(OwnAtCommit(AtCommit(SqlError(sqlstate))), [](AttemptEnd& end) { end.commits_elsewhere = true; }),
         Fresh(), unknown.c_str()},
        {"a procedure", With(Write(SqlError(sqlstate)), CommitsItself), Fresh(), unknown.c_str()},
        {"once answered", Write(SqlError(sqlstate)), Once(&Tried::answered), told.c_str()},
    });
  }
}

TEST(WhatFollowsTest, AfterARefusedWrite) {
  Check({
      {"a read that writes", Read(SqlError("25006")), Fresh(), "as write"},
      {"the same, the last time", Read(SqlError("25006")), Spent(), "as write"},
      {"a batch of reads that writes", With(Read(SqlError("25006")), Parts), Fresh(), "as write"},
      {"a role that may not write", Write(SqlError("25006")), Fresh(), "answer FAILED_PRECONDITION 25006 NOT_EXECUTED"},
      {"a server that takes no writes", With(Write(SqlError("25006")), ReadOnlyServer), Fresh(), "again at once"},
      {"the same, the last time", With(Write(SqlError("25006")), ReadOnlyServer), Spent(), "again at once"},
      {"the same, for the second time", With(Write(SqlError("25006")), ReadOnlyServer),
       Once(&Tried::read_only_server_retried), "answer UNAVAILABLE 25006 NOT_EXECUTED retryable"},
      {"the same in an open transaction", With(Open(SqlError("25006")), ReadOnlyServer), Fresh(),
       "answer ABORTED 25006 NOT_EXECUTED retryable"},
      {"a transaction that is READ ONLY",
       With(Open(SqlError("25006")),
            [](AttemptEnd& end) {
              end.read_only_asked = true;
              end.server_is_read_only = true;
            }),
       Fresh(), "answer FAILED_PRECONDITION 25006 NOT_EXECUTED"},
      {"a procedure that may have committed", With(With(Write(SqlError("25006")), CommitsItself), ReadOnlyServer),
       Fresh(), "answer UNAVAILABLE 25006 UNKNOWN"},
  });
}

TEST(WhatFollowsTest, AfterAStalePlan) {
  Check({
      {"a write", Write(StalePlan()), Spent(), "again at once"},
      {"a read", Read(StalePlan()), Fresh(), "again at once"},
      {"for the second time", Write(StalePlan()), Once(&Tried::stale_plan_retried),
       "answer ABORTED STALE_PLAN NOT_EXECUTED retryable"},
      {"in an open transaction", Open(StalePlan()), Fresh(), "answer ABORTED STALE_PLAN NOT_EXECUTED retryable"},
      {"in a batch", With(Write(StalePlan()), Parts), Fresh(), "answer ABORTED STALE_PLAN NOT_EXECUTED retryable"},
      {"once it was stopped", With(Write(StalePlan()), Deadline), Fresh(),
       "answer ABORTED STALE_PLAN NOT_EXECUTED retryable"},
  });
}

TEST(WhatFollowsTest, AfterACancel) {
  Check({
      {"of the gateway", With(Write(SqlError("57014")), Deadline), Fresh(),
       "answer DEADLINE_EXCEEDED DEADLINE_EXCEEDED ROLLED_BACK"},
      {"by statement_timeout", Write(SqlError("57014")), Fresh(), "answer CANCELLED 57014 ROLLED_BACK"},
      {"of a procedure", With(With(Write(SqlError("57014")), CommitsItself), Deadline), Fresh(),
       "answer DEADLINE_EXCEEDED DEADLINE_EXCEEDED UNKNOWN"},
      {"a failure of its own while it was stopped", With(Write(SqlError("23505")), Deadline), Fresh(),
       "answer ALREADY_EXISTS 23505 ROLLED_BACK"},
  });
}

TEST(WhatFollowsTest, AfterOtherErrors) {
  Check({
      {"a constraint", Write(SqlError("23505")), Fresh(), "answer ALREADY_EXISTS 23505 ROLLED_BACK"},
      {"a constraint in a transaction", Open(SqlError("23505")), Fresh(), "answer ALREADY_EXISTS 23505 ROLLED_BACK"},
      {"a lock that was not to be had", Write(SqlError("55P03")), Fresh(), "again"},
      {"no memory", Write(SqlError("53200")), Fresh(), "answer RESOURCE_EXHAUSTED 53200 ROLLED_BACK"},
      {"no memory in a transaction", Open(SqlError("53200")), Fresh(), "answer ABORTED 53200 ROLLED_BACK"},
      {"an outcome that the server does not know, of a write", Write(SqlError("40003")), Fresh(),
       "answer UNKNOWN 40003 UNKNOWN"},
      {"the same of a read", Read(SqlError("40003")), Fresh(), "again"},
      {"an error in a procedure", With(Write(SqlError("22012")), CommitsItself), Fresh(),
       "answer INVALID_ARGUMENT 22012 UNKNOWN"},
      {"an error in the text that calls it", With(Write(At(8, SqlError("42703"))), CommitsItself), Fresh(),
       "answer INVALID_ARGUMENT 42703 ROLLED_BACK"},
      {"a procedure within a transaction", With(Own(SqlError("22012")), CommitsItself), Fresh(),
       "answer INVALID_ARGUMENT 22012 ROLLED_BACK"},
      {"too large a result of a read", Read(TooLarge(Outcome::kRolledBack)), Fresh(),
       "answer RESOURCE_EXHAUSTED RESULT_TOO_LARGE -"},
      {"of a write that has worked", Write(TooLarge(Outcome::kCommitted)), Fresh(),
       "answer RESOURCE_EXHAUSTED RESULT_TOO_LARGE COMMITTED"},
      {"the same in a transaction that goes on", Open(TooLarge(Outcome::kCommitted)), Fresh(),
       "answer RESOURCE_EXHAUSTED RESULT_TOO_LARGE -"},
      {"the same in one that ends with it", Own(TooLarge(Outcome::kCommitted)), Fresh(),
       "answer RESOURCE_EXHAUSTED RESULT_TOO_LARGE ROLLED_BACK"},
  });
}

// --- what must hold of everything

struct Situation {
  AttemptEnd end;
  Tried tried;
};

// Whatever can come about, and much that can't.
class Situations {
 public:
  Situation Next() {
    static const auto* errors = new std::vector<absl::Status>{absl::OkStatus(),
                                                              Lost(),
                                                              LostUnsent(),
                                                              After(2, Lost()),
                                                              SqlError("40001"),
                                                              SqlError("40P01"),
                                                              AtCommit(SqlError("40001")),
                                                              After(2, SqlError("40001")),
                                                              SqlError("25006"),
                                                              After(2, SqlError("25006")),
                                                              StalePlan(),
                                                              SqlError("53200"),
                                                              SqlError("57014"),
                                                              SqlError("23505"),
                                                              SqlError("55P03"),
                                                              SqlError("40003"),
                                                              At(3, SqlError("42703")),
                                                              TooLarge(Outcome::kCommitted),
                                                              TooLarge(Outcome::kRolledBack),
                                                              After(2, StalePlan()),
                                                              postgres::LinkLost(SqlError("57P01"))};
    Situation now;
    AttemptEnd& end = now.end;
    end.error = (*errors)[random_() % errors->size()];
    end.scope = static_cast<Scope>(random_() % 3);
    end.ends = end.scope == Scope::kOwnTransaction ? Flip() : end.scope == Scope::kTransaction && Flip();
    end.rolls_back = end.scope == Scope::kTransaction && end.ends && Flip();
    end.commits = end.ends && !end.rolls_back && Flip();
    end.commit_can_be_asked = end.commits && ReasonOf(end.error) == Reason::kLinkLost && Flip();
    end.guarded = end.scope == Scope::kAutocommit && Flip();
    end.may_write = !end.guarded && Flip();
    end.may_commit_itself = end.may_write && Flip();
    end.has_independent_parts = end.scope == Scope::kAutocommit && Flip();
    end.read_only_asked = Flip();
    end.server_is_read_only = Flip();
    end.elsewhere = static_cast<Elsewhere>(random_() % 3);
    end.commits_elsewhere = Flip();
    end.acts_at_once = Flip();
    end.is_shown_by_key = end.scope == Scope::kOwnTransaction && Flip();
    end.can_be_replayed = end.scope == Scope::kTransaction && Flip();
    end.transaction_failed = end.scope == Scope::kTransaction && Flip();
    end.rows_dropped = Flip();
    end.stop_reason = Flip() ? StopReason::kNone : static_cast<StopReason>(1 + random_() % 7);
    end.transaction_aborts = end.scope == Scope::kTransaction && end.stop_reason != StopReason::kNone && Flip();
    now.tried.attempts = 1;
    now.tried.may_try_again = Flip();
    now.tried.answered = Flip();
    now.tried.stale_plan_retried = Flip();
    now.tried.read_only_server_retried = Flip();
    return now;
  }

 private:
  bool Flip() { return (random_() & 1U) != 0; }

  std::mt19937 random_{13};  // NOLINT: the same in every run
};

template <typename Claim>
void HoldsOfEverything(Claim claim) {
  Situations situations;
  for (int i = 0; i < 20'000; ++i) {
    const Situation now = situations.Next();
    const Decision decision = WhatFollows(now.end, now.tried);
    ASSERT_TRUE(claim(now, decision)) << "situation " << i << ": " << Describe(now.end.error) << ", scope "
                                      << static_cast<int>(now.end.scope) << ": " << Words(decision) << " ("
                                      << Describe(decision.status) << ")";
  }
}

bool RunsAgain(const Decision& decision) {
  return decision.next == Next::kRunAgain || decision.next == Next::kRunAsWrite || decision.next == Next::kReplay;
}

TEST(WhatFollowsInvariantTest, NothingIsRunAgainAfterSuccessAStopOrAnAnswer) {
  HoldsOfEverything([](const Situation& now, const Decision& decision) {
    return !RunsAgain(decision) ||
           (!decision.status.ok() && now.end.stop_reason == StopReason::kNone && !now.tried.answered);
  });
}

TEST(WhatFollowsInvariantTest, NothingIsRunAgainAfterRowsWereHandedOn) {
  HoldsOfEverything([](const Situation& now, const Decision& decision) {
    return !RunsAgain(decision) || FailureOf(now.end.error).rows_delivered == 0;
  });
}

TEST(WhatFollowsInvariantTest, WhatMayHaveBeenDoneIsRunAgainOnlyWhereItsKeyShowsIt) {
  HoldsOfEverything([](const Situation& now, const Decision& decision) {
    if (!RunsAgain(decision) || FailureOf(decision.status).outcome != Outcome::kUnknown) return true;
    return now.end.is_shown_by_key && now.end.elsewhere == Elsewhere::kNothing;
  });
}

TEST(WhatFollowsInvariantTest, NothingThatMayHaveActedElsewhereAtOnceIsCalledRolledBackWhenItsLinkIsLost) {
  HoldsOfEverything([](const Situation& now, const Decision& decision) {
    const Failure met = FailureOf(now.end.error);
    const bool sent = met.reason == Reason::kLinkLost && met.outcome != Outcome::kNotExecuted;
    if (!sent || now.end.elsewhere != Elsewhere::kAtOnce || decision.next == Next::kResolve) return true;
    return decision.status.ok() ? now.end.rolls_back : FailureOf(decision.status).outcome != Outcome::kRolledBack;
  });
}

TEST(WhatFollowsInvariantTest, AWriteWhoseLinkIsLostIsNeverCalledRetryable) {
  HoldsOfEverything([](const Situation& now, const Decision& decision) {
    const Failure met = FailureOf(now.end.error);
    const bool in_doubt = met.reason == Reason::kLinkLost && met.outcome != Outcome::kNotExecuted &&
                          now.end.may_write && now.end.scope == Scope::kAutocommit;
    return !in_doubt || !FailureOf(decision.status).retryable;
  });
}

TEST(WhatFollowsInvariantTest, AnUnknownOutcomeIsNeverCalledRetryable) {
  HoldsOfEverything([](const Situation&, const Decision& decision) {
    const Failure told = FailureOf(decision.status);
    return told.outcome != Outcome::kUnknown || !told.retryable;
  });
}

TEST(WhatFollowsInvariantTest, OnlyAnOpenTransactionIsReplayedAndOnlyWhereItsCallerAskedForIt) {
  HoldsOfEverything([](const Situation& now, const Decision& decision) {
    return decision.next != Next::kReplay || (now.end.scope == Scope::kTransaction && now.end.can_be_replayed);
  });
}

TEST(WhatFollowsInvariantTest, OnlyWhatTheServerWasToldToRefuseBecomesAWrite) {
  HoldsOfEverything([](const Situation& now, const Decision& decision) {
    return decision.next != Next::kRunAsWrite || now.end.guarded;
  });
}

TEST(WhatFollowsInvariantTest, WhatIsMendedIsMendedOnce) {
  HoldsOfEverything([](const Situation& now, const Decision& decision) {
    return (decision.mended != Mended::kStalePlan || !now.tried.stale_plan_retried) &&
           (decision.mended != Mended::kReadOnlyServer || !now.tried.read_only_server_retried);
  });
}

}  // namespace
}  // namespace engine::db::test

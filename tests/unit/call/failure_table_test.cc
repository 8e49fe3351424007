// "What is done about a failure", row by row: each as an autocommit read, an autocommit write, in a transaction and at
// COMMIT, as far as the gateway's core decides it.
#include <string>
#include <utility>

#include "server/base/failure.h"
#include "server/postgres/sqlstate.h"
#include "tests/unit/call/call_rig.h"

namespace engine::db::test {
namespace {

using absl::Milliseconds;
using absl::Seconds;

constexpr char kRead[] = "SELECT n FROM t";
constexpr char kWrite[] = "UPDATE t SET n = 1";

class FailureTableTest : public CallRig {
 protected:
  FailureTableTest() { target_settings_.retry.initial_delay = absl::ZeroDuration(); }

  // What a call is told whose first attempt meets the answer, and how many attempts it took: "OK after 2".
  std::string AfterOne(CallPlan plan, const std::string& prefix, const Answer& answer) {
    server_.Once(prefix, answer);
    return ToldAfter(Run(std::move(plan)));
  }
  static std::string ToldAfter(const CallRecord& call) {
    return call.end.has_value() ? Told(call) + " after " + std::to_string(call.end->attempts) : "open";
  }
  std::string AsRead(const Answer& answer) { return AfterOne(Autocommit(kRead), kRead, answer); }
  std::string AsWrite(const Answer& answer) { return AfterOne(Autocommit(kWrite), kWrite, answer); }
  std::string InTransaction(const Answer& answer) {
    const std::string transaction = Begin();
    std::string told = AfterOne(In(transaction, kWrite), kWrite, answer);
    Run(Rollback(transaction));
    return told;
  }
  std::string AtCommit(const Answer& answer) {
    const std::string transaction = Begin();
    Run(In(transaction, kWrite));
    return AfterOne(Commit(transaction), "COMMIT", answer);
  }
  // The only backend hangs up, so that the next call has another one opened, which goes like this `times` times.
  void NextOpenings(const char* message, int times) {
    target();
    Pass(Seconds(1));  // so that it is looked at before a read, too
    server_.backend(server_.opened())->HangUp();
    for (int i = 0; i < times; ++i) {
      server_.NextOpening({.status = postgres::ConnectFailed("scripted", message, ""), .takes = {}});
    }
  }
};

TEST_F(FailureTableTest, ConnectingIsRefusedForNow) {
  for (const char* message : {"connection refused", "FATAL:  53300: too many clients", "FATAL:  57P03: starting up"}) {
    for (const char* sql : {kRead, kWrite}) {
      NextOpenings(message, 2);
      const CallRecord& call = Start(Autocommit(sql));
      Pass(Seconds(1));
      EXPECT_EQ(ToldAfter(call), "OK after 1") << message;  // the pool's waiting is no attempt
    }
  }
  NextOpenings("connection refused", 3);
  CallPlan begin = MakePlan();
  begin.begin.emplace();
  const CallRecord& refused = Start(std::move(begin));
  Pass(Seconds(1));
  EXPECT_EQ(Told(refused), "UNAVAILABLE UNREACHABLE NOT_EXECUTED retryable");
  EXPECT_EQ(FailureOf(refused.end->status).kind, ErrorKind::kConnection);
}

TEST_F(FailureTableTest, ConnectingIsRefusedForGood) {
  NextOpenings("FATAL:  28P01: password authentication failed", 1);
  EXPECT_EQ(Told(Run(Autocommit(kWrite))), "FAILED_PRECONDITION LOGIN_REFUSED NOT_EXECUTED");
}

TEST_F(FailureTableTest, TheQueueIsFull) {
  target_settings_.max_pool_size = 1;
  settings_.limits.waiters = 1;
  server_.Always("UPDATE hog", Answer::Never());
  Run(Autocommit("UPDATE hog SET n = 1"));
  Run(Autocommit(kWrite));
  for (const char* sql : {kRead, kWrite}) {
    const CallRecord& call = Run(Autocommit(sql));
    EXPECT_EQ(Told(call), "RESOURCE_EXHAUSTED POOL_EXHAUSTED NOT_EXECUTED retryable");
    EXPECT_EQ(FailureOf(call.end->status).retry_after, Milliseconds(100));
  }
}

TEST_F(FailureTableTest, TheDeadlinePassesInTheQueue) {
  target_settings_.max_pool_size = 1;
  server_.Always("UPDATE hog", Answer::Never());
  Run(Autocommit("UPDATE hog SET n = 1"));
  const CallRecord& call = Start(Autocommit(kWrite), Milliseconds(100));
  Pass(Milliseconds(100));
  EXPECT_EQ(Told(call), "DEADLINE_EXCEEDED POOL_WAIT_TIMEOUT NOT_EXECUTED retryable");
  EXPECT_EQ(FailureOf(call.end->status).kind, ErrorKind::kTimeout);
}

TEST_F(FailureTableTest, TheBackendIsDeadAtCheckout) {
  for (const char* sql : {kRead, kWrite}) {
    target();
    Pass(Seconds(1));  // so that it is looked at
    server_.backend(server_.opened())->HangUp();
    EXPECT_EQ(ToldAfter(Run(Autocommit(sql))), "OK after 1");
  }
  const std::string transaction = Begin();
  server_.backend(server_.opened())->LoseLink(SqlError("57P01"));
  EXPECT_EQ(Told(Run(Commit(transaction))), "ABORTED TRANSACTION_LOST ROLLED_BACK LOST");
}

TEST_F(FailureTableTest, TheLinkIsLostBeforeAnythingWasFlushed) {
  const Answer unsent = Answer::Fails(WithFailure(postgres::LinkLost(absl::OkStatus()),
                                                  [](Failure& failure) { failure.outcome = Outcome::kNotExecuted; }));
  EXPECT_EQ(AsRead(unsent), "OK after 2");
  EXPECT_EQ(AsWrite(unsent), "OK after 2");
  EXPECT_EQ(InTransaction(unsent), "ABORTED TRANSACTION_LOST ROLLED_BACK FAILED after 1");
}

TEST_F(FailureTableTest, TheLinkIsLostAfterItWasSent) {
  for (const absl::Status& said : {absl::OkStatus(), SqlError("08006"), SqlError("57P01"), SqlError("57P02")}) {
    const Answer lost = Answer::LosesLink(said);
    EXPECT_EQ(AsRead(lost), "OK after 2") << said;
    EXPECT_EQ(AsWrite(lost), "UNKNOWN LINK_LOST UNKNOWN after 1") << said;
    EXPECT_EQ(AfterOne(OwnTransaction(kWrite), kWrite, lost), "OK COMMITTED after 2") << said;
    EXPECT_EQ(InTransaction(lost), "ABORTED TRANSACTION_LOST ROLLED_BACK LOST after 1") << said;
    NextFate(CommitFate::kCommitted);
    EXPECT_EQ(AtCommit(lost), "OK COMMITTED after 1") << said;
    NextFate(CommitFate::kUnknown);
    EXPECT_EQ(AtCommit(lost), "UNKNOWN COMMIT_IN_DOUBT UNKNOWN LOST after 1") << said;
  }
}

TEST_F(FailureTableTest, TheLinkIsLostAfterRowsWereHandedOn) {
  Answer lost = Answer::Rows({{"n"}}, {{"1"}, {"2"}});
  lost.breaks_link = true;
  server_.Once(kRead, lost);
  const CallRecord& stream = Run(Stream(kRead));
  EXPECT_EQ(ToldAfter(stream), "UNAVAILABLE LINK_LOST ROLLED_BACK after 1");
  EXPECT_EQ(FailureOf(stream.end->status).rows_delivered, stream.streamed_rows);
}

TEST_F(FailureTableTest, Conflict_40001_40P01) {
  for (const std::string sqlstate : {"40001", "40P01"}) {
    const Answer fails = Answer::Fails(sqlstate);
    EXPECT_EQ(AsRead(fails), "OK after 2");
    EXPECT_EQ(AsWrite(fails), "OK after 2");
    EXPECT_EQ(InTransaction(fails), "ABORTED " + sqlstate + " ROLLED_BACK retryable FAILED after 1");
    EXPECT_EQ(AtCommit(fails), "ABORTED " + sqlstate + " ROLLED_BACK retryable ROLLED_BACK after 1");
  }
}

TEST_F(FailureTableTest, TheServerDoesNotKnow_40003_08007) {
  for (const std::string sqlstate : {"40003", "08007"}) {
    const Answer fails = Answer::Fails(sqlstate);
    EXPECT_EQ(AsRead(fails), "OK after 2");
    EXPECT_EQ(AsWrite(fails), "UNKNOWN " + sqlstate + " UNKNOWN after 1");
    NextFate(CommitFate::kCommitted);
    EXPECT_EQ(AtCommit(fails), "OK COMMITTED after 1");
  }
}

TEST_F(FailureTableTest, ALockIsNotToBeHad_55P03) {
  const Answer fails = Answer::Fails("55P03");
  EXPECT_EQ(AsRead(fails), "OK after 2");
  EXPECT_EQ(AsWrite(fails), "OK after 2");
  EXPECT_EQ(InTransaction(fails), "ABORTED 55P03 ROLLED_BACK retryable FAILED after 1");
}

TEST_F(FailureTableTest, OutOfResources_53100_53200_53400) {
  for (const std::string sqlstate : {"53100", "53200", "53400"}) {
    const Answer fails = Answer::Fails(sqlstate);
    EXPECT_EQ(AsRead(fails), "RESOURCE_EXHAUSTED " + sqlstate + " ROLLED_BACK after 1");
    EXPECT_EQ(AsWrite(fails), "RESOURCE_EXHAUSTED " + sqlstate + " ROLLED_BACK after 1");
    EXPECT_EQ(InTransaction(fails), "ABORTED " + sqlstate + " ROLLED_BACK FAILED after 1");
    EXPECT_EQ(AtCommit(fails), "ABORTED " + sqlstate + " ROLLED_BACK ROLLED_BACK after 1");
  }
}

TEST_F(FailureTableTest, Cancelled_57014) {
  const Answer fails = Answer::Fails("57014");
  EXPECT_EQ(AsRead(fails), "CANCELLED 57014 ROLLED_BACK after 1");
  EXPECT_EQ(AsWrite(fails), "CANCELLED 57014 ROLLED_BACK after 1");
  EXPECT_EQ(InTransaction(fails), "CANCELLED 57014 ROLLED_BACK FAILED after 1");
  server_.Once(kWrite, Answer::Never());
  const CallRecord& late = Start(Autocommit(kWrite), Milliseconds(100));
  Pass(Milliseconds(100));
  EXPECT_EQ(Told(late), "DEADLINE_EXCEEDED DEADLINE_EXCEEDED ROLLED_BACK");
  EXPECT_EQ(FailureOf(late.end->status).kind, ErrorKind::kTimeout);
}

TEST_F(FailureTableTest, ReadOnlyOnAWritableTarget_25006) {
  server_.SetReadOnly(true);
  const Answer fails = Answer::Fails("25006");
  EXPECT_EQ(AsWrite(fails), "OK after 2");
  EXPECT_EQ(InTransaction(fails), "ABORTED 25006 NOT_EXECUTED retryable FAILED after 1");
}

TEST_F(FailureTableTest, FailedTransaction_25P02) {
  const std::string transaction = Begin();
  AfterOne(In(transaction, kWrite), kWrite, Answer::Fails("22012"));
  EXPECT_EQ(Told(Run(In(transaction, kWrite))), "FAILED_PRECONDITION 25P02 NOT_EXECUTED FAILED");
  EXPECT_EQ(Told(Run(Commit(transaction))), "ABORTED TRANSACTION_FAILED ROLLED_BACK ROLLED_BACK");
}

TEST_F(FailureTableTest, AnExpiredHandle) {
  const std::string transaction = Begin();
  Pass(Seconds(60));
  EXPECT_EQ(Told(Run(In(transaction, kWrite))), "FAILED_PRECONDITION TRANSACTION_EXPIRED ROLLED_BACK");
}

TEST_F(FailureTableTest, StalePlan_26000_0A000) {
  const Answer fails = Answer::Fails(WithFailure(SqlError("0A000"), [](Failure& failure) {
    failure.code = absl::StatusCode::kAborted;
    failure.reason = Reason::kStalePlan;
    failure.cause = Cause::kStalePlan;
    failure.outcome = Outcome::kNotExecuted;
    failure.retryable = true;
  }));
  EXPECT_EQ(AsRead(fails), "OK after 2");
  EXPECT_EQ(AsWrite(fails), "OK after 2");
  EXPECT_EQ(InTransaction(fails), "ABORTED STALE_PLAN NOT_EXECUTED retryable FAILED after 1");
}

TEST_F(FailureTableTest, TheStatementIsAtFault) {
  const std::pair<const char*, const char*> rows[] = {{"22012", "INVALID_ARGUMENT"},    {"23505", "ALREADY_EXISTS"},
                                                      {"23503", "FAILED_PRECONDITION"}, {"42501", "PERMISSION_DENIED"},
                                                      {"42P01", "INVALID_ARGUMENT"},    {"XX000", "INTERNAL"}};
  for (const auto& [sqlstate, code] : rows) {
    const std::string told = std::string(code) + " " + sqlstate + " ROLLED_BACK";
    const Answer fails = Answer::Fails(sqlstate);
    EXPECT_EQ(AsRead(fails), told + " after 1");
    EXPECT_EQ(AsWrite(fails), told + " after 1");
    EXPECT_EQ(InTransaction(fails), told + " FAILED after 1");
    EXPECT_EQ(AtCommit(fails), told + " ROLLED_BACK after 1");
  }
}

}  // namespace
}  // namespace engine::db::test

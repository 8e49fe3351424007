// In what state a backend comes back, and what becomes of it.
#include <string>

#include "server/postgres/command_text.h"
#include "tests/unit/pool/pool_test.h"

namespace engine::db::test {
namespace {

using pool::Purpose;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr char kEndOfReset[] = "SELECT pg_catalog.pg_advisory_unlock_all()";

class CleaningTest : public PoolTest {
 protected:
  CleaningTest() {
    settings_.max_pool_size = 1;
    OpenBackends(1);
  }
  // Runs a statement on a lease, and gives it back when it has ended.
  void Use(const std::string& sql) {
    Asker& user = Ask("user");
    Run(user.lease, sql);
    loop_.RunDue();
    user.lease.Release();
    (void)Served();
  }
};

TEST_F(CleaningTest, AnOrdinaryStatementLeavesNothingToClean) {
  Use("UPDATE t SET n = 1");
  EXPECT_THAT(Sent(1), ElementsAre("UPDATE t SET n = 1"));
  EXPECT_EQ(Counts().idle, 1U);
}

TEST_F(CleaningTest, AChangedSessionIsResetBeforeAnyoneElseGetsIt) {
  server_.Always(kEndOfReset, Answer::Command("SELECT 1").After(absl::Milliseconds(3)));
  Use("SET work_mem = '1MB'");
  EXPECT_EQ(Counts().idle, 0U);
  Ask("next");
  Pass(absl::Milliseconds(2));
  EXPECT_THAT(Served(), IsEmpty());
  Pass(absl::Milliseconds(1));
  EXPECT_THAT(Served(), ElementsAre("next"));
  EXPECT_THAT(Sent(1), ElementsAre("SET work_mem = '1MB'", "(stop preparing)", "(reset)", "(new seed)",
                                   "(start preparing)", "(accept settings)"));
}

TEST_F(CleaningTest, CodeThatNobodyHasReadIsNotTrustedWithWhatIsPrepared) {
  Use("SELECT f()");
  loop_.RunDue();
  EXPECT_THAT(Sent(1), ElementsAre("SELECT f()", "(stop preparing)", "(reset)", "(check prepared)", "(new seed)",
                                   "(start preparing)", "(accept settings)"));
}

TEST_F(CleaningTest, AStatementAboutPreparedOnesCostsThemAll) {
  for (const char* sql : {"PREPARE p AS SELECT 1", "DEALLOCATE ALL", "DO 'BEGIN END'"}) {
    SCOPED_TRACE(sql);
    Use(sql);
    loop_.RunDue();
    EXPECT_THAT(Sent(1), ElementsAre(sql, "(stop preparing)", "(forget prepared)", "DISCARD ALL", "(new seed)",
                                     "(start preparing)", "(accept settings)"));
  }
}

TEST_F(CleaningTest, AGuardedSessionThatWasResetIsGuardedAnew) {
  Asker& reads = Ask("reads", Purpose::kReads);
  reads.lease.MarkUnknownCode();
  loop_.RunDue();
  reads.lease.Release();
  loop_.RunDue();
  (void)Sent(1);
  Ask("reads", Purpose::kReads);
  EXPECT_THAT(Sent(1), ElementsAre(kGuardOn));
  loop_.RunDue();
}

TEST_F(CleaningTest, AFailedResetClosesTheBackend) {
  server_.Once("RESET ALL", Answer::Fails("42501"));
  Use("SET work_mem = '1MB'");
  Ask("next");
  loop_.RunDue();
  EXPECT_THAT(Served(), ElementsAre("next"));
  EXPECT_EQ(server_.opened(), 2U);
  EXPECT_EQ(server_.backend(1), nullptr);
}

TEST_F(CleaningTest, CleaningTakesFiveSecondsAtMost) {
  server_.Always(kEndOfReset, Answer::Never());
  Use("SET work_mem = '1MB'");
  Ask("next");
  Pass(absl::Milliseconds(4'999));
  EXPECT_NE(server_.backend(1), nullptr);
  EXPECT_THAT(Served(), IsEmpty());
  Pass(absl::Milliseconds(1));
  EXPECT_EQ(server_.backend(1), nullptr);
  EXPECT_THAT(Served(), ElementsAre("next"));
  EXPECT_EQ(server_.opened(), 2U);
}

TEST_F(CleaningTest, WhatStillRunsIsWaitedForAsLong) {
  server_.Always("SELECT", Answer::Command("SELECT 1").After(absl::Milliseconds(4'999)));
  Asker& one = Ask("one");
  Run(one.lease, "SELECT 1");
  loop_.RunDue();
  one.lease.Release();
  Pass(absl::Milliseconds(4'999));
  EXPECT_EQ(Counts().idle, 1U);
  Pass(absl::Seconds(10));
  EXPECT_EQ(Counts().idle, 1U) << "the limit is not of the idle time";
}

TEST_F(CleaningTest, AnOpenTransactionIsRolledBack) {
  Asker& begun = Ask("begun", Purpose::kTransaction, 1);
  begun.lease.backend().Run({.text = postgres::CommandText("BEGIN")});
  loop_.RunDue();
  begun.lease.Release();
  EXPECT_EQ(Counts().idle, 0U);
  loop_.RunDue();
  EXPECT_EQ(Counts().idle, 1U);
  EXPECT_THAT(Sent(1), ElementsAre("BEGIN", "ROLLBACK"));
}

TEST_F(CleaningTest, AFailedRollbackClosesTheBackend) {
  server_.Once("ROLLBACK", Answer::Fails("XX000"));
  Asker& begun = Ask("begun", Purpose::kTransaction, 1);
  begun.lease.backend().Run({.text = postgres::CommandText("BEGIN")});
  loop_.RunDue();
  begun.lease.Release();
  loop_.RunDue();
  EXPECT_EQ(Counts().open, 0U);
}

TEST_F(CleaningTest, AChangedReportedSettingIsAReasonToReset) {
  Answer answer = Answer::Command("SELECT 1");
  answer.changes_settings = true;
  server_.Once("SELECT", answer);
  Use("SELECT 1");
  loop_.RunDue();
  EXPECT_THAT(Sent(1), ElementsAre("SELECT 1", "(reset)", "(new seed)", "(start preparing)", "(accept settings)"));
  EXPECT_EQ(Counts().idle, 1U);
}

TEST_F(CleaningTest, WhatOutlastsAResetClosesTheBackend) {
  Use("LOAD 'auto_explain'");
  EXPECT_EQ(Counts().open, 0U);
}

TEST_F(CleaningTest, ABackendThatWasLostMeanwhileGoes) {
  server_.Always(kEndOfReset, Answer::LosesLink());
  Use("SET work_mem = '1MB'");
  loop_.RunDue();
  EXPECT_EQ(Counts().open, 0U);
}

TEST_F(CleaningTest, RetiredWhileItIsCleanedItGoes) {
  server_.Always(kEndOfReset, Answer::Command("SELECT 1").After(absl::Milliseconds(3)));
  Use("SET work_mem = '1MB'");
  pool_->RetireBackends();
  EXPECT_EQ(Counts().open, 1U);
  Pass(absl::Milliseconds(3));
  EXPECT_EQ(Counts().open, 0U);
}

class SchemaTest : public PoolTest {
 protected:
  SchemaTest() {
    settings_.max_pool_size = 3;
    OpenBackends(3);
  }
};

TEST_F(SchemaTest, AChangeMakesTheOthersForgetWhatIsPrepared) {
  Asker& alters = Ask("alters");
  Asker& holds = Ask("holds");
  Run(alters.lease, "ALTER TABLE t ALTER n TYPE bigint");
  loop_.RunDue();
  const size_t altering = static_cast<size_t>(alters.lease.backend().pid() - 1'000);
  const size_t holding = static_cast<size_t>(holds.lease.backend().pid() - 1'000);
  const size_t idle = 6 - altering - holding;
  EXPECT_THAT(Sent(holding), IsEmpty()) << "not before it is known to have ended";
  alters.lease.Release();
  loop_.RunDue();
  EXPECT_THAT(Sent(altering), ElementsAre("ALTER TABLE t ALTER n TYPE bigint", "(stop preparing)", "(forget prepared)",
                                          "DISCARD ALL", "(new seed)", "(start preparing)", "(accept settings)"));
  EXPECT_THAT(Sent(idle), ElementsAre("(forget prepared)", "(forget prepared)", "DISCARD ALL", "(new seed)",
                                      "(start preparing)", "(accept settings)"));
  EXPECT_THAT(Sent(holding), ElementsAre("(forget prepared)"));
  EXPECT_EQ(Counts().idle, 2U);
  holds.lease.Release();
  loop_.RunDue();
  EXPECT_THAT(Sent(holding),
              ElementsAre("(forget prepared)", "DISCARD ALL", "(new seed)", "(start preparing)", "(accept settings)"));
  EXPECT_EQ(Counts().idle, 3U);
}

TEST_F(SchemaTest, ATemporaryTableIsNobodyElsesBusiness) {
  Asker& one = Ask("one");
  Run(one.lease, "CREATE TEMPORARY TABLE t (n int)");
  loop_.RunDue();
  one.lease.Release();
  loop_.RunDue();
  size_t forgotten = 0;
  for (const std::string& entry : server_.Log()) forgotten += entry.ends_with("(forget prepared)") ? 1 : 0;
  EXPECT_EQ(forgotten, 0U);
}

TEST_F(SchemaTest, AStalePlanMakesAllForget) {
  pool_->ForgetPlans();
  EXPECT_EQ(Counts().idle, 0U);
  loop_.RunDue();
  EXPECT_EQ(Counts().idle, 3U);
  for (size_t i = 1; i <= 3; ++i) {
    EXPECT_THAT(Sent(i), ElementsAre("(forget prepared)", "(forget prepared)", "DISCARD ALL", "(new seed)",
                                     "(start preparing)", "(accept settings)"));
  }
}

TEST_F(SchemaTest, ReadsUnderWayMakeTheirBackendBeResetLater) {
  Read("read");
  pool_->ForgetPlans();
  loop_.RunDue();
  EXPECT_THAT(Served(), ElementsAre("read"));
  EXPECT_EQ(Counts().idle, 3U);
  size_t resets = 0;
  for (const std::string& entry : server_.Log()) resets += entry.ends_with("DISCARD ALL") ? 1 : 0;
  EXPECT_EQ(resets, 3U);
}

}  // namespace
}  // namespace engine::db::test

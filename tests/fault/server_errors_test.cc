// PostgreSQL answers with an error of its own.
#include "tests/fault/link_fault_test.h"

namespace engine::db::test {
namespace {

class ServerErrors : public LinkFaults {};

TEST_F(ServerErrors, ABusyServerIsAskedAgain) {
  for (const std::string code : {"53300", "57P03"}) {
    const auto connector = Connect(Faulty(2, {.max_attempts = 10, .initial_delay_ms = 1, .max_delay_ms = 50}));
    const auto rule = proxy().Add({.trigger = FaultTrigger::kStartup,
                                   .times = 3,
                                   .act = FaultAct::kError,
                                   .error = {.severity = "FATAL", .sqlstate = code}});
    CutAll();
    connector->execute(Insert(), {1});
    EXPECT_EQ(proxy().Fired(rule), 3) << code;
    connector->close();
  }
  EXPECT_EQ(Rows(), 2);
}

TEST_F(ServerErrors, ARefusedLoginIsNotAskedAgainAndAgain) {
  for (const std::string code : {"28P01", "28000", "3D000"}) {
    const auto connector = Connect(Faulty(2, {.max_attempts = 10, .initial_delay_ms = 1, .max_delay_ms = 50}));
    const auto rule = proxy().Add({.trigger = FaultTrigger::kPassword,
                                   .times = kAlways,
                                   .act = FaultAct::kError,
                                   .error = {.severity = "FATAL", .sqlstate = code}});
    CutAll();
    const auto error = Catch<DatabaseConnectionError>([&] { connector->execute(Insert(), {1}); });
    EXPECT_EQ(error.sqlstate(), code);
    EXPECT_EQ(error.outcome(), Outcome::kNotExecuted);
    EXPECT_LE(proxy().Fired(rule), 2) << "the secret may be read again, once";
    proxy().Heal();
    ExpectWorks(*connector);
    connector->close();
  }
  EXPECT_EQ(Rows(), 0);
}

TEST_F(ServerErrors, AnUnknownCompletionAtCommitIsNeverARollback) {
  for (const std::string code : {"40003", "08007"}) {
    const auto connector = Connect(Faulty(2, kRetry));
    connector->begin();
    connector->execute(Insert(), {1});
    proxy().Add({.statement = "^COMMIT",
                 .point = FaultPoint::kBeforeReply,
                 .act = FaultAct::kError,
                 .error = {.sqlstate = code}});
    try {
      connector->commit();
    } catch (const DatabaseError& error) {
      ExpectTruth(error, true);
    }
    connector->close();
  }
  EXPECT_EQ(Rows(), 2);
}

TEST_F(ServerErrors, AnAdministratorsCommandAfterAWriteLeavesItsOutcomeOpen) {
  const auto connector = Connect(Faulty(2, kRetry));
  proxy().Add({.statement = "^INSERT",
               .point = FaultPoint::kBeforeReply,
               .act = FaultAct::kError,
               .error = {.severity = "FATAL", .sqlstate = "57P01"}});
  ExpectTruth(Catch([&] { connector->execute(Insert(), {1}); }), true);
  EXPECT_EQ(Rows(), 1);
  ExpectWorks(*connector);
}

TEST_F(ServerErrors, ASerializationFailureOfAnAutocommittedWriteIsRepeated) {
  const auto connector = Connect(Faulty(2, kRetry));
  for (const std::string code : {"40001", "40P01"}) {
    const auto rule =
        proxy().Add({.statement = "^INSERT", .times = 2, .act = FaultAct::kError, .error = {.sqlstate = code}});
    EXPECT_EQ(connector->execute(Insert(), {1}).attempts(), 3U);
    EXPECT_EQ(proxy().Fired(rule), 2);
  }
  EXPECT_EQ(Rows(), 2);
}

TEST_F(ServerErrors, RowDataInAnErrorStaysInside) {
  const auto connector = Connect(Faulty(2));
  proxy().Add({.statement = "^INSERT",
               .act = FaultAct::kError,
               .error = {.sqlstate = "23505",
                         .message = "duplicate key value violates unique constraint \"one\"",
                         .detail = "Key (n)=(canary-8812) already exists.",
                         .context = "COPY canary-8812",
                         .table_name = "t",
                         .constraint_name = "one",
                         .source_file = "nbtinsert.c",
                         .source_function = "_bt_check_unique"}});
  const auto error = Catch<DatabaseExecutionError>([&] { connector->execute(Insert(), {1}); });
  EXPECT_EQ(error.sqlstate(), "23505");
  EXPECT_EQ(error.constraint_name(), "one");
  EXPECT_THAT(std::string(error.what()) + error.hint() + Gateway().Log() + Gateway().Metrics(),
              testing::Not(testing::HasSubstr("canary-8812")));
}

}  // namespace
}  // namespace engine::db::test

// What follows from PostgreSQL's errors, by their SQLSTATE.
#include "server/postgres/sqlstate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "server/base/failure.h"

namespace engine::db::postgres {
namespace {

using absl::StatusCode;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(SqlState, OneThatNobodyKnowsIsTheRequestsFault) {
  for (const char* state : {"42601", "22012", "ZZ999", "0", ""}) {
    const Consequence& consequence = ConsequenceOf(state);
    EXPECT_EQ(consequence.code, StatusCode::kInvalidArgument) << state;
    EXPECT_EQ(consequence.kind, ErrorKind::kExecution) << state;
    EXPECT_EQ(consequence.outcome, Outcome::kRolledBack) << state;
    EXPECT_FALSE(consequence.retryable) << state;
    EXPECT_EQ(consequence.cause, Cause::kOther) << state;
  }
}

TEST(SqlState, ItsOwnRowGoesBeforeThatOfItsClass) {
  EXPECT_EQ(ConsequenceOf("23502").code, StatusCode::kFailedPrecondition);  // of the class
  EXPECT_EQ(ConsequenceOf("23505").code, StatusCode::kAlreadyExists);
  EXPECT_EQ(ConsequenceOf("40000").cause, Cause::kOther);
  EXPECT_EQ(ConsequenceOf("40001").cause, Cause::kConflict);
}

TEST(SqlState, WhatAMessageMayTellOf) {
  EXPECT_EQ(MessageFactsOf("22012").subject, MessageSubject::kValue);
  EXPECT_EQ(MessageFactsOf("23505").subject, MessageSubject::kConstraint);
  for (const char* state : {"25001", "25P02", "40001", "53200", "55006", "55P03", "57014"}) {
    EXPECT_EQ(MessageFactsOf(state).subject, MessageSubject::kState) << state;
  }
  EXPECT_EQ(MessageFactsOf("42883").subject, MessageSubject::kSignature);
  EXPECT_EQ(MessageFactsOf("42725").subject, MessageSubject::kSignature);
  for (const char* state : {"42601", "42P18", "55000", "0A000", "XX000", "P0001", "ZZ999", "0", ""}) {
    EXPECT_EQ(MessageFactsOf(state).subject, MessageSubject::kOther) << state;
  }
  for (const char* state : {"0A000", "22012", "42601", "42883", "55000", "55006", "55P03"}) {
    EXPECT_TRUE(MessageFactsOf(state).may_hold_numbers) << state;
  }
  for (const char* state : {"23505", "25006", "40001", "53200", "57014", "XX000"}) {
    EXPECT_FALSE(MessageFactsOf(state).may_hold_numbers) << state;
  }
  for (const char* state : {"42601", "42883", "42725", "42P18"}) {
    EXPECT_TRUE(MessageFactsOf(state).may_name_parameter) << state;
  }
  EXPECT_FALSE(MessageFactsOf("22P02").may_name_parameter);
}

TEST(SqlState, CausesThatLayersActUpon) {
  const std::pair<const char*, Cause> rows[] = {
      {"25006", Cause::kReadOnly},
      {"57014", Cause::kCancelled},
      {"40001", Cause::kConflict},
      {"40P01", Cause::kConflict},
      {"53000", Cause::kInsufficientResources},
      {"53100", Cause::kInsufficientResources},
      {"53200", Cause::kInsufficientResources},
      {"53300", Cause::kInsufficientResources},
      {"53400", Cause::kInsufficientResources},
      {"42501", Cause::kPermissionDenied},
      {"28000", Cause::kCredentials},
      {"28P01", Cause::kCredentials},
      {"3D000", Cause::kCredentials},
      {"42P18", Cause::kUnknownParameterType},
      {"42P08", Cause::kUnknownParameterType},
      {"42803", Cause::kNotGrouped},
      {"42P10", Cause::kNotSelected},
      {"42883", Cause::kTypeMismatch},
      {"42804", Cause::kTypeMismatch},
      // What the gateway's own plans suffer is told by more than the SQLSTATE.
      {"26000", Cause::kOther},
      {"0A000", Cause::kOther},
  };
  for (const auto& [state, cause] : rows) EXPECT_EQ(ConsequenceOf(state).cause, cause) << state;
}

TEST(SqlState, WhatMayBeRepeated) {
  for (const char* state : {"40001", "40P01", "55P03", "25006", "53300", "57P03", "08001", "72000"}) {
    EXPECT_TRUE(ConsequenceOf(state).retryable) << state;
    EXPECT_NE(ConsequenceOf(state).outcome, Outcome::kUnknown) << state;
  }
  for (const char* state : {"40003", "08007", "08006", "57P01", "25P03"}) {
    EXPECT_FALSE(ConsequenceOf(state).retryable) << state;
    EXPECT_EQ(ConsequenceOf(state).outcome, Outcome::kUnknown) << state;
  }
}

TEST(SqlState, PlansThatAreStaleOrGone) {
  EXPECT_EQ(StalePlanCause("0A000", "cached plan must not change result type", ""), Cause::kStalePlan);
  EXPECT_EQ(StalePlanCause("0A000", "Der Plan...", "RevalidateCachedQuery"), Cause::kStalePlan);
  EXPECT_EQ(StalePlanCause("0A000", "cannot alter type", ""), Cause::kOther);
  EXPECT_EQ(StalePlanCause("XX000", "cache lookup failed for type 1", "getTypeInputInfo"), Cause::kStalePlan);
  EXPECT_EQ(StalePlanCause("XX000", "cache lookup failed for type 1", "format_type"), Cause::kOther);
  EXPECT_EQ(StalePlanCause("26000", "prepared statement \"mine\" does not exist", ""), Cause::kOther);
}

TEST(SqlState, LoginsThatWillBeRefusedAgain) {
  for (const char* state : {"28P01", "28000", "3D000", "42501", "0A000", "22023", "08P01", "55000"}) {
    EXPECT_TRUE(IsPermanentRefusal(state)) << state;
  }
  for (const char* state : {"", "53300", "57P03", "08001"}) EXPECT_FALSE(IsPermanentRefusal(state)) << state;
}

TEST(SqlState, AConnectionsFailureSaysWhyAndHidesThePassword) {
  const Failure refused = FailureOf(
      ConnectFailed("db",
                    "connection to server at \"h\" (1.2.3.4), port 5432 failed: FATAL:  28P01: bad hunter2secret\n"
                    "LOCATION:  auth_failed, auth.c:1",
                    "hunter2secret"));
  EXPECT_EQ(refused.code, StatusCode::kFailedPrecondition);
  EXPECT_EQ(refused.reason, Reason::kLoginRefused);
  EXPECT_EQ(refused.cause, Cause::kCredentials);
  EXPECT_EQ(refused.sqlstate, "28P01");
  EXPECT_FALSE(refused.retryable);
  EXPECT_THAT(refused.message, Not(HasSubstr("hunter2secret")));

  const Failure unreachable = FailureOf(ConnectFailed("db", "connection to server failed: Connection refused", ""));
  EXPECT_EQ(unreachable.code, StatusCode::kUnavailable);
  EXPECT_EQ(unreachable.reason, Reason::kUnreachable);
  EXPECT_TRUE(unreachable.retryable);
  EXPECT_TRUE(unreachable.backend_usable) << "no session has ended: there was none yet";
}

TEST(SqlState, ALostLinkKeepsWhatWasHeardLast) {
  const absl::Status heard = ToStatus({.code = StatusCode::kUnknown,
                                       .reason = Reason::kPostgresqlError,
                                       .sqlstate = "57P01",
                                       .message = "terminating connection"});
  const Failure lost = FailureOf(LinkLost(heard));
  EXPECT_EQ(lost.reason, Reason::kLinkLost);
  EXPECT_EQ(lost.outcome, Outcome::kUnknown);
  EXPECT_EQ(lost.sqlstate, "57P01");
  EXPECT_EQ(lost.message, "the connection to PostgreSQL was lost: terminating connection");
  EXPECT_FALSE(lost.backend_usable);
  EXPECT_EQ(FailureOf(LinkLost(LinkLost(heard))).message, lost.message);
  EXPECT_EQ(FailureOf(LinkLost(absl::OkStatus())).message, "the connection to PostgreSQL was lost");
}

}  // namespace
}  // namespace engine::db::postgres

// What a call's statements may do: whether they may write, act elsewhere, and have to be covered by a mark.
#include "server/call/effects.h"

#include <string>
#include <utility>

#include "server/call/reach.h"
#include "tests/unit/call/call_rig.h"

namespace engine::db::test {
namespace {

using call::Circumstances;
using call::Effects;
using call::Record;

class EffectsTest : public CallRig {
 protected:
  Effects Of(CallPlan plan, Circumstances circumstances = {}) {
    plan_ = std::move(plan);
    return {plan_, circumstances_ = circumstances, record_, surroundings_};
  }
  Effects OfText(const std::string& sql, Circumstances circumstances = {}) {
    return Of(Autocommit(sql), circumstances);
  }

  CallPlan plan_;
  Circumstances circumstances_;
  Record record_;
  postgres::Surroundings surroundings_;
};

TEST_F(EffectsTest, ATextThatOnlyReadsIsNoProof) {
  EXPECT_TRUE(OfText("SELECT n FROM t").MayWrite());
  EXPECT_FALSE(OfText("SELECT n FROM t").AnyWrites());
  EXPECT_TRUE(OfText("UPDATE t SET n = 1").AnyWrites());
}

TEST_F(EffectsTest, TheServersRefusalIsOne) {
  EXPECT_FALSE(OfText("SELECT n FROM t", {.guarded = true}).MayWrite());
  EXPECT_FALSE(OfText("SELECT n FROM t", {.read_only_asked = true}).MayWrite());
}

TEST_F(EffectsTest, AReadOnlyTransactionMayHaveBeenMadeReadWrite) {
  const Circumstances read_only = {.in_transaction = true, .read_only_asked = true};
  EXPECT_FALSE(OfText("SELECT n FROM t", read_only).MayWrite());
  record_.settings_changed = true;
  EXPECT_TRUE(OfText("SELECT n FROM t", read_only).MayWrite());
}

TEST_F(EffectsTest, AReadThatTheServerFoundWritingIsAWrite) {
  const Effects effects = OfText("SELECT n FROM v", {.hides_writes = true});
  EXPECT_TRUE(effects.MayWrite());
  EXPECT_TRUE(effects.AnyWrites());
}

TEST_F(EffectsTest, WhatTouchesTheSessionAloneWritesNothing) {
  EXPECT_FALSE(OfText("SHOW work_mem").MayWrite());
  EXPECT_FALSE(OfText("SET LOCAL work_mem = '1MB'").MayWrite());
  EXPECT_TRUE(OfText("SET LOCAL work_mem = '1MB'").MayChangeSettings());
}

TEST_F(EffectsTest, AMarkBelongsToTransactionsThatMayWrite) {
  const Circumstances open = {.in_transaction = true};
  EXPECT_FALSE(OfText("UPDATE t SET n = 1").WantMark());
  EXPECT_TRUE(OfText("UPDATE t SET n = 1", open).WantMark());
  EXPECT_TRUE(Of(OwnTransaction("UPDATE t SET n = 1")).WantMark());
  CallPlan undone = In("t", "UPDATE t SET n = 1");
  undone.ending = call::Ending::kRollback;
  EXPECT_FALSE(Of(std::move(undone), open).WantMark());
  record_.mark.emplace().xid = 5;
  EXPECT_FALSE(OfText("UPDATE t SET n = 1", open).WantMark());
}

TEST_F(EffectsTest, WhatTakesNoSnapshotLeavesTheMarkDue) {
  const Circumstances open = {.in_transaction = true};
  EXPECT_FALSE(OfText("NOTIFY news", open).WantMark());
  EXPECT_TRUE(OfText("NOTIFY news", open).LeaveMarkDue());
  record_.mark_due = true;
  EXPECT_FALSE(OfText("NOTIFY news", open).WantMark());
  EXPECT_TRUE(OfText("SELECT n FROM t", open).WantMark());
  EXPECT_TRUE(Of(Commit("t"), open).WantMark());
}

TEST_F(EffectsTest, AWriteMayCommitElsewhereWhereThereAreForeignTables) {
  EXPECT_FALSE(OfText("UPDATE t SET n = 1").CommitsElsewhere());
  surroundings_.foreign = Elsewhere::kAtCommit;
  EXPECT_TRUE(OfText("UPDATE t SET n = 1").CommitsElsewhere());
  EXPECT_FALSE(OfText("SELECT n FROM t").CommitsElsewhere());
  EXPECT_FALSE(OfText("UPDATE t SET n = 1", {.in_transaction = true}).CommitsElsewhere());  // as its record says
}

TEST_F(EffectsTest, UnknownFunctionsMayActAtOnce) {
  EXPECT_FALSE(OfText("SELECT f()").CallsOutside());
  surroundings_.functions = Elsewhere::kAtOnce;
  EXPECT_TRUE(OfText("SELECT f()").CallsOutside());
  EXPECT_FALSE(OfText("SELECT abs(1)").CallsOutside());
  EXPECT_EQ(OfText("SELECT f()").FarthestReach(), Elsewhere::kAtOnce);
}

TEST(ReachTest, WhatIsPresumedHoldsUntilTheServerHasSaid) {
  call::Reach reach;
  reach.Presume(Elsewhere::kAtOnce);
  EXPECT_EQ(reach.at_most(), Elsewhere::kAtOnce);
  EXPECT_EQ(reach.known(), Elsewhere::kNothing);
  reach.Learn(Elsewhere::kAtCommit);
  EXPECT_EQ(reach.at_most(), Elsewhere::kAtCommit);
  reach.Learn(Elsewhere::kNothing);
  EXPECT_EQ(reach.known(), Elsewhere::kAtCommit);  // what was done is not undone by doing nothing
}

}  // namespace
}  // namespace engine::db::test

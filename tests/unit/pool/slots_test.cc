// The one door to a backend's state.
#include "server/pool/slots.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/unit/pool/pool_test.h"

namespace engine::db::test {
namespace {

using pool::MayBecome;
using pool::Slot;
using pool::Slots;
using pool::SlotState;
using ::testing::UnorderedElementsAre;

constexpr SlotState kAll[] = {SlotState::kOpening, SlotState::kIdle,     SlotState::kShared,
                              SlotState::kLeased,  SlotState::kCleaning, SlotState::kClosed};

class SlotsTest : public PoolTest {
 protected:
  SlotsTest() : pool_metrics(metrics_.AddPool("slots")), slots(loop_, *pool_metrics) {}
  ~SlotsTest() override {
    for (Slot* slot : slots.All()) slots.Close(*slot, observe::CloseReason::kPoolClosed);
    loop_.RunDue();
  }

  Slot& Add() {
    Slot& slot = slots.Add();
    slot.backend =
        factory->Open("", absl::InfiniteFuture(),
                      {.opened = [](const absl::Status&) {}, .drained = [] {}, .lost = [](const absl::Status&) {}});
    return slot;
  }
  Slot& AddIn(SlotState state) {
    Slot& slot = Add();
    if (state == SlotState::kOpening) return slot;
    if (state == SlotState::kClosed) {
      slots.Close(slot, observe::CloseReason::kIdle);
      return slot;
    }
    slots.Become(slot, SlotState::kIdle);
    if (state != SlotState::kIdle) slots.Become(slot, state);
    return slot;
  }

  std::unique_ptr<observe::PoolMetrics> pool_metrics;
  std::unique_ptr<postgres::BackendFactory> factory = server_.MakeFactory();
  Slots slots;
};

TEST_F(SlotsTest, TheTableOfTransitions) {
  std::vector<std::string> allowed;
  for (const SlotState from : kAll) {
    for (const SlotState to : kAll) {
      if (MayBecome(from, to)) allowed.push_back(absl::StrCat(std::string(NameOf(from)), " ", std::string(NameOf(to))));
    }
  }
  EXPECT_THAT(allowed,
              UnorderedElementsAre("opening idle", "opening closed", "idle shared", "idle leased", "idle cleaning",
                                   "idle closed", "shared idle", "shared cleaning", "shared closed", "leased cleaning",
                                   "leased closed", "cleaning idle", "cleaning closed"));
}

TEST_F(SlotsTest, EveryTransitionHappensOrClosesTheSlot) {
  size_t refused = 0;
  for (const SlotState from : kAll) {
    for (const SlotState to : kAll) {
      if (to == SlotState::kClosed) continue;  // Close() does that
      Slot& slot = AddIn(from);
      ASSERT_EQ(slot.state, from);
      slots.Become(slot, to);
      if (MayBecome(from, to)) {
        EXPECT_EQ(slot.state, to);
        slots.Close(slot, observe::CloseReason::kIdle);
      } else {
        EXPECT_EQ(slots.refused(), ++refused);
        EXPECT_EQ(slot.state, SlotState::kClosed);
      }
      EXPECT_EQ(slots.size(), 0U);
      for (const SlotState state : kAll) {
        if (state == SlotState::kClosed) continue;
        EXPECT_EQ(slots.count(state), 0U) << NameOf(state);
      }
    }
  }
  EXPECT_EQ(refused, 22U);
}

TEST_F(SlotsTest, ClosingIsDoneOnceAndTheSlotStaysUntilTheEndOfTheRound) {
  Slot& slot = AddIn(SlotState::kLeased);
  server_.ClearLog();
  slots.Close(slot, observe::CloseReason::kLost);
  slots.Close(slot, observe::CloseReason::kLost);
  EXPECT_EQ(server_.Log(), std::vector<std::string>{"1 (close)"});
  EXPECT_NE(server_.backend(1), nullptr);
  loop_.RunDue();
  EXPECT_EQ(server_.backend(1), nullptr);
}

TEST_F(SlotsTest, APlaceCountsBeforeItHasABackend) {
  slots.Reserve();
  EXPECT_EQ(slots.size(), 1U);
  EXPECT_EQ(slots.count(SlotState::kOpening), 1U);
  EXPECT_EQ(slots.open(), 0U);
  slots.Unreserve();
  EXPECT_EQ(slots.size(), 0U);
  EXPECT_EQ(slots.count(SlotState::kOpening), 0U);
}

TEST_F(SlotsTest, FindsOneInTheRightModeFirst) {
  EXPECT_EQ(slots.FindIdle(/*guarded=*/false), nullptr);
  Slot& plain = AddIn(SlotState::kIdle);
  EXPECT_EQ(slots.FindIdle(/*guarded=*/true), &plain);
  Slot& guarded = AddIn(SlotState::kIdle);
  guarded.session.guarded = true;
  EXPECT_EQ(slots.FindIdle(/*guarded=*/true), &guarded);
  EXPECT_EQ(slots.FindIdle(/*guarded=*/false), &plain);
}

}  // namespace
}  // namespace engine::db::test

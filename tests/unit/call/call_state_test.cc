// The table of a call's states says what it is meant to say, and refuses everything else.
#include "server/call/call_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <set>
#include <string_view>
#include <utility>

namespace engine::db::call {
namespace {

using enum CallState;

constexpr std::array kStates = {kNew,        kQueued,    kQueuedInTransaction, kRunning,
                                kBackingOff, kReplaying, kResolving,           kEnded};

using Transitions = std::set<std::pair<CallState, CallState>>;

// Written out a second time, so that a change of the table is a change of two places.
const Transitions& Specified() {
  static const auto* transitions = new Transitions{
      {kNew, kQueued},
      {kNew, kRunning},
      {kNew, kQueuedInTransaction},
      {kNew, kEnded},
      {kQueued, kRunning},
      {kQueued, kEnded},
      {kQueuedInTransaction, kRunning},
      {kQueuedInTransaction, kEnded},
      {kRunning, kBackingOff},
      {kRunning, kReplaying},
      {kRunning, kResolving},
      {kRunning, kEnded},
      {kBackingOff, kQueued},
      {kBackingOff, kRunning},
      {kBackingOff, kEnded},
      {kReplaying, kRunning},
      {kReplaying, kReplaying},
      {kReplaying, kEnded},
      {kResolving, kBackingOff},
      {kResolving, kReplaying},
      {kResolving, kEnded},
  };
  return *transitions;
}

std::set<CallState> ReachableFrom(CallState from) {
  std::set<CallState> reached = {from};
  for (size_t before = 0; before != reached.size();) {
    before = reached.size();
    for (const CallState state : std::set<CallState>(reached)) {
      for (const CallState to : kStates) {
        if (MayGo(state, to)) reached.insert(to);
      }
    }
  }
  return reached;
}

TEST(CallStateTest, AllowsExactlyTheTransitionsThatAreSpecified) {
  for (const CallState from : kStates) {
    for (const CallState to : kStates) {
      EXPECT_EQ(MayGo(from, to), Specified().contains({from, to}))
          << CallStateName(from) << " to " << CallStateName(to);
    }
  }
}

TEST(CallStateTest, EveryStateIsReachedFromTheFirst) { EXPECT_EQ(ReachableFrom(kNew).size(), kStates.size()); }

TEST(CallStateTest, EveryStateLeadsToTheEnd) {
  for (const CallState state : kStates) EXPECT_TRUE(ReachableFrom(state).contains(kEnded)) << CallStateName(state);
}

TEST(CallStateTest, NothingFollowsTheEnd) {
  for (const CallState to : kStates) EXPECT_FALSE(MayGo(kEnded, to)) << CallStateName(to);
}

TEST(CallStateTest, NothingBecomesNewAgain) {
  for (const CallState from : kStates) EXPECT_FALSE(MayGo(from, kNew)) << CallStateName(from);
}

TEST(CallStateTest, NamesAreDistinct) {
  std::set<std::string_view> names;
  for (const CallState state : kStates) names.insert(CallStateName(state));
  EXPECT_EQ(names.size(), kStates.size());
}

}  // namespace
}  // namespace engine::db::call

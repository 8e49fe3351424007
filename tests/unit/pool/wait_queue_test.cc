// Who is next.
#include "server/pool/wait_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <vector>

namespace engine::db::pool {
namespace {

using ::testing::ElementsAre;

constexpr OwnerId kAda = 1;
constexpr OwnerId kBob = 2;

Waiter Someone(Purpose purpose, OwnerId owner) {
  Waiter waiter;
  waiter.purpose = purpose;
  waiter.owner = owner;
  return waiter;
}

class WaitQueueTest : public ::testing::Test {
 protected:
  Ticket Add(Purpose purpose, OwnerId owner = 0) { return queue_.Add(Someone(purpose, owner)); }
  Ticket Begin(OwnerId owner) { return Add(Purpose::kTransaction, owner); }
  // Everybody who may have a backend now.
  std::vector<Ticket> PopAll() {
    std::vector<Ticket> tickets;
    while (const Waiter* next = queue_.Next()) {
      const Ticket expected = next->ticket;
      tickets.push_back(queue_.Pop().ticket);
      EXPECT_EQ(tickets.back(), expected);
    }
    return tickets;
  }
  void End(OwnerId owner) {
    queue_.TransactionEnded();
    queue_.GiveBackPlace(owner);
  }

  WaitQueue queue_{/*transaction_limit=*/4};
};

TEST_F(WaitQueueTest, ServesInTheOrderOfComingWhateverTheyWant) {
  const Ticket first = Add(Purpose::kAutocommit);
  const Ticket second = Begin(kAda);
  const Ticket third = Add(Purpose::kReads);
  const Ticket fourth = Begin(kBob);
  EXPECT_EQ(queue_.in_line(), 4U);
  EXPECT_THAT(PopAll(), ElementsAre(first, second, third, fourth));
  EXPECT_EQ(queue_.transactions(), 2U);
  EXPECT_EQ(queue_.in_line(), 0U);
}

TEST_F(WaitQueueTest, TransactionsBeyondTheirLimitLetOthersPass) {
  std::vector<Ticket> begun;
  for (int i = 0; i < 5; ++i) begun.push_back(Begin(0));
  const Ticket other = Add(Purpose::kAutocommit);
  EXPECT_EQ(queue_.eligible(), 5U);
  EXPECT_THAT(PopAll(), ElementsAre(begun[0], begun[1], begun[2], begun[3], other));
  EXPECT_EQ(queue_.eligible(), 0U);
  queue_.TransactionEnded();
  EXPECT_EQ(queue_.eligible(), 1U);
  EXPECT_THAT(PopAll(), ElementsAre(begun[4]));
}

TEST_F(WaitQueueTest, OneOwnerAloneHasAllPlacesAndOneOfSeveralThreeQuarters) {
  queue_.AddOwner();
  EXPECT_EQ(queue_.share(), 4U);
  queue_.AddOwner();
  EXPECT_EQ(queue_.share(), 3U);
  queue_.AddOwner();
  EXPECT_EQ(queue_.share(), 3U);
  queue_.RemoveOwner();
  queue_.RemoveOwner();
  EXPECT_EQ(queue_.share(), 4U);
  WaitQueue small(1);
  small.AddOwner();
  small.AddOwner();
  EXPECT_EQ(small.share(), 1U) << "never none";
}

TEST_F(WaitQueueTest, AnOwnerWithItsShareIsPassedOver) {
  queue_.AddOwner();
  queue_.AddOwner();
  std::vector<Ticket> ada;
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(queue_.HoldsBack(Purpose::kTransaction, kAda), i >= 3);
    ada.push_back(Begin(kAda));
  }
  EXPECT_FALSE(queue_.HoldsBack(Purpose::kAutocommit, kAda));
  EXPECT_FALSE(queue_.HoldsBack(Purpose::kTransaction, kBob));
  EXPECT_EQ(queue_.held_back(), 2U);
  EXPECT_EQ(queue_.in_line(), 3U);
  const Ticket bob = Begin(kBob);
  EXPECT_THAT(PopAll(), ElementsAre(ada[0], ada[1], ada[2], bob));
  EXPECT_FALSE(queue_.AdmitHeldBack());
  End(kAda);
  EXPECT_TRUE(queue_.AdmitHeldBack());
  EXPECT_THAT(PopAll(), ElementsAre(ada[3]));
  EXPECT_FALSE(queue_.AdmitHeldBack());
}

TEST_F(WaitQueueTest, ThoseWhoWereHeldBackComeBeforeWhoeverCameLater) {
  queue_.AddOwner();
  queue_.AddOwner();
  for (int i = 0; i < 3; ++i) Begin(kAda);
  (void)PopAll();
  const Ticket held_back = Begin(kAda);
  Begin(kBob);
  (void)PopAll();  // now all four places are taken
  const Ticket later = Begin(kBob);
  End(kAda);
  EXPECT_TRUE(queue_.AdmitHeldBack());
  EXPECT_THAT(PopAll(), ElementsAre(held_back));
  End(kAda);
  EXPECT_THAT(PopAll(), ElementsAre(later));
}

TEST_F(WaitQueueTest, TheShareGrowsWhenOthersGoAndShrinksForWhatComesNext) {
  queue_.AddOwner();
  std::vector<Ticket> ada;
  for (int i = 0; i < 4; ++i) ada.push_back(Begin(kAda));
  EXPECT_EQ(PopAll(), ada);
  queue_.AddOwner();
  End(kAda);
  const Ticket held_back = Begin(kAda);
  EXPECT_EQ(queue_.held_back(), 1U) << "it has three still";
  queue_.RemoveOwner();
  EXPECT_TRUE(queue_.AdmitHeldBack());
  EXPECT_THAT(PopAll(), ElementsAre(held_back));
}

TEST_F(WaitQueueTest, WithdrawalsTellWhereTheyWaited) {
  queue_.AddOwner();
  queue_.AddOwner();
  const Ticket other = Add(Purpose::kAutocommit);
  const Ticket line = Begin(kAda);
  Begin(kAda);
  Begin(kAda);
  const Ticket held_back = Begin(kAda);
  const Ticket next_held_back = Begin(kAda);
  EXPECT_TRUE(queue_.Waits(held_back));
  EXPECT_EQ(queue_.Withdraw(0), WaitQueue::Position::kNone);
  EXPECT_EQ(queue_.Withdraw(99), WaitQueue::Position::kNone);
  EXPECT_EQ(queue_.Withdraw(other), WaitQueue::Position::kInLine);
  EXPECT_EQ(queue_.Withdraw(held_back), WaitQueue::Position::kHeldBack);
  EXPECT_FALSE(queue_.Waits(held_back));
  EXPECT_EQ(queue_.Withdraw(held_back), WaitQueue::Position::kNone);
  EXPECT_EQ(queue_.Withdraw(line), WaitQueue::Position::kInLine);
  EXPECT_TRUE(queue_.AdmitHeldBack()) << "its place is free";
  EXPECT_EQ(queue_.Withdraw(next_held_back), WaitQueue::Position::kInLine);
  EXPECT_EQ(queue_.in_line(), 2U);
  EXPECT_EQ(queue_.held_back(), 0U);
}

TEST_F(WaitQueueTest, TheLastOneHeldBackMayGoWhenAllPlacesAreFreeAgain) {
  WaitQueue queue(1);
  queue.Add(Someone(Purpose::kTransaction, kAda));
  (void)queue.Pop();
  const Ticket held_back = queue.Add(Someone(Purpose::kTransaction, kAda));
  queue.TransactionEnded();
  queue.GiveBackPlace(kAda);
  EXPECT_EQ(queue.Withdraw(held_back), WaitQueue::Position::kHeldBack);
  EXPECT_FALSE(queue.HoldsBack(Purpose::kTransaction, kAda));
}

TEST_F(WaitQueueTest, AHolderThatKeptItsPlaceIsNeverHeldBack) {
  queue_.AddOwner();
  queue_.AddOwner();
  for (int i = 0; i < 3; ++i) Begin(kAda);
  (void)PopAll();
  EXPECT_FALSE(queue_.HoldsBack(Purpose::kTransaction, 0));
  const Ticket again = Begin(0);
  EXPECT_THAT(PopAll(), ElementsAre(again));
}

TEST_F(WaitQueueTest, WhoeverIsRemovedGivesItsPlaceBack) {
  queue_.AddOwner();
  queue_.AddOwner();
  for (int i = 0; i < 4; ++i) Begin(kAda);
  Add(Purpose::kAutocommit);
  EXPECT_EQ(queue_.RemoveIf([](Waiter& waiter) { return waiter.purpose == Purpose::kTransaction; }).size(), 3U);
  EXPECT_EQ(queue_.in_line(), 1U);
  EXPECT_TRUE(queue_.AdmitHeldBack());
  for (int i = 0; i < 3; ++i) Begin(kAda);
  EXPECT_EQ(queue_.held_back(), 1U);
  EXPECT_EQ(queue_.RemoveAll().size(), 5U);
  EXPECT_EQ(queue_.in_line() + queue_.held_back(), 0U);
  EXPECT_FALSE(queue_.HoldsBack(Purpose::kTransaction, kAda));
}

}  // namespace
}  // namespace engine::db::pool

// Who waits for a backend of their own, and who is next.
#ifndef ENGINE_DB_SERVER_POOL_WAIT_QUEUE_H_
#define ENGINE_DB_SERVER_POOL_WAIT_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/config/target.h"
#include "server/pool/lease.h"

namespace engine::db::pool {

// What a backend is wanted for. Each has its own share of the pool, so that neither starves the other.
enum class Purpose : uint8_t {
  kTransaction,  // at most all but one of the pool's backends, for a pool of two or more
  kAutocommit,
  kReads,  // autocommit, and the server refuses whatever writes, as it does for shared reads
};

// How often, and until when, opening a backend is tried again for somebody who waits for one.
struct RetryLimits {
  // As the settings of a call that began at `began` allow.
  RetryLimits(const config::RetrySettings& retry, absl::Time began)
      : max_attempts(retry.max_attempts), until(began + retry.budget) {}
  RetryLimits() = default;

  int max_attempts = 1;
  absl::Time until = absl::InfiniteFuture();
};

using Ticket = uint64_t;  // 0: none
using LeaseCallback = absl::AnyInvocable<void(absl::StatusOr<Lease>)>;

struct Waiter {
  Ticket ticket = 0;  // in the order of their coming
  Purpose purpose = Purpose::kAutocommit;
  OwnerId owner = 0;
  RetryLimits retry_limits;
  int connect_failures = 0;
  absl::Time asked_at;
  LeaseCallback callback;
};

// First come, first served, among those that may have a backend: transactions have their share of the pool, and so has
// each of several owners of those. Whoever comes when its owner's places are taken is held back until there is one.
// While one owner alone uses the pool, it has all places; otherwise three quarters of them: none can keep all others
// out, whatever it begins and never ends. Loop thread only.
class WaitQueue {
 public:
  enum class Position : uint8_t { kNone, kInLine, kHeldBack };

  // At most `transaction_limit` leases for transactions at a time.
  explicit WaitQueue(size_t transaction_limit) : transaction_limit_(transaction_limit) {}

  // Somebody begins or ceases to use the pool. Then AdmitHeldBack() may have something to do.
  void AddOwner() { ++owner_count_; }
  void RemoveOwner() { --owner_count_; }
  // How many transactions each owner may have now.
  [[nodiscard]] size_t share() const;
  // Whether one more transaction of that owner would be held back.
  [[nodiscard]] bool HoldsBack(Purpose purpose, OwnerId owner) const;

  // The waiter's ticket, which this sets, is its name from now on. A transaction takes one of its owner's places, if
  // that is not 0, and keeps it when it is popped.
  Ticket Add(Waiter waiter);
  [[nodiscard]] bool Waits(Ticket ticket) const;
  // Where it was before.
  Position Withdraw(Ticket ticket);

  // Who is to have the next backend; null when nobody may have one.
  [[nodiscard]] const Waiter* Next() const;
  // Takes Next() out. A transaction counts as running until TransactionEnded().
  [[nodiscard]] Waiter Pop();
  void TransactionEnded() { --transactions_; }
  // A place that Pop() has handed out. Then AdmitHeldBack() may have something to do.
  void GiveBackPlace(OwnerId owner);
  // Puts those who were held back and need not be any more in line, in the order of their coming. False: nobody.
  bool AdmitHeldBack();

  // Takes out those in line for whom `matches`, or everybody, also those held back.
  [[nodiscard]] std::vector<Waiter> RemoveIf(absl::FunctionRef<bool(Waiter&)> matches);
  [[nodiscard]] std::vector<Waiter> RemoveAll();

  [[nodiscard]] size_t in_line() const { return transactions_in_line_.size() + others_in_line_.size(); }
  [[nodiscard]] size_t held_back() const { return held_back_; }
  // How many of those in line may have a backend now, if there were enough of them.
  [[nodiscard]] size_t eligible() const;
  // Leases for transactions, now.
  [[nodiscard]] size_t transactions() const { return transactions_; }

 private:
  using Line = std::deque<Waiter>;  // by ticket
  struct Owner {
    size_t places_taken = 0;  // by leases, and by waiters in line
    absl::btree_map<Ticket, Waiter> held_back;
  };

  [[nodiscard]] static Line::const_iterator Find(const Line& line, Ticket ticket);
  [[nodiscard]] bool NextIsTransaction() const;

  const size_t transaction_limit_;
  Ticket next_ticket_ = 1;
  Line transactions_in_line_;
  Line others_in_line_;
  size_t transactions_ = 0;
  size_t owner_count_ = 0;
  absl::flat_hash_map<OwnerId, Owner> owners_;  // those with places or waiters
  size_t held_back_ = 0;
};

}  // namespace engine::db::pool

#endif  // ENGINE_DB_SERVER_POOL_WAIT_QUEUE_H_

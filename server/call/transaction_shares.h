// How many of a pool's backends one connection's transactions may hold, while others use the pool too.
#ifndef ENGINE_DB_SERVER_CALL_TRANSACTION_SHARES_H_
#define ENGINE_DB_SERVER_CALL_TRANSACTION_SHARES_H_

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "server/call/work.h"
#include "server/loop/event_loop.h"

namespace engine::db::call {

// Loop thread only. While one connection alone uses the pool, all of it is its share; otherwise three quarters of what
// transactions may hold: none can keep all others out, whatever it begins and never ends.
class TransactionShares {
 public:
  // The right to one open transaction, until it is destroyed. Move-only; must not outlive the TransactionShares.
  class Share {
   public:
    Share() = default;
    Share(Share&& other) noexcept;
    Share& operator=(Share&& other) noexcept;
    ~Share() { GiveBack(); }
    [[nodiscard]] bool held() const { return shares_ != nullptr; }
    void GiveBack();

   private:
    friend class TransactionShares;
    Share(TransactionShares* shares, std::string connection_id)
        : shares_(shares), connection_id_(std::move(connection_id)) {}
    TransactionShares* shares_ = nullptr;
    std::string connection_id_;
  };

  // `may_hold`: transactions in all, on the pool. So many calls may wait at a time.
  TransactionShares(loop::EventLoop& loop, size_t may_hold, size_t max_waiters);
  ~TransactionShares();
  TransactionShares(const TransactionShares&) = delete;
  TransactionShares& operator=(const TransactionShares&) = delete;

  void ConnectionOpened() { ++connections_; }
  void ConnectionClosed();

  // One that is not held when the connection has its share: the call waits, and `start` is called when it is its turn,
  // at the end of a round of the loop. An error when too many wait already.
  [[nodiscard]] absl::StatusOr<Share> Take(const std::string& connection_id, CallId call,
                                           absl::AnyInvocable<void(Share)> start);
  // It does not wait any more. False: it did not wait.
  bool Withdraw(const std::string& connection_id, CallId call);
  // What one connection may hold now.
  [[nodiscard]] size_t share() const;

 private:
  using Start = absl::AnyInvocable<void(Share)>;
  struct Holder {
    size_t held = 0;
    absl::btree_map<CallId, Start> waiting;  // in the order of their calling
  };

  void GiveBack(const std::string& connection_id);
  void StartWaiters();

  loop::EventLoop& loop_;
  const size_t may_hold_;
  const size_t max_waiters_;
  size_t waiting_ = 0;
  size_t connections_ = 0;
  absl::flat_hash_map<std::string, Holder> holders_;
  std::shared_ptr<TransactionShares*> self_;  // for a later round
};

}  // namespace engine::db::call

#endif  // ENGINE_DB_SERVER_CALL_TRANSACTION_SHARES_H_

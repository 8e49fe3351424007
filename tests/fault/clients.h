// Clients at work on the bank and the ledger, through the gateway, while faults happen around them.
#ifndef ENGINE_DB_TESTS_FAULT_CLIENTS_H_
#define ENGINE_DB_TESTS_FAULT_CLIENTS_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "engine_db/postgres_connector.h"
#include "tests/fault/ledger.h"

namespace engine::db::test {

// Which a client does at random.
struct ClientOptions {
  ConnectionConfig config;
  GatewayOptions gateway;
  int threads = 6;
  uint32_t seed = 1;
  // Now and then a call gets a deadline of 1 to 40 ms, or is cancelled while it runs.
  bool short_deadlines = true;
  // How long past its deadline a call may end.
  std::chrono::milliseconds allowed_overrun{250};
  // Texts that no error may hold: passwords, and what clients plant in parameters.
  std::vector<std::string> secrets;
};

// What the clients have seen so far.
struct ClientReport {
  std::map<std::string, int64_t> operations;  // by kind
  std::map<std::string, int64_t> errors;      // by kind of operation, reason and SQLSTATE
  int64_t reads_of_the_total = 0;
  int64_t resolved = 0;                        // a commit that was unknown at first, and told when it was repeated
  std::chrono::milliseconds worst_overrun{0};  // of a deadline, whatever the machine did
  std::chrono::milliseconds worst_pause{0};    // that this process was not run at all for
  // Lines, at most 50: a wrong total, another caller's session state, a broken stream, a secret in an error, a call
  // that outlived its deadline by more than it may without the machine being to blame.
  std::vector<std::string> violations;
  int64_t violation_count = 0;
};

// Threads with a connector each, all on one pool. They do at random: autocommitted inserts, transfers (begin, execute,
// commit; run_transaction; an atomic batch; the connector's current transaction), transactions that nobody ends, reads
// of the total, streams, and statements that leave session state behind. Every write is told to the ledger.
class Clients {
 public:
  Clients(Ledger& ledger, ClientOptions options);
  // As Stop().
  ~Clients();
  Clients(const Clients&) = delete;
  Clients& operator=(const Clients&) = delete;

  // Ends them, each after what it is at, and closes their connectors.
  void Stop();

  [[nodiscard]] ClientReport Report() const;
  // Operations that succeeded so far, of any kind.
  [[nodiscard]] int64_t succeeded() const { return succeeded_; }

 private:
  using Clock = std::chrono::steady_clock;
  using Random = std::mt19937;
  class Client;

  void WatchTheMachine();
  [[nodiscard]] std::chrono::milliseconds PauseSince(Clock::time_point begin) const;
  void Violation(const std::string& text);

  Ledger& ledger_;
  const ClientOptions options_;
  const Clock::time_point start_ = Clock::now();
  std::atomic<bool> stopping_ = false;
  std::atomic<int64_t> succeeded_ = 0;
  mutable std::mutex mutex_;
  ClientReport report_;
  std::vector<std::pair<Clock::time_point, std::chrono::milliseconds>> pauses_;  // when one ended, how long it was
  std::vector<std::thread> threads_;
};

}  // namespace engine::db::test

#endif  // ENGINE_DB_TESTS_FAULT_CLIENTS_H_

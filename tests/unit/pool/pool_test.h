// A pool over a scripted server, on a clock that the test turns, and those who want its backends.
#ifndef ENGINE_DB_TESTS_UNIT_POOL_POOL_TEST_H_
#define ENGINE_DB_TESTS_UNIT_POOL_POOL_TEST_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "server/base/failure.h"
#include "server/loop/blocking_executor.h"
#include "server/loop/event_loop.h"
#include "server/observe/metrics.h"
#include "server/pool/pool.h"
#include "server/sql/statement.h"
#include "tests/support/manual_clock.h"
#include "tests/support/scripted_backend.h"

namespace engine::db::test {

inline constexpr char kGuardOn[] = "SET default_transaction_read_only = on";
inline constexpr char kGuardOff[] = "RESET default_transaction_read_only";

// Somebody who asked for a backend.
struct Asker {
  pool::Ticket ticket = 0;
  bool answered = false;
  pool::Lease lease;
  absl::Status error;
};

class PoolTest : public ::testing::Test {
 protected:
  // Somebody who runs a shared read.
  class Reader final : public postgres::ResultReceiver {
   public:
    Reader(PoolTest& test, std::string name, const std::string& sql);
    Flow OnColumns(const PGresult&) override { return Flow::kContinue; }
    Flow OnRow(const PGresult&, int) override { return Flow::kContinue; }
    void OnEnd(const absl::StatusOr<postgres::Completion>& end) override;

    pool::SharedRead read;
    bool answered = false;
    absl::Status error;

   private:
    PoolTest& test_;
    const std::string name_;
  };

  PoolTest();
  // Nothing may be left that should not have happened.
  ~PoolTest() override;

  // With settings_, shared_reads_ and max_waiters_ as they are then.
  pool::Pool& MakePool();
  // So that so many backends are there and idle.
  void OpenBackends(size_t count);
  void Pass(absl::Duration time) { clock_.Advance(loop_, time); }

  Asker& Ask(std::string name, pool::Purpose purpose = pool::Purpose::kAutocommit, pool::OwnerId owner = 0,
             const pool::RetryLimits& retry_limits = ManyAttempts());
  Reader& Read(const std::string& name, const std::string& sql = "SELECT 1");
  // Runs a statement on a lease, as a call does.
  void Run(pool::Lease& lease, const std::string& sql, pool::OwnerId owner = 1);
  // The names of those who were answered, in order; with a reason where it was an error.
  std::vector<std::string> Served();
  // What a backend was asked, since the last time.
  std::vector<std::string> Sent(size_t backend);
  [[nodiscard]] pool::PoolCounts Counts() const { return pool_->Counts(); }

  // Waits for ever, whatever fails.
  static pool::RetryLimits ManyAttempts();
  static std::shared_ptr<const sql::Statement> Statement(const std::string& sql);

  ManualClock clock_;
  loop::EventLoop loop_{clock_};
  loop::BlockingExecutor executor_{"pool-test", 1};
  ScriptedServer server_{loop_};
  observe::Metrics metrics_{"test"};
  std::unique_ptr<observe::PoolMetrics> pool_metrics_;
  config::TargetSettings settings_;
  config::SharedReads shared_reads_;
  size_t max_waiters_ = 100;
  std::unique_ptr<pool::Pool> pool_;
  std::list<Asker> askers_;
  std::list<Reader> readers_;
  std::vector<std::string> served_;
  std::map<size_t, size_t> seen_;  // how much of each backend's log
};

}  // namespace engine::db::test

#endif  // ENGINE_DB_TESTS_UNIT_POOL_POOL_TEST_H_

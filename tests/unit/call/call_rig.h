// One target of one shard on a loop that the test turns by hand, and calls to it: server/call without sockets, threads'
// timing, or waiting.
//
//   CallRecord& call = Start(Autocommit("SELECT n FROM t"));
//   Pass(absl::Milliseconds(20));
//   EXPECT_EQ(Told(call), "OK");
//   EXPECT_THAT(TakeLog(), ElementsAre("1 (guard)", "1 SELECT n FROM t"));
//
// What depends on the shape of a call's plan or of its errors stands here and nowhere in the tests.
#ifndef ENGINE_DB_TESTS_UNIT_CALL_CALL_RIG_H_
#define ENGINE_DB_TESTS_UNIT_CALL_CALL_RIG_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/db/v1/connector.pb.h"
#include "server/call/call.h"
#include "server/call/call_plan.h"
#include "server/call/context.h"
#include "server/call/handle.h"
#include "server/call/shard.h"
#include "server/call/target.h"
#include "server/config/settings.h"
#include "server/config/target.h"
#include "server/loop/blocking_executor.h"
#include "server/loop/event_loop.h"
#include "server/observe/metrics.h"
#include "server/postgres/commit_fate.h"
#include "server/postgres/elsewhere.h"
#include "server/postgres/results.h"
#include "server/postgres/server_probe.h"
#include "server/sql/statement_cache.h"
#include "tests/support/manual_clock.h"
#include "tests/support/scripted_backend.h"

namespace engine::db::test {

using call::CallPlan;
using call::PlannedStatement;
using call::StopReason;
using postgres::CommitFate;
using postgres::Elsewhere;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// "ABORTED 40001 ROLLED_BACK retryable": the code, PostgreSQL's SQLSTATE or else the reason, the outcome; "OK".
[[nodiscard]] std::string Describe(const absl::Status& status);

// A call that was started, and how it ended.
struct CallRecord {
  call::CallId id = 0;
  absl::Time started;
  std::optional<call::CallEnd> end;
  absl::Time answered_at;
  int answers = 0;
  // What its statements returned, by their index.
  std::deque<v1::ExecuteResponse> responses;
  // Of a stream: rows that were handed on; whether its reader takes no more for now.
  size_t streamed_rows = 0;
  bool reader_stalls = false;
  // Errors of an independent batch's statements, by their index.
  std::vector<std::string> failures;
};

class CallRig : public ::testing::Test {
 protected:
  CallRig();
  ~CallRig() override;

  // --- the target: settings may be changed before it is first used, which connects (backend 1) and asks the server
  // what it is.
  call::Target& target();

  // --- plans

  static constexpr const char* kConnection = "c-1";

  // Without statements; 30 s until its deadline.
  [[nodiscard]] CallPlan MakePlan() const;
  [[nodiscard]] PlannedStatement MakeStatement(const std::string& sql);
  [[nodiscard]] CallPlan Autocommit(const std::string& sql);
  [[nodiscard]] CallPlan Stream(const std::string& sql);
  // As exactly_once makes of a write: BEGIN, the statement, COMMIT.
  [[nodiscard]] CallPlan OwnTransaction(const std::string& sql);
  [[nodiscard]] CallPlan In(const std::string& transaction, const std::string& sql);
  [[nodiscard]] CallPlan StreamIn(const std::string& transaction, const std::string& sql);
  [[nodiscard]] CallPlan Commit(const std::string& transaction) const;
  [[nodiscard]] CallPlan Rollback(const std::string& transaction) const;
  [[nodiscard]] CallPlan AskOutcome(const std::string& transaction) const;
  // Statements that each commit or fail on their own.
  [[nodiscard]] CallPlan Batch(const std::vector<std::string>& sql);
  // Three phases, as an idempotency key makes them: takes the key, runs the statement, keeps the answer.
  // `key_is_new`: whether the key is taken by this attempt; asked at each.
  [[nodiscard]] CallPlan WithKey(const std::string& sql, std::function<bool()> key_is_new);

  // --- calls

  CallRecord& Start(CallPlan plan);
  CallRecord& Start(CallPlan plan, absl::Duration timeout);
  // Starts it and lets everything happen that needs no time.
  CallRecord& Run(CallPlan plan);
  void Stop(const CallRecord& call, StopReason reason);
  // A stream's reader takes no more from the next message on, and goes on.
  void Stall(CallRecord& call) { call.reader_stalls = true; }
  void ReadOn(CallRecord& call);
  // Begins a transaction and returns its handle.
  std::string Begin(v1::TransactionOptions options = {});

  // "open" while it has no answer, else Describe(); with the transaction's state, if it is told of one: "OK OPEN".
  [[nodiscard]] static std::string Told(const CallRecord& call);
  // When it was answered, in milliseconds since its start; -1 while it was not.
  [[nodiscard]] static int64_t AnsweredAfterMs(const CallRecord& call);
  [[nodiscard]] static std::string Token(const CallRecord& call);
  // Whether it has not ended, though it may have been answered.
  [[nodiscard]] bool Lives(const CallRecord& call) { return shard_.FindCall(call.id) != nullptr; }
  [[nodiscard]] size_t open_transactions() { return target().transactions().size(); }

  // --- time

  // Everything that is due now, and what that leads to; questions to servers are answered.
  void Settle();
  // The same while time passes, each timer at its own time.
  void Pass(absl::Duration time);

  // --- the server

  // What it says of a transaction's id from now on; 0: none was given.
  void SetTransactionId(uint64_t xid);
  // The next time, and the time after that.
  void NextTransactionId(uint64_t xid);
  // By what the database's statements may act elsewhere.
  void SetSurroundings(postgres::Surroundings surroundings);
  // What it answers to questions about COMMITs: the next ones in this order; then `otherwise`.
  void NextFate(absl::StatusOr<CommitFate> fate);
  void FatesOtherwise(absl::StatusOr<CommitFate> fate);
  [[nodiscard]] std::vector<postgres::CommitQuestion> questions() const;

  // ScriptedServer::Log() since the last time, in which the gateway's own texts are short: "1 (mark)", "1 (guard)",
  // "1 (unguard)", "1 (seed)". Sync or not is left out.
  std::vector<std::string> TakeLog();

  ManualClock clock_;
  loop::EventLoop loop_{clock_};
  ScriptedServer server_{loop_};
  config::GatewaySettings settings_;
  config::TargetSettings target_settings_;
  postgres::ServerInfo server_info_;
  postgres::ResultLimits result_limits_;
  observe::Metrics metrics_{"test"};

 private:
  [[nodiscard]] absl::StatusOr<std::vector<CommitFate>> AnswerQuestions(
      const std::vector<postgres::CommitQuestion>& asked);
  [[nodiscard]] Answer MarkAnswer(uint64_t xid) const;
  void WaitForExecutor();

  call::HandleMaker handles_;
  loop::BlockingExecutor executor_{"questions", 1};
  call::Context context_;

 protected:
  call::Shard shard_{loop_, context_};

 private:
  std::atomic<size_t> asked_{0};
  size_t settled_ = 0;
  mutable absl::Mutex mutex_;
  std::deque<absl::StatusOr<CommitFate>> next_fates_ ABSL_GUARDED_BY(mutex_);
  absl::StatusOr<CommitFate> fates_otherwise_ ABSL_GUARDED_BY(mutex_) = CommitFate::kUnknown;
  std::vector<postgres::CommitQuestion> questions_ ABSL_GUARDED_BY(mutex_);
  sql::StatementCache statements_;
  std::deque<CallRecord> calls_;
  uint64_t xid_ = 700;
  call::Target* target_ = nullptr;
};

}  // namespace engine::db::test

#endif  // ENGINE_DB_TESTS_UNIT_CALL_CALL_RIG_H_

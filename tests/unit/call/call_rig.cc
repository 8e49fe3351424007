#include "tests/unit/call/call_rig.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/notification.h"
#include "server/base/failure.h"
#include "server/observe/log.h"
#include "server/postgres/sqlstate.h"
#include "server/sql/bind.h"

namespace engine::db::test {
namespace {

constexpr char kMark[] = "SELECT pg_catalog.pg_current_xact_id_if_assigned()";

const char* NameOfOutcome(Outcome outcome) {
  switch (outcome) {
    case Outcome::kUnspecified:
      return "-";
    case Outcome::kNotExecuted:
      return "NOT_EXECUTED";
    case Outcome::kRolledBack:
      return "ROLLED_BACK";
    case Outcome::kCommitted:
      return "COMMITTED";
    case Outcome::kUnknown:
      return "UNKNOWN";
  }
  return "?";
}

std::string Level(Elsewhere level) { return absl::StrCat(static_cast<int>(level)); }

}  // namespace

std::string Describe(const absl::Status& status) {
  if (status.ok()) return "OK";
  const Failure failure = FailureOf(status);
  const std::string_view reason = NameOf(failure.reason);
  const std::string what = failure.reason == Reason::kPostgresqlError ? failure.sqlstate : std::string(reason);
  return absl::StrCat(absl::StatusCodeToString(status.code()), " ", what, " ", NameOfOutcome(failure.outcome),
                      failure.retryable ? " retryable" : "");
}

CallRig::CallRig()
    : context_{settings_,
               metrics_,
               handles_,
               executor_,
               executor_,
               call::Servers{.make_backends = [this](loop::EventLoop&, loop::BlockingExecutor&,
                                                     const config::TargetSettings&) { return server_.MakeFactory(); },
                             .probe = [this](const postgres::ConnectParameters&,
                                             absl::Duration) -> absl::StatusOr<postgres::ServerInfo> {
                               ++asked_;
                               return server_info_;
                             },
                             .ask_commit_fates = [this](const postgres::ConnectParameters&,
                                                        const std::vector<postgres::CommitQuestion>& asked,
                                                        absl::Duration) { return AnswerQuestions(asked); }}} {
  observe::SetLogLevel(observe::LogLevel::kOff);
  target_settings_.host = "scripted";
  target_settings_.max_pool_size = 4;
  server_info_.version_number = 150'000;
  server_info_.system_identifier = 7;
  server_info_.types = std::make_shared<const postgres::TypeCatalog>(
      std::vector<std::pair<uint32_t, std::string>>{{23, "integer"}, {25, "text"}});
  // Only because a result's digest is of its columns, and the default answer has none.
  server_.Always("SELECT", Answer::Rows({{"n"}}, {{"1"}}));
  SetTransactionId(xid_);
}

CallRig::~CallRig() {
  executor_.Stop();
  shard_.Clear();
  loop_.RunDue();
}

call::Target& CallRig::target() {
  if (target_ != nullptr) return *target_;
  target_ = &shard_.OpenTarget(1, target_settings_);
  target_->pool().AddOwner();
  target_->server().Connect(clock_.Now() + absl::Seconds(1), [](const absl::StatusOr<postgres::ServerInfo>&) {});
  Settle();
  TakeLog();
  return *target_;
}

// --- plans

CallPlan CallRig::MakePlan() const {
  CallPlan plan;
  plan.connection_id = kConnection;
  plan.retry = target_settings_.retry;
  plan.deadline = clock_.Now() + absl::Seconds(30);
  return plan;
}

PlannedStatement CallRig::MakeStatement(const std::string& sql) {
  PlannedStatement statement;
  absl::StatusOr<std::shared_ptr<const sql::Statement>> read = statements_.Get(sql);
  EXPECT_TRUE(read.ok()) << sql << ": " << read.status();
  absl::StatusOr<sql::BoundStatement> bound = sql::Bind(*std::move(read), {});
  EXPECT_TRUE(bound.ok()) << sql << ": " << bound.status();
  statement.bound = *std::move(bound);
  return statement;
}

CallPlan CallRig::Autocommit(const std::string& sql) {
  CallPlan plan = MakePlan();
  plan.statements.push_back(MakeStatement(sql));
  return plan;
}

CallPlan CallRig::Stream(const std::string& sql) {
  CallPlan plan = Autocommit(sql);
  plan.streams = true;
  return plan;
}

CallPlan CallRig::OwnTransaction(const std::string& sql) {
  CallPlan plan = Autocommit(sql);
  plan.begin.emplace();
  plan.ending = call::Ending::kCommit;
  plan.exactly_once = true;
  return plan;
}

CallPlan CallRig::In(const std::string& transaction, const std::string& sql) {
  CallPlan plan = Autocommit(sql);
  plan.transaction_id = transaction;
  return plan;
}

CallPlan CallRig::StreamIn(const std::string& transaction, const std::string& sql) {
  CallPlan plan = In(transaction, sql);
  plan.streams = true;
  return plan;
}

CallPlan CallRig::Commit(const std::string& transaction) const {
  CallPlan plan = MakePlan();
  plan.transaction_id = transaction;
  plan.ending = call::Ending::kCommit;
  return plan;
}

CallPlan CallRig::Rollback(const std::string& transaction) const {
  CallPlan plan = Commit(transaction);
  plan.ending = call::Ending::kRollback;
  return plan;
}

CallPlan CallRig::AskOutcome(const std::string& transaction) const {
  CallPlan plan = MakePlan();
  plan.transaction_id = transaction;
  plan.asks_outcome = true;
  return plan;
}

CallPlan CallRig::Batch(const std::vector<std::string>& sql) {
  CallPlan plan = MakePlan();
  plan.independent = true;
  for (const std::string& one : sql) plan.statements.push_back(MakeStatement(one));
  return plan;
}

CallPlan CallRig::WithKey(const std::string& sql, std::function<bool()> key_is_new) {
  CallPlan plan = MakePlan();
  plan.begin.emplace();
  plan.ending = call::Ending::kCommit;
  plan.statements.push_back(MakeStatement("INSERT INTO keys VALUES (1)"));
  plan.statements.push_back(MakeStatement(sql));
  plan.statements.push_back(MakeStatement("UPDATE keys SET response = 2"));
  plan.statements.front().internal = plan.statements.back().internal = true;
  plan.phase_ends = {1, 2, 3};
  plan.after_phase = [key_is_new = std::move(key_is_new)](CallPlan&, size_t phase) -> absl::StatusOr<bool> {
    return phase > 0 || key_is_new();
  };
  return plan;
}

// --- calls

CallRecord& CallRig::Start(CallPlan plan) {
  call::Target& to = target();
  CallRecord& record = calls_.emplace_back();
  record.id = calls_.size();
  record.started = clock_.Now();
  record.responses.resize(plan.statements.size());
  record.failures.resize(plan.statements.size());
  for (size_t i = 0; i < plan.statements.size(); ++i) {
    if (plan.streams) {
      plan.statements[i].receive = [&record](call::Attempt& attempt,
                                             postgres::EndCallback end) -> std::unique_ptr<postgres::ResultReceiver> {
        using Flow = postgres::ResultReceiver::Flow;
        const auto write = [&record, &attempt](const std::unique_ptr<v1::ExecuteStreamResponse>& message) {
          if (attempt.stopping()) {
            attempt.NoteRowsDropped();
            return Flow::kContinue;
          }
          record.streamed_rows += static_cast<size_t>(message->rows_size());
          if (!record.reader_stalls) return Flow::kContinue;
          attempt.NoteStreamPaused();
          return Flow::kPause;
        };
        return std::make_unique<postgres::StreamedResult>(v1::RESULT_FORMAT_ROWS, /*batch_rows=*/1, attempt.Types(),
                                                          write, std::move(end));
      };
    } else {
      plan.statements[i].receive = [this, i, &record](
                                       call::Attempt& attempt,
                                       postgres::EndCallback end) -> std::unique_ptr<postgres::ResultReceiver> {
        record.responses[i].Clear();
        return std::make_unique<postgres::CollectedResult>(
            v1::RESULT_FORMAT_ROWS, result_limits_, attempt.Types(), record.responses[i],
            [&attempt] { attempt.OnOverflow(); }, std::move(end));
      };
    }
    plan.statements[i].failed = [i, &record](const absl::Status& status) { record.failures[i] = Describe(status); };
  }
  plan.finish = [this, &record](call::CallEnd end) {
    ++record.answers;
    record.answered_at = clock_.Now();
    record.end = std::move(end);
  };
  shard_.StartCall(record.id, to, std::move(plan));
  return record;
}

CallRecord& CallRig::Start(CallPlan plan, absl::Duration timeout) {
  plan.deadline = clock_.Now() + timeout;
  return Start(std::move(plan));
}

CallRecord& CallRig::Run(CallPlan plan) {
  CallRecord& record = Start(std::move(plan));
  Settle();
  return record;
}

void CallRig::Stop(const CallRecord& call, StopReason reason) {
  if (call::Call* running = shard_.FindCall(call.id)) running->Stop(reason);
}

void CallRig::ReadOn(CallRecord& call) {
  call.reader_stalls = false;
  if (call::Call* running = shard_.FindCall(call.id)) running->ResumeStream();
}

std::string CallRig::Begin(v1::TransactionOptions options) {
  CallPlan plan = MakePlan();
  plan.begin = std::move(options);
  const CallRecord& begun = Run(std::move(plan));
  EXPECT_EQ(Told(begun), "OK OPEN");
  TakeLog();
  if (!begun.end.has_value() || !begun.end->transaction.has_value()) return "";
  return begun.end->transaction->transaction_id();
}

std::string CallRig::Told(const CallRecord& call) {
  EXPECT_LE(call.answers, 1);
  if (!call.end.has_value()) return "open";
  std::string told = Describe(call.end->status);
  if (call.end->transaction.has_value()) {
    const std::string& name = v1::TransactionState_Name(call.end->transaction->state());
    absl::StrAppend(&told, " ", absl::StripPrefix(name, "TRANSACTION_STATE_"));
  }
  return told;
}

int64_t CallRig::AnsweredAfterMs(const CallRecord& call) {
  return call.end.has_value() ? absl::ToInt64Milliseconds(call.answered_at - call.started) : -1;
}

std::string CallRig::Token(const CallRecord& call) {
  return call.end.has_value() && call.end->transaction.has_value() ? call.end->transaction->recovery_token() : "";
}

// --- time

void CallRig::WaitForExecutor() {
  absl::Notification reached;
  executor_.Run([&reached] { reached.Notify(); });
  reached.WaitForNotification();
}

void CallRig::Settle() {
  for (;;) {
    loop_.RunDue();
    WaitForExecutor();
    // What was asked before the last round was answered within it.
    if (std::exchange(settled_, asked_) == asked_) break;
  }
}

void CallRig::Pass(absl::Duration time) {
  const absl::Time end = clock_.Now() + time;
  Settle();
  while (loop_.NextTimer() <= end) {
    clock_.Turn(std::max(absl::ZeroDuration(), loop_.NextTimer() - clock_.Now()));
    Settle();
  }
  clock_.Turn(end - clock_.Now());
}

// --- the server

Answer CallRig::MarkAnswer(uint64_t xid) const {
  const std::optional<std::string> id = xid == 0 ? std::nullopt : std::optional(absl::StrCat(xid));
  const postgres::Surroundings& around = server_info_.surroundings;
  std::vector<Answer::Column> columns = {{"had"},  {"id"},      {"timeline"}, {"since"},
                                         {"sync"}, {"foreign"}, {"functions"}};
  Answer::Row row = {id, id, "00000001", "1000", "on", Level(around.foreign), Level(around.functions)};
  if (around.any()) {
    columns.insert(columns.end(), {{"foreign_part"}, {"calls"}});
    row.insert(row.end(), {Level(around.foreign), around.functions == Elsewhere::kNothing ? "f" : "t"});
  }
  return Answer::Rows(std::move(columns), {std::move(row)});
}

void CallRig::NextTransactionId(uint64_t xid) { server_.Once(kMark, MarkAnswer(xid)); }

void CallRig::SetTransactionId(uint64_t xid) {
  xid_ = xid;
  server_.Always(kMark, MarkAnswer(xid));
}

void CallRig::SetSurroundings(postgres::Surroundings surroundings) {
  server_info_.surroundings = surroundings;
  SetTransactionId(xid_);
}

void CallRig::NextFate(absl::StatusOr<CommitFate> fate) {
  absl::MutexLock lock(&mutex_);
  next_fates_.push_back(std::move(fate));
}

void CallRig::FatesOtherwise(absl::StatusOr<CommitFate> fate) {
  absl::MutexLock lock(&mutex_);
  fates_otherwise_ = std::move(fate);
}

std::vector<postgres::CommitQuestion> CallRig::questions() const {
  absl::MutexLock lock(&mutex_);
  return questions_;
}

absl::StatusOr<std::vector<CommitFate>> CallRig::AnswerQuestions(const std::vector<postgres::CommitQuestion>& asked) {
  ++asked_;
  absl::MutexLock lock(&mutex_);
  std::vector<CommitFate> fates;
  for (const postgres::CommitQuestion& question : asked) {
    questions_.push_back(question);
    absl::StatusOr<CommitFate> fate = fates_otherwise_;
    if (!next_fates_.empty()) {
      fate = std::move(next_fates_.front());
      next_fates_.pop_front();
    }
    if (!fate.ok()) return fate.status();
    fates.push_back(*fate);
  }
  return fates;
}

std::vector<std::string> CallRig::TakeLog() {
  static constexpr std::pair<absl::string_view, absl::string_view> kShort[] = {
      {kMark, "(mark)"},
      {"SET default_transaction_read_only = on", "(guard)"},
      {"RESET default_transaction_read_only", "(unguard)"},
      {"SELECT pg_catalog.pg_advisory_unlock_all(), pg_catalog.setseed", "(seed)"},
  };
  std::vector<std::string> log;
  for (const std::string& entry : server_.Log()) {
    const size_t space = entry.find(' ');
    const absl::string_view text = absl::StripSuffix(absl::string_view(entry).substr(space + 1), " ...");
    const auto shortened = std::find_if(std::begin(kShort), std::end(kShort),
                                        [&](const auto& one) { return absl::StartsWith(text, one.first); });
    if (text == "(sync)" || text == "(resume)") continue;
    log.push_back(absl::StrCat(entry.substr(0, space + 1), shortened == std::end(kShort) ? text : shortened->second));
  }
  server_.ClearLog();
  return log;
}

}  // namespace engine::db::test

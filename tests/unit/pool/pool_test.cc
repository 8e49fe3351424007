#include "tests/unit/pool/pool_test.h"

#include <cstddef>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/reason.h"
#include "server/postgres/command_text.h"

namespace engine::db::test {
namespace {

std::string Told(const std::string& name, const absl::Status& status) {
  if (status.ok()) return name;
  const Failure failure = FailureOf(status);
  const std::string reason(NameOf(failure.reason));
  return absl::StrCat(name, ": ", failure.sqlstate.empty() ? reason : failure.sqlstate);
}

}  // namespace

PoolTest::Reader::Reader(PoolTest& test, std::string name, const std::string& sql)
    : test_(test), name_(std::move(name)) {
  read.text = postgres::CommandText(sql);
  read.receiver = this;
  read.retry_limits = ManyAttempts();
}

void PoolTest::Reader::OnEnd(const absl::StatusOr<postgres::Completion>& end) {
  test_.pool_->ReadEnded(read);
  answered = true;
  error = end.status();
  test_.served_.push_back(Told(name_, error));
}

PoolTest::PoolTest() {
  settings_.max_pool_size = 2;
  // With full jitter, one that is shorter than the longest delay between two openings is out of the question.
  settings_.retry.initial_delay = settings_.retry.max_delay = absl::Hours(100'000);
}

PoolTest::~PoolTest() {
  if (pool_ == nullptr) return;
  EXPECT_EQ(pool_->internal_errors(), 0U);
  pool_->Close();
  askers_.clear();
  pool_.reset();
  loop_.RunDue();
}

pool::Pool& PoolTest::MakePool() {
  pool_metrics_ = metrics_.AddPool("test");
  pool_ = std::make_unique<pool::Pool>(loop_, executor_, server_.MakeFactory(), settings_, shared_reads_, max_waiters_,
                                       *pool_metrics_);
  return *pool_;
}

void PoolTest::OpenBackends(size_t count) {
  if (pool_ == nullptr) MakePool();
  std::vector<Asker*> opening;
  for (size_t i = 0; i < count; ++i) {
    opening.push_back(&Ask("opening"));
    loop_.RunDue();
  }
  for (Asker* asker : opening) asker->lease.Release();
  loop_.RunDue();
  ASSERT_EQ(Counts().idle, count);
  askers_.clear();
  served_.clear();
  server_.ClearLog();
  seen_.clear();
}

Asker& PoolTest::Ask(std::string name, pool::Purpose purpose, pool::OwnerId owner,
                     const pool::RetryLimits& retry_limits) {
  Asker& asker = askers_.emplace_back();
  asker.ticket = pool_->Acquire(purpose, owner, retry_limits,
                                [this, &asker, name = std::move(name)](absl::StatusOr<pool::Lease> lease) {
                                  EXPECT_FALSE(asker.answered) << name;
                                  asker.answered = true;
                                  asker.error = lease.status();
                                  served_.push_back(Told(name, asker.error));
                                  if (lease.ok()) asker.lease = *std::move(lease);
                                });
  EXPECT_EQ(asker.ticket == 0, asker.answered);
  return asker;
}

PoolTest::Reader& PoolTest::Read(const std::string& name, const std::string& sql) {
  Reader& reader = readers_.emplace_back(*this, name, sql);
  const absl::Status status = pool_->RunRead(reader.read);
  if (!status.ok()) served_.push_back(Told(name, status));
  return reader;
}

namespace {

constexpr char kLastOfReset[] = "DISCARD SEQUENCES ...";

}  // namespace

void PoolTest::Run(pool::Lease& lease, const std::string& sql, pool::OwnerId owner) {
  const auto statement = Statement(sql);
  lease.WillRun(statement, owner);
  lease.backend().Run({.text = statement->text()});
  lease.HasSent(*statement);
}

std::vector<std::string> PoolTest::Served() { return std::exchange(served_, {}); }

std::vector<std::string> PoolTest::Sent(size_t backend) {
  std::vector<std::string> sent = server_.LogOf(backend);
  size_t& seen = seen_[backend];
  sent.erase(sent.begin(), sent.begin() + static_cast<std::ptrdiff_t>(std::exchange(seen, sent.size())));
  std::vector<std::string> told;
  for (auto text = sent.begin(); text != sent.end(); ++text) {
    if (*text == "CLOSE ALL ...") {
      told.emplace_back("(reset)");
      while (*text != kLastOfReset) ++text;
    } else if (absl::StrContains(*text, "pg_prepared_statements")) {
      told.emplace_back("(check prepared)");
    } else {
      told.push_back(absl::StrContains(*text, "setseed") ? "(new seed)" : *text);
    }
  }
  return told;
}

pool::RetryLimits PoolTest::ManyAttempts() {
  pool::RetryLimits retry_limits;
  retry_limits.max_attempts = 1'000'000;
  return retry_limits;
}

std::shared_ptr<const sql::Statement> PoolTest::Statement(const std::string& sql) { return sql::Analyze(sql).value(); }

}  // namespace engine::db::test

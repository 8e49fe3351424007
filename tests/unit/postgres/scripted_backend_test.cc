// The scripted backend keeps what Backend promises: the layers above are tested against it.
#include "tests/support/scripted_backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <libpq-fe.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/failure.h"
#include "server/postgres/command_text.h"
#include "server/postgres/sqlstate.h"
#include "tests/support/manual_clock.h"

namespace engine::db::test {
namespace {

using postgres::Backend;
using postgres::Completion;
using postgres::ResultReceiver;
using ::testing::ElementsAre;

// Writes down what it is told.
class Recorder final : public ResultReceiver {
 public:
  explicit Recorder(std::vector<std::string>& said, bool pauses = false) : said_(said), pauses_(pauses) {}

  Flow OnColumns(const PGresult& header) override {
    said_.push_back(absl::StrCat("columns ", PQfname(&header, 0)));
    return Flow::kContinue;
  }
  Flow OnRow(const PGresult& result, int row) override {
    const bool null = PQgetisnull(&result, row, 0) != 0;
    said_.push_back(absl::StrCat("row ", null ? "NULL" : PQgetvalue(&result, row, 0)));
    return pauses_ ? Flow::kPause : Flow::kContinue;
  }
  void OnEnd(const absl::StatusOr<Completion>& end) override {
    if (end.ok()) {
      said_.push_back(absl::StrCat("end ", end->command_tag));
    } else {
      const Failure failure = FailureOf(end.status());
      const std::string_view reason = NameOf(failure.reason);
      said_.push_back(absl::StrCat("end ", failure.sqlstate.empty() ? std::string(reason) : failure.sqlstate));
    }
  }

 private:
  std::vector<std::string>& said_;
  const bool pauses_;
};

class ScriptedBackendTest : public ::testing::Test {
 protected:
  std::unique_ptr<Backend> Open() {
    Backend::Events events;
    events.opened = [this](const absl::Status& status) {
      said_.push_back(absl::StrCat("opened ", std::string(NameOf(ReasonOf(status)))));
    };
    events.drained = [this] { said_.push_back("drained"); };
    events.lost = [this](const absl::Status& status) {
      said_.push_back(absl::StrCat("lost ", std::string(NameOf(ReasonOf(status)))));
    };
    return factory_->Open("secret", loop_.Now() + absl::Seconds(1), std::move(events));
  }
  std::unique_ptr<Backend> Opened() {
    std::unique_ptr<Backend> backend = Open();
    loop_.RunDue();
    said_.clear();
    return backend;
  }
  Backend::OperationId Run(Backend& backend, const std::string& text, bool sync = true, bool pauses = false) {
    receivers_.push_back(std::make_unique<Recorder>(said_, pauses));
    postgres::Operation operation;
    operation.text = postgres::CommandText(text);
    operation.receiver = receivers_.back().get();
    operation.sync = sync;
    return backend.Run(operation);
  }
  std::vector<std::string> Said() { return std::exchange(said_, {}); }

  ManualClock clock_;
  loop::EventLoop loop_{clock_};
  ScriptedServer server_{loop_};
  std::unique_ptr<postgres::BackendFactory> factory_ = server_.MakeFactory();
  std::vector<std::string> said_;
  std::vector<std::unique_ptr<Recorder>> receivers_;
};

TEST_F(ScriptedBackendTest, OpensAsTheScriptSays) {
  server_.NextOpening({.status = {}, .takes = absl::Milliseconds(10)});
  server_.NextOpening({.status = postgres::ConnectFailed("t", "refused", ""), .takes = {}});
  server_.NextOpening({.status = {}, .takes = absl::Seconds(2)});
  const std::unique_ptr<Backend> slow = Open();
  clock_.Advance(loop_, absl::Milliseconds(9));
  EXPECT_THAT(Said(), ElementsAre());
  clock_.Advance(loop_, absl::Milliseconds(1));
  EXPECT_THAT(Said(), ElementsAre("opened "));
  EXPECT_TRUE(slow->usable());
  const std::unique_ptr<Backend> refused = Open();
  loop_.RunDue();
  EXPECT_THAT(Said(), ElementsAre("opened UNREACHABLE"));
  const std::unique_ptr<Backend> late = Open();
  clock_.Advance(loop_, absl::Milliseconds(999));
  EXPECT_THAT(Said(), ElementsAre());
  clock_.Advance(loop_, absl::Milliseconds(1));
  EXPECT_THAT(Said(), ElementsAre("opened UNREACHABLE"));
  EXPECT_THAT(server_.passwords(), ElementsAre("secret", "secret", "secret"));
}

TEST_F(ScriptedBackendTest, AnswersInOrderWithRealResults) {
  server_.Always("SELECT", Answer::Rows({{"n"}}, {{"1"}, {std::nullopt}}).After(absl::Milliseconds(5)));
  const std::unique_ptr<Backend> backend = Opened();
  Run(*backend, "SELECT n FROM t");
  Run(*backend, "DELETE FROM t");
  EXPECT_TRUE(backend->flush_planned());
  clock_.Advance(loop_, absl::Milliseconds(4));
  EXPECT_THAT(Said(), ElementsAre());
  clock_.Advance(loop_, absl::Milliseconds(1));
  EXPECT_THAT(Said(), ElementsAre("columns n", "row 1", "row NULL", "end SELECT 2", "end DELETE", "drained"));
  EXPECT_THAT(server_.Log(), ElementsAre("1 SELECT n FROM t", "1 DELETE FROM t"));
}

TEST_F(ScriptedBackendTest, AFailureSkipsUpToTheNextSync) {
  server_.Once("INSERT", Answer::Fails("23505"));
  const std::unique_ptr<Backend> backend = Opened();
  Run(*backend, "BEGIN", /*sync=*/false);
  Run(*backend, "INSERT", /*sync=*/false);
  Run(*backend, "SELECT 1");
  Run(*backend, "SELECT 2");
  Run(*backend, "ROLLBACK");
  loop_.RunDue();
  EXPECT_THAT(Said(), ElementsAre("end BEGIN", "end 23505", "end ", "end 25P02", "end ROLLBACK", "drained"));
  EXPECT_FALSE(backend->in_transaction());
}

TEST_F(ScriptedBackendTest, FollowsTheTransaction) {
  const std::unique_ptr<Backend> backend = Opened();
  Run(*backend, "BEGIN");
  loop_.RunDue();
  EXPECT_TRUE(backend->in_transaction());
  server_.Once("SELECT", Answer::Fails("22012"));
  Run(*backend, "SELECT 1/0");
  loop_.RunDue();
  EXPECT_TRUE(backend->transaction_failed());
  Run(*backend, "ROLLBACK TO SAVEPOINT s");
  loop_.RunDue();
  EXPECT_TRUE(backend->in_transaction());
  EXPECT_FALSE(backend->transaction_failed());
  Run(*backend, "COMMIT");
  loop_.RunDue();
  EXPECT_FALSE(backend->in_transaction());
}

TEST_F(ScriptedBackendTest, APausedReceiverGetsNoMoreUntilResumed) {
  server_.Always("SELECT", Answer::Rows({{"n"}}, {{"1"}, {"2"}}));
  const std::unique_ptr<Backend> backend = Opened();
  Run(*backend, "SELECT", /*sync=*/true, /*pauses=*/true);
  loop_.RunDue();
  EXPECT_THAT(Said(), ElementsAre("columns n", "row 1"));
  backend->ResumeReading();
  loop_.RunDue();
  EXPECT_THAT(Said(), ElementsAre("row 2"));
  backend->ResumeReading();
  loop_.RunDue();
  EXPECT_THAT(Said(), ElementsAre("end SELECT 2", "drained"));
}

TEST_F(ScriptedBackendTest, ALostLinkFailsWhatIsInFlight) {
  server_.Always("UPDATE", Answer::LosesLink());
  const std::unique_ptr<Backend> backend = Opened();
  Run(*backend, "UPDATE t");
  Run(*backend, "SELECT 1");
  loop_.RunDue();
  EXPECT_THAT(Said(), ElementsAre("end LINK_LOST", "end LINK_LOST", "lost LINK_LOST"));
  EXPECT_FALSE(backend->usable());
  Run(*backend, "SELECT 2");
  EXPECT_THAT(Said(), ElementsAre());
  loop_.RunDue();
  EXPECT_THAT(Said(), ElementsAre("end LINK_LOST"));
}

TEST_F(ScriptedBackendTest, ACancelEndsWhatRunsOrIsIgnored) {
  server_.Always("SELECT", Answer::Never());
  server_.SetCancels(Cancels::kIgnored);
  const std::unique_ptr<Backend> backend = Opened();
  Run(*backend, "SELECT pg_sleep(9)");
  loop_.RunDue();
  backend->Cancel();
  EXPECT_EQ(factory_->cancels_under_way(), 1U);
  loop_.RunDue();
  EXPECT_FALSE(backend->cancelling());
  EXPECT_THAT(Said(), ElementsAre());
  server_.SetCancels(Cancels::kTaken, absl::Milliseconds(3));
  backend->Cancel();
  clock_.Advance(loop_, absl::Milliseconds(2));
  EXPECT_TRUE(backend->cancelling());
  EXPECT_THAT(Said(), ElementsAre());
  clock_.Advance(loop_, absl::Milliseconds(1));
  EXPECT_THAT(Said(), ElementsAre("end 57014", "drained"));
  EXPECT_EQ(factory_->cancels_under_way(), 0U);
  EXPECT_THAT(server_.LogOf(1), ElementsAre("SELECT pg_sleep(9)", "(cancel)", "(sync)", "(cancel)", "(sync)"));
}

TEST_F(ScriptedBackendTest, ADetachedOperationIsNotHeardOf) {
  const std::unique_ptr<Backend> backend = Opened();
  backend->Detach(Run(*backend, "SELECT 1"));
  loop_.RunDue();
  EXPECT_THAT(Said(), ElementsAre("drained"));
}

TEST_F(ScriptedBackendTest, AHangUpIsFoundByCheckAlive) {
  const std::unique_ptr<Backend> backend = Opened();
  server_.backend(1)->HangUp();
  EXPECT_TRUE(backend->usable());
  backend->CheckAlive();
  EXPECT_FALSE(backend->usable());
  EXPECT_THAT(Said(), ElementsAre("lost LINK_LOST"));
}

}  // namespace
}  // namespace engine::db::test

// The backend over libpq, against a server that the test plays itself.
#include "server/postgres/pipeline_backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <libpq-fe.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/db/v1/error.pb.h"
#include "server/base/failure.h"
#include "server/postgres/command_text.h"
#include "tests/support/fault_proxy.h"
#include "tests/support/manual_clock.h"
#include "tests/support/network.h"
#include "tests/support/postgres_messages.h"
#include "tests/support/wait.h"
#include "tests/unit/postgres/wire_server.h"

namespace engine::db::postgres {
namespace {

using namespace test;  // NOLINT(google-build-using-namespace): the wire's words
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr uint32_t kPid = 4'242;

std::string Name(Reason reason) { return std::string(NameOf(reason)); }

// Writes down what it is told, and does what a test wants of it with every row.
class Recorder final : public ResultReceiver {
 public:
  Recorder(std::vector<std::string>& said, std::function<Flow()> on_row) : said_(said), on_row_(std::move(on_row)) {}

  Flow OnColumns(const PGresult& header) override {
    said_.push_back(absl::StrCat("columns ", PQfname(&header, 0)));
    return Flow::kContinue;
  }
  Flow OnRow(const PGresult& result, int row) override {
    said_.push_back(absl::StrCat("row ", PQgetvalue(&result, row, 0)));
    return on_row_ ? on_row_() : Flow::kContinue;
  }
  void OnEnd(const absl::StatusOr<Completion>& end) override {
    if (end.ok()) {
      said_.push_back(absl::StrCat("end ", end->command_tag));
      return;
    }
    const Failure detail = FailureOf(end.status());
    const std::string what = detail.reason == Reason::kUnspecified ? detail.message : Name(detail.reason);
    said_.push_back(absl::StrCat("end ", what, " ", detail.sqlstate, " ",
                                 v1::Outcome_Name(static_cast<v1::Outcome>(detail.outcome))));
  }

 private:
  std::vector<std::string>& said_;
  const std::function<Flow()> on_row_;
};

class PipelineBackendTest : public ::testing::Test {
 protected:
  PipelineBackendTest() {
    settings_.host = "127.0.0.1";
    settings_.port = server_.port();
    settings_.user = "app";
    settings_.dbname = "app";
    settings_.tls_mode = v1::TLS_MODE_DISABLE;
  }

  // Lets the loop run until it is true.
  [[nodiscard]] bool Until(const std::function<bool()>& condition) {
    return WaitUntil(
        std::chrono::seconds(10),
        [&] {
          loop_.RunDue();
          return condition();
        },
        std::chrono::milliseconds(1));
  }
  [[nodiscard]] bool UntilSaid(const std::string& what) {
    return Until([&] { return !said_.empty() && said_.back() == what; });
  }
  std::vector<std::string> Said() { return std::exchange(said_, {}); }

  void Begin() {
    Backend::Events events;
    events.opened = [this](const absl::Status& status) {
      open_failure_ = status;
      said_.push_back(absl::StrCat("opened ", Name(ReasonOf(status)), FailureOf(status).sqlstate));
    };
    events.drained = [this] { said_.emplace_back("drained"); };
    events.lost = [this](const absl::Status& status) {
      said_.push_back(absl::StrCat("lost ", Name(ReasonOf(status)), FailureOf(status).sqlstate));
    };
    factory_.emplace(loop_, executor_, settings_);
    backend_ = factory_->Open("", loop_.Now() + absl::Seconds(5), std::move(events));
  }
  // Takes the connection, and what the client says first.
  void Accept() {
    ASSERT_TRUE(Until([&] {
      const int fd = server_.Accept();
      if (fd >= 0) peer_.emplace(fd);
      return fd >= 0;
    }));
    ASSERT_TRUE(Until([&] { return !peer_->Take().empty(); }));
  }
  void Open() {
    Begin();
    Accept();
    peer_->Send(Login(kPid));
    ASSERT_TRUE(UntilSaid("opened "));
    said_.clear();
  }
  Backend::OperationId Run(const std::string& sql, bool sync = true, bool keep_prepared = false,
                           std::function<ResultReceiver::Flow()> on_row = nullptr) {
    receivers_.push_back(std::make_unique<Recorder>(said_, std::move(on_row)));
    Operation operation;
    operation.text = CommandText(sql);
    operation.receiver = receivers_.back().get();
    operation.sync = sync;
    operation.keep_prepared = keep_prepared;
    return backend_->Run(operation);
  }
  // The types of the client's messages, up to its `syncs`th Sync.
  [[nodiscard]] std::string Got(int syncs = 1) {
    std::string types;
    EXPECT_TRUE(Until([&] {
      types += peer_->TakeTypes();
      return std::count(types.begin(), types.end(), 'S') >= syncs;
    }));
    return types;
  }
  void Answer(const std::string& bytes, const std::string& said) {
    peer_->Send(bytes);
    EXPECT_TRUE(UntilSaid(said)) << ::testing::PrintToString(said_);
  }

  ManualClock clock_;
  loop::EventLoop loop_{clock_};
  loop::BlockingExecutor executor_{"test", 1};
  WireServer server_;
  config::TargetSettings settings_;
  absl::Status open_failure_;
  std::vector<std::string> said_;
  std::vector<std::unique_ptr<Recorder>> receivers_;
  std::optional<PipelineBackendFactory> factory_;
  std::unique_ptr<Backend> backend_;
  std::optional<WirePeer> peer_;
};

// --- connecting

TEST_F(PipelineBackendTest, OpensWithWhatTheServerSaysOfItself) {
  Open();
  EXPECT_TRUE(backend_->usable());
  EXPECT_EQ(backend_->pid(), static_cast<int>(kPid));
  EXPECT_FALSE(backend_->busy());
  EXPECT_FALSE(backend_->in_transaction());
  EXPECT_FALSE(backend_->server_is_read_only());
}

TEST_F(PipelineBackendTest, ANameIsLookedUpOnTheExecutor) {
  settings_.host = "localhost";
  Open();
  EXPECT_TRUE(backend_->usable());
}

TEST_F(PipelineBackendTest, ARefusedConnectionIsUnreachable) {
  settings_.port = static_cast<uint16_t>(FreePort());
  Begin();
  EXPECT_THAT(said_, IsEmpty());  // never from within
  ASSERT_TRUE(UntilSaid("opened UNREACHABLE"));
  EXPECT_EQ(open_failure_.code(), absl::StatusCode::kUnavailable);
  EXPECT_FALSE(backend_->usable());
}

TEST_F(PipelineBackendTest, ASilentServerIsGivenUpAtTheDeadlineToTheMillisecond) {
  Begin();
  Accept();
  clock_.Advance(loop_, absl::Milliseconds(4'999));
  EXPECT_THAT(said_, IsEmpty());
  clock_.Advance(loop_, absl::Milliseconds(1));
  EXPECT_THAT(Said(), ElementsAre("opened UNREACHABLE"));
  EXPECT_THAT(FailureOf(open_failure_).message, HasSubstr("no answer within the time allowed for connecting"));
  peer_->Send(Login(kPid));  // too late
  loop_.RunDue();
  EXPECT_THAT(said_, IsEmpty());
}

TEST_F(PipelineBackendTest, ARefusedLoginHasItsSqlstate) {
  Begin();
  Accept();
  Answer(MakeErrorResponse({.severity = "FATAL", .sqlstate = "28P01", .message = "no"}), "opened LOGIN_REFUSED28P01");
  EXPECT_EQ(open_failure_.code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(PipelineBackendTest, NothingIsToldOfOneThatIsClosedWhileItConnects) {
  Begin();
  Accept();
  Run("SELECT 1");
  EXPECT_THAT(said_, IsEmpty());
  loop_.RunDue();
  EXPECT_THAT(Said(), ElementsAre("end LINK_LOST  OUTCOME_NOT_EXECUTED"));
  backend_->Close();
  clock_.Advance(loop_, absl::Seconds(10));
  backend_.reset();
  loop_.RunDue();
  EXPECT_THAT(said_, IsEmpty());
}

// --- the pipeline

TEST_F(PipelineBackendTest, AnswersComeInTheOrderOfTheOperations) {
  Open();
  Run("SELECT t");
  Run("DELETE FROM t");
  EXPECT_TRUE(backend_->flush_planned());
  EXPECT_EQ(backend_->in_flight(), 2U);
  EXPECT_EQ(Got(2), "PBDESPBDES");
  EXPECT_FALSE(backend_->flush_planned());
  peer_->Send(ParseComplete() + TextColumn("t") + TextRow("a") + TextRow("b") + RowsDone("SELECT 2") + Ready());
  Answer(ParseComplete() + CommandDone("DELETE 3") + Ready(), "drained");
  EXPECT_THAT(said_, ElementsAre("columns t", "row a", "row b", "end SELECT 2", "end DELETE 3", "drained"));
}

TEST_F(PipelineBackendTest, AStatementIsPreparedOnce) {
  Open();
  Run("SELECT t", /*sync=*/true, /*keep_prepared=*/true);
  EXPECT_EQ(Got(), "PBDES");
  Answer(ParseComplete() + TextColumn("t") + RowsDone("SELECT 0") + Ready(), "drained");
  Run("SELECT t", /*sync=*/true, /*keep_prepared=*/true);
  EXPECT_EQ(Got(), "BDES");
  Answer(TextColumn("t") + RowsDone("SELECT 0") + Ready(), "drained");
  backend_->StopPreparing();
  Run("SELECT t", /*sync=*/true, /*keep_prepared=*/true);
  EXPECT_EQ(Got(), "PBDES");
  Answer(ParseComplete() + TextColumn("t") + RowsDone("SELECT 0") + Ready(), "drained");
}

TEST_F(PipelineBackendTest, AFailureSkipsUpToTheNextSync) {
  Open();
  Run("INSERT", /*sync=*/false);
  Run("SELECT 1");
  Run("SELECT 2");
  EXPECT_EQ(Got(2), "PBDEPBDESPBDES");
  peer_->Send(ParseComplete() + MakeErrorResponse({.sqlstate = "23505", .message = "duplicate"}) + Ready());
  Answer(ParseComplete() + CommandDone("SELECT 0") + Ready(), "drained");
  EXPECT_THAT(said_, ElementsAre("end POSTGRESQL_ERROR 23505 OUTCOME_ROLLED_BACK", "end skipped  OUTCOME_UNSPECIFIED",
                                 "end SELECT 0", "drained"));
}

TEST_F(PipelineBackendTest, AStatementWhosePreparingFailedIsPreparedAgain) {
  Open();
  Run("SELECT t", /*sync=*/true, /*keep_prepared=*/true);
  EXPECT_EQ(Got(), "PBDES");
  Answer(MakeErrorResponse({.sqlstate = "42P01", .message = "no t"}) + Ready(), "drained");
  Run("SELECT t", /*sync=*/true, /*keep_prepared=*/true);
  EXPECT_EQ(Got(), "PBDES");
}

TEST_F(PipelineBackendTest, TheTransactionIsWhatTheLastAnswerSays) {
  Open();
  Run("BEGIN");
  EXPECT_EQ(Got(), "PBDES");
  Answer(ParseComplete() + CommandDone("BEGIN") + Ready('T'), "drained");
  EXPECT_TRUE(backend_->in_transaction());
  EXPECT_FALSE(backend_->transaction_failed());
  Run("SELECT");
  EXPECT_EQ(Got(), "PBDES");
  Answer(MakeErrorResponse({.sqlstate = "22012", .message = "zero"}) + Ready('E'), "drained");
  EXPECT_TRUE(backend_->transaction_failed());
}

TEST_F(PipelineBackendTest, ADetachedOperationIsNotHeardOf) {
  Open();
  backend_->Detach(Run("SELECT 1"));
  EXPECT_EQ(Got(), "PBDES");
  Answer(ParseComplete() + CommandDone("SELECT 0") + Ready(), "drained");
  EXPECT_THAT(said_, ElementsAre("drained"));
}

TEST_F(PipelineBackendTest, AfterAPauseNothingMoreIsReadUntilResumed) {
  Open();
  Run("SELECT t", /*sync=*/true, /*keep_prepared=*/false, [] { return ResultReceiver::Flow::kPause; });
  EXPECT_EQ(Got(), "PBDES");
  Answer(ParseComplete() + TextColumn("t") + TextRow("a"), "row a");
  peer_->Send(TextRow("b"));
  for (int i = 0; i < 5; ++i) loop_.RunDue();
  EXPECT_THAT(Said(), ElementsAre("columns t", "row a"));
  backend_->ResumeReading();
  ASSERT_TRUE(UntilSaid("row b"));
  backend_->ResumeReading();
  Answer(RowsDone("SELECT 2") + Ready(), "drained");
}

TEST_F(PipelineBackendTest, AReceiverMayCloseTheBackendWithinARow) {
  Open();
  Run("SELECT t", /*sync=*/true, /*keep_prepared=*/false, [this] {
    backend_->Close();
    return ResultReceiver::Flow::kPause;
  });
  Run("SELECT u");
  EXPECT_EQ(Got(2), "PBDESPBDES");
  peer_->Send(ParseComplete() + TextColumn("t") + TextRow("a") + TextRow("b") + RowsDone("SELECT 2") + Ready());
  ASSERT_TRUE(Until([&] { return !backend_->usable(); }));
  loop_.RunDue();
  EXPECT_THAT(said_,
              ElementsAre("columns t", "row a", "end LINK_LOST  OUTCOME_UNKNOWN", "end LINK_LOST  OUTCOME_UNKNOWN"));
}

TEST_F(PipelineBackendTest, TheFrontOneIsTimed) {
  Open();
  const Backend::OperationId first = Run("SELECT 1");
  const Backend::OperationId second = Run("SELECT 2");
  EXPECT_EQ(backend_->front_id(), first);
  EXPECT_EQ(backend_->front_since(), loop_.Now());
  EXPECT_EQ(Got(2), "PBDESPBDES");
  clock_.Turn(absl::Milliseconds(7));
  Answer(ParseComplete() + CommandDone("SELECT 1") + Ready(), "end SELECT 1");
  EXPECT_EQ(backend_->front_took(), absl::Milliseconds(7));
  EXPECT_EQ(backend_->front_id(), second);
  EXPECT_EQ(backend_->front_since(), loop_.Now());
}

// --- the end of a link

TEST_F(PipelineBackendTest, AFarewellSaysWhyTheLinkIsLost) {
  Open();
  Run("UPDATE t");
  EXPECT_EQ(Got(), "PBDES");
  Answer(MakeErrorResponse({.severity = "FATAL", .sqlstate = "57P01", .message = "terminating"}),
         "lost LINK_LOST57P01");
  EXPECT_THAT(said_, ElementsAre("end LINK_LOST 57P01 OUTCOME_UNKNOWN", "lost LINK_LOST57P01"));
  EXPECT_FALSE(backend_->usable());
  Run("SELECT 1");
  said_.clear();
  ASSERT_TRUE(UntilSaid("end LINK_LOST 57P01 OUTCOME_NOT_EXECUTED"));
}

TEST_F(PipelineBackendTest, AHangUpFailsWhatIsInFlight) {
  Open();
  Run("UPDATE t");
  EXPECT_EQ(Got(), "PBDES");
  peer_->HangUp();
  ASSERT_TRUE(UntilSaid("lost LINK_LOST"));
  EXPECT_THAT(said_, ElementsAre("end LINK_LOST  OUTCOME_UNKNOWN", "lost LINK_LOST"));
}

// libpq closes the socket as soon as it meets the error, which may be in the same call as the row before.
TEST_F(PipelineBackendTest, ARowThatCameWithAResetMayPauseTheReading) {
  Open();
  Run("SELECT t", /*sync=*/true, /*keep_prepared=*/false, [] { return ResultReceiver::Flow::kPause; });
  EXPECT_EQ(Got(), "PBDES");
  const std::string large(50'000, 'x');  // so large that libpq reads on at once
  peer_->Send(ParseComplete() + TextColumn("t") + TextRow(large));
  peer_->Reset();
  ASSERT_TRUE(UntilSaid("lost LINK_LOST"));
  EXPECT_THAT(
      said_, ElementsAre("columns t", absl::StrCat("row ", large), "end LINK_LOST  OUTCOME_UNKNOWN", "lost LINK_LOST"));
}

TEST_F(PipelineBackendTest, CheckAliveFindsAHangUpWithoutARoundOfTheLoop) {
  Open();
  backend_->CheckAlive();
  EXPECT_TRUE(backend_->usable());
  peer_->HangUp();
  EXPECT_TRUE(WaitUntil(std::chrono::seconds(10), [&] {
    backend_->CheckAlive();
    return !backend_->usable();
  }));
  EXPECT_THAT(said_, ElementsAre("lost LINK_LOST"));
}

// --- the session

TEST_F(PipelineBackendTest, AReportedSettingIsNoticedUntilItIsAccepted) {
  Open();
  EXPECT_FALSE(backend_->ReportedSettingsChanged());
  Run("SET TimeZone");
  EXPECT_EQ(Got(), "PBDES");
  Answer(ParseComplete() + CommandDone("SET") + Parameter("TimeZone", "Asia/Tokyo") + Ready(), "drained");
  EXPECT_TRUE(backend_->ReportedSettingsChanged());
  EXPECT_FALSE(backend_->ReadsTextOtherwise());
  backend_->AcceptReportedSettings();
  EXPECT_FALSE(backend_->ReportedSettingsChanged());
  Run("SET standard_conforming_strings");
  EXPECT_EQ(Got(), "PBDES");
  Answer(ParseComplete() + CommandDone("SET") + Parameter("standard_conforming_strings", "off") + Ready(), "drained");
  EXPECT_TRUE(backend_->ReadsTextOtherwise());
}

// --- cancelling

class CancelTest : public PipelineBackendTest {
 protected:
  // The request's bytes; its connection stays open until it is answered.
  std::string TakeRequest() {
    std::string bytes;
    EXPECT_TRUE(Until([&] {
      if (request_.has_value()) {
        bytes += request_->Take();
      } else if (const int fd = server_.Accept(); fd >= 0) {
        request_.emplace(fd);
      }
      return bytes.size() >= 16;
    }));
    return bytes;
  }

  std::optional<WirePeer> request_;
};

TEST_F(CancelTest, TheBackendIsBusyUntilARoundTripBehindTheRequest) {
  Open();
  Run("SELECT pg_sleep(9)");
  EXPECT_EQ(Got(), "PBDES");
  backend_->Cancel();
  const std::string request = TakeRequest();
  EXPECT_EQ(ReadUint32(std::string_view(request).substr(4)), 80'877'102U);
  EXPECT_EQ(ReadUint32(std::string_view(request).substr(8)), kPid);
  EXPECT_EQ(factory_->cancels_under_way(), 1U);
  Answer(ParseComplete() + MakeErrorResponse({.sqlstate = "57014", .message = "canceled"}) + Ready(),
         "end POSTGRESQL_ERROR 57014 OUTCOME_ROLLED_BACK");
  EXPECT_TRUE(backend_->cancelling());
  EXPECT_TRUE(backend_->busy());
  request_->HangUp();  // as PostgreSQL does when it has signalled
  EXPECT_EQ(Got(), "S");
  EXPECT_FALSE(backend_->cancelling());
  EXPECT_EQ(factory_->cancels_under_way(), 0U);
  Answer(Ready(), "drained");
}

TEST_F(CancelTest, ARequestMayOutliveItsBackend) {
  Open();
  Run("SELECT pg_sleep(9)");
  EXPECT_EQ(Got(), "PBDES");
  backend_->Cancel();
  EXPECT_EQ(TakeRequest().size(), 16U);
  backend_.reset();
  request_->HangUp();
  EXPECT_TRUE(Until([&] { return factory_->cancels_under_way() == 0; }));
}

TEST_F(CancelTest, AFewRequestsAreUnderWayAndTheOthersWait) {
  Open();
  for (int i = 0; i < 10; ++i) backend_->Cancel();
  EXPECT_EQ(factory_->cancels_under_way(), 8U);
  std::vector<std::unique_ptr<WirePeer>> requests;
  const auto accept = [&] {
    for (int fd = server_.Accept(); fd >= 0; fd = server_.Accept()) requests.push_back(std::make_unique<WirePeer>(fd));
  };
  EXPECT_TRUE(Until([&] {
    accept();
    return requests.size() == 8;
  }));
  requests.clear();
  EXPECT_TRUE(Until([&] {
    accept();
    return requests.size() == 2;
  }));
  EXPECT_TRUE(Until([&] { return factory_->cancels_under_way() == 2; }));
  requests.clear();
  EXPECT_TRUE(Until([&] { return !backend_->cancelling(); }));
}

}  // namespace
}  // namespace engine::db::postgres

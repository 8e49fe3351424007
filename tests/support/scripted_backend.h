// A PostgreSQL server that exists only in a test's script, and backends to it: for the layers above server/postgres,
// without a socket, on a loop and a clock that the test turns.
//
//   ManualClock clock;
//   loop::EventLoop loop(clock);
//   ScriptedServer server(loop);
//   server.Always("SELECT 1", Answer::Rows({{"?column?", kInt4}}, {{"1"}}).After(absl::Milliseconds(20)));
//   pool::Pool pool(loop, executor, server.MakeFactory(), …);
//   … clock.Advance(loop, absl::Milliseconds(20));
//   EXPECT_THAT(server.Log(), ElementsAre("1 SELECT 1"));
#ifndef ENGINE_DB_TESTS_SUPPORT_SCRIPTED_BACKEND_H_
#define ENGINE_DB_TESTS_SUPPORT_SCRIPTED_BACKEND_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/loop/event_loop.h"
#include "server/loop/weak_self.h"
#include "server/postgres/backend.h"
#include "server/postgres/libpq_types.h"

namespace engine::db::test {

// An error that PostgreSQL reports for a statement, with what follows from its SQLSTATE.
[[nodiscard]] absl::Status SqlError(std::string_view sqlstate, std::string_view message = "scripted");

// What the server says to one operation.
struct Answer {
  struct Column {
    std::string name;
    uint32_t type = 25;  // text
  };
  using Row = std::vector<std::optional<std::string>>;  // nullopt: NULL

  std::vector<Column> columns;  // none: no OnColumns
  std::vector<Row> rows;
  std::string tag;
  int64_t rows_affected = 0;
  // How long the server works on it, from when it is the front one.
  absl::Duration takes = absl::ZeroDuration();
  // Not OK: ends with it, after the rows.
  absl::Status error;
  // The link breaks in place of an end, after the rows; `error` is what the server says before it hangs up.
  bool breaks_link = false;
  // The session's reported settings have changed by then; `changes_reading`: one by which statements are read.
  bool changes_settings = false;
  bool changes_reading = false;

  static Answer Command(std::string tag, int64_t rows_affected = 0);
  static Answer Rows(std::vector<Column> columns, std::vector<Row> rows);
  static Answer Fails(std::string_view sqlstate, std::string_view message = "scripted");
  static Answer Fails(absl::Status error);
  // Only ScriptedBackend::Finish(), a cancel or the end of the link ends it.
  static Answer Never();
  static Answer LosesLink(absl::Status said = absl::OkStatus());
  [[nodiscard]] Answer After(absl::Duration time) const;
};

// A result of libpq's with all of the answer's rows.
[[nodiscard]] postgres::ResultPtr MakeResult(const Answer& answer);

// How a connection attempt goes.
struct Opening {
  absl::Status status;  // as postgres::ConnectFailed() makes it
  absl::Duration takes = absl::ZeroDuration();
};

// What becomes of cancel requests.
enum class Cancels : uint8_t {
  kTaken,      // what runs then fails with 57014
  kIgnored,    // delivered, without effect
  kUnanswered  // never known to be delivered: the backend stays busy
};

class ScriptedServer;

// Loop thread only, as any Backend. Tests get at it by ScriptedServer::backend().
class ScriptedBackend final : public postgres::Backend {
 public:
  ScriptedBackend(ScriptedServer& server, size_t number, Opening opening, absl::Time connect_deadline, Events events);
  ~ScriptedBackend() override;

  // What the test does to it, beside the script. Not from within a callback of the backend.

  // Ends what the server works on, as if `answer` had been the script's.
  void Finish(Answer answer);
  // The link breaks now; the server has said `said` before.
  void LoseLink(absl::Status said = absl::OkStatus());
  // The server has hung up, which is found out by CheckAlive() or when an answer is awaited.
  void HangUp() { hung_up_ = true; }

  OperationId Run(const postgres::Operation& operation) override;
  void Detach(OperationId id) override;
  void ResumeReading() override;
  void Cancel() override;
  void CheckAlive() override;
  void Close() override;
  [[nodiscard]] bool ReportedSettingsChanged() const override { return settings_changed_; }
  [[nodiscard]] bool ReadsTextOtherwise() const override { return reading_changed_; }
  void AcceptReportedSettings() override;
  void ForgetPreparedStatements() override;
  void StopPreparing() override;
  void StartPreparing() override;
  [[nodiscard]] size_t prepared_statements() const override;
  [[nodiscard]] bool usable() const override { return state_ == State::kOpen; }
  [[nodiscard]] bool cancelling() const override { return cancels_pending_ > 0; }
  [[nodiscard]] size_t in_flight() const override { return in_flight_.size(); }
  [[nodiscard]] OperationId front_id() const override { return in_flight_.front().id; }
  [[nodiscard]] absl::Time front_since() const override { return front_since_; }
  [[nodiscard]] absl::Duration front_took() const override { return front_took_; }
  [[nodiscard]] bool flush_planned() const override { return flush_planned_; }
  [[nodiscard]] bool in_transaction() const override { return usable() && transaction_ != Transaction::kNone; }
  [[nodiscard]] bool transaction_failed() const override { return usable() && transaction_ == Transaction::kFailed; }
  [[nodiscard]] bool server_is_read_only() const override;
  [[nodiscard]] int pid() const override;

 private:
  enum class State : uint8_t { kConnecting, kOpen, kClosed };
  enum class Transaction : uint8_t { kNone, kOpen, kFailed };
  struct InFlight {
    OperationId id = 0;
    std::string text;  // empty: only a Sync
    postgres::ResultReceiver* receiver = nullptr;
    bool sync = true;
    bool sent = false;
    bool columns_told = false;
    size_t rows_told = 0;
    std::optional<Answer> answer;  // once the server works on it
  };

  void FinishConnecting(const absl::Status& status);
  void WorkOnFront();
  [[nodiscard]] Answer AnswerTo(const InFlight& operation) const;
  void Deliver();
  void TellRows(bool& paused);
  void EndFront();
  void FollowTransaction(const InFlight& ended);
  void CancelDelivered(bool taken);
  void FailInFlight(const absl::Status& status);
  void TellIfDrained();
  void Record(std::string what);

  ScriptedServer& server_;
  const size_t number_;
  Events events_;
  State state_ = State::kConnecting;
  OperationId next_id_ = 1;
  std::deque<InFlight> in_flight_;
  bool skipping_ = false;  // up to the next Sync
  bool paused_ = false;
  Transaction transaction_ = Transaction::kNone;
  absl::Time front_since_;
  absl::Duration front_took_;
  int cancels_pending_ = 0;
  bool flush_planned_ = false;
  bool hung_up_ = false;
  bool settings_changed_ = false;
  bool reading_changed_ = false;
  loop::Timer connecting_;
  loop::Timer working_;
  loop::WeakSelf<ScriptedBackend> self_;
};

// The script, and what became of it. Outlives the factories and their backends, not the loop. Loop thread only.
class ScriptedServer {
 public:
  explicit ScriptedServer(loop::EventLoop& loop) : loop_(loop) {}

  // For the pool, which opens backends.
  [[nodiscard]] std::unique_ptr<postgres::BackendFactory> MakeFactory();

  // How the next connection attempts go, in this order; those after them succeed at once.
  void NextOpening(Opening opening) { openings_.push_back(std::move(opening)); }
  // The next operation whose text begins with `prefix` gets the answer; several for the same one, in this order.
  void Once(std::string prefix, Answer answer) { once_.push_back({std::move(prefix), std::move(answer)}); }
  // Every operation whose text begins with `prefix`; of several that match, the one given last.
  void Always(std::string prefix, Answer answer) { always_.push_back({std::move(prefix), std::move(answer)}); }
  // The answer where no rule matches. By default a command tag made of the text's first word, without rows.
  void Otherwise(std::function<Answer(const std::string& text)> answer) { otherwise_ = std::move(answer); }
  void SetCancels(Cancels cancels, absl::Duration take = absl::ZeroDuration()) {
    cancels_ = cancels;
    cancels_take_ = take;
  }
  void SetReadOnly(bool read_only) { read_only_ = read_only; }

  // The backend that was opened as the `number`th, from 1; null when it is gone.
  [[nodiscard]] ScriptedBackend* backend(size_t number) const;
  // How many were opened.
  [[nodiscard]] size_t opened() const { return backends_.size(); }
  // The passwords they were opened with.
  [[nodiscard]] const std::vector<std::string>& passwords() const { return passwords_; }

  // What was asked of the backends, in order: the number of the backend and a statement's text ("1 COMMIT"), with
  // " ..." where no Sync follows; "1 (sync)" for a Sync alone; "(cancel)", "(detach)", "(resume)", "(close)",
  // "(forget prepared)", "(stop preparing)", "(start preparing)", "(accept settings)".
  [[nodiscard]] const std::vector<std::string>& Log() const { return log_; }
  // Of one backend, without its number.
  [[nodiscard]] std::vector<std::string> LogOf(size_t number) const;
  void ClearLog() { log_.clear(); }

 private:
  friend class ScriptedBackend;
  class Factory;
  struct Rule {
    std::string prefix;
    Answer answer;
  };

  // By the rules, else by default.
  [[nodiscard]] Answer AnswerTo(const std::string& text);

  loop::EventLoop& loop_;
  std::deque<Opening> openings_;
  std::deque<Rule> once_;
  std::vector<Rule> always_;
  std::function<Answer(const std::string& text)> otherwise_;
  Cancels cancels_ = Cancels::kTaken;
  absl::Duration cancels_take_;
  bool read_only_ = false;
  size_t cancels_under_way_ = 0;
  std::deque<loop::Timer> cancel_requests_;  // never removed
  std::vector<ScriptedBackend*> backends_;   // by number - 1
  std::vector<std::string> passwords_;
  std::vector<std::string> log_;
};

}  // namespace engine::db::test

#endif  // ENGINE_DB_TESTS_SUPPORT_SCRIPTED_BACKEND_H_

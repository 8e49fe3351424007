#include "tests/support/scripted_backend.h"

#include <libpq-fe.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/failure.h"
#include "server/postgres/sqlstate.h"

namespace engine::db::test {
namespace {

using postgres::Backend;
using postgres::Operation;
using postgres::ResultPtr;
using postgres::ResultReceiver;

ResultPtr MakeHeader(const Answer& answer, ExecStatusType status) {
  ResultPtr result(PQmakeEmptyPGresult(nullptr, status));
  std::vector<PGresAttDesc> attributes;
  for (const Answer::Column& column : answer.columns) {
    PGresAttDesc attribute{};
    attribute.name = const_cast<char*>(column.name.c_str());  // it is copied
    attribute.typid = column.type;
    attribute.typlen = -1;
    attribute.atttypmod = -1;
    attributes.push_back(attribute);
  }
  PQsetResultAttrs(result.get(), static_cast<int>(attributes.size()), attributes.data());
  return result;
}

void AddRow(PGresult& result, const Answer::Row& row) {
  const int index = PQntuples(&result);
  for (size_t i = 0; i < row.size(); ++i) {
    char* value = row[i].has_value() ? const_cast<char*>(row[i]->data()) : nullptr;
    PQsetvalue(&result, index, static_cast<int>(i), value, row[i].has_value() ? static_cast<int>(row[i]->size()) : -1);
  }
}

std::string FirstWord(std::string_view text) {
  const size_t end = text.find_first_of(" ;\n");
  return absl::AsciiStrToUpper(std::string(text.substr(0, end)));
}

bool EndsBlock(std::string_view text) {
  const std::string word = FirstWord(text);
  if (word == "ROLLBACK") return text.find(" TO ") == std::string_view::npos;
  return word == "COMMIT" || word == "END" || word == "ABORT";
}

bool RollsBackToSavepoint(std::string_view text) { return FirstWord(text) == "ROLLBACK" && !EndsBlock(text); }

}  // namespace

ResultPtr MakeResult(const Answer& answer) {
  ResultPtr result = MakeHeader(answer, PGRES_TUPLES_OK);
  for (const Answer::Row& row : answer.rows) AddRow(*result, row);
  return result;
}

absl::Status SqlError(std::string_view sqlstate, std::string_view message) {
  const postgres::Consequence& consequence = postgres::ConsequenceOf(sqlstate);
  return ToStatus({.code = consequence.code,
                   .reason = Reason::kPostgresqlError,
                   .kind = consequence.kind,
                   .phase = Phase::kExecuting,
                   .outcome = consequence.outcome,
                   .cause = consequence.cause,
                   .retryable = consequence.retryable,
                   .sqlstate = std::string(sqlstate),
                   .message = std::string(message)});
}

Answer Answer::Command(std::string tag, int64_t rows_affected) {
  Answer answer;
  answer.tag = std::move(tag);
  answer.rows_affected = rows_affected;
  return answer;
}

Answer Answer::Rows(std::vector<Column> columns, std::vector<Row> rows) {
  Answer answer;
  answer.columns = std::move(columns);
  answer.rows = std::move(rows);
  answer.rows_affected = static_cast<int64_t>(answer.rows.size());
  answer.tag = absl::StrCat("SELECT ", answer.rows_affected);
  return answer;
}

Answer Answer::Fails(std::string_view sqlstate, std::string_view message) { return Fails(SqlError(sqlstate, message)); }

Answer Answer::Fails(absl::Status error) {
  Answer answer;
  answer.error = std::move(error);
  return answer;
}

Answer Answer::Never() { return Answer().After(absl::InfiniteDuration()); }

Answer Answer::LosesLink(absl::Status said) {
  Answer answer = Fails(std::move(said));
  answer.breaks_link = true;
  return answer;
}

Answer Answer::After(absl::Duration time) const {
  Answer later = *this;
  later.takes = time;
  return later;
}

// --- the backend

ScriptedBackend::ScriptedBackend(ScriptedServer& server, size_t number, Opening opening, absl::Time connect_deadline,
                                 Events events)
    : server_(server),
      number_(number),
      events_(std::move(events)),
      connecting_(server.loop_),
      working_(server.loop_),
      self_(this) {
  const absl::Time done = server_.loop_.Now() + opening.takes;
  if (done >= connect_deadline) {
    opening.status = postgres::ConnectFailed("scripted", "no answer within the time allowed for connecting", "");
  }
  connecting_.SetAt(std::min(done, connect_deadline),
                    [this, status = std::move(opening.status)] { FinishConnecting(status); });
}

ScriptedBackend::~ScriptedBackend() {
  Close();
  server_.backends_[number_ - 1] = nullptr;
}

void ScriptedBackend::FinishConnecting(const absl::Status& status) {
  if (status.ok()) {
    state_ = State::kOpen;
  } else {
    Close();
  }
  events_.opened(status);
}

Backend::OperationId ScriptedBackend::Run(const Operation& operation) {
  InFlight entry;
  entry.id = next_id_++;
  entry.receiver = operation.receiver;
  entry.sync = operation.sync;
  entry.sent = usable();
  if (operation.text != nullptr) entry.text = operation.text->sql;
  Record(absl::StrCat(operation.text == nullptr ? "(sync)" : entry.text, operation.sync ? "" : " ..."));
  const OperationId id = entry.id;
  if (in_flight_.empty()) front_since_ = server_.loop_.Now();
  in_flight_.push_back(std::move(entry));
  if (!usable()) {
    server_.loop_.Post(self_.Bind([](ScriptedBackend& self) { self.FailInFlight(postgres::LinkLost({})); }));
    return id;
  }
  if (!std::exchange(flush_planned_, true)) {
    server_.loop_.RunAtEndOfRound(self_.Bind([](ScriptedBackend& self) {
      self.flush_planned_ = false;
      self.WorkOnFront();
    }));
  }
  return id;
}

void ScriptedBackend::WorkOnFront() {
  if (!usable() || in_flight_.empty() || in_flight_.front().answer.has_value()) return;
  InFlight& front = in_flight_.front();
  front.answer = AnswerTo(front);
  if (front.answer->takes == absl::InfiniteDuration()) return;
  working_.SetAfter(front.answer->takes, [this] { Deliver(); });
}

Answer ScriptedBackend::AnswerTo(const InFlight& operation) const {
  if (hung_up_) return Answer::LosesLink();
  if (operation.text.empty()) return {};
  if (skipping_) return Answer::Fails(absl::AbortedError("skipped"));
  if (transaction_ == Transaction::kFailed && EndsBlock(operation.text)) return Answer::Command("ROLLBACK");
  if (transaction_ == Transaction::kFailed && !RollsBackToSavepoint(operation.text)) {
    return Answer::Fails("25P02", "current transaction is aborted, commands ignored until end of transaction block");
  }
  return server_.AnswerTo(operation.text);
}

void ScriptedBackend::Finish(Answer answer) {
  if (!usable() || in_flight_.empty()) return;
  working_.Cancel();
  in_flight_.front().answer = std::move(answer);
  Deliver();
}

void ScriptedBackend::Deliver() {
  bool paused = false;
  TellRows(paused);
  if (!usable()) return;
  paused_ = paused;
  if (paused) return;
  const Answer& answer = *in_flight_.front().answer;
  if (answer.breaks_link) {
    LoseLink(answer.error);
    return;
  }
  EndFront();
  WorkOnFront();
}

// A receiver may close the backend, and so end the operation, from within.
void ScriptedBackend::TellRows(bool& paused) {
  const OperationId id = front_id();
  const auto goes_on = [&] {
    return !paused && usable() && front_id() == id && in_flight_.front().receiver != nullptr;
  };
  InFlight& front = in_flight_.front();
  if (!goes_on() || front.answer->columns.empty()) return;
  const Answer answer = *front.answer;
  if (!std::exchange(front.columns_told, true)) {
    const ResultPtr header = MakeHeader(answer, PGRES_SINGLE_TUPLE);
    paused = front.receiver->OnColumns(*header) == ResultReceiver::Flow::kPause;
  }
  while (goes_on() && front.rows_told < answer.rows.size()) {
    const ResultPtr row = MakeHeader(answer, PGRES_SINGLE_TUPLE);
    AddRow(*row, answer.rows[front.rows_told++]);
    paused = front.receiver->OnRow(*row, 0) == ResultReceiver::Flow::kPause;
  }
}

void ScriptedBackend::EndFront() {
  InFlight ended = std::move(in_flight_.front());
  in_flight_.pop_front();
  const absl::Time now = server_.loop_.Now();
  front_took_ = now - front_since_;
  front_since_ = now;
  const Answer& answer = *ended.answer;
  settings_changed_ = settings_changed_ || answer.changes_settings || answer.changes_reading;
  reading_changed_ = reading_changed_ || answer.changes_reading;
  FollowTransaction(ended);
  skipping_ = !ended.sync && (skipping_ || !answer.error.ok());
  if (ended.receiver != nullptr) {
    if (answer.error.ok()) {
      postgres::Completion completion;
      completion.command_tag = answer.tag;
      completion.rows_affected = answer.rows_affected;
      ended.receiver->OnEnd(std::move(completion));
    } else {
      ended.receiver->OnEnd(answer.error);
    }
  }
  TellIfDrained();
}

void ScriptedBackend::FollowTransaction(const InFlight& ended) {
  const bool ok = ended.answer->error.ok();
  const std::string word = FirstWord(ended.text);
  const bool skipped = skipping_;
  if (ended.text.empty() || skipped) return;
  if (ok && (word == "BEGIN" || word == "START")) {
    transaction_ = Transaction::kOpen;
  } else if (EndsBlock(ended.text)) {
    transaction_ = Transaction::kNone;  // also when a COMMIT fails
  } else if (transaction_ != Transaction::kNone) {
    if (!ok) transaction_ = Transaction::kFailed;
    if (ok && RollsBackToSavepoint(ended.text)) transaction_ = Transaction::kOpen;
  }
}

void ScriptedBackend::TellIfDrained() {
  if (usable() && !busy()) events_.drained();
}

void ScriptedBackend::Detach(OperationId id) {
  Record("(detach)");
  for (InFlight& entry : in_flight_) {
    if (entry.id == id) entry.receiver = nullptr;
  }
}

void ScriptedBackend::ResumeReading() {
  Record("(resume)");
  if (!std::exchange(paused_, false) || !usable()) return;
  working_.SetAfter(absl::ZeroDuration(), [this] { Deliver(); });
}

void ScriptedBackend::Cancel() {
  if (!usable()) return;
  Record("(cancel)");
  ++cancels_pending_;
  ++server_.cancels_under_way_;
  if (server_.cancels_ == Cancels::kUnanswered) return;
  const bool taken = server_.cancels_ == Cancels::kTaken;
  auto delivered = self_.Bind([taken](ScriptedBackend& self) { self.CancelDelivered(taken); });
  server_.cancel_requests_.emplace_back(server_.loop_)
      .SetAfter(server_.cancels_take_, [&server = server_, delivered = std::move(delivered)]() mutable {
        --server.cancels_under_way_;
        delivered();
      });
}

void ScriptedBackend::CancelDelivered(bool taken) {
  --cancels_pending_;
  if (!usable()) return;
  Run(Operation());  // as the real one: by its answer the signal has hit, or hits nothing
  if (taken && !in_flight_.front().text.empty() && in_flight_.front().answer.has_value() && !paused_) {
    Finish(Answer::Fails("57014", "canceling statement due to user request"));
  }
}

void ScriptedBackend::CheckAlive() {
  if (usable() && !busy() && hung_up_) LoseLink();
}

void ScriptedBackend::LoseLink(absl::Status said) {
  if (!usable()) return;
  const absl::Status lost = postgres::LinkLost(said);
  state_ = State::kClosed;
  working_.Cancel();
  FailInFlight(lost);
  events_.lost(lost);
}

void ScriptedBackend::Close() {
  if (state_ == State::kClosed) return;
  Record("(close)");
  state_ = State::kClosed;
  connecting_.Cancel();
  working_.Cancel();
  FailInFlight(postgres::LinkLost(absl::OkStatus()));
}

void ScriptedBackend::FailInFlight(const absl::Status& status) {
  paused_ = false;
  for (InFlight& entry : std::exchange(in_flight_, {})) {
    if (entry.receiver == nullptr) continue;
    entry.receiver->OnEnd(
        entry.sent ? status : WithFailure(status, [](Failure& failure) { failure.outcome = Outcome::kNotExecuted; }));
  }
}

void ScriptedBackend::AcceptReportedSettings() {
  Record("(accept settings)");
  settings_changed_ = false;
  reading_changed_ = false;
}

void ScriptedBackend::ForgetPreparedStatements() { Record("(forget prepared)"); }

void ScriptedBackend::StopPreparing() { Record("(stop preparing)"); }

void ScriptedBackend::StartPreparing() { Record("(start preparing)"); }

size_t ScriptedBackend::prepared_statements() const { return 0; }

bool ScriptedBackend::server_is_read_only() const { return usable() && server_.read_only_; }

int ScriptedBackend::pid() const { return state_ == State::kConnecting ? 0 : 1'000 + static_cast<int>(number_); }

void ScriptedBackend::Record(std::string what) { server_.log_.push_back(absl::StrCat(number_, " ", what)); }

// --- the server

class ScriptedServer::Factory final : public postgres::BackendFactory {
 public:
  explicit Factory(ScriptedServer& server) : server_(server) {}

  std::unique_ptr<Backend> Open(std::string password, absl::Time connect_deadline, Backend::Events events) override {
    Opening opening;
    if (!server_.openings_.empty()) {
      opening = std::move(server_.openings_.front());
      server_.openings_.pop_front();
    }
    server_.passwords_.push_back(std::move(password));
    auto backend = std::make_unique<ScriptedBackend>(server_, server_.backends_.size() + 1, std::move(opening),
                                                     connect_deadline, std::move(events));
    server_.backends_.push_back(backend.get());
    return backend;
  }

  [[nodiscard]] size_t cancels_under_way() const override { return server_.cancels_under_way_; }

 private:
  ScriptedServer& server_;
};

std::unique_ptr<postgres::BackendFactory> ScriptedServer::MakeFactory() { return std::make_unique<Factory>(*this); }

Answer ScriptedServer::AnswerTo(const std::string& text) {
  const auto matches = [&](const Rule& rule) { return absl::StartsWith(text, rule.prefix); };
  if (const auto rule = std::find_if(once_.begin(), once_.end(), matches); rule != once_.end()) {
    Answer answer = std::move(rule->answer);
    once_.erase(rule);
    return answer;
  }
  const auto rule = std::find_if(always_.rbegin(), always_.rend(), matches);
  if (rule != always_.rend()) return rule->answer;
  return otherwise_ ? otherwise_(text) : Answer::Command(FirstWord(text));
}

ScriptedBackend* ScriptedServer::backend(size_t number) const {
  return number == 0 || number > backends_.size() ? nullptr : backends_[number - 1];
}

std::vector<std::string> ScriptedServer::LogOf(size_t number) const {
  std::vector<std::string> entries;
  const std::string prefix = absl::StrCat(number, " ");
  for (const std::string& entry : log_) {
    if (absl::StartsWith(entry, prefix)) entries.push_back(entry.substr(prefix.size()));
  }
  return entries;
}

}  // namespace engine::db::test

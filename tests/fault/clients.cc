#include "tests/fault/clients.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <type_traits>
#include <utility>

namespace engine::db::test {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kWatchEvery{5};
constexpr milliseconds kNoticedPause{15};
constexpr size_t kLines = 50;

std::string Describe(const DatabaseError& error) {
  std::string text = error.reason();
  if (!error.sqlstate().empty()) text += " " + error.sqlstate();
  return text + " " + error.what();
}

milliseconds Elapsed(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - begin);
}

}  // namespace

class Clients::Client {
 public:
  Client(Clients& all, uint32_t seed)
      : all_(all), random_(seed), connector_(all.options_.config, all.options_.gateway) {}

  void Run() {
    bool connected = false;
    while (!all_.stopping_) {
      const bool well = connected ? DoSomething() : (connected = Connect());
      // Not a storm of calls that fail at once.
      if (!well) std::this_thread::sleep_for(milliseconds(10));
    }
    try {
      connector_.close();
    } catch (const DatabaseError&) {  // there is nobody to close it with
    }
  }

 private:
  struct Move {
    int64_t operation;
    int source;
    int destination;
    int amount;
    bool deposit_first;  // in either order, so that there are deadlocks
  };

  bool DoSomething() {
    switch (random_() % 20) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:
        return Insert();
      case 5:
      case 6:
      case 7:
        return TransferByHandle();
      case 8:
      case 9:
        return TransferByRunTransaction();
      case 10:
      case 11:
      case 12:
        return TransferByBatch();
      case 13:
        return TransferByCurrentTransaction();
      case 14:
        return Abandon();
      case 15:
        return LeaveSessionState();
      case 16:
        return Stream();
      default:
        return ReadTotal();
    }
  }

  bool Connect() {
    return Attempt("connect", [&] { Timed("connect", Timeout(), [&] { connector_.connect(); }); });
  }

  bool Insert() {
    const int64_t operation = all_.ledger_.Next();
    const bool exactly_once = random_() % 2 == 0;
    return Write(exactly_once ? "insert exactly once" : "insert", operation, [&] {
      Execute(Ledger::kInsert, {operation, Note()}, exactly_once);
    });
  }

  bool TransferByHandle() {
    const Move move = NewMove();
    std::optional<Transaction> transaction;
    return Transfer(
        "handle", move,
        [&] {
          Timed("begin", Timeout(), [&] { transaction.emplace(connector_.begin_transaction()); });
          RunMove(*transaction, move);
        },
        [&] { transaction->commit(); });
  }

  bool TransferByCurrentTransaction() {
    const Move move = NewMove();
    const bool well = Transfer(
        "current", move,
        [&] {
          Timed("begin", Timeout(), [&] { connector_.begin(); });
          RunMove(connector_, move);
        },
        [&] { connector_.commit(); });
    if (well) return true;
    try {
      Timed("rollback", Timeout(), [&] { connector_.rollback(); });
    } catch (const DatabaseError&) {  // it is over already
    }
    return false;
  }

  // What was said before the last attempt's commit was asked for is not about the commit.
  bool TransferByRunTransaction() {
    const Move move = NewMove();
    bool committing = false;
    return Transfer(
        "run_transaction", move, [] {},
        [&] {
          try {
            connector_.run_transaction([&](Transaction& transaction) {
              committing = false;
              RunMove(transaction, move);
              committing = true;
            });
          } catch (const DatabaseError& error) {
            if (committing || error.outcome() == Outcome::kCommitted) throw;
            ErrorInfo info = error.info();
            info.outcome = Outcome::kRolledBack;
            throw_error(info);
          }
        },
        /*commit_may_be_repeated=*/false);
  }

  bool TransferByBatch() {
    const Move move = NewMove();
    const auto [first, second] = Updates(move);
    const Batch batch = {{Ledger::kInsertTransfer, {TransferParameters(move)}}, first, second};
    return Write("batch", move.operation, [&] {
      WithOptions(
          [&](const CallOptions& options) { connector_.execute_batch(batch, {.call = options, .atomic = true}); });
    });
  }

  // Nobody asks for a commit, so it must not be there.
  bool Abandon() {
    const int64_t operation = all_.ledger_.Next();
    all_.ledger_.Note(operation, Verdict::kRolledBack, "abandoned");
    return Attempt("abandon", [&] {
      std::optional<Transaction> transaction;
      Timed("begin", Timeout(), [&] { transaction.emplace(connector_.begin_transaction()); });
      Timed("execute", Timeout(), [&] { transaction->execute(Ledger::kInsert, {operation, Note()}); });
    });
  }

  bool LeaveSessionState() {
    return Attempt("session state", [&] {
      if (random_() % 2 == 0) {
        Execute("SELECT set_config('soak.tag', ?, false)", {"left behind"});
      } else {
        Execute("SET soak.tag = 'left behind'", {});
      }
    });
  }

  bool ReadTotal() {
    return Attempt("read", [&] {
      const Result result = Execute(
          std::string("SELECT t.total, current_setting('soak.tag', true) AS tag FROM (") + Ledger::kReadTotal + ") t",
          {});
      const auto row = result.rows()[0];
      if (row["total"].as<int64_t>() != Ledger::kTotal) {
        all_.Violation("a read saw " + std::to_string(row["total"].as<int64_t>()) + " in the bank");
      }
      if (!row["tag"].is_null() && !row["tag"].as<std::string>().empty()) {
        all_.Violation("session state of another caller was seen");
      }
      const std::lock_guard lock(all_.mutex_);
      ++all_.report_.reads_of_the_total;
    });
  }

  bool Stream() {
    const auto rows = static_cast<int64_t>(random_() % 20'000);
    const bool to_the_end = random_() % 4 != 0;
    int64_t seen = 0;
    return Attempt("stream", [&] {
      try {
        Timed("stream", Timeout(), [&] {
          RowStream stream =
              connector_.execute_stream("SELECT n, repeat('x', 50) AS x FROM generate_series(1, ?::bigint) n", {rows});
          for (const Row row : stream) {
            if (row["n"].as<int64_t>() != ++seen) {
              all_.Violation("a stream brought row " + std::to_string(row["n"].as<int64_t>()) + " as number " +
                             std::to_string(seen));
            }
            if (!to_the_end && seen == 500) return;
          }
          if (seen != rows) {
            all_.Violation("a stream ended after " + std::to_string(seen) + " of " + std::to_string(rows) + " rows");
          }
        });
      } catch (const DatabaseError& error) {
        // What was not yet read of the last batch has been delivered too.
        if (error.rows_delivered() < static_cast<uint64_t>(seen)) {
          all_.Violation("a stream broke off after " + std::to_string(seen) + " rows, and says " +
                         std::to_string(error.rows_delivered()));
        }
        throw;
      }
    });
  }

  // `prepare` does all but commit. While the commit's outcome is unknown, it is asked again.
  bool Transfer(const char* kind, const Move& move, const std::function<void()>& prepare,
                const std::function<void()>& commit, bool commit_may_be_repeated = true) {
    bool committing = false;
    try {
      prepare();
      committing = true;
      if (commit_may_be_repeated) {
        Timed("commit", Timeout(), commit);
      } else {
        commit();
      }
      all_.ledger_.Note(move.operation, Verdict::kAcknowledged, How(kind));
      Succeeded(kind);
      return true;
    } catch (const DatabaseError& error) {
      Failed(kind, error);
      if (!committing) {
        if (error.outcome() == Outcome::kCommitted) all_.Violation(std::string(kind) + ": committed without a commit");
        all_.ledger_.Note(move.operation, Verdict::kRolledBack, How(kind) + ", before the commit: " + Describe(error));
        return false;
      }
      std::string how = How(kind) + ": " + Describe(error);
      Verdict verdict = VerdictOf(error);
      if (verdict == Verdict::kUnknown && commit_may_be_repeated) verdict = AskAgain(kind, commit, how);
      all_.ledger_.Note(move.operation, verdict, how);
      return false;
    }
  }

  Verdict AskAgain(const char* kind, const std::function<void()>& commit, std::string& how) {
    constexpr int kTimes = 5;
    Verdict verdict = Verdict::kUnknown;
    for (int i = 0; i < kTimes && verdict == Verdict::kUnknown; ++i) {
      std::this_thread::sleep_for(milliseconds(100));
      try {
        Timed("commit", Timeout(), commit);
        verdict = Verdict::kAcknowledged;
      } catch (const DatabaseError& error) {
        Failed(kind, error);
        how += "; again: " + Describe(error);
        // Nothing is known of such a transaction: that tells nothing.
        if (error.reason() == "NO_TRANSACTION") break;
        verdict = VerdictOf(error);
      }
    }
    if (verdict != Verdict::kUnknown) {
      const std::lock_guard lock(all_.mutex_);
      ++all_.report_.resolved;
    }
    return verdict;
  }

  template <typename Runner>
  void RunMove(Runner& runner, const Move& move) {
    const auto [first, second] = Updates(move);
    const auto run = [&](const std::string& sql, const Parameters& parameters) {
      Timed("execute", Timeout(), [&] { runner.execute(sql, parameters); });
    };
    run(Ledger::kInsertTransfer, TransferParameters(move));
    run(first.sql, first.parameter_lists[0]);
    run(second.sql, second.parameter_lists[0]);
  }

  Move NewMove() {
    const auto account = [&] { return 1 + static_cast<int>(random_() % Ledger::kAccounts); };
    Move move{};
    move.operation = all_.ledger_.Next();
    move.source = account();
    do move.destination = account();
    while (move.destination == move.source);
    move.amount = 1 + static_cast<int>(random_() % 9);
    move.deposit_first = random_() % 2 == 0;
    return move;
  }
  Parameters TransferParameters(const Move& move) {
    return {move.operation, Note(), move.source, move.destination, move.amount};
  }
  static std::pair<BatchStatement, BatchStatement> Updates(const Move& move) {
    BatchStatement withdraw{Ledger::kWithdraw, {{move.amount, move.source}}};
    BatchStatement deposit{Ledger::kDeposit, {{move.amount, move.destination}}};
    if (move.deposit_first) std::swap(withdraw, deposit);
    return {std::move(withdraw), std::move(deposit)};
  }

  // A parameter that must not show anywhere.
  std::string Note() {
    return all_.options_.secrets.empty() ? "note" : all_.options_.secrets[random_() % all_.options_.secrets.size()];
  }

  [[nodiscard]] milliseconds Timeout() const { return milliseconds(all_.options_.config.timeout_ms); }

  // Mostly the connection's settings; else a short deadline, or a stop request while it runs.
  template <typename Call>
  std::invoke_result_t<Call&, const CallOptions&> WithOptions(Call&& call) {
    CallOptions options;
    const auto soon = milliseconds(1 + static_cast<int>(random_() % 40));
    switch (all_.options_.short_deadlines ? random_() % 12 : 2) {
      case 0:
        options.timeout = soon;
        return Timed("call", soon, [&] { return call(options); });
      case 1: {
        std::stop_source source;
        options.stop = source.get_token();
        const std::jthread stopper([&source, soon] {
          std::this_thread::sleep_for(soon);
          source.request_stop();
        });
        return Timed("call", Timeout(), [&] { return call(options); });
      }
      default:
        return Timed("call", Timeout(), [&] { return call(options); });
    }
  }

  Result Execute(const std::string& sql, const Parameters& parameters, bool exactly_once = false) {
    return WithOptions([&](CallOptions options) {
      options.exactly_once = exactly_once;
      return connector_.execute(sql, parameters, options);
    });
  }

  // Something that is one row of the ledger when it works.
  bool Write(const char* kind, int64_t operation, const std::function<void()>& work) {
    try {
      work();
      all_.ledger_.Note(operation, Verdict::kAcknowledged, How(kind));
      Succeeded(kind);
      return true;
    } catch (const DatabaseError& error) {
      Failed(kind, error);
      all_.ledger_.Note(operation, VerdictOf(error), How(kind) + ": " + Describe(error));
      return false;
    }
  }

  bool Attempt(const char* kind, const std::function<void()>& work) {
    try {
      work();
      Succeeded(kind);
      return true;
    } catch (const DatabaseError& error) {
      Failed(kind, error);
      return false;
    }
  }

  void Succeeded(const char* kind) {
    ++all_.succeeded_;
    const std::lock_guard lock(all_.mutex_);
    ++all_.report_.operations[kind];
  }

  void Failed(const char* kind, const DatabaseError& error) {
    const std::string everything = Describe(error) + error.hint() + error.constraint_name() + error.table_name();
    for (const std::string& secret : all_.options_.secrets) {
      if (everything.find(secret) != std::string::npos) all_.Violation(std::string(kind) + ": a secret in an error");
    }
    const std::lock_guard lock(all_.mutex_);
    ++all_.report_.operations[kind];
    ++all_.report_.errors[std::string(kind) + " " + error.reason() + " " + error.sqlstate() + " " +
                          std::string(to_string(error.outcome()))];
  }

  [[nodiscard]] std::string How(const char* kind) const {
    return std::string(kind) + " at " + std::to_string(Elapsed(all_.start_).count()) + " ms";
  }

  template <typename Call>
  std::invoke_result_t<Call&> Timed(const char* what, milliseconds timeout, Call&& call) {
    struct Watch {
      ~Watch() {
        const milliseconds overrun = Elapsed(begin) - timeout;
        if (overrun <= milliseconds(0)) return;
        const milliseconds pause = clients.PauseSince(begin);
        {
          const std::lock_guard lock(clients.mutex_);
          clients.report_.worst_overrun = std::max(clients.report_.worst_overrun, overrun);
        }
        if (overrun - pause <= clients.options_.allowed_overrun) return;
        clients.Violation(std::string(what) + " with a deadline of " + std::to_string(timeout.count()) + " ms was " +
                          std::to_string(overrun.count()) + " ms late (of which the machine paused " +
                          std::to_string(pause.count()) + " ms)");
      }
      Clients& clients;
      const char* what;
      milliseconds timeout;
      Clock::time_point begin;
    } const watch{all_, what, timeout, Clock::now()};
    return call();
  }

  Clients& all_;
  Random random_;
  PostgresSyncConnector connector_;
};

Clients::Clients(Ledger& ledger, ClientOptions options) : ledger_(ledger), options_(std::move(options)) {
  threads_.reserve(static_cast<size_t>(options_.threads) + 1);
  threads_.emplace_back([this] { WatchTheMachine(); });
  for (int i = 0; i < options_.threads; ++i) {
    threads_.emplace_back([this, i] { Client(*this, options_.seed * 1000 + static_cast<uint32_t>(i)).Run(); });
  }
}

Clients::~Clients() { Stop(); }

void Clients::Stop() {
  stopping_ = true;
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

ClientReport Clients::Report() const {
  const std::lock_guard lock(mutex_);
  return report_;
}

// Sees whether this process gets to run when it should: a deadline can't be kept by somebody who does not.
void Clients::WatchTheMachine() {
  while (!stopping_) {
    const Clock::time_point begin = Clock::now();
    std::this_thread::sleep_for(kWatchEvery);
    const milliseconds pause = Elapsed(begin) - kWatchEvery;
    if (pause < kNoticedPause) continue;
    const std::lock_guard lock(mutex_);
    pauses_.emplace_back(Clock::now(), pause);
    report_.worst_pause = std::max(report_.worst_pause, pause);
  }
}

milliseconds Clients::PauseSince(Clock::time_point begin) const {
  const std::lock_guard lock(mutex_);
  milliseconds sum{0};
  for (auto it = pauses_.rbegin(); it != pauses_.rend() && it->first >= begin; ++it) sum += it->second;
  return sum;
}

void Clients::Violation(const std::string& text) {
  const std::lock_guard lock(mutex_);
  ++report_.violation_count;
  if (report_.violations.size() >= kLines) return;
  report_.violations.push_back("at " + std::to_string(Elapsed(start_).count()) + " ms: " + text);
}

}  // namespace engine::db::test

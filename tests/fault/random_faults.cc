#include "tests/fault/random_faults.h"

#include <algorithm>
#include <csignal>
#include <functional>
#include <iterator>
#include <optional>
#include <pqxx/pqxx>
#include <stdexcept>
#include <thread>
#include <utility>

#include "engine_db/postgres_connector.h"
#include "tests/support/wait.h"

namespace engine::db::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kFaultTimeout{2000};  // until a call runs into a fault
constexpr const char* kCommit = "^COMMIT";

}  // namespace

struct RandomFaults::Kind {
  const char* name;
  int weight;
  std::function<bool(RandomFaults&)> inject;
};

RandomFaults::RandomFaults(FaultRig& rig, Ledger& ledger, uint32_t seed, std::string canary)
    : rig_(rig), ledger_(ledger), random_(seed), canary_(std::move(canary)) {}

const std::vector<RandomFaults::Kind>& RandomFaults::Kinds() {
  using Point = FaultPoint;
  using Act = FaultAct;
  using Trigger = FaultTrigger;
  static const auto cut = [](Point point) {
    return [point](RandomFaults& f) {
      return f.Once({.statement = f.AnyStatement(),
                     .point = point,
                     .act = f.random_() % 2 == 0 ? Act::kCut : Act::kClose,
                     .bytes = f.random_() % 40});
    };
  };
  static const auto commit_fault = [](Point point, Act act, bool server_learns = true) {
    return [=](RandomFaults& f) {
      return f.OnceThenHeal({.statement = kCommit, .point = point, .act = act, .server_learns = server_learns},
                            act == Act::kBlackHole ? 2000 : 0);
    };
  };
  static const auto error = [](const char* statement, Point point, const char* severity, const char* sqlstate) {
    return [=](RandomFaults& f) {
      return f.Once(
          {.statement = statement,
           .point = point,
           .act = Act::kError,
           .error = {.severity = severity, .sqlstate = sqlstate, .detail = "Key (note)=(" + f.canary_ + ")"}});
    };
  };
  static const auto at_connecting = [](Trigger trigger, Act act, const char* sqlstate) {
    return [=](RandomFaults& f) {
      return f.AtConnecting(
          {.trigger = trigger, .times = 3, .act = act, .error = {.severity = "FATAL", .sqlstate = sqlstate}}, 1000);
    };
  };
  static const std::vector<Kind> kinds = {
      {"backend terminated: idle", 2, [](RandomFaults& f) { return f.Terminate("state = 'idle'"); }},
      {"backend terminated: active", 4, [](RandomFaults& f) { return f.Terminate("state = 'active'"); }},
      {"backend terminated: idle in transaction", 3,
       [](RandomFaults& f) { return f.Terminate("state = 'idle in transaction'"); }},
      {"all backends terminated", 2,
       [](RandomFaults& f) {
         f.rig_.postgres().Exec(std::string("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                                            "application_name = '") +
                                FaultRig::kApplication + "'");
         return true;
       }},
      {"backend killed (SIGKILL)", 2, [](RandomFaults& f) { return f.SignalBackend(SIGKILL) && f.WaitForServer(); }},
      {"backend frozen (SIGSTOP)", 2,
       [](RandomFaults& f) {
         return f.SignalBackend(SIGSTOP);  // which also wakes it up
       }},
      {"PostgreSQL restarted: fast", 2,
       [](RandomFaults& f) {
         f.rig_.postgres().Restart(PostgresCluster::StopMode::kFast);
         return true;
       }},
      {"PostgreSQL restarted: immediate", 2,
       [](RandomFaults& f) {
         f.rig_.postgres().Restart(PostgresCluster::StopMode::kImmediate);
         return true;
       }},
      {"PostgreSQL down for a while", 1,
       [](RandomFaults& f) {
         f.rig_.postgres().Kill();
         f.Hold(300, 1500);
         f.rig_.postgres().Start();
         return true;
       }},
      {"read-only for a while", 1,
       [](RandomFaults& f) {
         f.rig_.postgres().Exec("ALTER SYSTEM SET default_transaction_read_only = on");
         f.rig_.postgres().Exec("SELECT pg_reload_conf()");
         f.Hold(300, 800);
         f.rig_.postgres().Exec("ALTER SYSTEM RESET default_transaction_read_only");
         f.rig_.postgres().Exec("SELECT pg_reload_conf()");
         return true;
       }},
      {"tables locked for a while", 2,
       [](RandomFaults& f) {
         pqxx::connection connection(f.rig_.postgres().Superuser());
         pqxx::work work(connection);
         work.exec("SET lock_timeout = '2s'");
         try {
           work.exec("LOCK TABLE bank, ledger");
         } catch (const std::exception&) {  // not in time, or a deadlock
           return false;
         }
         f.Hold(300, 1200);
         return true;
       }},
      {"link cut before a request", 3, cut(Point::kBeforeRequest)},
      {"link cut within a request", 3, cut(Point::kInRequest)},
      {"link cut after a request", 3, cut(Point::kAfterRequest)},
      {"link cut before a reply", 3, cut(Point::kBeforeReply)},
      {"link cut within a reply", 3, cut(Point::kInReply)},
      {"link cut after a reply", 2, cut(Point::kAfterReply)},
      {"all links cut", 2,
       [](RandomFaults& f) {
         f.rig_.proxy().CutAll();
         return true;
       }},
      {"COMMIT dropped, link cut", 4, commit_fault(Point::kBeforeRequest, Act::kCut)},
      {"COMMIT sent, link cut", 4, commit_fault(Point::kAfterRequest, Act::kCut)},
      {"COMMIT's reply dropped, link cut", 6, commit_fault(Point::kBeforeReply, Act::kCut)},
      {"COMMIT dropped, black hole", 2, commit_fault(Point::kBeforeRequest, Act::kBlackHole)},
      {"COMMIT's reply dropped, black hole", 3, commit_fault(Point::kBeforeReply, Act::kBlackHole)},
      {"COMMIT dropped, black hole, the server not told", 2,
       commit_fault(Point::kBeforeRequest, Act::kBlackHole, /*server_learns=*/false)},
      {"black hole: connecting", 1, at_connecting(Trigger::kConnect, Act::kBlackHole, "")},
      {"black hole: starting up", 1, at_connecting(Trigger::kStartup, Act::kBlackHole, "")},
      {"black hole: logging in", 1, at_connecting(Trigger::kPassword, Act::kBlackHole, "")},
      {"black hole: a statement", 3,
       [](RandomFaults& f) {
         return f.OnceThenHeal({.statement = f.AnyStatement(),
                                .point = f.random_() % 2 == 0 ? Point::kBeforeRequest : Point::kAfterRequest,
                                .act = Act::kBlackHole,
                                .server_learns = f.random_() % 2 == 0},
                               2000);
       }},
      {"black hole: the whole network", 1,
       [](RandomFaults& f) {
         f.rig_.proxy().BlackHoleAll(f.random_() % 2 == 0);
         f.Hold(300, 1500);
         f.rig_.proxy().Heal();
         return true;
       }},
      {"connecting refused for a while", 1,
       [](RandomFaults& f) {
         f.rig_.proxy().Refuse(true);
         f.rig_.proxy().CutAll();
         f.Hold(200, 1000);
         f.rig_.proxy().Heal();
         return true;
       }},
      {"login refused: too many connections", 1, at_connecting(Trigger::kStartup, Act::kError, "53300")},
      {"login refused: starting up", 1, at_connecting(Trigger::kStartup, Act::kError, "57P03")},
      {"login refused: password", 1, at_connecting(Trigger::kPassword, Act::kError, "28P01")},
      {"slow link: 1 KB/s", 1,
       [](RandomFaults& f) {
         const bool happened = f.Once({.statement = f.AnyStatement(), .act = Act::kSlow, .bytes_per_second = 1024});
         f.Hold(300, 1000);
         f.rig_.proxy().CutAll();
         return happened;
       }},
      {"slow link: slices of one byte", 1,
       [](RandomFaults& f) { return f.Once({.statement = f.AnyStatement(), .act = Act::kSlow, .slice_bytes = 1}); }},
      {"reply delayed", 2,
       [](RandomFaults& f) {
         return f.Once({.statement = f.AnyStatement(),
                        .point = Point::kBeforeReply,
                        .act = Act::kDelay,
                        .delay = milliseconds(20 + f.random_() % 1000)});
       }},
      {"COMMIT's reply delayed", 2,
       [](RandomFaults& f) {
         return f.Once({.statement = kCommit,
                        .point = Point::kBeforeReply,
                        .act = Act::kDelay,
                        .delay = milliseconds(1000 + f.random_() % 3000)});
       }},
      {"error: serialization failure", 2, error("^UPDATE", Point::kBeforeRequest, "ERROR", "40001")},
      {"error: serialization failure at COMMIT", 2, error(kCommit, Point::kBeforeRequest, "ERROR", "40001")},
      {"error: deadlock", 2, error("^UPDATE", Point::kBeforeRequest, "ERROR", "40P01")},
      {"error: unique violation", 1, error("^INSERT", Point::kBeforeRequest, "ERROR", "23505")},
      {"error: disk full", 1, error("^INSERT", Point::kBeforeRequest, "ERROR", "53100")},
      {"error: completion unknown at COMMIT", 2, error(kCommit, Point::kBeforeReply, "ERROR", "40003")},
      {"error: administrator, before a write", 2, error("^INSERT", Point::kBeforeRequest, "FATAL", "57P01")},
      {"error: administrator, after a write", 2, error("^INSERT", Point::kBeforeReply, "FATAL", "57P01")},
      {"error: administrator, after COMMIT", 2, error(kCommit, Point::kBeforeReply, "FATAL", "57P01")},
      {"gateway frozen for a while", 2,
       [](RandomFaults& f) {
         f.rig_.gateway().Signal(SIGSTOP);
         f.Hold(200, 1500);
         f.rig_.gateway().Signal(SIGCONT);
         return true;
       }},
      {"gateway killed and replaced", 1,
       [](RandomFaults& f) {
         f.rig_.ReplaceGateway(SIGKILL);
         return true;
       }},
      {"gateway drained and replaced", 1,
       [](RandomFaults& f) {
         f.rig_.ReplaceGateway(SIGTERM);
         return true;
       }},
      {"client vanishes in a transaction and a stream", 2,
       [](RandomFaults& f) {
         const int64_t operation = f.ledger_.Next();
         f.ledger_.Note(operation, Verdict::kRolledBack, "by a client that vanished");
         try {
           PostgresSyncConnector connector(f.rig_.Config(8), f.rig_.Gateway());
           connector.connect();
           std::optional<Transaction> transaction(connector.begin_transaction());
           transaction->execute(Ledger::kInsert, {operation, f.canary_});
           RowStream stream = connector.execute_stream("SELECT generate_series(1, 10000000)");
           return stream.next_batch().has_value();
         } catch (const DatabaseError&) {
           return false;
         }
       }},
  };
  return kinds;
}

std::string RandomFaults::Inject() {
  int sum = 0;
  for (const Kind& kind : Kinds()) sum += kind.weight;
  int choice = static_cast<int>(random_() % static_cast<unsigned>(sum));
  for (const Kind& kind : Kinds()) {
    choice -= kind.weight;
    if (choice < 0) return kind.inject(*this) ? kind.name : "";
  }
  return "";
}

std::vector<std::string> RandomFaults::Names() {
  std::vector<std::string> names;
  for (const Kind& kind : Kinds()) names.emplace_back(kind.name);
  return names;
}

bool RandomFaults::Inject(const std::string& name) {
  for (const Kind& kind : Kinds()) {
    if (kind.name == name) return kind.inject(*this);
  }
  throw std::runtime_error("no such fault: " + name);
}

bool RandomFaults::Once(const FaultRule& rule) { return OnceThenHeal(rule, 0); }

bool RandomFaults::OnceThenHeal(const FaultRule& rule, int hold_ms_at_most) {
  const auto id = rig_.proxy().Add(rule);
  const bool fired = rig_.proxy().WaitForFired(id, 1, kFaultTimeout);
  if (fired && hold_ms_at_most > 0) Hold(hold_ms_at_most / 5, hold_ms_at_most);
  rig_.proxy().Heal();
  return fired;
}

bool RandomFaults::AtConnecting(FaultRule rule, int hold_ms_at_most) {
  const auto id = rig_.proxy().Add(rule);
  rig_.proxy().CutAll();
  const bool fired = rig_.proxy().WaitForFired(id, 1, kFaultTimeout);
  Hold(hold_ms_at_most / 5, hold_ms_at_most);
  rig_.proxy().Heal();
  return fired;
}

bool RandomFaults::Terminate(const std::string& condition) {
  return WaitUntil(
      kFaultTimeout,
      [&] {
        return !rig_.postgres()
                    .Exec(std::string("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name "
                                      "= '") +
                          FaultRig::kApplication + "' AND " + condition + " ORDER BY random() LIMIT 1")
                    .empty();
      },
      milliseconds(20));
}

bool RandomFaults::SignalBackend(int signal) {
  const std::string pid =
      rig_.postgres().Scalar(std::string("SELECT pid FROM pg_stat_activity WHERE application_name = '") +
                             FaultRig::kApplication + "' ORDER BY (state = 'active')::int * random() DESC LIMIT 1");
  if (pid.empty()) return false;
  if (kill(std::stoi(pid), signal) != 0) return false;
  if (signal == SIGSTOP) {
    Hold(300, 2000);
    kill(std::stoi(pid), SIGCONT);
  }
  return true;
}

bool RandomFaults::WaitForServer() {
  const auto answers = [&] {
    try {
      return rig_.postgres().Scalar("SELECT pg_is_in_recovery()") == "f";
    } catch (const std::exception&) {
      return false;
    }
  };
  // It takes a moment until the postmaster has noticed.
  std::this_thread::sleep_for(milliseconds(100));
  if (!WaitUntil(seconds(60), answers, milliseconds(50))) throw std::runtime_error("PostgreSQL does not come back");
  return true;
}

void RandomFaults::Hold(int least_ms, int most_ms) {
  std::this_thread::sleep_for(milliseconds(std::uniform_int_distribution<int>(least_ms, most_ms)(random_)));
}

std::string RandomFaults::AnyStatement() {
  constexpr const char* kStatements[] = {"^INSERT", "^UPDATE", "^SELECT", "^BEGIN", "^COMMIT", ""};
  return kStatements[random_() % std::size(kStatements)];
}

}  // namespace engine::db::test
